"""FASTQ in archives: single and paired, whole and in parts, and what is shown and fetched of it."""

import gzip
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geneformer_codec as gfz
from geneformer_codec import api
from geneformer_codec.archive.models import Execution
from geneformer_codec.archive.record_index import RecordIndex
from geneformer_codec.cli.extract import fetch
from geneformer_codec.cli.formatting import info_table
from geneformer_codec.errors import FormatError, InputError, UsageError
from geneformer_codec.streams.qualities.slices import QualityCodec, QualitySlice

from .conftest import Write, ZlibModel, joined


def make_reads(count: int, mate: int = 1, seed: int = 1, size: int = 100) -> bytes:
    """Reads of which N has the lowest quality, and empty ones."""
    rng, text = random.Random(10 * seed + mate), []
    for number in range(count):
        length = rng.choice((size, size, rng.randrange(size)))
        residues = bytearray(rng.choices(b"ACGT", k=length))
        qualities = bytearray(rng.choices(b"FFFF:,", k=length))
        if length and number % 5 == 0:
            residues[0], qualities[0] = b"N#"
        text.append(b"@m%d:%d %d:N:0\n%b\n+\n%b\n" % (seed, number, mate, residues, qualities))
    return b"".join(text)


FIRST, SECOND = make_reads(300), make_reads(300, mate=2)
"""300 reads, and their mates."""


def both(archive: Path, model: ZlibModel | None = None) -> tuple[bytes, bytes]:
    out, mate = io.BytesIO(), io.BytesIO()
    api.decompress(archive, out, mate=mate, model=model)
    return out.getvalue(), mate.getvalue()


@pytest.mark.parametrize("packed", ["plain", "two members"])
@pytest.mark.parametrize("part_bases", [4000, 1 << 20])
def test_single(tmp_path: Path, write: Write, model: ZlibModel, part_bases: int, packed: str) -> None:
    text = FIRST if packed == "plain" else gzip.compress(FIRST[:5000]) + gzip.compress(FIRST[5000:])
    source, archive = write("in.fq", text), tmp_path / "a.gfz"
    info = api.compress(source, archive, model=model, part_bases=part_bases, access=1000, verify=True)
    assert (info.kind, info.records, info.mate, info.index_bytes > 0) == ("FASTQ", 300, None, True)
    assert info.streams["digests"] == 0
    assert info.side_bytes == sum(info.streams[name] for name in info.streams) - (info.payload_bytes + info.index_bytes)
    assert (info.parts > 1) == (part_bases == 4000)
    api.decompress(archive, tmp_path / "out", model=model)
    assert (tmp_path / "out").read_bytes() == FIRST


