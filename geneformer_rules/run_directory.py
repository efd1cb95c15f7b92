"""The directory to which a run is downloaded: its lock, and whether the disk has room for what is missing.

It stays until the archive of the run is published: `places` counts such directories. A job that was killed is resumed
from its files.
"""

import contextlib
import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from geneformer_rules.downloading import PassingError

LOCK = ".lock"
"""The file that marks the directory of a run that was, or is being, fetched; it has the bytes the run will take."""

_LOOKS = 5
_PAUSE = 0.2


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """The directory of a run, which no other job may use meanwhile; removed if nothing has come into it."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("a") as lock:
        for _ in range(_LOOKS):  # another job may just be looking whether somebody is at work here
            if taken := _take(lock):
                break
            time.sleep(_PAUSE)
        if not taken:
            raise PassingError(f"{directory}: another job is at work there; wait for it, or end it")
        try:
            yield directory
        finally:
            if [path.name for path in directory.iterdir()] == [LOCK]:
                (directory / LOCK).unlink()
                with contextlib.suppress(OSError):
                    directory.rmdir()


def _take(lock: IO[str]) -> bool:
    """Lock a file unless somebody else has; on file systems without locks it always succeeds."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def check_room(directory: Path, size: int) -> None:
    """``PassingError`` unless the disk has room for the missing bytes of a run of ``size`` bytes.

    What is missing of other runs that are being fetched needs room as well.
    """
    if (directory / LOCK).is_file():  # where the jobs of other runs look
        (directory / LOCK).write_text(f"{size}\n")
    needed = _missing(directory, size)
    others = sum(_still_needed(other) for other in directory.parent.iterdir() if other != directory)
    free = shutil.disk_usage(directory).free
    if needed and needed + others > free:
        more = f", those at work need {others:,} more" if others else ""
        raise PassingError(
            f"{directory}: the run needs {needed:,} bytes{more}, and the disk has {free:,} left; make room there, "
            "choose another disk ('sra.directory'), or let it hold fewer runs at a time ('sra.max_downloads')"
        )


def _missing(directory: Path, size: int) -> int:
    """How many bytes of a run of this size are not there yet."""
    return max(0, size - sum(path.stat().st_size for path in directory.iterdir() if path.name != LOCK))


def _still_needed(directory: Path) -> int:
    """How many bytes are missing of the run in a directory, if a job is fetching it."""
    try:
        with (directory / LOCK).open() as lock:
            return 0 if _take(lock) else _missing(directory, int(lock.read() or 0))
    except (OSError, ValueError):  # it has just been published, or is no run
        return 0
