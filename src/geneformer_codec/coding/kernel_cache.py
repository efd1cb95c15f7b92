"""Compiled kernels on the disk: one folder per user, one file per kernel; one process compiles at a time.

The folder is ``geneformer-kernels`` in ``NUMBA_CACHE_DIR`` where that is set, else ``kernels`` in the cache directory
(`caches.cache_directory`). A file is the 8 bytes ``gfkernl1``, the SHA-256 of the rest, and a pickle of what numba
made, or PTX for a GPU (`kept`). Its name has a digest of everything that it depends on: sources, types of the
arguments, versions, the CPU. It is machine code, so anyone who writes it can run code: nothing is read that a user
other than root could have written, and no archive or model holds such a file. An unusable cache is skipped with a log
message, and the kernel is compiled.
"""

import contextlib
import errno
import hashlib
import logging
import os
import pickle
import platform
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import compiler, runtime, serialize
from numba.core.caching import _Cache
from numba.core.compiler_lock import global_compiler_lock

from geneformer_codec.caches import CACHE, acquire, distrusted, held, kernel_directory, own

_LOG = logging.getLogger("geneformer_codec")
_MAGIC = b"gfkernl1"
_HEADER_BYTES = 40
_MOST_BYTES = 128 << 20
"""Of files in the folder: those that were not used for longest go first. One version's take about 10 MB."""
_DAY = 86400.0
_PATIENCE = 300.0
"""Seconds that another process's compiling of one kernel is waited for."""
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EISDIR, errno.ELOOP}
KNOWN_NUMBA = (0, 62) <= tuple(map(int, numba.__version__.split(".")[:2])) < (0, 69)
"""Whether numba's internals are as they are in these versions. Then parts have no machine code of their own
(`jit.LEAN`), and a kernel from the disk needs numba's runtime, but not the definitions that compiling takes, which
take half a second to load. With other versions kernels are the same, and all this takes longer."""
_VERSIONS = (numba.__version__, llvmlite.__version__, np.__version__, platform.python_implementation())
_Base: Any = _Cache
_result: Any = compiler.CompileResult
_dumps: Any = serialize.dumps
_runtime: Any = runtime


class KernelCache(_Base):  # type: ignore[misc]
    """What numba asks for compiled forms of a kernel, and gives them to.

    ``name`` is the kernel's, ``made_of`` gives the digest of its sources; ``announced`` is logged when it is compiled.
    """

    def __init__(self, name: str, made_of: Callable[[], str], announced: str = "") -> None:
        self._name, self._made_of, self._announced = name, made_of, announced

    @property
    def cache_path(self) -> str:
        """The folder, for numba's statistics; empty where there is none."""
        try:
            return str(kernel_directory())
        except OSError:
            return ""

    def enable(self) -> None:
        """Nothing to do."""

    def disable(self) -> None:
        """Nothing to do."""

    def flush(self) -> None:
        """Nothing to do: a file is never stale, as its name has a digest of its sources."""

    def file_name(self, sig: Any, codegen: Any) -> str:
        """The name of the file for arguments of the types ``sig``."""
        made_of = (self._made_of(), [str(kind) for kind in sig], _VERSIONS, platform.python_version_tuple()[:2])
        digest = hashlib.sha256(repr((made_of, codegen.magic_tuple())).encode()).hexdigest()
        return f"{self._name}-{digest[:32]}.kernel"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled form; None if there is none, and then no other process compiles before `turn` is over."""
        if KNOWN_NUMBA:
            _runtime.rtsys.initialize(target_context)
        else:
            target_context.refresh()
        try:
            place = own(kernel_directory())
            path = place / self.file_name(sig, target_context.codegen())
            found = _read(path, target_context)
            if found is None:
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                if _TURN.take(place / "lock"):
                    found = _read(path, target_context)  # the process that had the lock before may have written it
        except OSError as error:
            _unusable(error)
            found = None
        if found is None:
            target_context.refresh()
            if self._announced:
                _say(self._announced)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled form."""
        try:
            place = own(kernel_directory())
            _write(place / self.file_name(sig, data.codegen), _dumps(data._reduce()))
            _bound(place)
        except OSError as error:
            _unusable(error)


