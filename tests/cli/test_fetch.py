"""``gfz fetch`` and ``gfz faidx`` give what samtools gives."""

import random
from pathlib import Path

import pytest
from samtools import faidx

from geneformer_codec.cli.main import main
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.simulate import write_fasta


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of several slices and parts of ``in.fa``, which has lower case and exceptions."""
    monkeypatch.chdir(tmp_path)
    write_fasta(tmp_path / "in.fa", 8, 3000, seed=3)
    text = bytearray((tmp_path / "in.fa").read_bytes())
    rng = random.Random(1)
    for at in (rng.randrange(len(text)) for _ in range(500)):
        if text[at] in b"ACGT":
            text[at] = rng.choice(b"acgtNRY")
    (tmp_path / "in.fa").write_bytes(text)
    assert main(["compress", "in.fa", "-o", "a.gfz", "-q", "--access", "256", "--part-bases", "8000"]) == 0
    return tmp_path / "a.gfz"


REGIONS = ["sim3_002", "sim3_000:100-250", "sim3_007:2,001-", "sim3_003:5-5", "sim3_001:-70", "{sim3_004}:1-60"]


@pytest.mark.parametrize(
    "options", [[], ["-n", "0"], ["-n", "13"], ["-i"], ["-i", "--mark-strand", "sign"], ["-i", "--mark-strand", "no"]]
)
def test_regions(archive: Path, options: list[str], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["fetch", "a.gfz", *options, *REGIONS]) == 0
    assert capfdbinary.readouterr() == (faidx("in.fa", *options, *REGIONS), b"")


@pytest.mark.parametrize(
    ("region", "residues"),
    [
        ("{b}", b"ACGTA"), ("{b}:1-2", b"AC"), ("{{b}}:2-3", b"CG"), ("b", b"TTTTT"), ("b:1-2", b"TT"), ("{z}", b"AG"),
        ("{z}:2-2", b"G"), ("c{d}e:1-1", b"G"), ("{c{d}e}:2-2", b"C"), ("{q:1}", b"ACAC"), ("{q:1}:2-3", b"CA"),
        ("x:5-7", b"CCCC"), ("{x:5-7}:1-3", b"CCC"), ("y,1:2", b"A"), ("", b"AAAA"), ("{}", b"AAAA"), (":1-2", b"AA"),
        ("{}:2-3", b"AA"), ("-n", b"GGG"), ("-1:2-3", b"TT"), ("{o", b"TG"), ("p}", b"GT"), ("p}:2", b"T"),
    ],
)  # fmt: skip
def test_names_with_braces_colons_and_dashes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    region: str,
    residues: bytes,
) -> None:
    monkeypatch.chdir(tmp_path)
    records = {"{b}": "ACGTA", "b": "TTTTT", "c{d}e": "GC", "x:5-7": "CCCC", "": "AAAA", "{q:1}": "ACAC", "z": "AG",
               "y,1": "CA", "-n": "GGG", "-1": "CTT", "{o": "TG", "p}": "GT"}  # fmt: skip
    Path("x.fa").write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    assert main(["compress", "x.fa", "-o", "x.gfz", "-q"]) == 0
    assert main(["fetch", "x.gfz", "--", region]) == 0
    assert capfdbinary.readouterr().out == b">" + region.encode() + b"\n" + residues + b"\n"


def test_lists(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("list").write_text("\n".join(REGIONS) + "\n")
    assert main(["fetch", "a.gfz", "-r", "list"]) == 0
    assert capfdbinary.readouterr().out == faidx("in.fa", "-r", "list")
    Path("x.bed").write_text("sim3_000\t99\t250\tx\t0\t+\nsim3_003\t4\t9\ty\t0\t-\n")
    assert main(["fetch", "a.gfz", "sim3_001:1-3", "--bed", "x.bed", "-o", "out.fa"]) == 0
    there, back = faidx("in.fa", "sim3_001:1-3", "sim3_000:100-250"), faidx("in.fa", "-i", "sim3_003:5-9")
    assert Path("out.fa").read_bytes() == there + back
    assert main(["fetch", "a.gfz", "--bed", "x.bed", "-o", "out.fa"]) == 1, "it exists already"
    assert main(["fetch", "a.gfz", "-r", "none"]) == 1
    assert b"none: no such file" in capfdbinary.readouterr().err


def test_beyond_the_end(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    regions = ["sim3_000:2900-9000", "sim3_000:9000-9010"]
    assert main(["fetch", "a.gfz", *regions]) == 0
    out, reported = capfdbinary.readouterr()
    assert out == faidx("in.fa", *regions)
    assert b"gfz: warning: region sim3_000:2900-9000 goes beyond its record" in reported
    assert b"gfz: warning: region sim3_000:9000-9010 begins beyond its record" in reported


def test_unknown_records(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["fetch", "a.gfz", "sim3_000:1-10", "none:1-10"]) == 1
    out, reported = capfdbinary.readouterr()
    assert out == b""
    assert reported == b"gfz: error: a.gfz: no record is called 'none:1-10'; 'gfz ls' lists them\n"
    assert main(["fetch", "a.gfz", "--continue", "none", "sim3_000:1-10"]) == 0
    out, reported = capfdbinary.readouterr()
    assert out == faidx("in.fa", "sim3_000:1-10")
    assert reported.startswith(b"gfz: warning: a.gfz: no record is called 'none'")


def test_names_end_at_blanks(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["fetch", "a.gfz", "sim3_000 simulated"]) == 1
    assert b"no record is called 'sim3_000 simulated'; 'gfz ls' lists them. Names end" in capfdbinary.readouterr().err


def test_errors_of_the_settings_name_file_and_part(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def fail(*_: object) -> None:
        raise FormatError("the settings do not fit together")

    monkeypatch.setattr("geneformer_codec.archive.coders.Coders.coder", fail)
    assert main(["fetch", "a.gfz", "sim3_007:1-10"]) == 1
    printed = b"gfz: error: a.gfz: part 2: the settings do not fit together\n"
    assert capfdbinary.readouterr().err == printed


def test_calls_at_fault(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for call in (["a.gfz"], ["a.gfz", "sim3_000:5-3"], ["-", "--bed", "-"], ["a.gfz", "x", "-n", "-1"]):
        assert main(["fetch", *call]) == 2
    assert main(["fetch", "none.gfz", "x"]) == 1


def test_arguments_and_options_mix(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["fetch", "a.gfz", "-n", "10", "sim3_000:1-10", "--threads", "1", "sim3_001:1-10"]) == 0
    assert capfdbinary.readouterr().out == faidx("in.fa", "-n", "10", "sim3_000:1-10", "sim3_001:1-10")


def test_index(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    faidx("in.fa", "sim3_000:1-2")
    assert main(["faidx", "a.gfz"]) == 0
    assert capfdbinary.readouterr().out == Path("in.fa.fai").read_bytes()
    Path("twice.fa").write_bytes(b">a\nAC\n>b\nGG\n>a\nTTT\n")
    assert main(["compress", "twice.fa", "-o", "twice.gfz", "-q"]) == 0
    assert main(["faidx", "twice.gfz", "-o", "twice.fai"]) == 0
    assert Path("twice.fai").read_bytes() == b"a\t2\t3\t2\t3\nb\t2\t9\t2\t3\n"
    assert b"gfz: warning: record a occurs again" in capfdbinary.readouterr().err
