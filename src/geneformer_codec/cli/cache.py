"""The command ``gfz cache``: print the directory, size and content of the cache, or clear it."""

import time
from collections import Counter
from typing import Any

from geneformer_codec.cache_contents import KERNELS, SIZE, Entry, entries, remove, size_limit
from geneformer_codec.caches import CACHE, cache_directory
from geneformer_codec.errors import InputError

_DAY = 86400


def location() -> str:
    """Where the cache is."""
    try:
        return str(cache_directory())
    except OSError as error:
        raise InputError(f"{error.strerror}; set {CACHE} to a directory of your own") from error


def contents() -> list[Entry]:
    """What is in the cache, what was used last at first."""
    location()
    try:
        return sorted(entries(), key=lambda entry: -entry.used)
    except OSError as error:
        raise InputError(
            f"{error.filename}: {error.strerror}; set {CACHE} to a directory of your own, or repair this one"
        ) from error


def facts(entry: Entry) -> dict[str, Any]:
    """An entry, as data."""
    used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.used))
    return {"kind": entry.kind, "bytes": entry.bytes, "used": used, "path": str(entry.folder)}


def sizes() -> dict[str, Any]:
    """How large the cache is, by kinds, and how large its panels may become."""
    found = contents()
    kinds = Counter[str]()
    for entry in found:
        kinds[entry.kind] += entry.bytes
    return {"path": location(), "bytes": kinds.total(), **kinds, "panels_at_most": size_limit()}


def size_line(facts: dict[str, Any]) -> str:
    """The sizes for people."""
    kinds = {name: size for name, size in facts.items() if name not in ("path", "bytes", "panels_at_most")}
    parts = f" ({', '.join(f'{name} {size:,}' for name, size in kinds.items())})" if kinds else ""
    return f"{facts['path']}: {facts['bytes']:,} bytes{parts}; panels take {facts['panels_at_most']:,} at most ({SIZE})"


def clear(unused_for: float | None = None) -> str:
    """Remove all, or what was not used for so many days; gives a line on what was done."""
    old = [entry for entry in contents() if unused_for is None or time.time() - entry.used > unused_for * _DAY]
    busy = [entry for entry in old if not remove(entry)]
    gone = [entry for entry in old if entry not in busy]
    panels = sum(entry.kind != KERNELS for entry in gone)
    kernels = " and compiled kernels" if panels < len(gone) else ""
    left = f"; {len(busy)} stay, as a process is building them" if busy else ""
    return f"removed {panels:,} panels{kernels}, {sum(entry.bytes for entry in gone):,} bytes{left}"
