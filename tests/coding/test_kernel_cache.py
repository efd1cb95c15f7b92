"""Compiled kernels are kept on the disk, and no state of the disk keeps them from running."""

import contextlib
import errno
import functools
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from geneformer_codec import caches
from geneformer_codec.cli.progress import log_shown
from geneformer_codec.coding import kernel_cache
from geneformer_codec.coding.jit import kernels

from .tiny_kernel import LINE, PACKAGE, is_kept, the_file

NOBODY = 12345
ROOT = os.geteuid() == 0
Kernel = Callable[[int], int]
Log = Callable[[], list[str]]


# --- the folder ---------------------------------------------------------------------------------------------------


def test_is_compiled_once(cache: Path, log: Log) -> None:
    assert [is_kept(), is_kept(), is_kept()] == [False, True, True]
    assert log() == [LINE]
    assert (cache.stat().st_mode & 0o777, the_file(cache).stat().st_mode & 0o777) == (0o700, 0o600)
    assert {path.name for path in cache.iterdir()} == {the_file(cache).name, "lock"}


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({"GFZ_CACHE": "own"}, "own/kernels"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/geneformer-rules/kernels"),
        ({}, "home/.cache/geneformer-rules/kernels"),
        ({"NUMBA_CACHE_DIR": "numba", "GFZ_CACHE": "own"}, "numba/geneformer-kernels"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], where: str) -> None:
    for name in ("NUMBA_CACHE_DIR", "GFZ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "home"} | variables).items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert not is_kept()
    assert the_file(tmp_path / where).is_file()


def test_it_is_printed_unless_quiet(cache: Path, log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        with log_shown(quiet):
            assert not is_kept()
        assert capfd.readouterr().err == ("" if quiet else f"gfz: {LINE}\n")
        the_file(cache).unlink()
        log()


def test_what_was_not_used_for_long_goes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_kept()
    size = the_file(cache).stat().st_size
    names = ["old.kernel", "new.kernel", "half.tmp", "other", ".written.tmp"]
    for number, name in enumerate(names):
        (cache / name).write_bytes(bytes(size))
        if name != ".written.tmp":
            os.utime(cache / name, (number * 1000, number * 1000))
    monkeypatch.setattr(kernel_cache, "_MOST_BYTES", 2 * size + 1000)
    the_file_of_tiny = next(cache.glob("*tiny*.kernel"))
    the_file_of_tiny.unlink()
    assert not is_kept()
    assert {path.name for path in cache.iterdir()} == {
        the_file_of_tiny.name, "new.kernel", "other", ".written.tmp", "lock",
    }  # fmt: skip


def test_what_is_used_counts_as_new(cache: Path) -> None:
    is_kept()
    os.utime(the_file(cache), (1000, 1000))
    assert is_kept()
    assert the_file(cache).stat().st_mtime > 1000


# --- damage -------------------------------------------------------------------------------------------------------


def sealed(content: bytes) -> bytes:
    return b"gfkernl1" + hashlib.sha256(content).digest() + content


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: b"", id="empty"),
        pytest.param(lambda whole: whole[:8], id="truncated in the magic's end"),
        pytest.param(lambda whole: whole[:30], id="truncated in the digest"),
        pytest.param(lambda whole: whole[:40], id="truncated after the digest"),
        pytest.param(lambda whole: whole[:-1], id="truncated at the end"),
        pytest.param(lambda whole: whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], id="a bit"),
        pytest.param(lambda whole: whole + b"\0", id="more"),
        pytest.param(lambda whole: bytes(len(whole)), id="zeros"),
        pytest.param(lambda whole: os.urandom(len(whole)), id="garbage"),
        pytest.param(lambda whole: whole[40:], id="a bare pickle"),
        pytest.param(lambda whole: sealed(b"garbage"), id="no pickle"),
        pytest.param(lambda whole: sealed(b""), id="an empty pickle"),
        pytest.param(lambda whole: sealed(pickle.dumps((1, 2, 3))), id="another pickle"),
        pytest.param(lambda whole: sealed(b"cno_such_module\nname\n."), id="a pickle of what is no more"),
    ],
)
def test_a_damaged_file_is_replaced(cache: Path, log: Log, damage: Callable[[bytes], bytes]) -> None:
    is_kept()
    path = the_file(cache)
    path.write_bytes(damage(path.read_bytes()))
    log()
    assert not is_kept()
    damaged, compiles = log()
    assert damaged == f"{path}: it is damaged, so this kernel is compiled again and the file replaced"
    assert compiles == LINE
    assert is_kept()
    assert log() == []


