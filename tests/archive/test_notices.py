"""What is reported about an archive: what it does not keep, and what is irregular in its text."""

import gzip
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.cli.formatting import info_table, summary
from geneformer_codec.inputs.sample import OddMates

from .conftest import Write, ZlibModel, joined

READ = b"@%b\nACGT\n+\nIIII\n"
PROTEIN = b">p\n" + b"MKVLEFQIPLQEEFILLQPIQEFL\n" * 40


def reads(*names: str) -> bytes:
    return b"".join(READ % name.encode() for name in names)


@pytest.mark.parametrize(
    ("name", "text", "printed"),
    [
        (
            "page.fq",
            b"<html>Not found</html>\n",
            "no FASTA or FASTQ record in it: stored as plain text (23 bytes), not",
        ),
        (
            "bom.fq",
            b"\xef\xbb\xbf" + reads("a"),
            "as it begins with the byte order mark of UTF-8: stored as plain text",
        ),
        (
            "star.fq",
            b"@a\nACGT\n+\n*\n",
            "no regular FASTQ record in it: stored as plain text (12 bytes), not predicted",
        ),
        ("plus.fq", b"@a\nACGT\n+other\nIIII\n", "no regular FASTQ record in it"),
        ("solid.csfastq", b"@a\nT.2103\n+\n5!555\n", "no regular FASTQ record in it"),
        ("x.sam", b"@HD\tVN:1.6\nr\t0\tc\t1\t9\t4M\t*\t0\t0\tACGT\tIIII\n", "no regular FASTQ record in it"),
        ("x.gff", b"##gff-version 3\nc\tx\tgene\t1\t9\t.\t+\t.\tID=g\n", "no FASTA or FASTQ record in it"),
        ("x.vcf", b"##fileformat=VCFv4.2\n#CHROM\tPOS\n1\t5\n", "no FASTA or FASTQ record in it"),
        (
            "bom.fa",
            b"\xef\xbb\xbf>a\n" + b"ACGT" * 30 + b"\n",
            "no FASTA header in it, as it begins with the byte order",
        ),
        (
            "two.fa",
            b"\xef\xbb\xbf>a\nACGT\n>b\nAC\n",
            "11 bytes belong to no record (before the first record, as it begins",
        ),
        ("utf16.fa", ">a\nACGT\n".encode("utf-16"), "byte order mark of UTF-16"),
        ("text.fa", b"This is no FASTA.\n", "no FASTA or FASTQ record in it: stored as plain text (18 bytes)"),
        ("bare.fa", b"ACGT" * 20, "no FASTA header in it: 80 bytes of sequence without a name"),
        ("empty.fa", b"", "empty: there is no text in it"),
        (
            "protein.fa",
            PROTEIN,
            "not nucleotide sequence: many letters are no codes of nucleotides; 960 of 960 residues",
        ),
        (
            "torn.fq",
            reads("a") + b"torn\n" + reads("b"),
            "5 bytes belong to no record (after record 1); they come back",
        ),
        ("comment.fa", b"; a comment\n>a\nACGT\n", "12 bytes belong to no record (before the first record)"),
    ],
)
def test_of_one_text(
    tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture, name: str, text: bytes, printed: str
) -> None:
    """In the facts, the table and the log, once; and the text comes back."""
    source, archive, out = write(name, text), tmp_path / "a.gfz", io.BytesIO()
    info = api.compress(source, archive, verify=True)
    (notice,) = info.notices
    assert printed in notice
    assert api.info(archive).notices == [notice]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{source}: {notice}"
    ]
    assert f"notice       {notice}" in info_table(info)
    assert summary(info).endswith("; 1 warning, also in 'gfz info'")
    api.decompress(archive, out)
    assert out.getvalue() == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.fa", b">a\nACGT\n"),
        ("masked.fa", b">a\n" + b"N" * 900 + b"ACGT\n"),
        ("codes.fa", b">a\n" + b"NRYKMSWBDHV" * 9 + b"AC\n"),
        ("rna.fa", b">a\nACGU\n"),
        ("blank.fq", b"\n" + reads("a") + b"\n"),
        ("blank.fa", b"\n\n>a\nACGT\n\n"),
        ("a.fq", reads("a", "b")),
    ],
)
def test_nothing_of_what_is_regular(tmp_path: Path, write: Write, name: str, text: bytes) -> None:
    info = api.compress(write(name, text), tmp_path / "a.gfz")
    assert info.notices == []
    assert "notice" not in info_table(info)
    assert "warning" not in summary(info)


ODD = "have names that do not match: the first is record"
NAMES = [f"r{number}" for number in range(600)]


def marked(mark: str) -> list[str]:
    return [name + mark for name in NAMES]


