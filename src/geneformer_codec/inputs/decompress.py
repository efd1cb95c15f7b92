"""Open a source for reading, decompressed by its content, not its name."""

from __future__ import annotations

import io
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from geneformer_codec.errors import InputError
from geneformer_codec.files import input_error, standard_input

_HEAD_BYTES = 10
BUFFER_BYTES = 1 << 20
_COMPRESSED_BYTES = 1 << 17
"""How much of a compressed source is read at a time."""
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # first block, or the end of an empty stream
_NAMES = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "Zstandard"}
_MAGIC = {
    "gz": (b"\x1f\x8b",),
    "bz2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
    "zst": (b"\x28\xb5\x2f\xfd", *(bytes((first,)) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))),
}
"""What each member (stream, frame) of a compressed file begins with."""
_LOG = logging.getLogger("geneformer_codec")


def open_input(
    path: str | Path | BinaryIO, *, as_is: bool = False, on_trailing: Callable[[int], None] | None = None
) -> io.BufferedReader:
    """Open ``path`` (``-``: standard input, or a stream) for reading bytes.

    gzip, bzip2, xz and Zstandard are detected from the content, and decompressed unless it is to be read ``as_is``.
    Works on pipes. Whatever goes wrong, now or while reading, truncated or corrupt compression included, is an
    InputError that names the source.

    As with gzip, zero bytes after the compressed data are padding, and other bytes that begin no further member are
    ignored: ``on_trailing`` is called with their number; without it a warning is logged.
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
            # read1 (read where nothing is buffered) gives what there is
            read = getattr(source, "read1", source.read)
            pieces = itertools.chain((head,), iter(lambda: read(BUFFER_BYTES), b""))
            source = io.BufferedReader(Pieces(pieces), BUFFER_BYTES)
    except OSError as error:
        raise input_error(name, error) from error
    # Standard input is not ours to close, nor is a stream.
    owned = opened if given and opened is not getattr(sys.stdin, "buffer", None) else None
    compression = None if as_is else detect_compression(head)
    return io.BufferedReader(_Checked(source, compression, name, owned, on_trailing), BUFFER_BYTES)


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
    return standard_input()


def _read_head(source: BinaryIO) -> bytes:
    """The first bytes, with as many reads as a slow pipe needs."""
    head = b""
    while len(head) < _HEAD_BYTES and (more := source.read(_HEAD_BYTES - len(head))):
        head += more
    return head


class Pieces(io.RawIOBase):
    """Bytes that come in pieces, as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._held = pieces, memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there is room for, fewer at the end, so that a buffered reader can peek that far."""
        filled = 0
        while filled < len(buffer):
            if not self._held:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._held = memoryview(piece)
            count = min(len(buffer) - filled, len(self._held))
            buffer[filled : filled + count] = self._held[:count]
            self._held, filled = self._held[count:], filled + count
        return filled


class _Member(Protocol):
    """Decompresses one member; the interface of ``bz2.BZ2Decompressor``, ``lzma.LZMADecompressor`` and others."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether more can be had without more input."""

    @property
    def unused_data(self) -> bytes:
        """What was given after the end of the member."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so many bytes."""


class _GzipMember:
    """One member of a gzip file, by ISA-L where there is one: several times as fast as zlib."""

    def __init__(self) -> None:
        try:
            from isal import isal_zlib as zlib
        except ImportError:  # not made for this machine
            import zlib  # type: ignore[no-redef]
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._inner.decompress(self._inner.unconsumed_tail or data, max_length))


def _member_of(compression: str) -> _Member:
    """What decompresses the next member."""
    if compression == "gz":
        return _GzipMember()
    if compression == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    if compression == "xz":
        import lzma

        return lzma.LZMADecompressor(lzma.FORMAT_XZ)
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    longest = zstd.DecompressionParameter.window_log_max.bounds()[1]
    return cast(_Member, zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: longest}))


def _decompressed(source: BinaryIO, compression: str, on_trailing: Callable[[int], None]) -> Iterator[bytes]:
    """The content of all members in pieces, and at the end how many bytes that belong to none follow the last one.

    Written here since the readers of bz2, lzma and xopen take a later member that is damaged for trailing bytes, and
    then give a shorter text without an error.
    """
    magic, held, padding, begun = _MAGIC[compression], b"", 0, False
    while True:
        while True:
            size = len(held)
            held = held.lstrip(b"\0") if begun else held
            padding += size - len(held)
            if len(held) >= _HEAD_BYTES or not (more := source.read(_COMPRESSED_BYTES)):
                break
            held += more
        if begun and not held:
            return
        if begun and not any(held.startswith(one) or one.startswith(held) for one in magic):
            trailing = padding + len(held)
            while more := source.read(_COMPRESSED_BYTES):
                trailing += len(more)
            return on_trailing(trailing)
        member, begun, padding = _member_of(compression), True, 0
        while not member.eof:
            if member.needs_input and not held and not (held := source.read(_COMPRESSED_BYTES)):
                raise EOFError
            given, held = (held, b"") if member.needs_input else (b"", held)
            if piece := member.decompress(given, BUFFER_BYTES):
                yield piece
        held = member.unused_data + held


class _Checked(io.RawIOBase):
    """Decompresses a source and turns every error into an InputError."""

    def __init__(
        self,
        source: BinaryIO,
        compression: str | None,
        name: str,
        owned: BinaryIO | None,
        on_trailing: Callable[[int], None] | None,
    ) -> None:
        super().__init__()
        self._owned, self._name = owned, name
        self._kind = _NAMES.get(compression or "", "")
        self._error: InputError | None = None
        self._text: Any = source
        if compression is not None:
            self._text = Pieces(_decompressed(source, compression, on_trailing or self._warn))

    def _warn(self, trailing: int) -> None:
        _LOG.warning("%s: %s after the end of the %s data are ignored", self._name, f"{trailing:,} bytes", self._kind)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._error is not None:
            # A caller that tries again after an error must not take it for the end.
            raise self._error
        try:
            return cast(int, self._text.readinto(buffer)) or 0
        # The libraries raise OSError, EOFError and errors of their own on damaged data.
        except Exception as error:
            self._error = self._explain(error)
            raise self._error from error

    def _explain(self, error: Exception) -> InputError:
        if isinstance(error, OSError) and (error.errno is not None or not self._kind):
            return input_error(self._name, error)
        how = "is truncated" if isinstance(error, EOFError) else f"is corrupt ({error})"
        return InputError(f"{self._name}: the {self._kind} compression {how}; get or make the file again")

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._owned is not None:
                self._owned.close()
