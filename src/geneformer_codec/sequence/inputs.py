"""Open a source for reading, decompressed, whatever its name says."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

from geneformer_codec.errors import InputError

_HEAD_BYTES = 10
_BUFFER_BYTES = 1 << 20
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # first block, or the end of an empty stream
_NAMES = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "Zstandard"}


def open_input(path: str | Path | BinaryIO) -> BinaryIO:
    """Open ``path`` (``-``: standard input, or a stream) for reading bytes.

    gzip, bzip2, xz and Zstandard are told by content. Works on pipes. Whatever goes wrong, now or while reading,
    truncated or corrupt compression included, is an InputError that names the source.
    """
    given = isinstance(path, str | Path)
    name = str(path) if given else str(getattr(path, "name", "the stream"))
    name = "standard input" if name == "-" else name
    try:
        source = opened = _open_source(path)
        head = _read_head(source)
        if source.seekable():
            source.seek(-len(head), os.SEEK_CUR)
        else:
            source = io.BufferedReader(_Joined(head, source), _BUFFER_BYTES)
    except OSError as error:
        raise _unreadable(name, error) from error
    # Standard input is not ours to close, nor is a stream.
    owned = opened if given and opened is not getattr(sys.stdin, "buffer", None) else None
    return cast(BinaryIO, io.BufferedReader(_Checked(source, detect_compression(head), name, owned), _BUFFER_BYTES))


def peek(stream: BinaryIO, count: int) -> tuple[bytes, BinaryIO]:
    """The first ``count`` bytes of a stream, fewer if it is shorter, and a stream that begins with them again."""
    pieces, left = [], count
    while left and (piece := stream.read(left)):
        pieces.append(piece)
        left -= len(piece)
    head = b"".join(pieces)
    return head, cast(BinaryIO, io.BufferedReader(_Joined(head, stream), _BUFFER_BYTES))


def detect_compression(head: bytes) -> str | None:
    """``gz``, ``bz2``, ``xz``, ``zst`` or None, from the first 10 bytes of a file (fewer if it is shorter)."""
    if head[:2] == b"\x1f\x8b" and head[2:3] in (b"", b"\x08"):
        return "gz"
    if head[:3] == b"BZh" and b"1" <= head[3:4] <= b"9" and any(magic.startswith(head[4:]) for magic in _BZIP2_BLOCKS):
        return "bz2"
    if head[:6] == b"\xfd7zXZ\0":
        return "xz"
    # A Zstandard file may begin with a skippable frame, as those of parallel compressors do.
    if head[:4] == b"\x28\xb5\x2f\xfd" or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        return "zst"
    return None


def _open_source(path: str | Path | BinaryIO) -> BinaryIO:
    if not isinstance(path, str | Path):
        return path
    if str(path) != "-":
        return Path(path).open("rb")
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.buffer


def _read_head(source: BinaryIO) -> bytes:
    """The first bytes, with as many reads as a slow pipe needs."""
    head = b""
    while len(head) < _HEAD_BYTES and (more := source.read(_HEAD_BYTES - len(head))):
        head += more
    return head


def _unreadable(name: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{name}: is a directory; name the sequence files in it")
    if isinstance(error, PermissionError):
        return InputError(f"{name}: no permission to read it; change its mode or ask its owner")
    return InputError(f"{name}: cannot be read: {error.strerror or error}; check the disk or copy the file again")


class _Joined(io.RawIOBase):
    """Bytes already read from a pipe, then the rest of it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # read1 (read where nothing is buffered) gives what there is: a slow pipe is not waited for longer than needed.
        read = getattr(self._rest, "read1", self._rest.read)
        data = self._head or read(len(buffer))
        self._head = data[len(buffer) :] if self._head else b""
        data = data[: len(buffer)]
        buffer[: len(data)] = data
        return len(data)


class _Checked(io.RawIOBase):
    """Decompresses a source and turns every error into an InputError."""

    def __init__(self, source: BinaryIO, compression: str | None, name: str, owned: BinaryIO | None) -> None:
        super().__init__()
        self._owned = owned
        self._source = source
        self._compression = compression
        self._name = name
        self._text = source if compression is None else self._decompressed()
        self._error: InputError | None = None

    def _decompressed(self) -> BinaryIO:
        from xopen import xopen

        return xopen(self._source, "rb", threads=0, format=self._compression)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._error is not None:
            # A caller that tries again after an error must not take it for the end.
            raise self._error
        try:
            return cast(Any, self._text).readinto(buffer) or 0
        # The libraries raise OSError, EOFError and errors of their own on damaged data.
        except Exception as error:
            self._error = self._explain(error)
            raise self._error from error

    def _explain(self, error: Exception) -> InputError:
        if self._compression is None and isinstance(error, OSError):
            return _unreadable(self._name, error)
        kind = _NAMES.get(self._compression or "", "")
        how = "is truncated" if isinstance(error, EOFError) else f"is corrupt ({error})"
        return InputError(f"{self._name}: the {kind} compression {how}; get or make the file again")

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._text is not self._source:
                self._text.close()
            if self._owned is not None:
                self._owned.close()
