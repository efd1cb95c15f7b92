"""Outputs that appear complete or not at all: written beside their place, synced, then renamed into it.

A job that dies leaves the old file as it was. After a signal that can be caught even the temporary is gone; after
``SIGKILL`` or a power cut a hidden ``.NAME.XXXXXXXX.tmp`` may remain, which nothing reads and anyone may delete.
"""

import contextlib
import errno
import fcntl
import io
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from geneformer_codec.errors import GfzError, InputError, OutputError, UsageError, option

STREAM = "-"
"""The path that means standard input or standard output."""

COPY_BYTES = 1 << 20
"""How much is copied at a time."""

WRITTEN: list[str] = []
"""The outputs that this process has written, for the message when it is terminated."""

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or write to another disk",
    errno.EDQUOT: "your disk quota is used up; free some space or write to another disk",
    errno.EFBIG: "the file would be larger than this system or its limits (ulimit -f) allow; raise them",
    errno.EACCES: "no permission to write there; choose another directory or ask for write access",
    errno.EPERM: "no permission to write there; choose another directory or ask for write access",
    errno.EROFS: "the file system is read-only; choose another directory",
    errno.ENOENT: "its directory does not exist; create it first",
    errno.ENOTDIR: "part of the path is a file, not a directory; check the path",
    errno.ENAMETOOLONG: "the file name is too long; choose a shorter one",
    errno.EIO: "the disk reported an input/output error; the output is not to be trusted, check the disk",
    errno.EBADF: "it is closed; give a file, or send it to /dev/null",
}


def output_error(path: str | Path, error: OSError) -> OutputError:
    """The error for users of an ``OSError`` while writing ``path``."""
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {path}: {advice}")


_READ_ADVICE = {
    errno.ENOENT: "no such file; check the path",
    errno.EISDIR: "is a directory; give the name of a file in it",
    errno.EACCES: "no permission to read it; change its mode or ask its owner",
    errno.EPERM: "no permission to read it; change its mode or ask its owner",
    errno.ENOTDIR: "part of the path is a file, not a directory; check the path",
    errno.ENAMETOOLONG: "the file name is too long; check the path",
    errno.ELOOP: "its symbolic links lead in a circle; repair them",
    errno.ENXIO: "is a socket or an unreadable device; give a file",
    errno.EIO: "the disk reported an input/output error; check the disk, or copy the file again",
    errno.ESTALE: "the file server has lost it; mount the directory again",
}


def os_error(error: OSError) -> GfzError:
    """The error for users of an ``OSError`` at an unknown place; mostly standard output."""
    if error.filename is None:
        return output_error("standard output", error)
    writing = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
    return (output_error if writing else input_error)(error.filename, error)


def input_error(path: str | Path, error: OSError, what: str = "") -> InputError:
    """The error for users of an ``OSError`` while reading ``path``; ``what`` it is, to be added."""
    advice = _READ_ADVICE.get(error.errno or 0, f"reading failed: {error.strerror or error}")
    if error.errno == errno.ENOENT and Path(path).is_symlink():
        advice = f"is a symbolic link to {Path(path).readlink()}, which does not exist; repair the link"
    return InputError(f"{path}: {advice}{f' ({what})' if what else ''}")


def open_readable(path: Path) -> BinaryIO:
    """Open a file for reading; ``InputError`` if that fails."""
    try:
        return path.open("rb")
    except OSError as error:
        raise input_error(path, error) from error


def spooled(stream: BinaryIO, head: bytes, label: str) -> BinaryIO:
    """What is left of a ``stream`` of which ``head`` was read, in a temporary file that can be sought in."""
    spool, place = temporary(label)
    try:
        data = head
        while data:
            with guarded(place):
                spool.write(data)
            data = read_stream(stream, COPY_BYTES, label)
        with guarded(place):
            spool.flush()
    except BaseException:
        _close_quietly(spool)
        raise
    return spool


def temporary(label: str) -> tuple[BinaryIO, str]:
    """A temporary file without a name, for the caller to close, and what to call it in errors."""
    try:
        directory = tempfile.gettempdir()
    except OSError as error:
        raise OutputError(
            f"there is no temporary directory for {label}; set TMPDIR to one that can be written"
        ) from error
    place = f"a temporary of {label} in {directory} (TMPDIR names another directory)"
    with guarded(place):
        return cast(BinaryIO, tempfile.TemporaryFile()), place


def read_stream(stream: BinaryIO, size: int, label: str) -> bytes:
    """``size`` bytes of a stream, fewer at its end only; ``InputError``, naming ``label``, when reading fails."""
    pieces, left = list[bytes](), size
    try:
        while left and (piece := stream.read(min(left, COPY_BYTES))):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise input_error(label, error) from error
    return b"".join(pieces)


