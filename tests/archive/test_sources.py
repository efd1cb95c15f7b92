"""What text is derived from files of other formats, and what is reported about it."""

import bz2
import gzip
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.errors import InputError, UsageError
from geneformer_codec.inputs.import_formats import origin_of

from .conftest import Write, ZlibModel, joined, make_fasta

pysam = pytest.importorskip("pysam")
pytest.importorskip("Bio")


def write_alignments(path: Path, mode: str, reference: Path) -> None:
    """Reads unaligned, reverse, paired, without qualities, empty, secondary and supplementary."""
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "c", "LN": 40}]}
    rows: list[tuple[int, str, str | None]] = [
        (4, "ACGTN", "IIII#"), (16, "AACC", "ABCD"), (0x41, "ACGT", "FFFF"), (0x81, "AC", "F:"),
        (0x100, "ACGT", "IIII"), (0x800, "ACGTT", "IIIII"), (4, "ACGRYK", "!!!~~~"),
    ]  # fmt: skip
    options: dict[str, Any] = {"reference_filename": str(reference)} if mode == "wc" else {}
    with pysam.AlignmentFile(str(path), mode, header=pysam.AlignmentHeader.from_dict(header), **options) as out:
        for number, (flag, residues, qualities) in enumerate(rows):
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.flag, read.query_sequence = f"r{number if number != 3 else 2}", flag, residues
            read.query_qualities = pysam.qualitystring_to_array(qualities)
            read.set_tag("XX", 7)
            if not flag & 4:
                read.reference_id, read.reference_start, read.cigarstring = 0, 3, f"{len(residues)}M"
            out.write(read)


FASTQ = b"""@r0
ACGTN
+
IIII#
@r1
GGTT
+
DCBA
@r2/1
ACGT
+
FFFF
@r2/2
AC
+
F:
@r6
ACGRYK
+
!!!~~~
"""


