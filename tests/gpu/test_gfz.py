"""``gfz --device cuda`` on an emulated GPU: archives are the same bytes, and each device reads those of the other."""

import gc
import random
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda")
pytest.importorskip("numba", minversion="0.68")  # earlier ones lack passes of LLVM that kernels are built with

from emulated import EmulatedDevice

from geneformer_codec.cli.main import main
from geneformer_codec.cuda.device import DeviceError

Gfz = Callable[..., None]
SETTINGS = ["--level", "fast", "--access", "1000", "--part-bases", "8000", "--strands", "one", "-T", "2"]


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    monkeypatch.chdir(tmp_path)
    device = EmulatedDevice()
    monkeypatch.setattr("geneformer_codec.cuda.choose.open_device", lambda: device)
    return device


def gfz(*arguments: str) -> None:
    assert main([*arguments, "-q"]) == 0


def fasta(count: int = 3) -> bytes:
    """Relatives, in parts of several slices."""
    rng = random.Random(5)
    ancestor = rng.choices("ACGT", k=9000)
    text = ""
    for number in range(count):
        genome = [rng.choice("ACGT") if rng.random() < 0.02 else base for base in ancestor]
        text += f">g{number}\n{''.join(genome)}\n"
    return text.encode()


def fastq(reads: int = 150) -> bytes:
    """Reads that overlap, with qualities of four values."""
    rng = random.Random(6)
    genome = "".join(rng.choices("ACGT", k=4 * reads))
    text = ""
    for number in range(reads):
        start = rng.randrange(4 * reads - 100)
        text += f"@r{number}\n{genome[start : start + 100]}\n+\n{''.join(rng.choices('#,:F', k=100))}\n"
    return text.encode()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fasta", "mapped", pytest.param("fastq", marks=pytest.mark.nightly)])
def test_archives_are_the_same(
    kind: str, device: EmulatedDevice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geneformer_codec.archive.settings.READ_SLICE_BITS", 10)
    text, settings = fastq(), [*SETTINGS, "--no-self-panel"]
    if kind == "mapped":
        text, settings = fastq(1500), [*SETTINGS, "--part-bases", "40000"]
    if kind == "fasta":
        text, settings = fasta(), [*SETTINGS, "--model", "m.gfmodel", "--embed"]
        Path("panel").write_bytes(fasta(1))
        gfz("train", "panel", "-o", "m.gfmodel", "--name", "m")
    Path("in").write_bytes(text)
    gfz("compress", "in", "-o", "cpu.gfz", *settings, "--device", "cpu")
    gfz("compress", "in", "-o", "few.gfz", *settings, "--device", "auto")
    assert not device.launches, "few slices are left to the CPU"
    gfz("compress", "in", "-o", "cuda.gfz", *settings, "--device", "cuda", "--verify")
    encoded = len(device.launches)
    assert encoded >= 2
    assert Path("cuda.gfz").read_bytes() == Path("cpu.gfz").read_bytes() == Path("few.gfz").read_bytes()
    gfz("decompress", "cpu.gfz", "-o", "out", "--device", "cuda")
    assert len(device.launches) > encoded
    assert Path("out").read_bytes() == text
    units = {layout.unit for layout in device.layouts}
    of_reads = {"fasta": set(), "fastq": {"qualities"}, "mapped": {"qualities", "bases of mapped reads"}}[kind]
    assert units == {"bases", *of_reads}
    gfz("verify", "cpu.gfz", "--device", "cuda")
    gfz("decompress", "cuda.gfz", "-o", "out", "--device", "cpu", "-f")
    assert Path("out").read_bytes() == text
    gc.collect()
    assert device.free_bytes() == device.memory, "all is given back"
    if kind == "fasta":
        slices = [count for count, _ in device.launches]
        assert max(slices) > 9, "those of several parts together"
        gfz("fetch", "cpu.gfz", "g1:2001-2100", "-o", "region", "--device", "cuda")
        wanted = text.split(b"\n")[3][2000:2100]
        assert Path("region").read_bytes().split(b"\n")[1] == wanted


def test_what_a_gpu_is_not_for(device: EmulatedDevice, capsys: pytest.CaptureFixture[str]) -> None:
    """Parts that are one slice each."""
    Path("in").write_bytes(fasta())
    assert main(["compress", "in", "-o", "a.gfz", "--device", "cuda"]) == 2
    reported = capsys.readouterr().err
    assert "compress with --access fine, or give --device cpu" in reported
    assert not Path("a.gfz").exists()
    gfz("compress", "in", "-o", "a.gfz", "--level", "fast", "--device", "auto")
    assert main(["decompress", "a.gfz", "-o", "out", "--device", "cuda"]) == 2
    assert "a.gfz: a GPU codes thousands of slices" in capsys.readouterr().err
    gfz("decompress", "a.gfz", "-o", "out")
    assert Path("out").read_bytes() == fasta()
    assert not device.launches


def test_a_device_that_fails(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names what failed, and no archive appears."""

    def kernel(source: object) -> None:
        raise DeviceError("the GPU failed: cuLaunchKernel: lost (4)")

    monkeypatch.setattr(device, "kernel", kernel)
    Path("in").write_bytes(fasta())
    assert main(["compress", "in", "-o", "a.gfz", *SETTINGS, "--device", "cuda"]) == 1
    assert "error: the GPU failed: cuLaunchKernel: lost (4); try --device cpu" in capsys.readouterr().err
    assert not Path("a.gfz").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["model-fast", "model", "slices", "mapped-slices"])
def test_golden_archives(name: str, device: EmulatedDevice) -> None:
    """Those that have slices; one at max, with a model that was trained."""
    golden = Path(__file__).parents[1] / "archive" / "golden"
    gfz("verify", str(golden / f"{name}.gfz"), "--model", str(golden / "species.gfmodel"), "--device", "cuda")
    assert device.launches