def kept(name: str, make: Callable[[], bytes], announced: str) -> bytes:
    """Code in another form than numba's, that ``make`` gives; ``name`` must depend on all that it is made of."""
    with turn():
        path = None
        try:
            place = own(kernel_directory())
            path = place / f"{name}.kernel"
            if (found := _content(path)) is not None:
                return found
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _TURN.take(place / "lock") and (found := _content(path)) is not None:
                return found
        except OSError as error:
            _unusable(error)
            path = None
        _say(announced)
        made = make()
        if path is not None:
            try:
                _write(path, made)
                _bound(path.parent)
            except OSError as error:
                _unusable(error)
        return made


class _Turn:
    """The lock of the process that compiles, while it does."""

    def __init__(self) -> None:
        self._depth = 0
        self._patience = _PATIENCE
        self._locks = contextlib.ExitStack()
        self._taken = False

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Kernels compile others, so turns nest; at the end of the outermost the lock is given back."""
        with global_compiler_lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._taken = False
                    self._locks.close()

    def take(self, path: Path) -> bool:
        """Lock the file unless it is held; whether it is now. ``OSError`` where it cannot be made."""
        if self._taken or not self._depth:
            return False
        try:
            lock = acquire(path, self._patience, lambda: _say("waiting for another process that compiles"))
        except TimeoutError:
            self._patience = 0.0  # who has waited once for nothing does not do so again
            line = f"{path}: another process holds this lock for too long, so this one compiles too; is it stopped?"
            _say(line, "lock", logging.WARNING)
            return True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            line = (
                f"{path}: cannot be locked ({error.strerror}), so processes that start at once all compile; "
                f"remove it, or set {CACHE} to a directory on another file system"
            )
            _say(line, "lock", logging.WARNING)
            return False
        self._locks.enter_context(held(lock))
        self._taken = True
        return True


_TURN = _Turn()
turn = _TURN.__call__


def _read(path: Path, target_context: Any) -> Any:
    """What numba made; None and ``OSError`` as `_content`."""
    content = _content(path)
    if content is None:
        return None
    try:
        return _result._rebuild(target_context, *pickle.loads(content))
    except Exception:  # whole, and yet of no use: what was pickled may have moved
        _refused(path, "it is damaged")
        return None


def _content(path: Path) -> bytes | None:
    """What is in a file; None if there is none, or it is not to be used. ``OSError`` where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            _refused(path, "it is a link")
            return None
        raise
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if why := distrusted(status) or ("" if stat.S_ISREG(status.st_mode) else "it is no file"):
            _refused(path, why)
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read()
        if time.time() - status.st_mtime > _DAY:
            with contextlib.suppress(OSError):  # root's, and only to be read
                os.utime(descriptor)
    content = data[_HEADER_BYTES:]
    if data[:_HEADER_BYTES] != _MAGIC + hashlib.sha256(content).digest():
        _refused(path, "it is damaged")
        return None
    return content


def _refused(path: Path, why: str) -> None:
    _say(f"{path}: {why}, so this kernel is compiled again and the file replaced", "refused", logging.WARNING)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(content).digest())
            file.write(content)
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def _bound(place: Path) -> None:
    """Remove what was not used for longest where there is too much, and what killed processes left half-written."""
    files = []
    for path in place.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if path.name.endswith(".kernel"):
                files.append((status.st_mtime, status.st_size, path))
            elif path.name.endswith(".tmp") and time.time() - status.st_mtime > _DAY:
                path.unlink()
    excess = sum(size for _, size, _ in files) - _MOST_BYTES
    for _, size, path in sorted(files):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size


def _unusable(error: OSError) -> None:
    _say(
        f"compiled kernels are not kept ({error.filename or 'cache'}: {error.strerror or error}), so every process "
        f"compiles them again; set {CACHE} to a directory of your own that can be written",
        "not kept",
        logging.WARNING,
    )


_SAID: set[str] = set()


def _say(line: str, kind: str = "", level: int = logging.INFO) -> None:
    """Log one line of a kind in a process."""
    if (kind or line) not in _SAID:
        _SAID.add(kind or line)
        _LOG.log(level, "%s", line)
