"""Archives without a model: each part is predicted from itself, threads work on different parts."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from geneformer_codec import api
from geneformer_codec.archive.models import Execution
from geneformer_codec.archive.read import Archive
from geneformer_codec.errors import FormatError

from .conftest import Write, joined, pack, unpacked

COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def relatives(genomes: int, length: int, turn: bool, seed: int = 1) -> bytes:
    """Genomes that differ in about 2 bases of 100, every other one on the other strand if requested."""
    rng = random.Random(seed)
    ancestor = bytes(rng.choices(b"ACGT", k=length))
    text = []
    for number in range(genomes):
        genome = bytearray(ancestor)
        for _ in range(length // 50):
            genome[rng.randrange(length)] = rng.choice(b"ACGT")
        sequence = bytes(genome).translate(COMPLEMENT)[::-1] if turn and number % 2 else bytes(genome)
        lines = [sequence[at : at + 60] for at in range(0, length, 60)]
        text.append(b">genome %d\n" % number + b"\n".join(lines) + b"\n")
    return b"".join(text)


@pytest.fixture
def source(write: Write) -> Path:
    return write("in.fa", relatives(24, 1000, turn=False))


@pytest.mark.parametrize("access", ["coarse", 700])
def test_threads_change_nothing(tmp_path: Path, source: Path, access: str | int) -> None:
    archives = []
    for threads in (1, 2, 5):
        execution, out = Execution(threads=threads), tmp_path / str(threads)
        info = api.compress(source, out, part_bases=4000, access=access, execution=execution, verify=True)
        assert (info.model_id, info.parts > 4, info.slices == info.parts) == (
            "experts", True, access == "coarse"
        )  # fmt: skip
        archives.append(out.read_bytes())
        api.decompress(tmp_path / "1", tmp_path / "back", execution=execution, force=True)
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert archives[0] == archives[1] == archives[2]


@pytest.mark.parametrize("settings", [{}, {"level": "max", "strands": "both"}, {"level": "fast", "access": 1000}])
def test_parts_apart_and_joined(tmp_path: Path, source: Path, settings: dict[str, str]) -> None:
    api.compress(source, tmp_path / "whole.gfz", part_bases=4000, verify=True, **settings)  # type: ignore[arg-type]
    assert joined(source, tmp_path, part_bases=4000, **settings) == (tmp_path / "whole.gfz").read_bytes()


def test_smaller_than_two_bits_a_base(tmp_path: Path, source: Path) -> None:
    info = api.compress(source, tmp_path / "a.gfz")
    assert info.bpb_payload < 0.7
    assert info.experts["copies"] > 0


@pytest.mark.parametrize("turn", [False, True])
def test_strands_are_measured(tmp_path: Path, write: Write, turn: bool) -> None:
    source = write("in.fa", relatives(12, 2000, turn))
    info = {strands: api.compress(source, tmp_path / strands, strands=strands) for strands in ("auto", "one", "both")}
    assert info["auto"].both_strands_blocks == turn
    assert (tmp_path / "auto").read_bytes() == (tmp_path / ("both" if turn else "one")).read_bytes()
    if turn:
        assert info["both"].payload_bytes < info["one"].payload_bytes
    for strands in info:
        api.verify(tmp_path / strands)


def test_flipped_bits_under_a_sound_container(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "a.gfz"
    api.compress(source, path, part_bases=4000, access=1000)
    entries, manifest = unpacked(path)
    with Archive(path) as archive:
        coded = archive.blocks[0].streams["slices"] + archive.blocks[0].streams["payload"]
    rng = random.Random(5)
    for _ in range(60):
        flipped = bytearray(entries["blocks/00000000"])
        flipped[rng.randrange(coded)] ^= 1 << rng.randrange(8)
        pack(path, entries | {"blocks/00000000": bytes(flipped)}, manifest)
        try:
            api.decompress(path, tmp_path / "out", force=True)
            assert (tmp_path / "out").read_bytes() == source.read_bytes()
        except FormatError as error:
            assert "a.gfz: part 0" in str(error)  # noqa: PT017


def test_the_first_failure_is_the_one_reported(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "a.gfz"
    api.compress(source, path, part_bases=4000)
    data = bytearray(path.read_bytes())
    for name in list(unpacked(path)[0])[2:]:
        data[data.index(name.encode()) + len(name) + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="blocks/00000002"):
        api.decompress(path, tmp_path / "out", execution=Execution(threads=3))


def test_torch_is_not_loaded(tmp_path: Path, source: Path) -> None:
    program = (
        "import sys, geneformer_codec.cli.main as cli;"
        "assert cli.main(['compress', 'in.fa', '-o', 'a.gfz', '--verify']) == 0;"
        "assert cli.main(['decompress', 'a.gfz', '-o', 'out.fa']) == 0;"
        "assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "out.fa").read_bytes() == source.read_bytes()
