"""Publishing archives and deleting samples' files: what is reported if something is not kept or not deleted."""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.archive.models import Execution
from geneformer_codec.errors import OutputError
from geneformer_rules import publishing
from geneformer_rules.archiving import Archiving
from geneformer_rules.publishing import MismatchError, delete_sources
from geneformer_rules.records import describe_files

TEXTS = {"r_1.fq": b"@r/1\nACGT\n+\nIIII\n", "r_2.fq": b"@r/2\nGGGTA\n+\nIIIII\n"}


def make_unpublished(directory: Path, files: list[Path]) -> Path:
    """Archive files as the sample ``r``; return the directory of its archive and report."""
    made = directory / "unpublished"
    made.mkdir(exist_ok=True)
    record = describe_files([*map(str, files)], "none")
    facts = api.compress(files[0], made / "r.gfz", mate=files[1] if len(files) == 2 else None).as_dict()
    publishing.write_report(facts, files, made / "r.gfz", record)
    return made


class Sample:
    """A published pair, or the first of its files alone, in a directory of its own."""

    def __init__(self, directory: Path, *, pair: bool = True) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.data.mkdir()
        self.files = [self.data / name for name in list(TEXTS)[: 2 if pair else 1]]
        for file in self.files:
            file.write_bytes(TEXTS[file.name])
        self.archive, self.report, self.record = (directory / name for name in ("r.gfz", "r.json", "deleted.json"))
        made = make_unpublished(directory, self.files)
        publishing.publish(made, self.files, None, self.archive, self.report)

    def link(self, file: Path, make: Callable[[Path, Path], None]) -> Path:
        """Move a file elsewhere, and put another name of it in its place."""
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        moved = file.rename(elsewhere / file.name)
        make(moved, file)
        return moved

    def delete(self) -> dict[str, Any]:
        """Delete the files; return the record."""
        delete_sources(self.files, self.archive, self.report, self.record)
        record: dict[str, Any] = json.loads(self.record.read_text())
        return record