@contextlib.contextmanager
def guarded(place: str | Path) -> Iterator[None]:
    """Turn an ``OSError`` of the calls inside into an ``OutputError`` that names the output."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error(place, error) from error


class _OutputRaw(io.FileIO):
    """An output file whose failures are ``OutputError`` and name the file the user asked for, not the temporary."""

    def __init__(self, descriptor: int, label: str):
        super().__init__(descriptor, "w+b")
        self._label = label

    def write(self, data: Any) -> int:
        with guarded(self._label):
            return super().write(data)


def _writer(descriptor: int, label: str) -> BinaryIO:
    return cast(BinaryIO, io.BufferedRandom(_OutputRaw(descriptor, label)))


@contextlib.contextmanager
def atomic_output(
    path: str | Path, force: bool = False, *, seekable: bool = False, binary: bool = False
) -> Iterator[BinaryIO]:
    """Open ``path`` for writing so that it appears, complete and synced, when the block ends without an error.

    ``-`` is standard output, and a path that is a pipe or device is written through. With ``seekable`` these receive
    the whole output at the end, from a temporary. With ``binary`` a terminal is refused. The file given to the block
    can be read back as well, if it can be sought in.

    >>> with atomic_output("greeting.txt") as out:  # doctest: +SKIP
    ...     out.write(b"hello\\n")
    """
    if str(path) == STREAM:
        if sys.stdout is None or fcntl.fcntl(sys.stdout.fileno(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise output_error("standard output", OSError(errno.EBADF, ""))
        if binary and sys.stdout.isatty():
            raise UsageError("not writing an archive to a terminal; name a file, or pipe the output somewhere")
        sys.stdout.flush()
        with _written_through(os.dup(sys.stdout.fileno()), "standard output", seekable) as out:
            yield out
        return
    target = Path(path)
    with guarded(path):
        kind = _kind(target)
        if kind == "special":
            descriptor = os.open(target, os.O_WRONLY)
    if kind == "special":
        with _written_through(descriptor, str(path), seekable) as out:
            yield out
        return
    if kind == "directory":
        raise OutputError(f"cannot write {path}: it is a directory; give the name of a file in it")
    if kind == "file":
        check_absent(target, force)
        target = Path(os.path.realpath(target))
    temporary = target.with_name(f".{os.fsdecode(os.fsencode(target.name)[:200])}.{secrets.token_hex(4)}.tmp")
    with guarded(path):
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        out = _writer(descriptor, str(path))
        try:
            yield out
            with guarded(path):
                out.flush()
                os.fsync(out.fileno())
        finally:
            _close_quietly(out)
        check_absent(target, force)
        WRITTEN.append(str(path))
        with guarded(path):
            temporary.replace(target)
            sync_directory(target.parent)
    except BaseException:
        if temporary.exists() and WRITTEN[-1:] == [str(path)]:
            WRITTEN.pop()
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_directory(path: Path, force: bool = False) -> Iterator[Path]:
    """Give a fresh ``PATH.tmp`` to fill; it becomes ``path`` when the block ends without an error.

    What an earlier, killed run left at ``PATH.tmp`` is removed. An existing ``path`` is refused unless it is empty or
    ``force`` is set, and stays in place until the new one is complete.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"cannot write directory {path}: there is a file of that name; choose another name")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise OutputError(
            f"cannot write directory {path}: it is not empty; remove it, or add {option('force', True)} to replace it"
        )
    temporary, old = path.with_name(path.name + ".tmp"), path.with_name(path.name + ".old")
    with guarded(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
    try:
        yield temporary
        with guarded(path):
            sync_directory(temporary)
            if path.is_dir():
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)
            temporary.rename(path)
            WRITTEN.append(str(path))
            sync_directory(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.is_dir() and not path.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_absent(path: str | Path, force: bool) -> None:
    """Refuse a ``path`` that exists unless ``force`` is set."""
    if not force and os.path.lexists(path):
        raise OutputError(
            f"cannot write {path}: it exists already; choose another name, or add {option('force', True)} to replace it"
        )


def standard_input() -> BinaryIO:
    """Standard input, as bytes; ``InputError`` where it is closed."""
    if sys.stdin is None:
        raise InputError("standard input is closed; give a file, or leave it open")
    return sys.stdin.buffer


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths lead to one existing file."""
    if STREAM in (str(first), str(second)):
        return False
    try:
        return Path(first).samefile(second)
    except OSError:
        return False


@contextlib.contextmanager
def _written_through(descriptor: int, label: str, seekable: bool) -> Iterator[BinaryIO]:
    """The open ``descriptor`` itself, or for ``seekable`` a temporary that is copied to it at the end."""
    out = cast(BinaryIO, io.BufferedWriter(_OutputRaw(descriptor, label)))
    with contextlib.ExitStack() as stack:
        stack.callback(_close_quietly, out)
        if seekable:
            with guarded(tempfile.gettempdir()):
                temporary = stack.enter_context(tempfile.TemporaryFile())
                name = f"the temporary of {label} in {tempfile.gettempdir()}"
                spool = _writer(os.dup(temporary.fileno()), name)
            stack.callback(_close_quietly, spool)
            yield spool
            spool.seek(0)
            shutil.copyfileobj(spool, out, COPY_BYTES)
        else:
            WRITTEN.append(f"{label}, in part")
            yield out
        out.flush()
        if not seekable:
            WRITTEN[-1] = label


def _close_quietly(out: IO[bytes]) -> None:
    with contextlib.suppress(OSError, OutputError):
        out.close()


def _kind(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink() or path.parent.is_dir():
            return "absent"
        raise
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "special"


def sync_directory(path: Path) -> None:
    """Make a rename in ``path`` last through a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