@pytest.mark.parametrize("threads", [1, 4])
def test_qualities_in_slices(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Where bases are; the bytes are the same on any number of threads."""
    source, archives = write("in.fq", FIRST), {name: tmp_path / f"{name}.gfz" for name in ("coarse", "fine")}
    monkeypatch.setattr("geneformer_codec.archive.settings.READ_SLICE_BITS", 12)
    coding: dict[str, Any] = {"level": "fast", "verify": True, "execution": Execution(threads)}
    coarse, fine = (
        api.compress(source, archives[access], access=access, **coding).streams["qualities"] for access in archives
    )
    assert 0 < fine - coarse < 300
    api.decompress(archives["fine"], tmp_path / "out", execution=Execution(threads))
    assert (tmp_path / "out").read_bytes() == FIRST
    with gfz.open(archives["fine"]) as reader:
        assert [record.qualities() for record in reader.records()] == FIRST.split(b"\n")[3::4]
    decoded, code = list[int](), QualityCodec.code

    def noted(codec: QualityCodec, some: QualitySlice, stream: bytes | None) -> bytes:
        decoded.append(len(some.lengths))
        return code(codec, some, stream)

    monkeypatch.setattr(QualityCodec, "code", noted)
    with gfz.open(archives["fine"]) as reader:
        for number in (200, 201, 0):
            record = reader.find(f"m1:{number}")
            assert record is not None
            assert record.qualities() == FIRST.split(b"\n")[4 * number + 3]
    assert len(decoded) == 2, "slices that are needed, once each"
    assert sum(decoded) < 150, "of 300 reads"
    alone = tmp_path / "alone.gfz"
    api.compress(source, alone, access="fine", level="fast", execution=Execution(1))
    assert alone.read_bytes() == archives["fine"].read_bytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("part_bases", [4000, 1 << 20])
def test_pair(tmp_path: Path, write: Write, model: ZlibModel, part_bases: int, threads: int) -> None:
    source, mate, archive = write("r1.fq", FIRST), write("r2.fq.gz", gzip.compress(SECOND)), tmp_path / "a.gfz"
    coding: dict[str, Any] = {"model": model, "verify": True, "execution": Execution(threads)}
    info = api.compress(source, archive, mate=mate, part_bases=part_bases, **coding)
    assert (info.sample, info.mate["name"], info.records) == ("r1.fq", "r2.fq", 600)
    assert info.input_bytes == len(FIRST) + len(SECOND)
    assert info.mate["bytes"] == len(SECOND)
    assert both(archive, model) == (FIRST, SECOND)
    out = io.BytesIO()
    api.cat(archive, out, mate=True, model=model)
    assert out.getvalue() == SECOND
    alone = api.compress(source, tmp_path / "b.gfz", part_bases=part_bases, **coding)
    if info.parts == 1:
        assert info.streams["names"] - alone.streams["names"] <= 24
    with pytest.raises(UsageError, match="mate="):
        api.decompress(archive, tmp_path / "out", model=model)
    with pytest.raises(UsageError, match="both texts of the pair would go to -"):
        api.decompress(archive, "-", mate="-", model=model)
    with pytest.raises(UsageError, match="leave mate="):
        api.decompress(tmp_path / "b.gfz", tmp_path / "out", mate=tmp_path / "out2", model=model)
    with pytest.raises(UsageError, match="leave mate="):
        api.cat(tmp_path / "b.gfz", tmp_path / "out", mate=True, model=model)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    "mate", [b"@x\n", SECOND[:-1], SECOND[:9000], SECOND * 2, b"\n\n" + SECOND, make_reads(300, mate=5)]
)
def test_odd_mates(
    tmp_path: Path, write: Write, model: ZlibModel, mate: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    files = write("1.fq", FIRST), tmp_path / "a.gfz"
    api.compress(*files, mate=write("2.fq", mate), model=model, part_bases=4000, verify=True)
    assert both(tmp_path / "a.gfz", model) == (FIRST, mate)
    assert ("mates differ in number" in caplog.text) == (mate.count(b"\n+\n") != 300)


def test_mates_are_fastq(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    with pytest.raises(InputError, match=r"x\.fa: is not FASTQ"):
        api.compress(write("1.fq", FIRST), tmp_path / "a.gfz", mate=write("x.fa", b">a\nA\n"), model=model)


def test_parts_apart(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    source, mate = write("1.fq", FIRST), write("2.fq", SECOND)
    whole = api.compress(source, tmp_path / "whole.gfz", mate=mate, part_bases=4000, model=model)
    assert whole.parts > 2
    apart = joined(source, tmp_path, mate=mate, part_bases=4000, model=model)
    assert apart == (tmp_path / "whole.gfz").read_bytes()


def test_merge(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    other = make_reads(50, 1, seed=2), make_reads(50, 2, seed=2)
    for name, texts in {"a": (FIRST, SECOND), "b": other}.items():
        files = [write(f"{name}{number}.fq", text) for number, text in enumerate(texts)]
        api.compress(files[0], tmp_path / f"{name}.gfz", mate=files[1], model=model)
    api.merge([tmp_path / "a.gfz", tmp_path / "b.gfz"], tmp_path / "ab.gfz", model=model)
    assert both(tmp_path / "ab.gfz", model) == (FIRST + other[0], SECOND + other[1])
    api.verify(tmp_path / "ab.gfz", model=model)
    api.compress(write("c.fq", FIRST), tmp_path / "c.gfz", model=model)
    with pytest.raises(FormatError, match="another kind of text"):
        api.merge([tmp_path / "a.gfz", tmp_path / "c.gfz"], tmp_path / "ac.gfz", model=model)


def test_records(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    archive = tmp_path / "a.gfz"
    api.compress(write("1.fq", FIRST), archive, mate=write("2.fq", SECOND), model=model, part_bases=4000)
    lines = [text.split(b"\n") for text in (FIRST, SECOND)]
    with gfz.open(archive, model=model) as reader:  # type: ignore[arg-type]
        assert len(reader) == 600
        assert sum(reader.lengths) == sum(len(line) for text in lines for line in text[1::4])
        for number in (0, 7, 155, 299):
            for which, text in enumerate(lines):
                record = reader.find(f"m1:{number}", which)
                assert record is not None
                assert record.header.encode() == text[4 * number][1:]
                assert record.residues() == text[4 * number + 1]
                assert record.qualities(3, 30) == text[4 * number + 3][3:30]
        assert reader.find("m1:7", 2) is None
        assert RecordIndex.read(reader.archive).stored_digest(3) is None
    entries = api.read_index(archive, model=model)  # type: ignore[arg-type]
    assert len(entries) == 600
    assert all(entry.md5 for entry in entries)


def test_fetched_as_fastq(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    text = b"@a x\nACGTN\n+\nABC#!\n@b\n\n+\n\n"
    api.compress(write("1.fq", text), tmp_path / "a.gfz", model=model)
    api.compress(write("1.fa", b">a\nACGT\n"), tmp_path / "b.gfz", model=model)

    def fetched(name: str, *regions: str, **how: bool) -> bytes:
        out = io.BytesIO()
        with api.Archive(tmp_path / name) as archive:
            fetch(archive, regions, out, model=model, **how)  # type: ignore[arg-type]
        return out.getvalue()

    assert fetched("a.gfz", "a:2-3") == b">a:2-3\nCG\n"
    assert fetched("a.gfz", "a:4-", "b", qualities=True) == b"@a:4-\nTN\n+\n#!\n@b\n\n+\n\n"
    assert fetched("a.gfz", "a:1-2", qualities=True, reverse=True) == b"@a:1-2/rc\nGT\n+\nBA\n"
    with pytest.raises(UsageError, match="no qualities"):
        fetched("b.gfz", "a", qualities=True)
    with pytest.raises(InputError, match="no two records"):
        fetched("a.gfz", "a", mate=True)


@pytest.mark.parametrize("bins", ["illumina8", "illumina4"])
def test_binned_qualities(tmp_path: Path, write: Write, model: ZlibModel, bins: str) -> None:
    text = b"@a~\nACGT\n+a~\n!#5I\nstray~\n@b\r\nA\r\n+\r\n~\r\n"
    info = api.compress(write("1.fq", text), tmp_path / "a.gfz", bin_qualities=bins, model=model, verify=True)
    assert info.quality_bins == bins
    api.decompress(tmp_path / "a.gfz", tmp_path / "out", model=model)
    binned = {"illumina8": (b"!'7I", b"I"), "illumina4": (b"##8F", b"F")}[bins]
    expected = text.replace(b"!#5I", binned[0]).replace(b"\r\n~", b"\r\n" + binned[1])
    assert (tmp_path / "out").read_bytes() == expected
    with pytest.raises(UsageError, match="no qualities"):
        api.compress(write("1.fa", b">a\nA\n"), tmp_path / "b.gfz", bin_qualities=bins, model=model)
    with pytest.raises(UsageError, match="no bins"):
        api.compress(tmp_path / "1.fq", tmp_path / "b.gfz", bin_qualities="x", model=model)


def test_unknown_bases_cost_next_to_nothing(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    text = b"".join(
        b"@%d\n%bACGTACGT\n+\n%bFFFFFFFF\n" % (n, b"NA"[n % 3 > 0 :][:1], b"#F"[n % 3 > 0 :][:1]) for n in range(999)
    )
    info = api.compress(write("1.fq", text), tmp_path / "a.gfz", model=model)
    assert info.streams["exceptions"] + info.streams["qualities"] < 200
    assert np.isclose(info.bases, 999 * 9 - 333)


def test_what_is_outside_records(tmp_path: Path, write: Write) -> None:
    """Info says how much there is, and where, in each text of a pair."""
    read = b"@%b\nACGT\n+\nIIII\n"
    first = b"".join(read % b"a%d" % n for n in range(300)) + b"torn\n" + read % b"b" + b"\n"
    second = read % b"a" + b"torn\n"
    sources = write("r1.fq", first), write("r2.fq", second)
    info = api.compress(sources[0], tmp_path / "a.gfz", mate=sources[1], part_bases=1024)
    assert info.parts > 2
    assert info.outside_records == [
        {"text": 1, "bytes": 6, "places": 2, "records_before": 300},
        {"text": 2, "bytes": 5, "places": 1, "records_before": 1},
    ]
    table = info_table(info)
    assert "6 bytes of the first file belong to no record (in 2 places, the first after record 300)" in table
    assert "5 bytes of the second file belong to no record (after record 1)" in table


@pytest.mark.parametrize("preamble", [b"", b"; a comment\nACGT\n", b"no header at all\n" * 300])
def test_what_is_before_the_first_header(tmp_path: Path, write: Write, preamble: bytes) -> None:
    source = write("in.fa", preamble + b">a\nACGT\n>b\nAC\n")
    info = api.compress(source, tmp_path / "a.gfz", part_bases=1024)
    found = {"text": 1, "bytes": len(preamble), "places": 1, "records_before": 0}
    assert info.outside_records == ([found] if preamble else [])
    assert ("belong to no record" in info_table(info)) == bool(preamble)


@pytest.mark.parametrize(("size", "shifts", "copies"), [(100, 0, 8), (1500, 3, 12)])
def test_long_reads_are_predicted_otherwise(tmp_path: Path, write: Write, size: int, shifts: int, copies: int) -> None:
    """However they are compressed: the plan of a split sample says what they are."""
    source = write("in.fq", make_reads(12000 // size, size=size))
    whole = api.compress(source, tmp_path / "a.gfz", self_panel=False, part_bases=4000, verify=True)
    plan = api.split(source, tmp_path / "parts", self_panel=False, part_bases=4000)
    assert plan.short_reads == (size == 100)
    parts = [tmp_path / "parts" / part.file for part in plan.parts]
    api.compress_parts(parts, tmp_path / "p.gfz", self_panel=False)
    api.gather(tmp_path / "parts" / "plan.json", [tmp_path / "p.gfz"], tmp_path / "b.gfz")
    assert (tmp_path / "a.gfz").read_bytes() == (tmp_path / "b.gfz").read_bytes()
    assert whole.experts is not None
    assert (whole.experts["shift_misses"], whole.experts["copies"]) == (shifts, copies)
