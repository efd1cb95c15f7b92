"""Jobs are killed, files damaged, sheets wrong: the messages, what is left, and that a rerun finishes the work."""

import contextlib
import gzip
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from .conftest import Project, environment, related


def started(project: Project, *arguments: str) -> subprocess.Popen[bytes]:
    """Snakemake at work, in a process group of its own."""
    project.write()
    with (project.directory / "started.log").open("wb") as log:
        return subprocess.Popen(
            project.command(*arguments),
            cwd=project.directory,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until the condition holds; the process must not end before."""
    until = time.monotonic() + 1800
    while not condition():
        assert process.poll() is None, "snakemake ended before it could be killed"
        assert time.monotonic() < until, "what was waited for did not happen"
        time.sleep(0.02)


def job(process: subprocess.Popen[bytes], command: str) -> psutil.Process | None:
    """The process of ``gfz command`` among those that snakemake has started."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = child.cmdline()  # empty for a process that has just ended
                if words[1:2] and Path(words[1]).name == "gfz" and command in words:
                    return child
    return None


def kill_a_job(process: subprocess.Popen[bytes], command: str) -> None:
    """Kill the first process of ``gfz command`` that there is."""
    victim: list[psutil.Process] = []
    wait_for(lambda: victim.extend(filter(None, [job(process, command)])) or bool(victim), process)
    victim[0].kill()


def finish(process: subprocess.Popen[bytes]) -> None:
    """End a process group that a failed test may have left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def many_parts(project: Project) -> Project:
    """A sample whose archive takes several jobs."""
    project.settings |= {"part_bases": 1024, "retries": 0}
    project.add_sample("many", related(count=4, length=1000, seed=20), "none")
    return project


def source_of(project: Project) -> bytes:
    return (project.directory / "data" / "many.fa").read_bytes()


def leftovers(project: Project) -> list[Path]:
    """What nobody will ever read, in the places where jobs work."""
    places = ("parts", "blocks", "unpublished")
    kept = [path for place in places for path in project.result(place).rglob("*")]
    return kept + [path for name in ("*.tmp", "*.unfinished", "*.checkpoint") for path in project.result().rglob(name)]


@pytest.mark.slow
class TestKilled:
    def test_a_job_of_many(self, many_parts: Project) -> None:
        project = many_parts
        process = started(project, "compress_all")
        try:
            wait_for(lambda: any(project.result("blocks").rglob("*.gfz")), process)
            kill_a_job(process, "compress")
            assert process.wait(timeout=1800) == 1
        finally:
            finish(process)
        assert not project.result("archives").exists()
        logs = project.directory / "logs" / "compress" / "many"
        done = [logs / f"{block.stem}.log" for block in project.result("blocks").rglob("*.gfz")]
        assert done
        written = [log.stat().st_mtime_ns for log in done]
        project.run("compress_all", "decompress_all")
        assert project.result("decompressed", "many.fa").read_bytes() == source_of(project)
        assert [log.stat().st_mtime_ns for log in done] == written, "finished parts were compressed again"
        assert not leftovers(project)

    def test_everything_at_once(self, many_parts: Project) -> None:
        """A power cut: nothing can tidy up. Snakemake then asks for --unlock, as it does for every workflow."""
        project = many_parts
        process = started(project, "compress_all")
        try:
            wait_for(lambda: any(project.result("blocks").rglob("*.gfz")), process)
        finally:
            finish(process)
        assert not project.result("archives").exists()
        project.run("--unlock")
        printed = project.run("compress_all", "decompress_all", "--rerun-incomplete")
        assert "rule split" not in printed
        assert project.result("decompressed", "many.fa").read_bytes() == source_of(project)

    def test_the_training(self, project: Project, panel: bytes) -> None:
        (project.directory / "panel.fa").write_bytes(panel)
        project.add_species("trained", panel="panel.fa", preset="stream-tiny", minutes="0.1")
        project.settings["retries"] = 0
        process = started(project, "results/models/trained.gfmodel")
        try:
            progress = project.result("training", "trained.jsonl.unfinished")
            wait_for(lambda: progress.exists() and progress.stat().st_size > 0, process)
        finally:
            finish(process)
        assert not project.result("models", "trained.gfmodel").exists()
        project.run("--unlock")
        project.run("train_all", "--rerun-incomplete")
        assert project.result("models", "trained.gfmodel").is_file()
        assert not leftovers(project)


@pytest.mark.slow
def test_a_failed_job_is_tried_again(many_parts: Project) -> None:
    many_parts.settings["retries"] = 1
    process = started(many_parts, "compress_all")
    try:
        kill_a_job(process, "compress")
        assert process.wait(timeout=1800) == 0
    finally:
        finish(process)
    assert many_parts.result("archives", "many.gfz").is_file()


@pytest.mark.slow
def test_one_bad_sample_does_not_stop_the_others(with_model: Project) -> None:
    """Without --keep-going, and although it is the first; the run ends with what was done and what was not."""
    project = with_model
    text = related(count=2, length=400, seed=21)
    path = project.add_sample("bad", gzip.compress(text)[:-20], "none", ".fa.gz")
    project.add_sample("good", text, "none")
    project.add_sample("other", text, "small")
    printed = project.run("compress_all", status=1)
    assert {path.stem for path in project.result("archives").glob("*.gfz")} == {"good", "other"}
    for log in (project.directory / "logs" / "publish" / "bad.log",
                project.directory / "logs" / "archive" / "bad+2.log"):  # fmt: skip
        assert f"{path.name}: " in log.read_text()
    assert printed.count("Error in rule") == 1, "it is not tried again"
    last = [line for line in printed.splitlines() if line.startswith("geneformer-rules: ")][-3:]
    assert last[0].startswith("geneformer-rules: 2 of 3 samples are archived, 2 of them by this run: ")
    assert last[1].startswith("geneformer-rules: failed: bad: data/bad.fa.gz: ")
    assert last[1].endswith("(logs/archive/bad+2.log)")
    assert last[2] == "geneformer-rules: report: results/summary/sizes.html, table: results/summary.tsv"
    rows = project.result("summary.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["sample", "good", "other"]
    path.write_bytes(gzip.compress(text))
    printed = project.run("compress_all", "decompress_all")
    assert "geneformer-rules: 3 of 3 samples are archived, 1 of them by this run: " in printed
    assert len(project.result("summary.tsv").read_text().splitlines()) == 4
    assert not [log for log in (project.directory / "logs").rglob("*.log") if log.stat().st_size == 0], (
        "logs say something"
    )
    assert project.result("decompressed", "bad.fa").read_bytes() == text
    assert not project.result("unpublished").exists()


@pytest.mark.nightly
def test_a_large_bad_sample_is_split_once(project: Project) -> None:
    """An unreadable sample is read once a call, until it is replaced."""
    project.settings |= {"part_bases": 1024, "retries": 2}
    text = related(count=8, length=1400, seed=22)
    path = project.add_sample("bad", gzip.compress(text)[:-20], "none", ".fa.gz")
    project.add_sample("good", text, "none")
    for splits in (2, 1):
        printed = project.run("compress_all", status=1)
        assert printed.count("localcheckpoint split:") == splits
        assert printed.count("Error in rule") == 1
        reported = [line for line in printed.splitlines() if line.startswith("geneformer-rules: failed: ")]
        assert len(reported) == 1
        assert reported[0].startswith("geneformer-rules: failed: bad: data/bad.fa.gz: ")
        assert [archive.stem for archive in project.result("archives").glob("*.gfz")] == ["good"]
    path.write_bytes(gzip.compress(text))
    project.run("compress_all", "decompress_all")
    assert project.result("decompressed", "bad.fa").read_bytes() == text
    assert "Nothing to be done" in project.run("-n", "compress_all")


@pytest.mark.slow
def test_a_model_that_is_no_model(project: Project) -> None:
    project.settings["retries"] = 0
    (project.directory / "broken.gfmodel").write_bytes(b"this is no model")
    project.add_species("broken", model="broken.gfmodel")
    project.add_sample("one", related(count=2, length=400, seed=22), "broken")
    project.run("compress_all", status=1)
    log = (project.directory / "logs" / "archive" / "one+1.log").read_text()
    assert "error:" in log
    assert "broken.gfmodel" in log
    assert not project.result("archives").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit, which limits the size of files, is not there")
def test_a_full_disk(project: Project) -> None:
    """A limit on the size of files fails writes as a full disk does."""
    project.settings |= {"retries": 0, "part_bases": 100_000}
    text = related(count=40, length=5_000, seed=24)
    project.add_sample("one", text, "none")
    project.write()
    limited = ["prlimit", "--fsize=50000", *project.command("compress_all")]
    done = subprocess.run(limited, cwd=project.directory, env=environment(), capture_output=True, timeout=1800)
    assert done.returncode == 1
    assert "cannot write" in (project.directory / "logs" / "split" / "one.log").read_text()
    assert not project.result("archives").exists()
    assert not project.result("parts").exists() or not list(project.result("parts").iterdir())
    project.run("compress_all", "decompress_all")
    assert project.result("decompressed", "one.fa").read_bytes() == text


def test_mistakes_in_the_sheets(project: Project) -> None:
    project.add_sample("one", b">a\nACGT\n", "unheard_of")
    project.samples.append("two\tdata/gone.fa\tnone")
    printed = project.run("compress_all", status=1)
    assert "samples.tsv, row 2, column 'species': 'unheard_of' is not in species.tsv" in printed
    assert "samples.tsv, row 3, column 'path': file 'data/gone.fa' not found" in printed
    assert "Traceback" not in printed