def given_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if ROOT:
        os.chown(path, NOBODY, -1)
    else:
        monkeypatch.setattr(kernel_cache.os, "geteuid", lambda: NOBODY)


@pytest.mark.parametrize("kind", ["link", "link to nothing", "fifo", "open to all", "open to the group", "another's"])
def test_what_may_not_be_read_is_replaced(cache: Path, log: Log, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    is_kept()
    path = the_file(cache)
    other = path.with_name("other")
    shutil.copy(path, other)
    log()
    if kind == "another's":
        if not ROOT:
            pytest.skip("only root can give away a file")
        given_away(path, monkeypatch)
        why = "it belongs to another user"
    elif kind.startswith("open"):
        path.chmod(0o666 if kind == "open to all" else 0o620)
        why = "other users may write to it (chmod go-w)"
    else:
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path, 0o600)
        else:
            path.symlink_to(other if kind == "link" else "nothing")
        why = "it is no file" if kind == "fifo" else "it is a link"
    before = other.read_bytes()
    assert not is_kept()
    assert log() == [f"{path}: {why}, so this kernel is compiled again and the file replaced", LINE]
    assert is_kept()
    assert (path.is_symlink(), other.read_bytes()) == (False, before)


# --- a cache that cannot be used ----------------------------------------------------------------------------------


def no_home() -> NoReturn:
    raise RuntimeError("Could not determine home directory.")


