"""Outputs appear whole or not at all."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from geneformer_codec import files
from geneformer_codec.errors import OutputError
from geneformer_codec.files import atomic_directory, atomic_output


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_writes_and_leaves_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with atomic_output(out) as file:
        file.write(b"hello")
        assert not out.exists()
    assert out.read_bytes() == b"hello"
    assert names(tmp_path) == ["out"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "out") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_failure_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    with pytest.raises(error), atomic_output(out, force=True) as file:  # noqa: PT012
        file.write(b"new" * 100_000)
        raise error
    assert out.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_does_not_overwrite_unless_forced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"exists already.*force=True"), atomic_output(out):
        raise AssertionError("not reached")
    with atomic_output(out, force=True) as file:
        file.write(b"new")
    assert out.read_bytes() == b"new"


def test_does_not_overwrite_what_came_meanwhile(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="exists already"), atomic_output(out) as file:  # noqa: PT012
        file.write(b"ours")
        out.write_bytes(b"theirs")
    assert out.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]


def test_replaces_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("target")
    with atomic_output(link, force=True) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_missing_directory_and_directory(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its directory does not exist"), atomic_output(tmp_path / "no" / "out"):
        pass
    with pytest.raises(OutputError, match="it is a directory"), atomic_output(tmp_path):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="part of the path is a file"), atomic_output(tmp_path / "file" / "out"):
        pass


def test_long_names(tmp_path: Path) -> None:
    out = tmp_path / ("ä" * 127)
    with atomic_output(out) as file:
        file.write(b"x")
    assert out.read_bytes() == b"x"
    with pytest.raises(OutputError, match="too long"), atomic_output(tmp_path / ("a" * 300)):
        pass


def test_devices_are_written_through() -> None:
    with atomic_output("/dev/null") as file:
        file.write(b"gone")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OutputError, match="the disk is full"), atomic_output("/dev/full") as file:
        file.write(b"x" * 100_000)


def test_full_disk(tiny_disk: Path) -> None:
    out = tiny_disk / "out"
    out.write_bytes(b"old")
    with pytest.raises(OutputError, match="disk is full"), atomic_output(out, force=True) as file:  # noqa: PT012
        for _ in range(100):
            file.write(b"x" * 1000)
    assert out.read_bytes() == b"old"
    assert names(tiny_disk) == ["out"]


def test_full_disk_met_when_the_file_is_closed(tiny_disk: Path) -> None:
    (tiny_disk / "filler").write_bytes(b"x" * 60 * 1024)
    with pytest.raises(OutputError, match="the disk is full"), atomic_output(tiny_disk / "out") as file:
        file.write(b"x" * 7000)  # fits into the buffer, so that the disk is asked at the end
    assert names(tiny_disk) == ["filler"]


def test_read_only_disk(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(OutputError, match="read-only"), atomic_output(tiny_disk / "out"):
        pass


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EACCES, "no permission"), (errno.EIO, "disk")],
)
def test_failures_that_root_does_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OutputError, match=message), atomic_output(tmp_path / "out") as file:
        file.write(b"x")
    assert names(tmp_path) == []


def test_directory_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "parts"
    (tmp_path / "parts.tmp").mkdir()
    (tmp_path / "parts.tmp" / "stale").touch()
    with atomic_directory(out) as directory:
        (directory / "a").touch()
        assert not out.exists()
    assert names(out) == ["a"]
    with pytest.raises(OutputError, match="not empty"), atomic_directory(out):
        pass
    with pytest.raises(ValueError, match="no"), atomic_directory(out, force=True) as directory:  # noqa: PT012
        (directory / "b").touch()
        raise ValueError("no")
    assert names(out) == ["a"]
    with atomic_directory(out, force=True) as directory:
        (directory / "b").touch()
    assert names(out) == ["b"]
    assert names(tmp_path) == ["parts"]


def test_directory_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "parts").touch()
    with pytest.raises(OutputError, match="there is a file"), atomic_directory(tmp_path / "parts", force=True):
        pass
