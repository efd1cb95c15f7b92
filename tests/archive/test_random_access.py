"""Records and regions are those of the text, whatever the slices and parts, and no more is decoded than they need."""

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samtools import faidx
from sequence import texts

from geneformer_codec import api
from geneformer_codec.archive.regions import Region
from geneformer_codec.errors import FormatError, ModelMissingError
from geneformer_codec.reader import open, reverse_complement

from .conftest import Write, ZlibCoder, ZlibModel, make_fasta, pack, unpacked

TEXTS = {
    "many": make_fasta(30, 900),
    "huge": make_fasta(3, 20_000, seed=5),
    "short": make_fasta(100, 30, seed=7),
    "CRLF": make_fasta(5, 900, seed=8).replace(b"\n", b"\r\n"),
    "odd": b"; no record\nACGT\n>a b c\n"
    + b"AC-GT*nnNACGTACGTTTACG\n" * 50
    + b"\n\n> b \n"
    + b"acgu" * 200
    + b"\n>\n\n>d",
    "protein": b">p\nMKVLAA\nPPQ\n>q\nLLLLL\n",
    "none": b"",
}


def records(text: bytes) -> list[tuple[str, str]]:
    """Header and residues of each record, by the plainest code."""
    found = []
    for record in (b"\n" + text).split(b"\n>")[1:]:
        header, _, body = record.partition(b"\n")
        found.append((header.rstrip(b"\r").decode(), body.replace(b"\r", b"").replace(b"\n", b"").decode()))
    return found


@pytest.mark.parametrize("part_bases", [1024, 1 << 24])
@pytest.mark.parametrize("case", TEXTS)
def test_stretches(tmp_path: Path, write: Write, case: str, part_bases: int, model: ZlibModel) -> None:
    wanted, rng = records(TEXTS[case]), random.Random(case)
    api.compress(write("in.fa", TEXTS[case]), tmp_path / "a.gfz", model=model, part_bases=part_bases, access=256)
    with open(tmp_path / "a.gfz", model=model) as archive:
        assert [(record.header, str(record)) for record in archive.records()] == wanted
        assert archive.lengths == tuple(len(residues) for _, residues in wanted)
        for record, (_, residues) in zip(archive.records(), wanted, strict=True):
            for _ in range(5):
                start, stop = (rng.randrange(-len(residues) - 5, len(residues) + 5) for _ in range(2))
                step = rng.choice([None, 1, 3, -1, -2])
                assert record[start:stop:step] == residues[start:stop:step]
                assert record[start:] == residues[start:]


def test_without_a_model(tmp_path: Path, write: Write) -> None:
    """Each part is one slice, learned from one strand or from both."""
    other = bytes(reversed(TEXTS["huge"][-9000:].translate(bytes.maketrans(b"ACGTacgt", b"TGCAtgca"))))
    text = TEXTS["huge"] + b">other\n" + other.replace(b"\n", b"") + b"\n"
    api.compress(write("in.fa", text), tmp_path / "a.gfz", part_bases=20_000)
    with open(tmp_path / "a.gfz") as archive:
        for record, (_, residues) in zip(archive.records(), records(text), strict=True):
            assert record[2000:2100] == residues[2000:2100]
            assert str(record) == residues


