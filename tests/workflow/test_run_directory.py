"""The directory of a run that is fetched: one job at a time, and none that the disk has no room for."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geneformer_rules import ena, ending
from geneformer_rules.accessions import Accession
from geneformer_rules.downloading import PassingError
from geneformer_rules.run_directory import LOCK, check_room, locked
from geneformer_rules.sra import Downloads, fetch_run

from .ena_server import QUICK, Server, reads


def leave(monkeypatch: pytest.MonkeyPatch, free: Iterable[int]) -> None:
    """Let the disk have so many bytes left, each time that it is asked."""
    answers = iter(free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(answers)))


def test_nothing_is_downloaded_that_the_disk_has_no_room_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again may help, so it is no result; the next job finds an empty place."""
    server.add("SRR000001", _=reads("SRR000001", 1))
    size = len(server.files["/SRR000001.fastq.gz"])
    leave(monkeypatch, [size - 1] * 3)
    reported = rf"needs {size:,} bytes, and the disk has {size - 1:,} left; .*'sra.directory'.*\(tried 3 times\)"
    with pytest.raises(PassingError, match=reported):
        fetch_run("SRR000001", "a", "none", Downloads(tmp_path / "d", server.reports, QUICK), tmp_path / "a.json")
    assert server.asked == ["/filereport"]
    assert list(tmp_path.rglob("*")) == [tmp_path / "d"]


def test_a_download_waits_for_room(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add("SRR000001", _=reads("SRR000001", 1))
    leave(monkeypatch, [0, 0, 10**6])
    fetched = ena.fetch(Accession("SRR000001"), tmp_path, server.reports, QUICK)
    assert [path.name for path in fetched.files] == ["SRR000001.fastq.gz"]


def test_what_others_still_need_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is what is there already needed, nor what a job that has ended did not get."""
    for name, held in (("own", 100), ("at_work", 300), ("ended", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "reads.part").write_bytes(bytes(held))
        (tmp_path / name / LOCK).write_text("1000\n")
    with locked(tmp_path / "own") as own, locked(tmp_path / "at_work"):
        leave(monkeypatch, [1600, 1599])
        check_room(own, 1000)
        with pytest.raises(PassingError, match="needs 900 bytes, those at work need 700 more, and the disk has 1,599"):
            check_room(own, 1000)


def test_a_run_is_fetched_by_one_job_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "run"),
        pytest.raises(PassingError, match="another job is at work there"),
        locked(tmp_path / "run"),
    ):
        pass
    assert not (tmp_path / "run").exists()


def test_what_is_left_of_samples_that_are_done_is_removed(tmp_path: Path) -> None:
    """A run that was killed just after it had published them did not come to it."""
    for sample in ("one", "two"):
        for place in ("parts", "downloads"):
            (tmp_path / place / sample).mkdir(parents=True)
            (tmp_path / place / sample / "file").touch()
    (tmp_path / "downloads" / "two" / "file").unlink()
    planner: Any = SimpleNamespace(
        sheets=SimpleNamespace(done=frozenset({"one", "gone"})),
        samples={"one": None, "two": None},
        work_on=lambda sample: [tmp_path / place / sample for place in ("parts", "blocks", "downloads")],
    )
    ending.remove_leftovers(planner)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["downloads", "file", "parts", "two", "two"]
    planner.sheets.done = frozenset({"two"})
    ending.remove_leftovers(planner)
    assert not list(tmp_path.iterdir())