@pytest.fixture
def pair(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


SIZES = [len(text) for text in TEXTS.values()]


def test_files_are_deleted_and_their_bytes_counted(pair: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    record = pair.delete()
    assert not list(pair.data.iterdir())
    assert (record["source_bytes"], record["links"]) == (sum(SIZES), {})
    assert f"deleted {pair.files[1]} ({SIZES[1]} bytes)\n" in capsys.readouterr().err


@pytest.mark.parametrize("linked", [[0], [1], [0, 1]], ids=["first", "mate", "both"])
def test_of_a_link_the_target_stays(pair: Sample, linked: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    targets = {pair.files[n]: pair.link(pair.files[n], lambda moved, link: link.symlink_to(moved)) for n in linked}
    record = pair.delete()
    assert not list(pair.data.iterdir())
    printed = capsys.readouterr().err
    for path, target in targets.items():
        assert target.read_bytes() == TEXTS[path.name]
        assert (
            f"deleted the link {path}; its target {target} is kept ({target.stat().st_size} bytes not freed)" in printed
        )
    assert record["links"] == {str(path): str(target) for path, target in targets.items()}
    assert record["source_bytes"] == sum(size for n, size in enumerate(SIZES) if n not in linked)


def test_a_link_to_a_link(pair: Sample) -> None:
    """The record has the file that both lead to."""
    target = pair.link(pair.files[0], lambda moved, link: link.symlink_to("second"))
    (pair.data / "second").symlink_to(os.path.relpath(target, pair.data))
    assert pair.delete()["links"] == {str(pair.files[0]): str(target)}
    assert (pair.data / "second").is_symlink()


def test_a_link_whose_target_is_missing(pair: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    target = pair.link(pair.files[0], lambda moved, link: link.symlink_to(moved))
    target.unlink()
    record = pair.delete()
    assert (record["source_bytes"], record["links"]) == (SIZES[1], {str(pair.files[0]): str(target)})
    assert f"its target {target} is missing" in capsys.readouterr().err
    assert not list(pair.data.iterdir())


def test_a_file_with_other_hard_links_frees_nothing(pair: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    other = pair.link(pair.files[0], lambda moved, link: link.hardlink_to(moved))
    record = pair.delete()
    assert (record["source_bytes"], record["links"]) == (SIZES[1], {})
    assert f"{pair.files[0]}, which has other hard links ({SIZES[0]} bytes not freed)" in capsys.readouterr().err
    assert other.read_bytes() == TEXTS["r_1.fq"]


def test_a_directory_that_is_a_link_holds_the_file_itself(pair: Sample) -> None:
    (pair.directory / "linked").symlink_to("data")
    pair.files = [pair.directory / "linked" / file.name for file in pair.files]
    assert pair.delete()["source_bytes"] == sum(SIZES)
    assert not list(pair.data.iterdir())


def test_two_samples_with_links_to_one_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, two = (Sample(tmp_path / name, pair=False) for name in ("a", "b"))
    target = one.link(one.files[0], lambda moved, link: link.symlink_to(moved))
    two.files[0].unlink()
    two.files[0].symlink_to(target)
    assert [sample.delete()["source_bytes"] for sample in (one, two)] == [0, 0]
    assert target.exists()


@pytest.mark.parametrize("number", [0, 1], ids=["first", "mate"])
@pytest.mark.parametrize("change", ["replaced", "rewritten", "linked elsewhere"])
def test_what_was_replaced_after_it_was_compared_is_kept(
    change: str, number: int, pair: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the pair is deleted."""
    check, changed = publishing.check_text, pair.files[number]
    if change == "linked elsewhere":
        pair.link(changed, lambda moved, link: link.symlink_to(moved))
    new = pair.directory / "new"
    new.write_bytes(b"new")

    def check_and_change(source: Path, *others: Any) -> None:
        check(source, *others)
        if source == changed:
            if change == "rewritten":
                source.write_bytes(b"new")
            elif change == "replaced":
                new.rename(source)
            else:
                source.unlink()
                source.symlink_to(new)

    monkeypatch.setattr(publishing, "check_text", check_and_change)
    with pytest.raises(MismatchError, match=f"{changed}: was changed or replaced"):
        pair.delete()
    assert changed.read_bytes() == b"new"
    assert all(file.exists() for file in pair.files)
    assert not pair.record.exists()


@pytest.mark.parametrize("number", [0, 1], ids=["first", "mate"])
def test_a_file_that_differs_is_kept_with_its_mate(pair: Sample, number: int) -> None:
    pair.files[number].write_bytes(b"@new\nA\n+\nI\n")
    with pytest.raises(MismatchError, match=f"{pair.files[number]}: the file is not what the archive holds"):
        pair.delete()
    assert all(file.exists() for file in pair.files)


def test_a_directory_that_cannot_be_written_to(pair: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != pair.data)
    with pytest.raises(OutputError, match=f"{pair.files[0]}: deleting it failed: its directory is not writable"):
        pair.delete()
    assert all(file.exists() for file in pair.files)


def test_half_of_a_pair_deleted_is_resumed(pair: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refuse(path: Path) -> None:
        if path == pair.files[1]:
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(
            OutputError, match=r"r_2.fq: deleting it failed: Operation not permitted. Correct that and run"
        ):
            pair.delete()
    assert [file.exists() for file in pair.files] == [False, True]
    assert not pair.record.exists()
    record = pair.delete()
    assert record["source_bytes"] is None, "what the first run has freed is not known any more"
    assert not list(pair.data.iterdir())


def test_notices_are_in_the_logs_and_the_report(
    pair: Sample, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of batches and of publications."""
    notices = ["the files hold 2 and 1 reads", "a \x1b[31m name"]
    compress = api.compress
    monkeypatch.setattr(api, "compress", lambda *of, **how: replace(compress(*of, **how), notices=notices))
    expected = ["note: r: the files hold 2 and 1 reads", r"note: r: a \x1b[31m name"]

    def printed() -> list[str]:
        return [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines() if "note:" in line]

    archiving = Archiving("none", "fast", part_bases=2000, execution=Execution(1, "cpu"))
    assert archiving.archive([("r", [*map(str, pair.files)])], pair.directory / "batch") == []
    assert printed() == expected
    publishing.publish(pair.directory / "batch", pair.files, None, pair.archive, pair.report)
    assert printed() == expected
    assert json.loads(pair.report.read_text())["notices"] == notices


@pytest.mark.parametrize("disk", ["same", "another"])
def test_an_archive_is_published_again(pair: Sample, disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it cannot be linked; a source that was only touched is compared; nothing else is left."""
    if disk == "another":
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError(18, "Invalid cross-device")))
    (pair.directory / ".r.gfz.0a1b2c3d.tmp").touch()  # as a job leaves it that was killed
    os.utime(pair.files[0])
    before = pair.archive.stat().st_mtime_ns
    for _ in range(2):
        publishing.publish(pair.directory / "unpublished", pair.files, None, pair.archive, pair.report)
    assert pair.archive.stat().st_mtime_ns > before
    api.verify(pair.archive)
    assert {path.name for path in pair.directory.iterdir()} == {"data", "unpublished", "r.gfz", "r.json"}


def test_a_source_that_changed_is_not_published(pair: Sample) -> None:
    pair.archive.unlink()
    pair.files[1].write_bytes(TEXTS["r_1.fq"])
    with pytest.raises(MismatchError, match="changed since it was read"):
        publishing.publish(pair.directory / "unpublished", pair.files, None, pair.archive, pair.report)
    assert not pair.archive.exists()


def test_a_source_stays_if_the_archive_is_another_one(pair: Sample) -> None:
    with pair.archive.open("ab") as archive:
        archive.write(b"x")
    with pytest.raises(MismatchError, match="this is not the archive that was verified"):
        pair.delete()
    assert all(file.exists() for file in pair.files)


def test_a_source_with_bytes_that_the_archive_does_not_keep_stays(tmp_path: Path) -> None:
    source = tmp_path / "x.fa.gz"
    source.write_bytes(gzip.compress(b">r\nACGT\n") + b"not kept")
    publishing.publish(make_unpublished(tmp_path, [source]), [source], None, tmp_path / "r.gfz", tmp_path / "r.json")
    with pytest.raises(publishing.MismatchError, match=r"x\.fa\.gz: has 8 bytes after its compressed data"):
        delete_sources([source], tmp_path / "r.gfz", tmp_path / "r.json", tmp_path / "deleted.json")
    assert source.exists()


def test_a_source_in_another_order_than_the_archive_stays(tmp_path: Path) -> None:
    source, report = tmp_path / "r.fq", tmp_path / "r.json"
    source.write_bytes(b"@r\nA\n+\nF\n")
    publishing.publish(make_unpublished(tmp_path, [source]), [source], None, tmp_path / "r.gfz", report)
    facts = json.loads(report.read_text()) | {"reordering": {"reads": 1, "before": 2, "after": 1}}
    report.write_text(json.dumps(facts))
    with pytest.raises(publishing.MismatchError, match=r"r\.fq: has its reads in another order than the archive"):
        delete_sources([source], tmp_path / "r.gfz", report, tmp_path / "deleted.json")
    assert source.exists()