@pytest.mark.parametrize(("suffix", "mode"), [("bam", "wb"), ("cram", "wc")])
def test_reads_of_alignments(
    tmp_path: Path, write: Write, model: ZlibModel, suffix: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / f"x.{suffix}"
    write_alignments(source, mode, write("c.fa", b">c\n" + b"ACGT" * 10 + b"\n"))
    info = api.compress(source, tmp_path / "a.gfz", model=model, verify=True)
    assert info.sample == "x.fastq"
    assert info.origin["format"] == suffix.upper()
    assert "alignments" in info.origin["not_kept"]
    assert f"made from {suffix.upper()}; not kept: alignments" in caplog.text
    api.decompress(tmp_path / "a.gfz", tmp_path / "out", model=model)
    assert (tmp_path / "out").read_bytes() == FASTQ
    with source.open("rb") as stream, pytest.raises(UsageError, match="path"):
        api.compress(io.BytesIO(stream.read()), io.BytesIO(), model=model)


def test_damaged_alignments(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    write_alignments(tmp_path / "x.bam", "wb", tmp_path / "none")
    text = pysam.BGZFile(str(tmp_path / "x.bam")).read()
    with pysam.BGZFile(str(tmp_path / "y.bam"), "wb") as out:
        out.write(text[:-30])
    with pytest.raises(InputError, match=r"y\.bam: samtools failed to read it"):
        api.compress(tmp_path / "y.bam", tmp_path / "a.gfz", model=model)
    assert not (tmp_path / "a.gfz").exists()


@pytest.mark.parametrize(("kind", "suffix"), [("genbank", "gb"), ("embl", "embl")])
def test_records_of_annotation(tmp_path: Path, model: ZlibModel, kind: str, suffix: str) -> None:
    from Bio import SeqIO
    from Bio.Seq import Seq
    from Bio.SeqRecord import SeqRecord

    records = [
        SeqRecord(Seq("ACGTN" * count), id=f"AB00000{count}.1", name=f"AB00000{count}", description="a thing",
                  annotations={"molecule_type": "DNA"})
        for count in (3, 30)
    ]  # fmt: skip
    source = tmp_path / f"x.{suffix}"
    SeqIO.write(records, source, kind)
    info = api.compress(source, tmp_path / "a.gfz", model=model, verify=True)
    assert (info.sample, info.origin["format"].lower(), info.records) == ("x.fasta", kind, 2)
    api.decompress(tmp_path / "a.gfz", tmp_path / "out", model=model)
    lines = ["ACGTN" * 12, "ACGTN" * 12, "ACGTN" * 6]
    assert (tmp_path / "out").read_text().split() == [
        ">AB000003.1", "a", "thing", "ACGTN" * 3, ">AB0000030.1", "a", "thing", *lines
    ]  # fmt: skip
    info = api.compress(source, tmp_path / "b.gfz", model=model, as_is=True, verify=True)
    assert (info.sample, info.origin) == (source.name, None)
    out = io.BytesIO()
    api.decompress(tmp_path / "b.gfz", out, model=model)
    assert out.getvalue() == source.read_bytes()


def test_annotation_that_is_damaged(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    line = b"LOCUS       AB000003                  15 bp    DNA              UNK 01-JAN-1980\n"
    source = write("x.gb", line + b"FEATURES             Location/Qualifiers\n//\n")
    with pytest.raises(InputError, match=r"x\.gb"):
        api.compress(source, tmp_path / "a.gfz", model=model)


def test_what_is_text() -> None:
    for head in (b"", b">LOCUS\n", b"LOCUS of control\n", b"ID   TEST_HUMAN   Reviewed;  256 AA.\n", b"CRAMPED\n"):
        assert origin_of(head) is None


def test_block_gzip(tmp_path: Path, model: ZlibModel) -> None:
    text, source = make_fasta(40, 4000), tmp_path / "x.fa.gz"
    (tmp_path / "x.fa").write_bytes(text)
    pysam.tabix_compress(str(tmp_path / "x.fa"), str(source))
    pysam.faidx(str(source))
    beside = {path: path.read_bytes() for path in tmp_path.glob("x.fa.gz*")}
    assert len(beside) == 3
    info = api.compress(source, tmp_path / "a.gfz", model=model, verify=True)
    assert (info.sample, info.input_bytes) == ("x.fa", len(text))
    assert {path: path.read_bytes() for path in tmp_path.glob("x.fa.gz*")} == beside


@pytest.mark.parametrize("name", ["x.bam", "x.cram", "x.fa.gz", "x.fq.gz", "x.gb.gz", "x.fa.bz2", "x.fa", "x.fq", "x"])
def test_as_is(tmp_path: Path, write: Write, model: ZlibModel, name: str) -> None:
    """The file itself comes back, from a path, a stream, and from parts."""
    source = tmp_path / name
    fasta, reads = make_fasta(3, 900), b"@a\nACGT\n+\nIIII\n" * 99
    if name in ("x.bam", "x.cram"):
        write_alignments(source, {"x.bam": "wb", "x.cram": "wc"}[name], write("c.fa", b">c\n" + b"ACGT" * 10 + b"\n"))
    else:
        text = {"x.fq": reads, "x.fq.gz": gzip.compress(reads), "x.fa": fasta, "x.fa.bz2": bz2.compress(fasta),
                "x.gb.gz": gzip.compress(b"LOCUS       A                  15 bp    DNA              UNK 01-JAN-1980\n"),
                "x": bytes(range(256)) * 99}.get(name, gzip.compress(fasta))  # fmt: skip
        source.write_bytes(text)
    data, out = source.read_bytes(), io.BytesIO()
    info = api.compress(source, tmp_path / "a.gfz", model=model, as_is=True, verify=True, part_bases=2048)
    assert (info.sample, info.origin, info.input_bytes) == (name, None, len(data))
    api.decompress(tmp_path / "a.gfz", out, model=model)
    assert out.getvalue() == data
    api.compress(io.BytesIO(data), tmp_path / "b.gfz", model=model, as_is=True, name=name, part_bases=2048)
    apart = joined(source, tmp_path, as_is=True, part_bases=2048, model=model)
    assert (tmp_path / "a.gfz").read_bytes() == (tmp_path / "b.gfz").read_bytes() == apart


def test_mates_as_they_are(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    reads = b"@a\nACGT\n+\nIIII\n"
    plain, packed = write("1.fq", reads), write("2.fq.gz", gzip.compress(reads))
    assert api.compress(plain, tmp_path / "a.gfz", mate=plain, model=model, as_is=True).mate["name"] == "1.fq"
    with pytest.raises(
        InputError, match=r"2\.fq\.gz: is not FASTQ as it is \(with as_is=True, nothing is decompressed"
    ):
        api.compress(plain, tmp_path / "b.gfz", mate=packed, model=model, as_is=True)


def test_printed_by_the_command(tmp_path: Path) -> None:
    write_alignments(tmp_path / "x.bam", "wb", tmp_path / "none")
    command = [sys.executable, "-m", "geneformer_codec"]
    done = subprocess.run([*command, "split", "x.bam", "-o", "parts"], cwd=tmp_path, capture_output=True, check=True)
    assert b"gfz: warning: x.bam: made from BAM; not kept: alignments" in done.stderr
