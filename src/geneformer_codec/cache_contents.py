"""The content of the cache, and its limit of size: least recently used entries are removed first.

Compiled kernels are one entry, each panel is one: a folder named by its digest, in ``panels`` or ``self-panels``, whose
time is that of its last use. Other files in these folders are neither listed nor removed; links are not followed.
"""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from geneformer_codec.caches import cache_directory, kernel_directory, own
from geneformer_codec.errors import UsageError
from geneformer_codec.limits import memory_size

SIZE = "GFZ_CACHE_SIZE"
"""The environment variable with the most bytes that panels may take, such as 50G."""
DEFAULT_BYTES = 20 << 30
OF_ARCHIVES_SHARE = 5
"""Of these, panels of single archives may take one part of so many."""

KERNELS, PANELS, OF_ARCHIVES = "kernels", "panels", "self-panels"
_FOLDER = re.compile(r"[0-9a-f]{64}")
_FILES = {
    KERNELS: re.compile(r"lock|\w.*\.kernel|\..*\.kernel\.[0-9a-f]{8}\.tmp"),
    PANELS: re.compile(r"\.?(?:bases|seeds-[0-9-]+|counts-[0-9.]+-[0-9]+-[12])(?:\.lock|\.[0-9]+\.tmp)?"),
}


@dataclass(frozen=True)
class Entry:
    """Compiled kernels, or a panel: where it is, how large, and when it was used last."""

    kind: str
    folder: Path
    bytes: int
    used: float


def size_limit() -> int:
    """The most bytes that all panels may take; ``UsageError`` if the variable holds no size."""
    text = os.environ.get(SIZE, "")
    try:
        return memory_size(text) if text else DEFAULT_BYTES
    except ValueError as error:
        raise UsageError(f"{SIZE}: {error}") from None


def entries(cache: Path | None = None) -> list[Entry]:
    """All of the cache (by default that of this user); ``OSError`` for folders that are not one's own."""
    found = [] if cache else [_entry(KERNELS, own(kernel_directory()))]
    for kind in (PANELS, OF_ARCHIVES):
        place = own((cache_directory() if cache is None else cache) / kind)
        with contextlib.suppress(FileNotFoundError):
            found += [_entry(kind, folder) for folder in place.iterdir() if _is_panel(folder)]
    return [entry for entry in found if entry is not None]


def _is_panel(folder: Path) -> bool:
    return _FOLDER.fullmatch(folder.name) is not None and folder.is_dir() and not folder.is_symlink()


def _entry(kind: str, folder: Path) -> Entry | None:
    """The folder with the files in it that belong there; None if there are none."""
    try:
        files = [path.lstat() for path in _files(kind, folder)]
        used = max((status.st_mtime for status in files), default=0) if kind == KERNELS else folder.stat().st_mtime
    except FileNotFoundError:  # another process removes it
        return None
    size = sum(status.st_size for status in files if stat.S_ISREG(status.st_mode))
    return Entry(kind, folder, size, used) if files or kind != KERNELS else None


def _files(kind: str, folder: Path) -> Iterator[Path]:
    known = _FILES[KERNELS if kind == KERNELS else PANELS]
    with contextlib.suppress(FileNotFoundError):
        yield from (path for path in folder.iterdir() if known.fullmatch(path.name))


def remove(entry: Entry) -> bool:
    """Remove an entry, unless a process is building it; who has it open keeps it. Whether it is gone."""
    files = list(_files(entry.kind, entry.folder))
    if any(_is_locked(path) for path in files if path.name.endswith("lock")):
        return False
    for path in files:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            path.unlink()
    with contextlib.suppress(OSError):
        entry.folder.rmdir()  # stays, if there is more in it
    return True


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def bound(folder: Path) -> None:
    """Remove what was not used for longest, but not ``folder``, a panel, where panels take more than they may."""
    with contextlib.suppress(OSError):  # another process may do the same
        most, panels = size_limit(), entries(folder.parent.parent)
        _bound((panel for panel in panels if panel.kind == OF_ARCHIVES), most // OF_ARCHIVES_SHARE, folder)
        _bound((panel for panel in panels if panel.folder.exists()), most, folder)


def _bound(panels: Iterable[Entry], most: int, kept: Path) -> None:
    for panel in sorted(panels, key=lambda panel: (panel.folder != kept, -panel.used)):
        most -= panel.bytes
        if most < 0 and panel.folder != kept:
            remove(panel)
