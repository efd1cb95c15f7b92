"""Runs that are fetched: from a stand-in of ENA on this machine, and by the tools of SRA as far as they go offline."""

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.archive.models import Execution
from geneformer_codec.errors import InputError
from geneformer_rules import cli, sra, toolkit
from geneformer_rules.accessions import Accession
from geneformer_rules.archiving import Archiving
from geneformer_rules.run_directory import LOCK

from .conftest import Project
from .ena_server import QUICK, Server, reads


def archive_run(given: str, ena_url: str | None, directory: Path) -> tuple[Path, dict[str, Any]]:
    """Fetch and archive a run in a directory; return the archive and the report."""
    downloads = sra.Downloads(directory / "downloads", ena_url, QUICK)
    (directory / "fetched").mkdir(exist_ok=True)
    sra.fetch_run(given, "sample", "none", downloads, directory / "fetched" / "sample.json")
    archiving = Archiving("none", "fast", 1_000_000, execution=Execution(1, "cpu"), fetched=directory / "fetched")
    for error in archiving.archive([("sample", [given])], directory / "out"):
        raise InputError(error)
    report: dict[str, Any] = json.loads((directory / "out" / "sample.json").read_text())
    return directory / "out" / "sample.gfz", report


def texts(archive: Path) -> list[bytes]:
    """The texts of an archive."""
    paths = [archive.with_name("text_1"), archive.with_name("text_2")]
    mate = paths[1] if api.info(archive).mate else None
    api.decompress(archive, paths[0], mate=mate, force=True)
    return [path.read_bytes() for path in paths if path.exists()]


