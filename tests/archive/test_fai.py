"""The .fai index is that of samtools."""

from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

from geneformer_codec import api
from geneformer_codec.archive.fai import index_text
from geneformer_codec.archive.read import Archive
from geneformer_codec.errors import FormatError

from .conftest import make_fasta

Write = Callable[[str, bytes], Path]

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


def indexed(path: Path) -> bytes:
    with Archive(path) as archive:
        return b"".join(entry.line() for entry in index_text(archive))


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
