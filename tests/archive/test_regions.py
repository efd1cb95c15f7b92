"""Regions mean what they mean to samtools."""

import contextlib

import pysam
import pytest
from samtools import faidx

from geneformer_codec.archive.regions import Region, parse_region, read_bed
from geneformer_codec.errors import InputError, UsageError

TEXT = b">a x\nACGTNNacgtRYKMSWBDHVU-*.x\n>b:c\nACGTACGT\n>d:1-3\nGGGG\n>d:1-3:2\nTTTT\n>e|f;g\nACGTT\n"
SEQUENCES = {record.split()[0].decode(): record.split(b"\n")[1].decode() for record in TEXT.split(b">")[1:]}


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("fasta") / "a.fa"
    path.write_bytes(TEXT)
    pysam.faidx(str(path))
    return str(path)


@pytest.mark.parametrize(
    "text",
    ["a", "a:5", "a:5-5", "a:5-", "a:-5", "a:", "a:20-100", "a:100-200", "a:1,0-1,1", "b:c", "b:c:2", "b:c:2-3",
     "{b:c}", "{b:c}:2-3", "d:1-3", "{d:1-3}:2-4", "e|f;g:2-3", "{a}", "{a}:-3"],
)  # fmt: skip
def test_as_samtools(fasta: str, text: str) -> None:
    shown = faidx(fasta, "-n", "0", text).decode().splitlines()
    region = parse_region(text, SEQUENCES.__contains__)
    assert shown[0] == f">{region.title}"
    assert "".join(shown[1:]) == SEQUENCES[region.name][region.start : region.stop]


@pytest.mark.parametrize("text", ["d:1-3:2", "a:x", "a:5-3", "a:1-2-3", "a:0-5", "a:-", "{a", "{a}5"])
def test_refused_as_by_samtools(fasta: str, text: str) -> None:
    with contextlib.suppress(pysam.SamtoolsError):  # some it takes to be nothing, or all
        assert faidx(fasta, text).split(b"\n", 1)[1] in (b"", SEQUENCES["a"].encode() + b"\n")
    with pytest.raises(UsageError, match=r"region '"):
        parse_region(text, SEQUENCES.__contains__)


@pytest.mark.parametrize("text", ["z", "z:1-3", "z:x", "a:1-3:4", ""])
def test_unknown_records_are_whole_names(text: str) -> None:
    assert parse_region(text, SEQUENCES.__contains__) == Region(text, title=text)


def test_bed() -> None:
    lines = ["#comment\n", "track name=x\n", "\n", "a\t0\t5\n", "b:c\t2\t4\tname\t0\t-\r\n", "a 1 2\n"]
    assert list(read_bed(lines, "x.bed")) == [
        Region("a", 0, 5, "a:1-5"), Region("b:c", 2, 4, "b:c:3-4", reverse=True), Region("a", 1, 2, "a:2-2"),
    ]  # fmt: skip
    for line in ("a\t5\n", "a\tx\t5\n", "a\t-1\t5\n", "a\t5\t4\n"):
        with pytest.raises(InputError, match=r"x\.bed: line 2"):
            list(read_bed(["a\t0\t1", line], "x.bed"))
