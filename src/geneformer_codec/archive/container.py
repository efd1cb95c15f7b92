"""The file around the blocks: a ZIP of one fixed form.

The writer produces this form only, and the reader accepts no other: entries follow each other without gaps
from the first byte, nothing is encrypted, nothing but the last entry, the manifest, is compressed, names are unique,
and the comment of the ZIP holds the SHA-256 of the manifest as it is stored. ``docs/format/container.md`` lists every
field.
"""

import contextlib
import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from geneformer_codec.errors import FormatError, OutputError
from geneformer_codec.files import input_error

MIMETYPE_NAME = "mimetype"
MIMETYPE = b"application/vnd.geneformer-rules.gfz+zip"
MANIFEST_NAME = "manifest.json"
COMMENT_PREFIX = b"gfz manifest sha256 "

MAX_ENTRIES = 1 << 20
MAX_ENTRY_BYTES = (1 << 31) - (1 << 27)  # below this no entry needs the ZIP64 form of a local header

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s4B4H3I5H2I")
_ZIP64_END = struct.Struct("<4sQ2H2I4Q")
_ZIP64_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
_VERSION, _ZIP64_VERSION = 20, 45
_ZIP64_ABOVE, _MOST_16, _MOST_32 = (1 << 31) - 1, 0xFFFF, 0xFFFFFFFF
_DATE = (1980, 1, 1, 0, 0, 0)
_TIME_AND_DATE = 0, 0x21
_ATTRIBUTES = (stat.S_IFREG | 0o644) << 16
_UNIX = 3
_LEVEL = 9
"""Of zlib, for the manifest."""
_NAME = re.compile(r"[a-z]+(/[0-9a-f]+)?(\.[a-z]+)?")

# What zipfile raises on bytes that are not a sound ZIP.
_DAMAGE = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, struct.error, ValueError, OverflowError, EOFError, zlib.error
)  # fmt: skip

AGAIN = "copy or download it again, or restore it from a backup"
"""What to do about a damaged archive."""


class ContainerWriter(contextlib.AbstractContextManager["ContainerWriter"]):
    """Writes entries one after another; ``finish`` adds the manifest and the directory.

    Use it in a ``with``: when that ends without ``finish`` the file is left as it is, not an archive.
    """

    def __init__(self, out: BinaryIO):
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True)
        try:
            self.add(MIMETYPE_NAME, MIMETYPE)
        except BaseException:
            self.__exit__()
            raise

    def add(self, name: str, data: bytes) -> None:
        """Add one entry."""
        if len(data) > MAX_ENTRY_BYTES:
            raise OutputError(f"{name} would have {len(data):,} bytes, an entry has at most {MAX_ENTRY_BYTES:,}")
        self._add(name, data, zipfile.ZIP_STORED)

    def _add(self, name: str, data: bytes, method: int) -> None:
        entry = zipfile.ZipInfo(name, _DATE)
        entry.create_system, entry.external_attr = _UNIX, _ATTRIBUTES
        self._zip.writestr(entry, data, method, _LEVEL)

    def finish(self, manifest: bytes) -> None:
        """Add the manifest, and complete the file."""
        self._add(MANIFEST_NAME, manifest, zipfile.ZIP_DEFLATED)
        deflate = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
        self._zip.comment = _comment(deflate.compress(manifest) + deflate.flush())
        self._zip.close()

    def __exit__(self, *_: object) -> None:
        self._zip.fp = None  # or else zipfile would write a directory when it is garbage-collected


