"""Unpack a panel once per machine: the jobs after the first read it from a cache.

A cache file is ``panels/DIGEST.gfpanel``: the 8 bytes ``gfpanel1``, then records and bases, then the length of each
record, all little-endian 64-bit integers, then the packed bases. From byte 24 on it is what the digest is taken of, so
a damaged file is found, and made again. Of jobs that start at once one decodes, and the others wait for it.
"""

import functools
import logging
from pathlib import Path

import numpy as np

from geneformer_codec.caches import CACHE, acquire, cache_directory, held
from geneformer_codec.errors import FormatError, OutputError
from geneformer_codec.files import atomic_output
from geneformer_codec.model.panel import (
    Decode,
    EmbeddedPanel,
    Panel,
    PanelSource,
    check_lengths,
    load,
    pack_bases,
    panel_digest,
    starts_of,
    unpack_bases,
)

_LOG = logging.getLogger("geneformer_codec")
_MAGIC = b"gfpanel1"
_HEADER_BYTES = 24
_PATIENCE = 600.0
_PATIENT_BASES = 50_000
"""How long another job's decoding is waited for: seconds, and a second more for so many bases."""


def unpacked(source: PanelSource, decode: Decode, cache: Path | None = None) -> Panel:
    """The panel of ``source``, from the cache (``cache``, else `cache_directory`) or as `load` gives it, then cached.

    Where the cache cannot be used, a warning is logged once and the panel is decoded without it. Raises what
    `load` raises.
    """
    try:
        path = (cache_directory() if cache is None else cache) / "panels" / f"{source.digest}.gfpanel"
        panel = _read(path, source)
        if panel is not None:
            return panel
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = acquire(path.with_suffix(".lock"), _PATIENCE + source.bases / _PATIENT_BASES)
    except OSError as error:
        _warn(f"{error.filename or 'cache'}: {error.strerror or error}")
        return load(source, decode)
    with held(lock):
        panel = _read(path, source)  # the process that had the lock before may have written it
        if panel is None:
            panel = load(source, decode)
            _write(path, panel)
        return panel


def _read(path: Path, source: PanelSource) -> Panel | None:
    """The panel in a cache file, None when there is none or it is not the very panel of ``source``."""
    size = _HEADER_BYTES + 8 * source.records + (source.bases + 3) // 4
    try:
        if path.stat().st_size != size:
            return None
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    if len(data) != size or data[:_HEADER_BYTES].tobytes() != _header(source.records, source.bases):
        return None
    lengths = data[_HEADER_BYTES : _HEADER_BYTES + 8 * source.records].view("<i8").astype(np.int64)
    packed = data[_HEADER_BYTES + 8 * source.records :]
    if panel_digest(lengths, packed) != source.digest:
        return None
    try:
        check_lengths(lengths, source.bases)
        if isinstance(source, EmbeddedPanel) and not np.array_equal(lengths, source.lengths):
            return None  # the model is damaged: to load it says so
        return Panel(unpack_bases(packed, source.bases), starts_of(lengths))
    except FormatError:
        return None


def _write(path: Path, panel: Panel) -> None:
    """Cache the panel, or warn. The lock is held, so that what an earlier, killed job left may go."""
    try:
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)
        with atomic_output(path, force=True) as out:
            out.write(_header(len(panel.lengths), len(panel.bases)))
            out.write(panel.lengths.astype("<i8").tobytes())
            out.write(pack_bases(panel.bases).data)
    except (OSError, OutputError) as error:
        _warn(str(error))


def _header(records: int, bases: int) -> bytes:
    return _MAGIC + records.to_bytes(8, "little") + bases.to_bytes(8, "little")


@functools.cache
def _warn(reason: str) -> None:
    """Once for a reason in a process."""
    _LOG.warning(
        "the unpacked panel is not cached (%s), so every job decodes it again; set %s to a writable directory",
        reason,
        CACHE,
    )
