"""Archives and models that come through pipes, and paths that are no files."""

import io
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.archive.fai import index_text
from geneformer_codec.cli import summaries as listing
from geneformer_codec.errors import FormatError, InputError, OutputError
from geneformer_codec.reader import open

from .conftest import Write, ZlibModel, make_fasta

Pipe = Callable[[bytes], Path]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    """Makes a named pipe that something is written into once."""
    threads = []

    def make(data: bytes) -> Path:
        path = tmp_path / f"pipe{len(threads)}"
        os.mkfifo(path)

        def fill() -> None:
            try:
                with path.open("wb") as out:
                    out.write(data)
            except BrokenPipeError:
                pass  # what is no archive is not read to its end

        threads.append(threading.Thread(target=fill, daemon=True))
        threads[-1].start()
        return path

    yield make
    for thread in threads:
        thread.join(1800)
        assert not thread.is_alive()


TEXT = make_fasta(6, 900)


def _merged(path: Path) -> Any:
    out = io.BytesIO()
    api.merge([path], out)
    return out.getvalue()


def _text(path: Path) -> bytes:
    out = io.BytesIO()
    api.decompress(path, out)
    return out.getvalue()


def _cat(path: Path) -> bytes:
    out = io.BytesIO()
    api.cat(path, out)
    return out.getvalue()


def _stretch(path: Path) -> str:
    with open(path) as archive:
        return archive["seq3"][20:90]


def _faidx(path: Path) -> list[bytes]:
    with api.Archive(path) as archive:
        return [entry.line() for entry in index_text(archive)]


READERS: list[Callable[[Path], Any]] = [
    _text, _cat, _stretch, _faidx, _merged, api.info, api.verify, api.read_index,
    lambda path: listing.stats(path) | {"archive": ""},
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
def test_an_archive_through_a_pipe(tmp_path: Path, write: Write, pipe: Pipe, read: Callable[[Path], Any]) -> None:
    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz")
    assert read(pipe((tmp_path / "a.gfz").read_bytes())) == read(tmp_path / "a.gfz")


def test_two_pipes_are_merged(tmp_path: Path, write: Write, pipe: Pipe) -> None:
    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz")
    data = (tmp_path / "a.gfz").read_bytes()
    api.merge([pipe(data), pipe(data)], tmp_path / "b.gfz")
    assert _text(tmp_path / "b.gfz") == 2 * TEXT


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda data: b"", "the file is empty, not a .gfz archive"),
        (lambda data: TEXT, "this is not a .gfz archive"),
        (lambda data: data[:300], "truncated or damaged .*; if it came through a pipe, see whether the command before"),
        (lambda data: data[:-1], "damaged .*; if it came through a pipe"),
        (lambda data: data[:10] + b"x" + data[11:], "damaged .*; if it came through a pipe"),
    ],
)
def test_a_pipe_that_gives_no_archive(
    tmp_path: Path, write: Write, pipe: Pipe, cut: Callable[[bytes], bytes], message: str
) -> None:
    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz")
    path = pipe(cut((tmp_path / "a.gfz").read_bytes()))
    with pytest.raises(FormatError, match=rf"{path}: .*{message}"):
        api.info(path)


def test_what_is_no_archive_is_not_copied(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    with pytest.raises(FormatError, match=r"this is not a \.gfz archive"):
        api.info(pipe(bytes(1 << 20)))


def test_a_full_temporary_disk(tmp_path: Path, write: Write, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz")
    path = pipe((tmp_path / "a.gfz").read_bytes())
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("r+b", 0))  # noqa: SIM115
    with pytest.raises(OutputError, match=rf"temporary of {path} in .*TMPDIR.*the disk is full"):
        api.info(path)


def test_without_a_temporary_directory(
    tmp_path: Path, write: Write, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise FileNotFoundError("no usable temporary directory")

    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz")
    path = pipe((tmp_path / "a.gfz").read_bytes())
    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(OutputError, match=r"no temporary directory .*; set TMPDIR"):
        api.info(path)


def test_devices_are_no_archives() -> None:
    for path in ("/dev/null", "/dev/zero"):
        with pytest.raises(FormatError, match=rf"{path}: .*not a .gfz archive"):
            api.info(path)


def test_a_closed_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        api.info("-")


def test_a_model_through_a_pipe(tmp_path: Path, write: Write, pipe: Pipe, model: ZlibModel) -> None:
    """It is read once, and serves for as many archives as there are."""
    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz", model=model)
    path, out = pipe(model.data), io.BytesIO()
    for _ in range(2):
        api.cat(tmp_path / "a.gfz", out, model=path)
    assert out.getvalue() == 2 * TEXT


def test_process_substitution(tmp_path: Path, write: Write) -> None:
    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz")
    gfz = f"{sys.executable} -m geneformer_codec"
    script = f"{gfz} cat <(cat a.gfz) && {gfz} fetch <(cat a.gfz) seq3:21-90 -n 0 && cat a.gfz | {gfz} ls /dev/stdin"
    out = subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True).stdout
    assert out.startswith(TEXT + b">seq3:21-90\n" + _stretch(tmp_path / "a.gfz").encode() + b"\nseq0\t")