class TestCountingAgainstEna:
    """Files have 60 reads of 76 bases each."""

    PAIR, ORPHANS = ("_1", "_2"), ("_", "_1", "_2")

    def archive(
        self, server: Server, directory: Path, given: str, files: Iterable[str], counts: tuple[object, ...]
    ) -> None:
        run = given.partition(":")[0]
        server.add(run, **{name: reads(run, number) for number, name in enumerate(files)})
        server.counts[run] = counts
        archive_run(given, f"{server.url}/filereport", directory)

    @pytest.mark.parametrize(
        ("given", "files", "counts"),
        [
            ("SRR000001", ("_",), (60, 60 * 76)),
            ("SRR000001", ("_",), ()),
            ("SRR000001", ("_",), ("", "")),
            ("SRR000001", ("_",), ("60", "")),
            ("SRR000001", PAIR, (60, 120 * 76)),
            ("SRR000001", PAIR, (120, 120 * 76)),
            ("SRR000001:paired", ORPHANS, (120, 180 * 76)),
            ("SRR000001:unpaired", ORPHANS, (120, 180 * 76)),
            ("SRR000001", ORPHANS, (120, 180 * 76)),
        ],
    )
    def test_all_are_there(
        self, given: str, files: Iterable[str], counts: tuple[object, ...], server: Server, tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        self.archive(server, tmp_path, given, files, counts)
        printed = capsys.readouterr().err
        assert f"SRR000001: ENA states {counts[0] if counts and counts[0] else 'no number of'} reads and " in printed
        assert "SRR000001: archived " in printed
        assert "sample: fetched " in printed

    def test_colours_are_counted_as_well(self, server: Server, tmp_path: Path) -> None:
        """They are no sequence to the codec, which keeps them as text."""
        server.add("SRR000001", _=b"@1_0_F3\nT.2103.\n+\n5!5555\n" * 40)
        server.counts["SRR000001"] = 40, 240
        url = f"{server.url}/filereport"
        assert archive_run("SRR000001", url, tmp_path)[1]["records"] == 0
        server.counts["SRR000001"] = 41, 246
        with pytest.raises(InputError, match="hold 40 reads with 280 bases"):
            archive_run("SRR000001", url, tmp_path)

    @pytest.mark.parametrize(
        ("given", "files", "counts", "held"),
        [
            ("SRR000001", ("_",), (61, 60 * 76), "ENA states 61 reads and 4,560 bases, but SRR000001.fastq.gz hold 60"),
            ("SRR000001", ("_",), (60, 120 * 76), "60 reads with 4,560 bases"),
            ("SRR000001", PAIR, (61, 120 * 76), "SRR000001_1.fastq.gz and SRR000001_2.fastq.gz hold 120 reads"),
            ("SRR000001", PAIR, (60, 180 * 76), "120 reads with 9,120 bases"),
            ("SRR000001:paired", ORPHANS, (50, 180 * 76), "120 reads"),
            ("SRR000001", ORPHANS, (181, 180 * 76), "180 reads"),
            ("SRR000001", ORPHANS, (120, 181 * 76), "180 reads with 13,680 bases"),
        ],
        ids=["read", "technical reads", "spot", "technical reads of pairs", "too many", "orphan", "base of orphans"],
    )
    def test_what_is_missing_is_an_error(
        self, given: str, files: Iterable[str], counts: tuple[object, ...], held: str, server: Server, tmp_path: Path
    ) -> None:
        """Nothing is published, and what was downloaded stays."""
        with pytest.raises(InputError, match=f"SRR000001: .*{held}.*download is kept.*'sra.source: sra-toolkit'"):
            self.archive(server, tmp_path, given, files, counts)
        kept = {path.name for path in (tmp_path / "downloads" / "sample").iterdir()}
        assert (
            kept - {".lock"} == {path.name for path in (tmp_path / "downloads" / "sample").glob("*.fastq.gz")} != set()
        )
        assert not list((tmp_path / "out").glob("*.gfz"))


@pytest.mark.slow
def test_runs_and_pairs_are_archived(project: Project, server: Server) -> None:
    """Fetched ones and files of one's own; one is unknown; one breaks off and goes on in the next run."""
    one, pair = reads("SRR000001", 1), [reads("SRR000002", mate) for mate in (1, 2)]
    server.add("SRR000001", _=one)
    server.add("SRR000002", _1=pair[0], _2=pair[1])
    server.add("SRR000003", _=reads("SRR000003", 1))
    project.samples[0] += "\tmate"
    project.samples += [f"{name}\t{run}\tnone\t" for name, run in [("one", "SRR000001"), ("two", "SRR000002")]]
    project.samples += ["stopped\tSRR000003\tnone\t", "unknown\tSRR000004\tnone\t"]
    for name, count in (("small", 20), ("large", 400)):
        for mate in (1, 2):
            path = project.directory / "data" / f"{name}_{mate}.fq.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(reads(name, mate, count)))
        project.samples.append(f"{name}\tdata/{name}_1.fq.gz\tnone\tdata/{name}_2.fq.gz")
    project.settings |= {"part_bases": 40_000, "retries": 0, "delete_source": True}
    project.settings["sra"] = {"ena_url": f"{server.url}/filereport", "tries": 1, "max_downloads": 1}
    whole = server.files["/SRR000003.fastq.gz"]
    held = project.result("downloads", "stopped", "SRR000003.fastq.gz.part")
    held.parent.mkdir(parents=True)
    (held.parent / LOCK).touch()
    held.write_bytes(whole[:1000])
    printed = project.run("results/archives/stopped.gfz")
    assert server.ranges == ["bytes=1000-"]
    assert "sra_downloads=1" in printed
    printed = project.run("compress_all", "--keep-going", status=1)
    assert printed.count("checkpoint fetch:") == 3
    assert printed.count("Error in rule") == 1
    assert len(json.loads(project.result("plans", "large.json").read_text())["parts"]) > 1, "a pair in parts"
    assert "error: SRR000004: ENA has no such run" in project.all_logs()
    assert not list(project.result("downloads").glob("*"))
    assert not list(project.directory.rglob("*.fq.gz"))
    project.samples.remove("unknown\tSRR000004\tnone\t")
    asked = len(server.asked)
    project.run(*(f"results/decompressed/{name}" for name in ("one.fq", "two_2.fq")))
    assert {path.name for path in project.result("decompressed").iterdir()} == {"one.fq", "two_1.fq", "two_2.fq"}
    for wrong, right in (("stopped.fa", "stopped.fq"), ("two.fq", "two_1.fq and results/decompressed/two_2.fq")):
        printed = project.run(f"results/decompressed/{wrong}", status=1)
        assert f"results/decompressed/{wrong}: the archive holds FASTQ; ask for results/decompressed/{right}" in printed
        assert "Execute" not in printed
    project.run("compress_all", "decompress_all", "verify_all")
    assert len(server.asked) == asked
    assert project.report("two")["accession"] == "SRR000002"
    assert project.report("two")["records"] == 120
    texts = {path.name: path.read_bytes() for path in project.result("decompressed").glob("*.f*")}
    expected = {"one.fq": one, "stopped.fq": reads("SRR000003", 1)}
    expected |= {f"two_{mate}.fq": pair[mate - 1] for mate in (1, 2)}
    expected |= {
        f"{name}_{mate}.fq": reads(name, mate, count)
        for name, count in (("small", 20), ("large", 400))
        for mate in (1, 2)
    }
    assert texts == expected
    assert "Nothing to be done" in project.run("-n", "compress_all", "decompress_all")


TOOLS = ("latf-load", "sharq", "general-loader", "kar", "vdb-validate", "sra-stat", "fasterq-dump")
SCHEMAS = Path("/usr/lib/ncbi-vdb")
"""Of Debian's toolkit; others find theirs."""


class TestToolkit:
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.monkeypatch = tmp_path, monkeypatch

    def load(self, command: str, *texts: bytes) -> None:
        """Make a run of texts r_1, r_2, ... by the tools that load submissions, and a prefetch that brings it."""
        for tool in TOOLS:
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not there, of the SRA toolkit")
        for number, text in enumerate(texts, 1):
            (self.path / f"r_{number}.fastq").write_bytes(text)
        run = self.path / "SRR000009.sra"
        made = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{command} && kar --create {run} --directory db"],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert made.returncode == 0, made.stdout
        self.stand_in("prefetch", f'ls "$3"/$1/*.lock || {{ mkdir -p "$3/$1" && cp {run} "$3/$1/"; }}')

    def load_pairs(self, *texts: bytes) -> None:
        """A run of biological reads; a spot may lack one of two."""
        self.load("latf-load -p ILLUMINA --quality PHRED_33 -o db -1 r_1.fastq -2 r_2.fastq", *texts)

    def load_typed(self, types: str) -> list[bytes]:
        """A run whose spots have reads of these types, T and B; the texts that it was made of."""
        names = [f"@SIM:1:FC:1:1:1:{spot} %d:N:0:A" for spot in range(1, 41)]
        texts = []
        for number in range(1, len(types) + 1):
            lines = reads("SRR000009", number, count=len(names)).splitlines()
            lines[::4] = [(name % number).encode() for name in names]
            texts.append(b"\n".join(lines) + b"\n")
        files = " ".join(f"--read{number}PairFiles r_{number}.fastq" for number in range(1, len(types) + 1))
        schemas = f"-I {SCHEMAS}" if SCHEMAS.is_dir() else ""
        convert = f"sharq --output db --platform ILLUMINA --quality 33 --readTypes {types} "
        self.load(convert + (files if len(types) > 1 else "r_1.fastq") + f" | general-loader {schemas}", *texts)
        return texts

    def stand_in(self, name: str, script: str) -> None:
        """A tool that goes before the real one."""
        tool = self.path / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        self.monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")

    def sequences(self, texts: Iterable[bytes]) -> list[list[bytes]]:
        return [text.splitlines()[1::4] for text in texts]

    def test_reads_are_validated_extracted_and_counted(self) -> None:
        pair = [reads("SRR000008", mate) for mate in (1, 2)]
        self.load_pairs(*pair)
        out = self.path / "out"
        (out / "SRR000009").mkdir(parents=True)
        (out / "SRR000009" / "SRR000009.sra.lock").touch()  # as a prefetch leaves it that was killed
        fetched = toolkit.fetch(Accession("SRR000009"), out, 1, QUICK)
        assert [file.name for file in fetched.files] == ["SRR000009_1.fastq", "SRR000009_2.fastq"]
        assert (fetched.reads, fetched.bases) == ((120,), 120 * 76)
        assert self.sequences(file.read_bytes() for file in fetched.files) == self.sequences(pair)
        archived = self.path / "SRR000009.sra"
        damaged = bytearray(archived.read_bytes())
        damaged[len(damaged) // 2] ^= 255
        archived.write_bytes(damaged)
        with pytest.raises(InputError, match="SRR000009: what was downloaded is damaged; vdb-validate reports"):
            toolkit.fetch(Accession("SRR000009"), out, 1, QUICK)
        assert not (out / "SRR000009").exists(), "or it would be found again"

    @pytest.mark.parametrize("types", ["TB", "BT", "T", "B", "BB", "TT"])
    def test_technical_reads_are_archived(self, types: str, capsys: pytest.CaptureFixture[str]) -> None:
        made = self.load_typed(types)
        archive, report = archive_run("SRR000009", None, self.path)
        assert self.sequences(texts(archive)) == self.sequences(made)
        assert report["records"] == 40 * len(types)
        printed = capsys.readouterr().err
        technical = 40 * 76 * types.count("T")
        stated = f"holds 40 spots with {40 * 76 * len(types):,} bases"
        assert stated + (f", {technical:,} of them in technical reads" if technical else "") in printed
        assert (
            f"SRR000009: archived {40 * len(types)} reads with {40 * 76 * len(types):,} bases of SRR000009" in printed
        )
        assert "sample: fetched " in printed

    @pytest.mark.parametrize("types", ["TBT", "TBB", "BBTT"])
    def test_more_files_than_a_pair_are_refused(self, types: str) -> None:
        self.load_typed(types)
        listed = ", ".join(f"SRR000009_{number}.fastq" for number in range(1, len(types) + 1))
        reported = rf"in {len(types)} files \({listed}\).*accessions SRR000009.*'SRR000009:1', 'SRR000009:2'"
        with pytest.raises(InputError, match=reported):
            archive_run("SRR000009", None, self.path)
        kept = self.path / "downloads" / "sample"
        assert len(list(kept.glob("*.fastq"))) == len(types)
        assert (kept / "SRR000009" / "SRR000009.sra").exists()
        assert not list(self.path.glob("out/*.gfz"))

    @pytest.mark.parametrize(("given", "count"), [("SRR000009:paired", 100), ("SRR000009:unpaired", 10)])
    def test_reads_without_a_mate_are_counted_apart(self, given: str, count: int) -> None:
        """The mate that a spot lacks is a read of no length."""
        made = [reads("SRR000008", mate).splitlines(keepends=True) for mate in (1, 2)]
        self.load_pairs(b"".join(made[0]), b"".join(made[1][: 50 * 4]))
        together = toolkit.fetch(Accession("SRR000009"), self.path / "out", 1, QUICK)
        assert [file.name for file in together.files] == ["SRR000009_1_and_unpaired.fastq", "SRR000009_2.fastq"]
        assert (together.reads, together.bases) == ((110,), 110 * 76)
        first, second = self.sequences(b"".join(lines) for lines in made)
        assert self.sequences(file.read_bytes() for file in together.files) == [first, second[:50]]
        archive, report = archive_run(given, None, self.path)
        assert (report["records"], report["residues"]) == (count, count * 76)
        sequences = self.sequences(b"".join(lines) for lines in made)
        expected = [mate[:50] for mate in sequences] if given.endswith(":paired") else [sequences[0][50:]]
        assert self.sequences(texts(archive)) == expected

    @pytest.mark.parametrize(
        ("script", "message"),
        [
            ('REAL "$@"; exit 3', "extracting its reads failed; fasterq-dump reports"),
            (
                'REAL "$@" 2>&1 | sed "s/written .*/written : 79/"',
                "not all reads were extracted: the run holds 40 spots",
            ),
            ('REAL "$@" 2>&1 | sed "s/spots read .*/spots read : 39/"', "not all reads were extracted"),
            ('REAL "$@" > /dev/null 2>&1', "fasterq-dump reports: no numbers"),
            ('REAL "$@" && sed -i 5,8d $OUT/*_2.fastq', "80 reads|40 spots.*hold 79 reads with 6,004 bases"),
            ('REAL "$@" && sed -i 2s/.// $OUT/*_1.fastq && sed -i 4s/.// $OUT/*_1.fastq', "80 reads with 6,079 bases"),
        ],
        ids=["fails", "reads", "spots", "silent", "read lost", "base lost"],
    )
    def test_what_was_not_extracted_is_an_error(self, script: str, message: str) -> None:
        """Nothing is published, the download stays, and the next run begins without what is left of this one."""
        made = self.load_typed("TB")
        out = self.path / "downloads" / "sample"
        real = str(shutil.which("fasterq-dump"))
        self.stand_in("fasterq-dump", script.replace("REAL", real).replace("$OUT", str(out)))
        with pytest.raises(InputError, match=message):
            archive_run("SRR000009", None, self.path)
        assert (out / "SRR000009" / "SRR000009.sra").exists()
        assert not list(self.path.glob("out/*.gfz"))
        (out / "SRR000009.fastq").touch()
        (out / "fasterq.tmp.host.1").mkdir()
        (self.path / "bin" / "fasterq-dump").unlink()
        archive, _ = archive_run("SRR000009", None, self.path)
        assert self.sequences(texts(archive)) == self.sequences(made)

    @pytest.mark.parametrize(
        ("printed", "tries", "reported"),
        [
            ("err: Cannot resolve accession ( 404 )", 1, "correct the accession in the sample sheet"),
            (
                "err: failed - Access denied - please request permission to access phs000710 in dbGaP ( 403 )",
                1,
                r"the run is protected; ask dbGaP for access, .*\(\.ngc\) in 'sra\.ngc'",
            ),
            ("err: connection failed while opening file: timeout", 3, r"tried 3 times\); try again later"),
        ],
    )
    def test_prefetch_fails(
        self, printed: str, tries: int, reported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "which", lambda tool: tool)
        self.stand_in("prefetch", f'echo x >> {tmp_path}/calls; echo "{printed}"; exit 3')
        with pytest.raises(InputError, match=reported):
            toolkit.fetch(Accession("SRR000009"), tmp_path / "out", 1, QUICK)
        assert len((tmp_path / "calls").read_text().split()) == tries

    def test_no_tools(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(InputError, match=r"prefetch: command not found; install the SRA toolkit.*sra.source"):
            toolkit.fetch(Accession("SRR000009"), tmp_path, 1, QUICK)


@pytest.mark.slow
def test_a_sheet_made_of_accessions_is_archived(project: Project, server: Server) -> None:
    """Each read of a project is in an archive: reads without a mate have one of their own, or are with the others."""
    texts = {}
    for run, names in (("SRR000001", "_1 _2"), ("SRR000002", "_ _1 _2"), ("SRR000003", "_1 _2 _3")):
        texts[run] = {name: reads(run, number) for number, name in enumerate(names.split())}
        server.add(run, **texts[run])
        server.counts[run] = (60 * len(texts[run]), 60 * 76 * len(texts[run]))
    server.of["PRJNA1"] = list(texts)
    sheet = project.directory / "made.tsv"
    call = ["accessions", "PRJNA1", "--species", "none", "--ena", server.reports, "-o", str(sheet)]
    assert cli.main(call) == 0
    project.samples = [*sheet.read_text().splitlines(), "\t".join(["all", "SRR000002", "none", *[""] * 6])]
    project.settings["sra"] = {"ena_url": server.reports, "tries": 1, "hosts": ["mirror.example.org"]}
    project.settings["retries"] = 0
    project.run("compress_all", "decompress_all")
    found = {path.name: path.read_bytes() for path in project.result("decompressed").iterdir()}
    one, two, three = texts.values()
    assert found == {
        "SRR000001_1.fq": one["_1"], "SRR000001_2.fq": one["_2"],
        "SRR000002_1.fq": two["_1"], "SRR000002_2.fq": two["_2"], "SRR000002_unpaired.fq": two["_"],
        "all_1.fq": two["_1"] + two["_"], "all_2.fq": two["_2"],
        **{f"SRR000003_{number}.fq": three[f"_{number}"] for number in (1, 2, 3)},
    }  # fmt: skip
    summary = project.result("summary.tsv").read_text().splitlines()
    (row,) = (line for line in summary if line.startswith("all\t"))
    assert "mates differ in number: 120 reads in the first file, 60 in the second" in row
