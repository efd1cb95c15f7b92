"""Contigs of reads become a panel inside the archive, and reads are coded by where they lie on it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geneformer_codec import api, open
from geneformer_codec.align import assemble
from geneformer_codec.align.assemble import Assembler
from geneformer_codec.archive import self_panel
from geneformer_codec.archive.models import Execution
from geneformer_codec.coding.slices import SliceCodec
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.simulate_reads import write_fastq

from .conftest import Write, joined

GENOME = 12_000
PART = 120_000
"""A part of reads has twice as many bytes of text."""


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    """25x of a genome, and a few reads of another one."""
    texts = io.BytesIO(), io.BytesIO()
    write_fastq(texts, 1000, 150, GENOME, 3)
    write_fastq(texts, 60, 150, GENOME, 4)
    return texts[0].getvalue(), texts[1].getvalue()


def test_reads_are_mapped_to_their_contigs(tmp_path: Path, write: Write, pair: tuple[bytes, bytes]) -> None:
    files = write("a.fq", pair[0]), write("b.fq", pair[1])
    info = api.compress(files[0], tmp_path / "a.gfz", mate=files[1], part_bases=PART, verify=True)
    assert (info.parts > 1, info.model_name, info.model_embedded) == (True, self_panel.SELF_PANEL, True)
    assert info.streams["alignments"] > 0
    assert info.streams["differences"] > 0
    alone = api.compress(files[0], tmp_path / "b.gfz", mate=files[1], part_bases=PART, self_panel=False)
    assert (alone.model_id, alone.streams.get("alignments", 0)) == ("experts", 0)
    assert info.payload_bytes + info.model_bytes < 0.7 * alone.payload_bytes
    api.decompress(tmp_path / "a.gfz", tmp_path / "one", mate=tmp_path / "two")
    assert ((tmp_path / "one").read_bytes(), (tmp_path / "two").read_bytes()) == pair


@pytest.mark.parametrize("access", ["coarse", "fine"])
def test_a_mapped_read_is_read_alone(
    tmp_path: Path, write: Write, pair: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch, access: str
) -> None:
    """Of a part in slices, only the one that it lies in is decoded."""
    monkeypatch.setattr("geneformer_codec.archive.settings.READ_SLICE_BITS", 14)
    files = write("a.fq", pair[0]), write("b.fq", pair[1])
    api.compress(files[0], tmp_path / "a.gfz", mate=files[1], part_bases=PART, access=access, verify=True)
    lines = [pair[0].split(b"\n"), pair[1].split(b"\n")]
    decoded, code = list[str](), SliceCodec.code

    def noted(codec: SliceCodec, some: object, stream: bytes | None) -> bytes:
        decoded.append(codec.what)
        return code(codec, some, stream)

    monkeypatch.setattr(SliceCodec, "code", noted)
    with open(tmp_path / "a.gfz") as reader:
        for number in (0, 400, 1059):
            name = lines[0][4 * number][1:].split()[0].decode()
            for mate in range(2):
                decoded.clear()
                record = reader.find(name, mate)
                assert record is not None
                assert record.residues(10, 40) == lines[mate][4 * number + 1][10:40]
                assert record.qualities() == lines[mate][4 * number + 3]
                if access == "fine":
                    assert sorted(decoded) == ["differences", "qualities"]
    with open(tmp_path / "a.gfz") as reader:
        records = [(record.residues(), record.qualities()) for record in reader.records()]
    assert sorted(records) == sorted(read for text in lines for read in zip(text[1::4], text[3::4], strict=True))
    names = [line[1:].split()[0].decode() for text in lines for line in text[:-1:4]]
    entries = api.read_index(tmp_path / "a.gfz")
    assert sorted(entry.name for entry in entries) == sorted(names)
    assert {entry.residues for entry in entries} == {150}


@pytest.mark.parametrize("access", ["coarse", 1000])
def test_every_execution_gives_the_same_bytes(
    tmp_path: Path, write: Write, pair: tuple[bytes, bytes], access: str | int
) -> None:
    files = write("a.fq", pair[0]), write("b.fq", pair[1])
    given = {"mate": files[1], "part_bases": PART}
    api.compress(files[0], tmp_path / "a.gfz", **given, access=access, execution=Execution(threads=1), verify=True)
    wanted = (tmp_path / "a.gfz").read_bytes()
    api.compress(files[0], tmp_path / "threads", **given, access=access, execution=Execution(threads=3))
    made = {"threads": (tmp_path / "threads").read_bytes()}
    streams = io.BytesIO(pair[0]), io.BytesIO(pair[1])
    # the name of the mate is that of the file, so that the archive of streams has other names
    info = api.compress(streams[0], tmp_path / "s", mate=streams[1], part_bases=PART, access=access, name="a.fq")
    assert info.payload_bytes == api.info(tmp_path / "a.gfz").payload_bytes
    made["joined"] = joined(files[0], tmp_path, **given, access=access)
    assert {name: data == wanted for name, data in made.items()} == dict.fromkeys(made, True)


@pytest.mark.parametrize("part_bases", [PART, 1 << 24])
def test_a_pipe_gives_the_same_bytes(tmp_path: Path, write: Write, pair: tuple[bytes, bytes], part_bases: int) -> None:
    api.compress(write("a.fq", pair[0]), tmp_path / "a.gfz", part_bases=part_bases)
    command = [sys.executable, "-m", "geneformer_codec", "compress", "-", "-o", "-", "--name", "a.fq", "-q"]
    piped = subprocess.run([*command, f"--part-bases={part_bases}"], input=pair[0], capture_output=True, check=True)
    assert piped.stdout == (tmp_path / "a.gfz").read_bytes()


def test_damage_is_found(tmp_path: Path, write: Write, pair: tuple[bytes, bytes]) -> None:
    api.compress(write("a.fq", pair[0]), tmp_path / "a.gfz", part_bases=PART)
    sound = (tmp_path / "a.gfz").read_bytes()
    for place in np.random.default_rng(1).integers(100, len(sound) - 3000, 12).tolist():
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "b.gfz").write_bytes(damaged)
        with pytest.raises(FormatError):
            api.verify(tmp_path / "b.gfz")


@pytest.mark.parametrize(
    ("reads", "length", "genome"), [(200, 150, GENOME), (300, 600, GENOME), (1000, 150, 2_000_000)]
)
def test_few_long_and_thin_reads_have_no_panel(
    tmp_path: Path, write: Write, reads: int, length: int, genome: int
) -> None:
    text = io.BytesIO()
    write_fastq([text], reads, length, genome, 5)
    info = api.compress(write("a.fq", text.getvalue()), tmp_path / "a.gfz", verify=True)
    assert info.model_id == "experts"


def test_contigs_are_the_genome(pair: tuple[bytes, bytes]) -> None:
    lines = np.frombuffer(b"".join(pair[0].split(b"\n")[1::4]), np.uint8)
    bases = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), np.where(lines == ord("N"), ord("A"), lines))
    assembler = Assembler()
    assembler.add(bases.astype(np.uint8), np.full(1060, 150, np.int64))
    contigs = assembler.contigs(1 << 20)
    assert max(map(len, contigs)) > GENOME / 4
    assert 0.8 * GENOME < sum(map(len, contigs)) < 1.5 * GENOME
    assert sum(map(len, assembler.contigs(1000))) == 0  # each k-mer is in one contig


def test_the_table_of_kmers_is_bounded(monkeypatch: pytest.MonkeyPatch, pair: tuple[bytes, bytes]) -> None:
    """A table that is too small keeps what is frequent."""
    monkeypatch.setattr(assemble, "_TABLE", (10, 15))
    lines = np.frombuffer(b"".join(pair[0].split(b"\n")[1::4]), np.uint8)
    bases = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), np.where(lines == ord("N"), ord("A"), lines))
    assembler = Assembler()
    for begin in range(0, 1060, 106):
        assembler.add(bases[150 * begin : 150 * (begin + 106)].astype(np.uint8), np.full(106, 150, np.int64))
    assert len(assembler._table) == 1 << 15
    assert sum(map(len, assembler.contigs(1 << 20))) > 0.5 * GENOME