def test_only_the_slices_that_are_needed(
    tmp_path: Path, write: Write, model: ZlibModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = ZlibCoder.decode

    def counted(self: ZlibCoder, slices: list[bytes], lengths: list[int], *rest: Any) -> object:
        decoded.extend(lengths)
        return decode(self, slices, lengths, *rest)

    monkeypatch.setattr(ZlibCoder, "decode", counted)
    text = make_fasta(20, 5000)
    api.compress(write("in.fa", text), tmp_path / "a.gfz", model=model, access=1024)
    with open(tmp_path / "a.gfz", model=model) as archive:
        assert len(archive["seq3"]) > 2000
        assert decoded == []
        first = archive["seq3"][1000:1500]
        assert 500 <= sum(decoded) <= 2048
        before = list(decoded)
        assert archive["seq3"][1000:1500] == first
        assert decoded == before, "what was decoded is kept"
        wanted = [(archive[f"seq{number}"], Region("", start, start + 50)) for number in (9, 3, 9) for start in (0, 40)]
        assert [len(b"".join(pieces)) for pieces in archive.pieces(wanted)] == [50] * 6
        assert sum(decoded) <= sum(before) + 4 * 1024


def test_little_is_kept(tmp_path: Path, write: Write, model: ZlibModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, and what is let go of, do not change what is read."""
    for name, value in (("BASES_AT_ONCE", 1000), ("BASES_KEPT", 1500), ("PARTS_AT_ONCE", 2)):
        monkeypatch.setattr(f"geneformer_codec.archive.random_access.{name}", value)
    wanted, rng = records(TEXTS["many"]), random.Random(1)
    api.compress(write("in.fa", TEXTS["many"]), tmp_path / "a.gfz", model=model, part_bases=1500, access=256)
    with open(tmp_path / "a.gfz", model=model) as archive:
        all_records = list(archive.records())
        picked = [(rng.randrange(30), rng.randrange(400), rng.random() < 0.5) for _ in range(200)]
        regions = [
            (all_records[number], Region("", start, start + 300, "", reverse)) for number, start, reverse in picked
        ]
        for (number, start, reverse), pieces in zip(picked, archive.pieces(regions), strict=True):
            residues = wanted[number][1][start : start + 300].encode()
            assert b"".join(pieces) == (reverse_complement(residues) if reverse else residues)


def test_reading_like_pysam(tmp_path: Path, write: Write) -> None:
    text, rng = TEXTS["many"], random.Random(2)
    path = write("in.fa", text)
    api.compress(path, tmp_path / "a.gfz", part_bases=5000)
    with pysam.FastaFile(str(path)) as other, open(tmp_path / "a.gfz") as archive:
        assert archive.references == tuple(other.references)
        assert archive.lengths == tuple(other.lengths)
        assert archive.nreferences == other.nreferences
        for _ in range(50):
            name, start = rng.choice(other.references), rng.randrange(1000)
            stop = start + rng.randrange(500)
            assert archive.get_reference_length(name) == other.get_reference_length(name)
            assert archive.fetch(name, start, stop) == other.fetch(name, start, stop)
            assert archive.fetch(name, start) == other.fetch(name, start)
            region = f"{name}:{start + 1}-{stop + 1}"
            assert archive.fetch(region=region) == other.fetch(region=region)
        with pytest.raises(KeyError):
            archive.fetch("none")
        for start, stop in ((-1, 5), (5, 4)):
            with pytest.raises(ValueError, match="invalid range"):
                archive.fetch("seq1", start, stop)
        with pytest.raises(ValueError, match="give a reference"):
            archive.fetch()


def test_a_mapping(tmp_path: Path, write: Write) -> None:
    api.compress(write("in.fa", b">a 1\nAC\n>b\nGG\n>a 2\nTT\n"), tmp_path / "a.gfz")
    with open(tmp_path / "a.gfz") as archive:
        assert list(archive) == ["a", "b", "a"]
        assert [str(record) for record in archive.records()] == ["AC", "GG", "TT"]
        assert (str(archive["a"]), len(archive), "b" in archive, "c" in archive, 1 in archive) == (
            "AC", 3, True, False, False,
        )  # fmt: skip
        assert archive.get("c") is None
        record = archive["b"]
        assert (record[0], record[-1], list(record), bytes(record), repr(record)) == (
            "G", "G", ["G", "G"], b"GG", "<Record b of 2 residues>",
        )  # fmt: skip
        with pytest.raises(IndexError):
            _ = record[2]
        with pytest.raises(KeyError):
            _ = archive["c"]


def test_names_and_residues_that_are_not_text(tmp_path: Path, write: Write) -> None:
    api.compress(write("in.fa", b">\xff\xfe name\nAC\xffGT\n"), tmp_path / "a.gfz")
    with open(tmp_path / "a.gfz") as archive:
        (name,) = archive
        assert name.encode(errors="surrogateescape") == b"\xff\xfe"
        assert (len(archive[name]), len(str(archive[name])), bytes(archive[name])) == (5, 5, b"AC\xffGT")


def test_a_model_is_needed_only_for_residues(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    api.compress(write("in.fa", TEXTS["many"]), tmp_path / "a.gfz", model=model)
    with open(tmp_path / "a.gfz") as archive:
        assert len(archive["seq3"]) > 400
        with pytest.raises(ModelMissingError, match="needs model"):
            _ = archive["seq3"][1]


def test_damage_is_noticed(tmp_path: Path, write: Write, model: ZlibModel, faulty_model: ZlibModel) -> None:
    """By the block's CRC-32 in a file; by the record's digests where slices decode to something else."""
    path = tmp_path / "a.gfz"
    api.compress(write("in.fa", TEXTS["many"]), path, model=model, access=256, digests="always")
    with open(path, model=faulty_model) as archive, pytest.raises(FormatError, match=r"record 'seq\d+' does not match"):
        _ = [str(record) for record in archive.records()]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with open(path, model=model) as archive, pytest.raises(FormatError, match=r"a\.gfz: .*CRC-32"):
        _ = archive["seq3"][1]


def test_damaged_names_and_layout(tmp_path: Path, write: Write) -> None:
    """Flipped bits in a valid container: an error of ours, or an answer."""
    path = tmp_path / "a.gfz"
    api.compress(write("in.fa", TEXTS["many"]), path, part_bases=20_000, digests="always")
    entries, manifest = unpacked(path)
    rng = random.Random(4)
    refused = 0
    for _ in range(100):
        flipped = bytearray(entries["blocks/00000000"])
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        pack(path, {"blocks/00000000": bytes(flipped)}, manifest)
        try:
            with open(path) as archive:
                for record in archive.records():
                    str(record)
        except FormatError:
            refused += 1
    assert refused > 20


def test_biopython(tmp_path: Path, write: Write) -> None:
    from Bio import SeqIO

    path = write("in.fa", TEXTS["many"])
    api.compress(path, tmp_path / "a.gfz", part_bases=5000)
    with open(tmp_path / "a.gfz") as archive:
        for record, other in zip(archive.records(), SeqIO.parse(path, "fasta"), strict=True):
            view = record.to_seqrecord()
            assert (view.id, view.name, view.description) == (other.id, other.name, other.description)
            assert (len(view), str(view.seq[10:40]), view.seq[5]) == (len(other), str(other.seq[10:40]), other.seq[5])
            assert view.seq == other.seq
            assert view[100:200].reverse_complement().seq == other[100:200].reverse_complement().seq
            assert view.format("fasta") == other.format("fasta")


def test_reverse_complement_is_that_of_samtools(tmp_path: Path) -> None:
    letters = "".join(chr(octet) for octet in range(33, 127) if chr(octet) != ">")
    (tmp_path / "a.fa").write_text(f">a\n{letters}\n")
    shown = faidx(tmp_path / "a.fa", "-i", "-n", "0", "a").splitlines()[1]
    assert reverse_complement(letters.encode()) == shown


def test_names_are_found_among_many(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when hashes are alike."""
    from geneformer_codec.archive import record_index

    text = b"".join(b">r%d x\nA\n" % number for number in range(500))
    api.compress(write("in.fa", text), tmp_path / "a.gfz", part_bases=1024)
    monkeypatch.setattr(record_index, "hash", lambda name: len(name), raising=False)
    with open(tmp_path / "a.gfz") as archive:
        assert all(archive[f"r{number}"].name == f"r{number}" for number in range(500))
        assert "r500" not in archive
        assert np.array_equal(archive.sequences.index.lengths, np.ones(500))


@given(texts.texts, st.sampled_from([1024, 1 << 24]), st.integers(0, 500), st.integers(0, 300))
def test_any_text(text: bytes, part_bases: int, start: int, size: int) -> None:
    """Names, lengths and residues are those of the index, and of the text itself."""
    out = io.BytesIO()
    api.compress(io.BytesIO(text), out, part_bases=part_bases, access=64, level="fast")
    entries = api.read_index(out)
    with open(out) as archive:
        assert list(archive) == [entry.name for entry in entries]
        assert [record.header for record in archive.records()] == [entry.header for entry in entries]
        assert list(archive.lengths) == [entry.residues for entry in entries]
        for record, entry in zip(archive.records(), entries, strict=True):
            residues = bytes(record)
            assert len(residues) == entry.residues
            assert record.residues(start, start + size) == residues[start : start + size]
        if b"\r" not in text:
            wanted = [b"".join(part.split(b"\n")[1:]) for part in (b"\n" + text).split(b"\n>")[1:]]
            assert [bytes(record) for record in archive.records()] == wanted
