"""The .fai index is that of samtools faidx and fqidx."""

from pathlib import Path

import pysam
import pytest

from geneformer_codec import api
from geneformer_codec.archive.fai import index_text
from geneformer_codec.archive.read import Archive
from geneformer_codec.errors import FormatError, UsageError

from .conftest import Write, make_fasta

TEXTS = {
    "many": make_fasta(30, 900),
    "long lines": make_fasta(3, 20_000, seed=5, width=100_000),
    "a long line, and short ones": b">a\n" + b"ACGTA" * 520 + b"\n>b\nACGT\nAC\n>c\nACG\n",
    "CRLF": make_fasta(5, 900, seed=8).replace(b"\n", b"\r\n"),
    "no last line end": make_fasta(3, 900)[:-1],
    "one line without an end": b">a\nACGT\n>b\nACG",
    "full lines": b">a x\nACGT\nACGT\n>b y\nACGT\n>c\nAC\n",
    "blank lines at the end": b">a\nACGT\nAC\n\n>b\nAC\n\n\n",
    "protein": b">p\nMKVLAA\nPPQ\n>q\nLLLLL\n",
    "names": b"> a b\nAC\n>\tb\nAC\n>c;d|e:f\nA\n",
    "none": b"",
}


READS = {
    "plain": b"@a x\nACGT\n+\nI+@I\n@b\nAC\n+b\n@@\n",
    "many": b"".join(b"@r%d/1\n%b\n+\n%b\n" % (n, b"ACGTN" * (1 + n % 9), b"F:,#@" * (1 + n % 9)) for n in range(300)),
    "lines": b"@a\nACGT\nNCGT\nAC\n+\n@III\n+III\nII\n@b\nACGT\nACGT\n+\nIIII\nIIII\n@c\nA\n+\nI\n",
    "CRLF": b"@a b\r\nACGT\r\nA\r\n+\r\nIIII\r\nI\r\n@b\r\nA\r\n+\r\nI\r\n",
    "no last line end": b"@a\nACGT\n+\nIIII\n@b\nAC\n+\nII",
    "empty lines": b"@a\nACGT\n+\nIIII\n\n@b\nA\n+\nI\n\n",
}


def indexed(path: Path, mate: bool = False) -> bytes:
    with Archive(path) as archive:
        return b"".join(entry.line() for entry in index_text(archive, mate))


@pytest.mark.parametrize("part_bases", [1024, 1 << 24])
@pytest.mark.parametrize("case", TEXTS)
def test_as_samtools(tmp_path: Path, write: Write, case: str, part_bases: int) -> None:
    path = write("in.fa", TEXTS[case])
    api.compress(path, tmp_path / "a.gfz", part_bases=part_bases)
    if TEXTS[case]:
        pysam.faidx(str(path))
        assert indexed(tmp_path / "a.gfz") == (tmp_path / "in.fa.fai").read_bytes()
    else:
        assert indexed(tmp_path / "a.gfz") == b""


@pytest.mark.parametrize(
    "text",
    [b">a\nACGT\nAC\nACGT\n", b">a\nAC\nACGT\n", b">a\nAC\n\nAC\n", b">a\nACGT\r\nACGT\nAC\n", b">a\n\nACGT\n"],
)
def test_lines_that_cannot_be_indexed(tmp_path: Path, write: Write, text: bytes) -> None:
    path = write("in.fa", text)
    with pytest.raises(pysam.SamtoolsError):
        pysam.faidx(str(path))
    api.compress(path, tmp_path / "a.gfz")
    with pytest.raises(FormatError, match=r"record 'a' has lines of different lengths"):
        indexed(tmp_path / "a.gfz")


def test_records_without_residues(tmp_path: Path, write: Write) -> None:
    """samtools leaves some out; here they are, with no residues."""
    api.compress(write("in.fa", b"; text\n>a\n>b\n\n>c\nA\n>d"), tmp_path / "a.gfz")
    assert indexed(tmp_path / "a.gfz") == b"a\t0\t10\t0\t0\nb\t0\t13\t0\t1\nc\t1\t17\t1\t2\nd\t0\t21\t0\t0\n"


@pytest.mark.parametrize("part_bases", [1024, 1 << 24])
@pytest.mark.parametrize("case", READS)
def test_as_samtools_of_reads(tmp_path: Path, write: Write, case: str, part_bases: int) -> None:
    path = write("in.fq", READS[case])
    pysam.fqidx(str(path))
    expected = (tmp_path / "in.fq.fai").read_bytes()
    api.compress(path, tmp_path / "a.gfz", part_bases=part_bases)
    assert indexed(tmp_path / "a.gfz") == expected
    api.compress(write("other.fq", READS["many"]), tmp_path / "pair.gfz", mate=path, part_bases=part_bases)
    assert indexed(tmp_path / "pair.gfz", mate=True) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"@a\nACGT\nAC\nACG\n+\nIIII\nII\nIII\n", "record 'a' has lines of different lengths"),
        (b"@a\nAC\nACG\n+\nII\nIII\n", "record 'a' has lines of different lengths"),
        (b"@a\nA\n+\nI\nx\n@b\nA\n+\nI\n", "unparsed text 9 bytes after the beginning"),
    ],
)
def test_reads_that_cannot_be_indexed(tmp_path: Path, write: Write, text: bytes, message: str) -> None:
    path = write("in.fq", text)
    with pytest.raises(pysam.SamtoolsError):
        pysam.fqidx(str(path))
    api.compress(path, tmp_path / "a.gfz")
    with pytest.raises(FormatError, match=message):
        indexed(tmp_path / "a.gfz")


def test_no_mate(tmp_path: Path, write: Write) -> None:
    api.compress(write("in.fq", READS["plain"]), tmp_path / "a.gfz")
    with pytest.raises(UsageError, match="no mates"):
        indexed(tmp_path / "a.gfz", mate=True)