@pytest.mark.parametrize(
    ("first", "second", "printed"),
    [
        (NAMES, NAMES, []),
        (marked("/1"), marked("/2"), []),
        (marked(" 1:N:0:AC"), marked(" 2:N:0:AC"), []),
        (marked("\t1"), marked("\t2"), []),
        (marked(".1"), marked(".2"), []),
        (marked("_R1"), marked("_R2"), []),
        (marked("/1"), NAMES, []),
        (NAMES, marked("/2"), []),
        (NAMES, NAMES[:598], ["mates differ in number: 600 reads in the first file, 598 in the second"]),
        (NAMES[:598], NAMES, ["mates differ in number: 598 reads in the first file, 600 in the second"]),
        (NAMES, [], ["mates differ in number: 600 reads in the first file, 0 in the second"]),
        (
            NAMES,
            NAMES[:500] + NAMES[501:],
            [f"99 of 599 pairs {ODD} 501 (r500, r501)",
             "mates differ in number: 600 reads in the first file, 599 in the second"],
        ),
        (
            NAMES,
            [f"x{name} 2" if name in ("r16", "r20", "r590") else name for name in NAMES],
            [f"3 of 600 pairs {ODD} 17 (r16, xr16)"],
        ),
        (["a/1", "c:1"], ["b/2", "c:2"], [f"2 of 2 pairs {ODD} 1 (a/1, b/2)"]),
        (marked("/2"), marked("/1"), [f"600 of 600 pairs {ODD} 1 (r0/2, r0/1)"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("part_bases", [1024, 1 << 20])
def test_of_pairs(
    tmp_path: Path,
    write: Write,
    model: ZlibModel,
    first: list[str],
    second: list[str],
    printed: list[str],
    part_bases: int,
) -> None:
    """The same of the archive, of one that was gathered, and of what was merged."""
    sources = write("1.fq", reads(*first)), write("2.fq", reads(*second))
    archive, options = tmp_path / "a.gfz", {"mate": sources[1], "part_bases": part_bases}
    assert api.compress(sources[0], archive, model=model, verify=True, **options).notices == printed
    assert joined(sources[0], tmp_path, model=model, **options) == archive.read_bytes()


def test_of_merged_pairs(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    texts = (["a", "b", "c"], ["a", "b", "c"]), (["d", "e"], ["d", "x"]), (["f", "g"], ["y", "g"])
    archives = [tmp_path / f"{number}.gfz" for number in range(3)]
    for archive, (first, second) in zip(archives, texts, strict=True):
        api.compress(write("1.fq", reads(*first)), archive, mate=write("2.fq", reads(*second)), model=model)
    info = api.merge(archives, tmp_path / "all.gfz", model=model)
    assert info.notices == ["2 of 7 pairs have names that do not match: the first is record 5 (e, x)"]


def test_of_bytes_after_the_compressed_data(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    source = write("in.fa.gz", gzip.compress(b">a\nACGT\n") + b"x" * 1234)
    printed = ["1,234 bytes after the end of the compressed data were ignored, and are not kept"]
    info = api.compress(source, tmp_path / "a.gfz", model=model, verify=True)
    assert (info.sample, info.notices) == ("in.fa", printed)
    api.split(source, tmp_path / "parts")
    assert json.loads((tmp_path / "parts" / "plan.json").read_text())["trailing_bytes"] == 1234
    api.compress_parts([tmp_path / "parts" / "00000000.part"], tmp_path / "p.gfz", model=model)
    assert api.gather(tmp_path / "parts" / "plan.json", [tmp_path / "p.gfz"], tmp_path / "b.gfz").notices == printed
    merged = api.merge([tmp_path / "a.gfz", tmp_path / "b.gfz"], tmp_path / "c.gfz", model=model)
    assert merged.notices == ["2,468 bytes after the end of the compressed data were ignored, and are not kept"]
    assert api.compress(source, tmp_path / "d.gfz", model=model, as_is=True).notices != printed


def test_of_binned_qualities(tmp_path: Path, write: Write) -> None:
    info = api.compress(write("in.fq", reads("a")), tmp_path / "a.gfz", bin_qualities="illumina8")
    assert info.notices == ["LOSSY: qualities binned by illumina8; checksums are of the binned text"]


@pytest.mark.parametrize(
    "field",
    [{"trailing_bytes": 0}, {"trailing_bytes": "1"}, {"odd_mates": None}, {"odd_mates": {"pairs": 1, "odd": 2}},
     {"odd_mates": {"pairs": 2, "odd": 1, "first": 1, "names": ["a"]}}, {"odd_mate": 1},
     {"odd_mates": {"pairs": 2, "odd": 1, "first": 3, "names": ["a", "b"]}}],
)  # fmt: skip
def test_invalid_fields(field: dict[str, Any]) -> None:
    from geneformer_codec.inputs.sample import Sample
    from geneformer_codec.json_fields import Fields

    valid = Sample("x", 1, "0" * 64, 1, trailing_bytes=5, odd_mates=OddMates(2, 1, 1, ("a", "b")))
    assert Sample.take(Fields(json.loads(json.dumps(valid.as_dict())), "sample")) == valid
    assert Sample("x", 1, "0" * 64, 1).as_dict().keys() & {"trailing_bytes", "odd_mates"} == set()
    with pytest.raises(ValueError, match=r"sample|odd_mates"):
        Sample.take(Fields(valid.as_dict() | field, "sample"))