def home_is_missing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("GFZ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(caches.Path, "home", no_home)
    return "cache: there is no home directory"


def cache_is_a_file(cache: Path, _: pytest.MonkeyPatch) -> str:
    cache.parent.write_text("")
    return str(cache.parent)


def folder_is_a_file(cache: Path, _: pytest.MonkeyPatch) -> str:
    cache.parent.mkdir()
    cache.write_text("")
    return str(cache)


def folder_is_a_loop(cache: Path, _: pytest.MonkeyPatch) -> str:
    cache.parent.mkdir()
    cache.symlink_to(cache)
    return f"{cache}"


def file_is_a_folder(cache: Path, _: pytest.MonkeyPatch) -> str:
    is_kept()
    path = the_file(cache)
    path.unlink()
    path.mkdir()
    return f"{path}: Is a directory"


def folder_is_of_another_user(cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    is_kept()
    given_away(cache, monkeypatch)
    return f"{cache}: it belongs to another user"


def folder_is_open_to(mode: int) -> Callable[[Path, pytest.MonkeyPatch], str]:
    def make(cache: Path, _: pytest.MonkeyPatch) -> str:
        is_kept()
        cache.chmod(mode)
        return f"{cache}: other users may write to it (chmod go-w)"

    return make


def disk_is(number: int, call: str) -> Callable[[Path, pytest.MonkeyPatch], str]:
    def make(cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        def fail(*_: Any, **__: Any) -> NoReturn:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(kernel_cache.os, call, fail)
        return os.strerror(number)

    return make


@pytest.mark.parametrize(
    "state",
    [
        home_is_missing,
        cache_is_a_file,
        folder_is_a_file,
        folder_is_a_loop,
        file_is_a_folder,
        folder_is_of_another_user,
        pytest.param(folder_is_open_to(0o770), id="folder_is_open_to_the_group"),
        pytest.param(folder_is_open_to(0o1777), id="folder_is_open_to_all"),
        pytest.param(disk_is(errno.ENOSPC, "fdopen"), id="disk_is_full"),
        pytest.param(disk_is(errno.EDQUOT, "fdopen"), id="quota_is_used_up"),
        pytest.param(disk_is(errno.EROFS, "open"), id="file_system_is_read_only"),
        pytest.param(disk_is(errno.EIO, "open"), id="disk_fails"),
    ],
)
def test_a_cache_that_cannot_be_used_is_passed_over_with_a_line(
    cache: Path, log: Log, monkeypatch: pytest.MonkeyPatch, state: Callable[[Path, pytest.MonkeyPatch], str]
) -> None:
    reason = state(cache, monkeypatch)
    log()
    for _ in range(2):
        assert not is_kept()
    compiles, *warnings = sorted(log())
    assert compiles.startswith("compiled kernels are not kept (")
    assert reason in compiles
    assert compiles.endswith(
        "so every process compiles them again; set GFZ_CACHE to a directory of your own that can be written"
    )
    assert warnings == [LINE]


def test_half_a_file_does_not_stay(cache: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when some of it is written."""

    opened = os.fdopen

    def some(descriptor: int, mode: str, **settings: Any) -> Any:
        file = opened(descriptor, mode, **settings)
        if mode == "wb":
            os.write(descriptor, b"some")
            file.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return file

    monkeypatch.setattr(kernel_cache.os, "fdopen", some)
    assert not is_kept()
    assert [path.name for path in cache.iterdir()] == ["lock"]
    assert "No space left on device" in log()[1]


# --- several processes --------------------------------------------------------------------------------------------

PROGRAM = f"""
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
sys.path.insert(0, {str(Path(__file__).parent)!r})
from tiny_kernel import is_kept
print("kept" if is_kept() else "compiled", flush=True)
"""


def start(environment: dict[str, str], before: tuple[str, ...] = (), program: str = PROGRAM) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*before, sys.executable, "-c", program],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PACKAGE.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: "subprocess.Popen[str]") -> list[str]:
    out, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, out
    return out.splitlines()


def test_of_processes_that_start_at_once_one_compiles(cache: Path) -> None:
    processes = [start({"GFZ_CACHE": str(cache.parent)}) for _ in range(3)]
    lines = sorted(line for process in processes for line in end(process))
    assert lines == ["compiled", LINE, "kept", "kept"]


HOLDER = """
import sys, time
from pathlib import Path
from geneformer_codec.caches import acquire
acquire(Path(sys.argv[1]), 0)
print("held", flush=True)
time.sleep(1800)
"""


@contextlib.contextmanager
def another_that_compiles(cache: Path) -> Iterator["subprocess.Popen[str]"]:
    cache.mkdir(mode=0o700, parents=True)
    process = start({}, program=HOLDER.replace("sys.argv[1]", repr(str(cache / "lock"))))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_waiting_is_logged(cache: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_NOTABLE", 0.0)
    say = kernel_cache._say
    with another_that_compiles(cache) as holder:
        monkeypatch.setattr(kernel_cache, "_say", lambda *what: (say(*what), holder.kill()))
        assert not is_kept()
    assert log() == ["waiting for another process that compiles", LINE]
    assert is_kept()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_leaves_no_lock(cache: Path, log: Log, how: signal.Signals) -> None:
    with another_that_compiles(cache) as holder:
        holder.send_signal(how)
        holder.wait()
        assert not is_kept()
    assert log() == [LINE]
    assert is_kept()


def test_a_process_that_is_stopped_is_not_waited_for_for_ever(
    cache: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_cache._TURN, "_patience", 0.2)
    with another_that_compiles(cache) as holder:
        holder.send_signal(signal.SIGSTOP)
        assert not is_kept()
        warning, compiles = log()
        assert warning == (
            f"{cache / 'lock'}: another process holds this lock for too long, so this one compiles too; is it stopped?"
        )
        assert compiles == LINE
        assert is_kept()
        the_file(cache).unlink()
        assert kernel_cache._TURN._patience == 0
        assert not is_kept()  # and it has not waited again


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(cache: Path, log: Log, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_locks(descriptor: int, operation: int) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(caches.fcntl, "flock", no_locks)
    assert not is_kept()
    warning, compiles = log()
    assert warning.startswith(f"{cache / 'lock'}: cannot be locked ({os.strerror(number)})")
    assert compiles == LINE
    assert is_kept()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_lock_that_is_no_file(cache: Path, log: Log, kind: str) -> None:
    if kind == "folder":
        (cache / "lock").mkdir(parents=True)
    else:
        cache.mkdir(parents=True)
        (cache / "lock").symlink_to(cache.parent / "victim")
    cache.chmod(0o700)
    assert not is_kept()
    assert log()[0].startswith(f"{cache / 'lock'}: cannot be locked (")
    assert is_kept()
    assert not (cache.parent / "victim").exists()


def test_what_cannot_be_compiled_leaves_no_lock(cache: Path) -> None:
    kernel: Any = kernels()(lambda number: number.no_such_thing)
    with pytest.raises(Exception, match="no_such_thing"):
        kernel(1)
    with caches.held(caches.acquire(cache / "lock", 0)):
        pass


# --- users and disks ----------------------------------------------------------------------------------------------


@functools.cache
def as_nobody() -> tuple[str, ...]:
    if not ROOT or not shutil.which("setpriv"):
        pytest.skip("only root can be another user")
    before = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    readable = [*before, sys.executable, "-c", f"import numba; open({__file__!r})"]
    if subprocess.run(readable, check=False, capture_output=True).returncode:
        pytest.skip("other users cannot read this environment")
    return before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "cache: there is no home directory"),
        ({"HOME": "/nonexistent"}, "/nonexistent"),
        ({"HOME": "/"}, "Permission denied"),
        ({"HOME": "{tmp}"}, "Permission denied"),
        ({"HOME": "/", "GFZ_CACHE": "{tmp}/closed"}, "Permission denied"),
        ({"HOME": "/", "GFZ_CACHE": "{tmp}/no-x"}, "Permission denied"),
        ({"HOME": "/", "NUMBA_CACHE_DIR": "{tmp}"}, "Permission denied"),
        ({"HOME": "/", "NUMBA_CACHE_DIR": "/dev/null"}, "Not a directory"),
        ({"GFZ_CACHE": "{tmp}/own"}, ""),
    ],
)
def test_a_user_of_a_container(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    """One without a home, who can write neither to the package's folder nor anywhere else."""
    before = as_nobody()
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid() and path != Path("/") and path.name != "tmp":
            path.chmod(path.stat().st_mode | 0o055)
    for name, mode in (("closed", 0o700), ("no-x", 0o600), ("own", 0o700)):
        (tmp_path / name).mkdir(mode)
        if name != "closed":
            os.chown(tmp_path / name, NOBODY, NOBODY)
    environment = {name: value.format(tmp=tmp_path) for name, value in environment.items()}
    printed = end(start(environment, before))
    if reason:
        warning, compiles, what = printed
        assert warning.startswith("compiled kernels are not kept (")
        assert reason in warning
        assert [compiles, what] == [LINE, "compiled"]
    else:
        assert printed == [LINE, "compiled"]
        assert end(start(environment, before)) == ["kept"]


def test_a_cache_that_root_filled_serves_others(tmp_path: Path) -> None:
    """As in an image: they can read it, and need not write to it."""
    before = as_nobody()
    with_cache = {"GFZ_CACHE": str(tmp_path)}
    assert end(start(with_cache)) == [LINE, "compiled"]
    for path in (*tmp_path.rglob("*"), tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and path != Path("/") and path.name != "tmp":
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    assert end(start(with_cache, before)) == ["kept"]


@pytest.mark.slow
def test_the_command_works_for_a_user_of_a_container(tmp_path: Path) -> None:
    before = as_nobody()
    source = b">a\n" + b"ACGTTGCAAC" * 100 + b"\n"
    run: dict[str, Any] = {
        "env": {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent)}, "cwd": "/", "capture_output": True,
    }  # fmt: skip
    gfz = [*before, sys.executable, "-m", "geneformer_codec"]
    packed = subprocess.run([*gfz, "compress", "-", "-o", "-"], input=source, check=True, **run)
    assert packed.stderr.count(b"not kept") == 1
    assert b"Traceback" not in packed.stderr
    assert subprocess.run([*gfz, "decompress", "-", "-o", "-"], input=packed.stdout, check=True, **run).stdout == source
