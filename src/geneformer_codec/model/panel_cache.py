"""Panels ready to be searched, built once per machine and shared by its jobs: files that every process maps.

A panel has a folder ``panels/DIGEST`` of files, each built when it is first needed: ``bases``; an index of its seeds,
``seeds-LENGTH-SAMPLING``; ``counts-ORDERS-BITS-STRANDS``. A file is `MAGIC`, a line of JSON (type and size of each
array, and a checksum), zeros up to `HEADER_BYTES`, and the arrays, each from a multiple of `ALIGNMENT` bytes on. It is
made under a lock, in a temporary file that takes its place when complete; of jobs that start at once one builds, and
the others wait. Bases are checked by the panel's digest before they are cached, and every file by its checksum when it
is opened: all of it, or, of one larger than `CHECKED_BYTES`, evenly spaced pages. What another user may have written
is not read. Panels of single archives are in ``self-panels`` instead. `cache_contents` bounds the size of all.
"""

import contextlib
import functools
import json
import logging
import mmap
import os
import stat
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.cache_contents import OF_ARCHIVES, PANELS, bound, size_limit
from geneformer_codec.caches import CACHE, acquire, cache_directory, distrusted, held, own
from geneformer_codec.model.panel import Decode, EmbeddedPanel, PanelSource, load
from geneformer_codec.predict.panel_tables import (
    COUNTS_PAD,
    PackedPanel,
    SeedIndex,
    count_places,
    count_seeds,
    fill_counts,
    fill_seeds,
    index_arrays,
)

Layout = Sequence[tuple[Any, int]]
Arrays = list[NDArray[Any]]
Prepare = Callable[[], tuple[Layout, Callable[[Arrays], None]]]
"""Gives types and sizes of arrays, and what fills them; they are 0 at first."""

MAGIC = b"gfpanel1"
HEADER_BYTES = 4096
ALIGNMENT = 64
CHECKED_BYTES = 1 << 28
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
_PAGES, _PAGE_BYTES = 4096, 4096
_KINDS = {np.dtype(kind).str: np.dtype(kind) for kind in (np.uint8, np.uint16, np.uint32, np.uint64, np.int64)}
"""Types of arrays, by name: numpy would read a damaged name as Python."""
_LOG = logging.getLogger("geneformer_codec")
_PATIENCE = 600.0
_PATIENT_BASES = 50_000
"""How long another job's work is waited for: seconds, and a second more for so many bases."""


@dataclass(frozen=True, eq=False)
class CachedPanel(PackedPanel):
    """A panel whose tables are in ``folder``."""

    folder: Path

    def seed_index(self, seed_length: int, sampling: int) -> SeedIndex:
        """As `PackedPanel.seed_index`."""

        def prepare() -> tuple[Layout, Callable[[Arrays], None]]:
            starts = count_seeds(self, seed_length, sampling)

            def fill(arrays: Arrays) -> None:
                fill_seeds(self, seed_length, sampling, starts, SeedIndex(*arrays))

            return [(kind, size) for size, kind in index_arrays(self, sampling, int(starts[-1]))], fill

        return SeedIndex(*_stored(self.folder / f"seeds-{seed_length}-{sampling}", prepare, self.length))

    def counts(self, orders: Sequence[int], table_bits: int, both_strands: bool) -> NDArray[np.uint16]:
        """As `PackedPanel.counts`."""
        if not orders:
            return super().counts(orders, table_bits, both_strands)
        name = f"counts-{'.'.join(map(str, orders))}-{table_bits}-{2 if both_strands else 1}"
        size = count_places(orders, table_bits)[-1] + COUNTS_PAD

        def fill(arrays: Arrays) -> None:
            fill_counts(self, orders, table_bits, both_strands, arrays[0])

        return _stored(self.folder / name, lambda: ([(np.uint16, size)], fill), self.length)[0]


def open_panel(source: PanelSource, decode: Decode, cache: Path | None = None, of_archive: bool = False) -> PackedPanel:
    """The panel of ``source``, from the cache (``cache``, else `cache_directory`), where `load` puts it first.

    Where the cache cannot be used, a warning is logged once and all is built in memory. Raises what `load` raises.
    A panel ``of_archive`` is that of a single archive.
    """

    def prepare() -> tuple[Layout, Callable[[Arrays], None]]:
        panel = load(source, decode)

        def fill(arrays: Arrays) -> None:
            arrays[0][:], arrays[1][:] = panel.starts, panel.words

        return [(np.int64, len(panel.starts)), (np.uint64, len(panel.words))], fill

    size_limit()  # reports an invalid value before the work
    try:
        root = cache_directory() if cache is None else cache
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = own(root / (OF_ARCHIVES if of_archive else PANELS))
        place.mkdir(mode=0o700, exist_ok=True)
        folder = own(place / source.digest)
        folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(PermissionError):  # root's, and only to be read
            os.utime(folder)  # when it was used last
    except OSError as error:
        _warn(f"{error.filename or 'cache'}: {error.strerror or error}")
        return load(source, decode).packed
    starts, words = _stored(folder / "bases", prepare, source.bases)
    if isinstance(source, EmbeddedPanel) and not np.array_equal(np.diff(starts), source.lengths):
        return load(source, decode).packed  # the model is damaged: raises the error
    return CachedPanel(words, source.bases, starts[starts < source.bases], folder)