class ContainerReader:
    """Reads the entries of an archive, having checked that the file has the one shape that the writer gives it.

    Everything wrong with the file is a ``FormatError`` that names it as ``label``. The header before an entry is looked
    at when the entry is read, so that opening an archive reads its two ends alone.
    """

    def __init__(self, file: BinaryIO, label: str, again: str = AGAIN):
        self._file, self.label, self._again = file, label, again
        with self._explaining():
            self.file_bytes = file.seek(0, os.SEEK_END)
            self._check_kind()
            self._zip = zipfile.ZipFile(file)
            self._entries = {entry.filename: entry for entry in self._zip.infolist()}
            self._check_shape()

    def names(self) -> list[str]:
        """The names of the entries between ``mimetype`` and the manifest, in the order of the file."""
        return list(self._entries)[1:-1]

    def size(self, name: str) -> int:
        """The number of bytes of an entry, as it is stored."""
        return self._entry(name).compress_size

    def read(self, name: str) -> bytes:
        """The bytes of an entry, checked against its CRC-32."""
        entry = self._entry(name)
        header = _local_header(entry)
        data = self._read_at(entry.header_offset, len(header) + entry.compress_size)
        if not data.startswith(header):
            self._misshapen(f"the two headers of entry {name!r} differ")
        content = data[len(header) :]
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            content = self._inflated(content, entry.file_size)
        if zlib.crc32(content) != entry.CRC:
            raise FormatError(f"{self.label}: entry {name!r} does not match its CRC-32; it is damaged, {self._again}")
        return content

    def _inflated(self, data: bytes, size: int) -> bytes:
        """The ``size`` bytes that ``data`` expand to."""
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        with self._explaining():
            content = inflate.decompress(data, size + 1)
        if len(content) != size or not inflate.eof or inflate.unused_data:
            self._misshapen("an entry expands to another size than it states")
        return content

    def place(self, name: str) -> int:
        """Where in the file the bytes of an entry begin."""
        entry = self._entry(name)
        return entry.header_offset + len(_local_header(entry))

    def span(self, name: str) -> tuple[int, int]:
        """Where in the file an entry begins, with its header, and where it ends: what `read` reads."""
        return self._entry(name).header_offset, self.place(name) + self.size(name)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop`` of an entry, as they are: nothing is checked."""
        if not 0 <= start <= stop <= self.size(name):
            raise ValueError(f"bytes {start} to {stop} of {self.size(name)}")
        return self._read_at(self.place(name) + start, stop - start)

    def manifest(self, max_bytes: int) -> bytes:
        """The bytes of the manifest, checked against the SHA-256 in the comment."""
        if (size := self._entry(MANIFEST_NAME).file_size) > max_bytes:
            raise FormatError(f"{self.label}: a manifest of {size:,} bytes; no archive needs that")
        data = self.read(MANIFEST_NAME)
        if self._zip.comment != _comment(self.read_range(MANIFEST_NAME, 0, self.size(MANIFEST_NAME))):
            raise FormatError(f"{self.label}: the manifest does not match its SHA-256; it is damaged, {self._again}")
        return data

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise FormatError(f"{self.label}: the archive has no entry {name!r}; it is damaged, {self._again}")
        return self._entries[name]

    def _read_at(self, place: int, size: int) -> bytes:
        with self._explaining():
            self._file.seek(place)
            data = self._file.read(size)
            if len(data) != size:
                raise EOFError("it ends too early")
        return data

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """Have what can go wrong with a file name it."""
        try:
            yield
        except OSError as error:
            if error.errno is None:
                raise self._damaged(error) from error
            raise input_error(self.label, error) from error
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FormatError:
        return FormatError(f"{self.label}: the archive is truncated or damaged ({error}); {self._again}")

    def _check_kind(self) -> None:
        """Check the first bytes, so that the message can distinguish damage from a foreign file."""
        self._file.seek(0)
        check_head(self._file.read(HEAD_BYTES), self.label, self._again)

    def _check_shape(self) -> None:
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES or len(self._entries) != len(entries):
            self._misshapen("it has too many entries, or two of one name")
        if len(entries) < 2 or entries[0].filename != MIMETYPE_NAME or entries[-1].filename != MANIFEST_NAME:
            self._misshapen(f"{MIMETYPE_NAME} is not the first entry, or {MANIFEST_NAME} not the last")
        place = 0
        for entry in entries:
            deflated = entry is entries[-1]
            method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            sizes = max(entry.file_size, entry.compress_size) <= MAX_ENTRY_BYTES
            sizes &= deflated or entry.file_size == entry.compress_size
            named = entry.compress_type == method and _NAME.fullmatch(entry.filename)
            if not sizes or entry.header_offset != place or not named:
                self._misshapen(f"entry {entry.filename!r} is not as gfz writes it")
            place += len(_local_header(entry)) + entry.compress_size
        self.read(MIMETYPE_NAME)
        directory = _directory(entries, place, self._zip.comment)
        self._file.seek(place)
        if self._zip.start_dir != place or self._file.read(len(directory) + 1) != directory:
            self._misshapen("its directory is not as gfz writes it")

    def _misshapen(self, what: str) -> None:
        raise FormatError(
            f"{self.label}: the archive is damaged or was rewritten by another tool ({what}); {self._again}"
        )


def _comment(deflated: bytes) -> bytes:
    """The comment of an archive with this manifest."""
    return COMMENT_PREFIX + hashlib.sha256(deflated).hexdigest().encode()


HEAD_BYTES = _LOCAL.size + len(MIMETYPE_NAME) + len(MIMETYPE)
"""As much of a file as is needed to recognise an archive."""


def check_head(head: bytes, label: str, again: str = AGAIN) -> None:
    """``FormatError`` unless ``head``, the first `HEAD_BYTES` of a file, are those of an archive."""
    if head[_LOCAL.size :] == MIMETYPE_NAME.encode() + MIMETYPE:
        return
    if not head:
        raise FormatError(f"{label}: the file is empty, not a .gfz archive")
    if head[:4] == b"PK\x03\x04" and len(head) == HEAD_BYTES and MIMETYPE[:24] in head:
        raise FormatError(f"{label}: the start of the archive is damaged; {again}")
    kind = "a ZIP file, but not" if head[:2] == b"PK" else "not"
    raise FormatError(f"{label}: this is {kind} a .gfz archive; give a file made by 'gfz compress'")


def _local_header(entry: zipfile.ZipInfo) -> bytes:
    """The header before the bytes of an entry."""
    name = entry.filename.encode()
    sizes = entry.compress_size, entry.file_size
    numbers = (_VERSION, 0, entry.compress_type, *_TIME_AND_DATE, entry.CRC, *sizes, len(name), 0)
    return _LOCAL.pack(b"PK\x03\x04", *numbers) + name


def _directory(entries: Sequence[zipfile.ZipInfo], start: int, comment: bytes) -> bytes:
    """All that follows the last entry, at ``start``: a header for each entry, and the end records."""
    records = []
    for entry in entries:
        far = entry.header_offset > _ZIP64_ABOVE
        extra = struct.pack("<2HQ", 1, 8, entry.header_offset) if far else b""
        version = _ZIP64_VERSION if far else _VERSION
        name = entry.filename.encode()
        numbers = (
            version, _UNIX, version, 0, 0, entry.compress_type, *_TIME_AND_DATE, entry.CRC, entry.compress_size,
            entry.file_size, len(name), len(extra), 0, 0, 0, _ATTRIBUTES, _MOST_32 if far else entry.header_offset,
        )  # fmt: skip
        records.append(_CENTRAL.pack(b"PK\x01\x02", *numbers) + name + extra)
    headers, count = b"".join(records), len(entries)
    end = b""
    if count > _MOST_16 or start > _ZIP64_ABOVE or len(headers) > _ZIP64_ABOVE:
        versions = _ZIP64_VERSION, _ZIP64_VERSION
        end = _ZIP64_END.pack(b"PK\x06\x06", 44, *versions, 0, 0, count, count, len(headers), start)
        end += _ZIP64_LOCATOR.pack(b"PK\x06\x07", 0, start + len(headers), 1)
    few = min(count, _MOST_16)
    end += _END.pack(b"PK\x05\x06", 0, 0, few, few, min(len(headers), _MOST_32), min(start, _MOST_32), len(comment))
    return headers + end + comment
