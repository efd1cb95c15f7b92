"""Runs are fetched by jobs of their own, a bounded number at a time, and archived as files are."""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from geneformer_rules.places import Places
from geneformer_rules.run_directory import LOCK

from .conftest import Project
from .ena_server import Server, reads
from .test_failures import finish, started, wait_for


class TestPlaces:
    """Which of several runs may be fetched."""

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.removed: list[str] = []

    def places(self, most: int, *there: str) -> Places:
        """Places of which some are taken, the first for the longest time."""
        for number, name in enumerate(there):
            (self.path / name).mkdir()
            (self.path / name / LOCK).touch()
            os.utime(self.path / name / LOCK, (number, number))
        (self.path / "not a run").mkdir(exist_ok=True)
        return Places(self.path, most, self.removed.append)

    def test_no_more_than_there_may_be(self) -> None:
        assert self.places(2).admit("abc", set(), set("abc"), True) == ["a", "b"]
        assert self.places(2).admit("bc", {"a"}, set("abc"), False) == ["b"]
        assert self.places(2, "a").admit("bc", set(), set("abc"), False) == ["b"]
        assert self.places(1).admit("bc", set(), set("abc"), False) == []
        assert self.removed == []

    def test_what_was_begun_goes_on(self) -> None:
        """A download that was interrupted has its place already."""
        assert self.places(1, "c").admit("abc", set(), set("abc"), True) == ["c"]

    def test_runs_that_failed_or_are_not_needed_make_room(self) -> None:
        """But not before another run needs it."""
        places = self.places(2, "oldest", "failed", "at_work")
        assert places.admit([], set(), {"at_work"}, False) == []
        assert self.removed == []
        assert places.admit(["new", "newer"], set(), {"at_work", "new", "newer"}, False) == ["new"]
        assert self.removed == ["oldest", "failed"]

    def test_one_is_fetched_in_any_case_if_nothing_else_can_go_on(self) -> None:
        """As where runs wait for something that has failed."""
        places = self.places(1, "waits")
        assert places.admit("ab", set(), {"waits", "a", "b"}, False) == []
        assert places.admit("ab", set(), {"waits", "a", "b"}, True) == ["a"]
        assert self.removed == []


def watch(server: Server, project: Project) -> list[set[str]]:
    """From now on, note at each request for a file which runs are on the disk."""
    seen: list[set[str]] = []

    def note() -> None:
        downloads = project.result("downloads")
        seen.append({path.name for path in downloads.iterdir() if (path / LOCK).exists()})

    server.on_file = note
    return seen


def add_runs(project: Project, server: Server, count: int, large: int = 0) -> dict[str, bytes]:
    """Runs that the server has, the first of them so large that they are split; the text of each."""
    texts = {}
    for number in range(1, count + 1):
        run = f"SRR{number:06}"
        texts[f"s{number}"] = reads(run, 1, 1500 if number <= large else 60)
        server.add(run, _=texts[f"s{number}"])
        project.samples.append(f"s{number}\t{run}\tnone")
    project.settings |= {"part_bases": 40_000, "retries": 0}
    project.settings["sra"] = {"ena_url": f"{server.url}/filereport", "tries": 1, "max_downloads": 2}
    return texts