def _stored(path: Path, prepare: Prepare, bases: int) -> Arrays:
    """The arrays of file ``path``, which is built if need be; in memory if it cannot be, with a warning."""
    arrays = _open(path)
    if arrays is not None:
        return arrays
    place = path.with_name(f".{path.name}.lock")
    try:
        lock = acquire(place, _PATIENCE + bases / _PATIENT_BASES)
    except OSError as error:
        _warn(f"{error.filename or path}: {error.strerror or error}")
        return _in_memory(*prepare())
    with held(lock, place):
        arrays = _open(path)  # the process that had the lock before may have built it
        if arrays is not None:
            return arrays
        layout, fill = prepare()
        try:
            _publish(path, layout, fill)
        except OSError as error:
            _warn(f"{path}: {error.strerror or error}")
            return _in_memory(layout, fill)
    bound(path.parent)
    return _open(path) or _in_memory(layout, fill)


def _in_memory(layout: Layout, fill: Callable[[Arrays], None]) -> Arrays:
    arrays = [np.zeros(size, kind) for kind, size in layout]
    fill(arrays)
    return arrays


def _publish(path: Path, layout: Layout, fill: Callable[[Arrays], None]) -> None:
    """Write the file; the lock is held, so that what an earlier, killed job left may go."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        size = _places(layout)[-1]
        os.posix_fallocate(descriptor, 0, size)  # a full disk is an error here, not a signal later
        with mmap.mmap(descriptor, size) as mapped:
            arrays = _views(mapped, layout)
            fill(arrays)
            check = _checksum(layout, mapped)
            mapped[:HEADER_BYTES] = _header(layout, check)
            arrays.clear()
            mapped.flush()
        part.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    finally:
        os.close(descriptor)


def _open(path: Path) -> Arrays | None:
    """The arrays of a file, None when there is none, it is damaged, or another user may have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe must not stop the job
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or distrusted(status):
            return None
        size = status.st_size
        head = os.pread(descriptor, HEADER_BYTES, 0)
        stated = json.loads(head[len(MAGIC) :].rstrip(b"\0")) if head.startswith(MAGIC) else {}
        layout = [(_KINDS[kind], count) for kind, count in stated["arrays"]]
        if size != _places(layout)[-1] or head != _header(layout, stated["check"]):
            return None
        # private, as compiled code has one type for arrays that it writes and those it reads: pages stay shared
        mapped = mmap.mmap(descriptor, size, mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    finally:
        os.close(descriptor)
    if _checksum(layout, mapped) != stated["check"]:
        return None
    return _views(mapped, layout)


def _places(layout: Layout) -> list[int]:
    """Where each array begins in the file, and where the file ends."""
    places, end = [], HEADER_BYTES
    for kind, size in layout:
        places.append(end)
        end += -(-size * np.dtype(kind).itemsize // ALIGNMENT) * ALIGNMENT
    return [*places, end]


def _views(mapped: mmap.mmap, layout: Layout) -> Arrays:
    places = _places(layout)
    return [np.frombuffer(mapped, kind, size, place) for (kind, size), place in zip(layout, places, strict=False)]


def _header(layout: Layout, check: int) -> bytes:
    return (MAGIC + json.dumps({"arrays": _stated(layout), "check": check}).encode()).ljust(HEADER_BYTES, b"\0")


def _stated(layout: Layout) -> list[list[Any]]:
    return [[np.dtype(kind).str, size] for kind, size in layout]


def _checksum(layout: Layout, mapped: mmap.mmap) -> int:
    """CRC-32 of the JSON of the layout, and of all that follows the header or of evenly spaced pages of it."""
    content = np.frombuffer(mapped, np.uint8, offset=HEADER_BYTES)
    check = zlib.crc32(json.dumps(_stated(layout)).encode())
    if len(content) <= CHECKED_BYTES:
        return zlib.crc32(content.data, check)
    for page in range(_PAGES):
        start = page * (len(content) - _PAGE_BYTES) // (_PAGES - 1)
        check = zlib.crc32(content[start : start + _PAGE_BYTES].data, check)
    return check


@functools.cache
def _warn(reason: str) -> None:
    """Once for a reason in a process."""
    _LOG.warning(
        "the panel's tables are not cached (%s), so every job builds them again; set %s to a writable directory "
        "with room",
        reason,
        CACHE,
    )
