"""Directories of caches, and the lock by which one process fills a cache while others wait."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CACHE = "GFZ_CACHE"
"""The environment variable with the cache directory."""

_POLL = 0.1
_NOTABLE = 1.0
"""Seconds of waiting that are worth a word."""


def cache_directory() -> Path:
    """``GFZ_CACHE``, else ``geneformer-rules`` in ``XDG_CACHE_HOME`` or ``~/.cache``; ``OSError`` without a home."""
    if own := os.environ.get(CACHE):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):  # noqa: PTH117 - the standard asks to ignore relative ones, and "" is none at all
        return Path(shared) / "geneformer-rules"
    try:
        return Path.home() / ".cache" / "geneformer-rules"
    except RuntimeError as error:
        raise FileNotFoundError(errno.ENOENT, "there is no home directory") from error


def kernel_directory() -> Path:
    """Where compiled kernels are kept; ``OSError`` where there is no home."""
    if own := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(own) / "geneformer-kernels"
    return cache_directory() / "kernels"


def own(place: Path) -> Path:
    """The folder; ``OSError`` if it, or the link to it, is someone else's, or others may write to it."""
    with contextlib.suppress(FileNotFoundError):
        if place.is_symlink() and place.lstat().st_uid not in (0, os.geteuid()):
            raise PermissionError(errno.EPERM, "it is a link of another user", str(place))
        if why := distrusted(place.stat()):
            raise PermissionError(errno.EPERM, why, str(place))
    return place


def distrusted(status: os.stat_result) -> str:
    """Why a file or folder is not to be trusted; empty if it is."""
    if status.st_uid not in (0, os.geteuid()):
        return "it belongs to another user"
    return "other users may write to it (chmod go-w)" if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


def acquire(path: Path, patience: float, say: Callable[[], None] | None = None) -> int:
    """Lock a file, which is made if need be: the descriptor, for `held`.

    Waits at most ``patience`` seconds, as a holder may be stopped (by preemption, say) and must not stop all others
    with it; calls ``say`` once when it has waited for a second. Raises ``OSError`` when there can be no lock, and
    ``TimeoutError`` when it is not free in time.
    """
    start = time.monotonic()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, path):
                    return descriptor
                os.close(descriptor)  # whoever held it has removed the file: there may be a new one, and its holder
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
                continue
            except BlockingIOError:
                waited = time.monotonic() - start
                if waited > patience:
                    raise TimeoutError(errno.ETIMEDOUT, "another job holds the lock for too long", str(path)) from None
                if say and waited > _NOTABLE:
                    say()
                    say = None
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from error
            time.sleep(_POLL)
    except BaseException:
        os.close(descriptor)
        raise


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def held(lock: int, path: Path | None = None) -> Iterator[None]:
    """Give the lock back at the end of the block, and remove its file if ``path`` says where it is."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path is not None and _is_at(lock, path):
                path.unlink()
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)  # closing alone would not do while a forked child has it open too
        os.close(lock)
