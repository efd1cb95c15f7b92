"""Fixtures that tests of all rooms share."""

import gzip
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# every core has a process with tests already, and more threads than cores wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

# kernels may compile in the middle of a test, and machines are busy: how long an example takes tells nothing
settings.register_profile("usual", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile("usual")

DATA = Path(os.environ.get("GENEFORMER_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data").resolve()
REAL_FASTA = sorted(path.name.removesuffix(".fa.gz") for path in DATA.glob("*.fa.gz"))
REAL_FASTQ = sorted(path.name.removesuffix(".gz") for path in DATA.glob("*.fastq.gz"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument ``real_fasta`` or ``real_fastq`` runs once for the name of every such file."""
    none = [pytest.param("", marks=pytest.mark.skip(reason="no real data; set GENEFORMER_DATA to their folder"))]
    for argument, names in (("real_fasta", REAL_FASTA), ("real_fastq", REAL_FASTQ)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, names or none)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no process has it left when the others are done."""
    items.sort(key=lambda item: "workflow/" not in item.nodeid)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], bytes]:
    """Gives the text of a file of real sequence, by name without .gz; skips the test where there is none."""

    def read(name: str) -> bytes:
        for path in (DATA / f"{name}.gz", DATA / f"{name}.fa.gz"):
            if path.exists():
                return gzip.decompress(path.read_bytes())
        pytest.skip("no real data; set GENEFORMER_DATA to their folder")

    return read


@pytest.fixture(scope="session")
def real_texts() -> list[bytes]:
    """The beginnings of all real files; nothing where there are none."""
    return [gzip.open(path).read(200_000) for path in sorted(DATA.glob("*.gz"))]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB at ``disk``."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
