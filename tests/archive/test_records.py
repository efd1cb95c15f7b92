"""The index: where a record is, and the digests that other tools know it by."""

import base64
import hashlib
from pathlib import Path

import numpy as np
import pytest

from geneformer_codec import api
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.record_index import RecordEntry, RecordIndex
from geneformer_codec.reader import Reader

from .conftest import Write, ZlibModel, make_fasta


def expected(text: bytes) -> list[tuple[str, int, int, str, str]]:
    """Name, residues, bases, MD5 and refget digest of each record, by the plainest code."""
    records = []
    for record in (b"\n" + text).split(b"\n>")[1:]:
        header, _, body = record.partition(b"\n")
        residues = body.replace(b"\r", b"").replace(b"\n", b"")
        sequence = bytes(octet for octet in residues.upper() if 33 <= octet <= 126)
        refget = "SQ." + base64.urlsafe_b64encode(hashlib.sha512(sequence).digest()[:24]).decode()
        bases = sum(residues.upper().count(base) for base in b"ACGTU")
        name = header.split()[0].decode()
        records.append((name, len(residues), bases, hashlib.md5(sequence).hexdigest(), refget))
    return records


def facts(entries: list[RecordEntry]) -> list[tuple[str, int, int, str | None, str | None]]:
    return [(entry.name, entry.residues, entry.bases, entry.md5, entry.refget) for entry in entries]


TEXTS = {
    "many": make_fasta(12, 900),
    "huge": make_fasta(3, 20_000, seed=5),
    "short and long": make_fasta(40, 300, seed=6),
    "short": make_fasta(100, 30, seed=7),
    "CRLF": make_fasta(5, 900, seed=8).replace(b"\n", b"\r\n"),
    "gaps": b">a b c\n" + b"AC-GT*nnNACGTACGTTTACG" * 50 + b"\n>b\n" + b"acgu" * 200 + b"\n>c\n\n",
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("part_bases", [1024, 5000, 1 << 20])
def test_records(tmp_path: Path, write: Write, case: str, part_bases: int, model: ZlibModel) -> None:
    text = TEXTS[case]
    out = tmp_path / "a.gfz"
    api.compress(
        write("in.fa", text), out, model=model, part_bases=part_bases, access=256, digests="always", verify=True
    )
    wanted = expected(text)
    assert facts(api.read_index(out, model=model)) == wanted
    without = facts(api.read_index(out))
    stored = [record if record[1] >= 256 else (*record[:3], None, None) for record in wanted]
    assert without == stored


def test_place_of_a_record(tmp_path: Path, write: Write) -> None:
    """The bases at block, slice and offset are those of the record."""
    api.compress(write("in.fa", TEXTS["many"]), tmp_path / "a.gfz", part_bases=3000, access=256, digests="always")
    sequences = [b"".join(record.split(b"\n")[1:]).upper() for record in (b"\n" + TEXTS["many"]).split(b"\n>")[1:]]
    with Archive(tmp_path / "a.gfz") as archive:
        coders = api.make_coders("experts", None, archive.manifest.settings, api.Execution())
        decoded = list(archive.decode_blocks(coders))
        for entry, sequence in zip(RecordIndex.read(archive).entries(archive), sequences, strict=True):
            start = sum(decoded[entry.block].slices.lengths[: entry.slice_]) + entry.offset
            bases = decoded[entry.block].bases[start : start + entry.bases]
            letters = np.frombuffer(b"ACGT", np.uint8)[bases].tobytes()
            assert letters == bytes(octet for octet in sequence if octet in b"ACGT")


@pytest.mark.parametrize("digests", ["auto", "always"])
def test_a_record_is_found_by_its_refget_digest(tmp_path: Path, write: Write, digests: str) -> None:
    text = make_fasta(20, 600, seed=3) + b">x\nACGT\n>SQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nTT\n"
    api.compress(write("in.fa", text), tmp_path / "a.gfz", part_bases=3000, digests=digests)
    with Reader(tmp_path / "a.gfz") as reader:
        assert len(reader.archive.blocks) > 1
        found = reader.find("SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2")
        assert found is not None
        assert (found.name, found[:]) == ("x", "ACGT")
        assert reader.region("SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2:2-3").start == 1
        assert reader["SQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"][:] == "TT"
        assert reader.find("SQ.BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") is None


def test_text_before_the_first_header_is_no_record(tmp_path: Path, write: Write) -> None:
    text = b"; a comment\n" + b"ACGT" * 1000 + b"\n>a\n" + b"ACGT" * 100 + b"\n"
    for part_bases in (1024, 1 << 20):
        api.compress(write("in.fa", text), tmp_path / "a.gfz", part_bases=part_bases, force=True, verify=True)
        assert [entry.name for entry in api.read_index(tmp_path / "a.gfz")] == ["a"]


def test_names_that_are_not_text(tmp_path: Path, write: Write) -> None:
    api.compress(write("in.fa", b">\xff\xfe name\nACGT\n> \nA\n>\nC\n"), tmp_path / "a.gfz")
    names = [entry.name.encode(errors="surrogateescape") for entry in api.read_index(tmp_path / "a.gfz")]
    assert names == [b"\xff\xfe", b"", b""]