@pytest.mark.nightly
def test_the_disk_holds_a_bounded_number_of_runs(project: Project, server: Server) -> None:
    """Of seven, three large; two are not available, one differs from its description: they do not stop the others."""
    texts = add_runs(project, server, 7, large=3)
    server.counts["SRR000002"] = 1501, 1500 * 76
    for row in ("unknown\tSRR000098\tnone", "gone\tSRR000099\tnone"):
        project.samples.insert(1, row)
    server.add("SRR000099", _=b"")
    server.files.pop("/SRR000099.fastq.gz")
    seen = watch(server, project)
    printed = project.run("compress_all", status=1)
    assert max(map(len, seen)) == 2
    assert {path.stem for path in project.result("archives").glob("*.gfz")} == texts.keys() - {"s2"}
    assert server.asked.count("/filereport") == 9, "what cannot change is not tried again"
    fetched = [path for path in server.asked if path != "/filereport"]
    assert len(fetched) == len(set(fetched))
    assert len(list((project.directory / "logs" / "compress" / "s1").iterdir())) > 1
    assert "geneformer-rules: 6 of 9 samples are archived, 6 of them by this run: " in printed
    assert "geneformer-rules: failed: unknown: SRR000098: ENA has no such run" in printed
    assert "geneformer-rules: failed: s2: SRR000002: ENA states 1,501 reads" in printed
    assert {path.name for path in project.result("downloads").iterdir()} <= {"s2", "gone", "unknown"}
    assert not any(project.result(place, name).exists() for place in ("parts", "blocks") for name in ("s1", "s3"))
    asked = len(server.asked)
    project.settings["retries"] = 2
    assert project.run("compress_all", status=1).count("localcheckpoint fetch:") == 3, "once in a run"
    assert server.asked[asked:].count("/filereport") == 3
    del server.counts["SRR000002"]
    del project.samples[1:3]
    project.run("compress_all", "decompress_all")
    assert {name: project.result("decompressed", f"{name}.fq").read_bytes() for name in texts} == texts
    assert not project.result("downloads").exists()
    assert "Nothing to be done" in project.run("-n", "compress_all")


@pytest.mark.nightly
def test_downloads_are_kept_if_requested(project: Project, server: Server) -> None:
    """As many as there are; an archive that is lost, or a row that changes, asks for no file again."""
    texts = add_runs(project, server, 3, large=1)
    project.settings["sra"] |= {"max_downloads": 1, "keep_downloads": True}
    project.run("compress_all")
    kept = {f"s{number}": {f"SRR{number:06}.fastq.gz"} for number in range(1, 4)}
    downloads = project.result("downloads")
    assert {path.name: {file.name for file in path.iterdir()} for path in downloads.iterdir()} == kept
    assert not any(project.result(place, "s1").exists() for place in ("parts", "blocks"))
    assert "Nothing to be done" in project.run("-n", "compress_all")
    asked = [path for path in server.asked if path != "/filereport"]
    for name in ("s1", "s2"):
        project.result("archives", f"{name}.gfz").unlink()
    project.samples[-1] = "s3\tSRR000003:1\tnone"
    printed = project.run("compress_all", status=1)
    assert "SRR000003: has no file 1" in printed
    project.samples[-1] = "s3\tSRR000003\tnone"
    project.run("compress_all", "decompress_all")
    assert [path for path in server.asked if path != "/filereport"] == asked
    assert {name: project.result("decompressed", f"{name}.fq").read_bytes() for name in texts} == texts
    assert {path.name: {file.name for file in path.glob("*.gz")} for path in downloads.iterdir()} == kept


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_a_run_may_be_killed_at_any_time(seed: int, project: Project, server: Server) -> None:
    """And goes on; the bound holds, and nothing that was complete is fetched twice."""
    texts = add_runs(project, server, 4, large=2)
    seen = watch(server, project)
    stages = [
        project.result("downloads", "s1"),
        project.result("fetched", "s1.json"),
        project.result("plans", "s1.json"),
        project.result("blocks", "s2"),
        project.result("archives", "s1.gfz"),
    ]
    rng = random.Random(seed)
    for stage in sorted(rng.sample(range(len(stages)), 2)):
        process: subprocess.Popen[bytes] = started(project, "compress_all", "--rerun-incomplete")
        try:
            wait_for(stages[stage].exists, process)
            os.killpg(process.pid, signal.SIGKILL)
        finally:
            finish(process)
        project.run("--unlock")
    project.run("compress_all", "decompress_all", "--rerun-incomplete")
    assert {name: project.result("decompressed", f"{name}.fq").read_bytes() for name in texts} == texts
    assert max(map(len, seen)) <= 2
    assert not project.result("downloads").exists()
    assert "Nothing to be done" in project.run("-n", "compress_all")
