"""The cache: a panel is decoded once on a machine, whatever happens meanwhile."""

import errno
import itertools
import json
import logging
import multiprocessing
import re
import time
import zlib
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panels import PANEL, PANELS, SOURCE, Bases, decode, encode, never, random_panel, same

from geneformer_codec import caches
from geneformer_codec.caches import cache_directory
from geneformer_codec.errors import GfzError, ModelMissingError
from geneformer_codec.model import panel_cache
from geneformer_codec.model.panel import EmbeddedPanel, Panel, embed, refer
from geneformer_codec.model.panel_cache import open_panel
from geneformer_codec.predict import panel_tables
from geneformer_codec.predict.panel_tables import PackedPanel


def cached(cache: Path, panel: Panel = PANEL) -> Path:
    return cache / "panels" / panel.digest / "bases"


@given(PANELS)
def test_a_panel_is_decoded_once(tmp_path_factory: pytest.TempPathFactory, panel: Panel) -> None:
    cache = tmp_path_factory.mktemp("cache")
    source = embed(panel, encode)
    assert same(open_panel(source, decode, cache), panel)
    assert same(open_panel(source, never, cache), panel)
    assert same(open_panel(refer(panel), never, cache), panel)
    assert sorted(path.name for path in cached(cache, panel).parent.iterdir()) == ["bases"]


def test_the_cache_file_is_as_described(tmp_path: Path) -> None:
    open_panel(SOURCE, decode, tmp_path)
    data = cached(tmp_path).read_bytes()
    assert data.startswith(b"gfpanel1{")
    stated = json.loads(data[8:4096].rstrip(b"\0"))
    arrays = [["<i8", 6], ["<u8", 501 // 32 + 3]]
    assert stated == {"arrays": arrays, "check": zlib.crc32(json.dumps(arrays).encode() + data[4096:])}
    assert data[4096:4144] == PANEL.starts.tobytes()
    assert data[4160 : 4160 + 8 * 18] == PANEL.words.tobytes()


def tables(panel: PackedPanel) -> list[np.ndarray]:
    return [*panel.seed_index(12, 2), panel.counts((3, 9), 16, True), panel.counts((), 16, True)]


def test_tables_are_those_of_the_panel_and_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = random_panel(5000, 70_000)
    wanted = tables(panel.packed)
    source = embed(panel, encode)
    for number in range(2):
        for found, expected in zip(tables(open_panel(source, decode, tmp_path)), wanted, strict=True):
            assert np.array_equal(found, expected)
        names = {path.name for path in cached(tmp_path, panel).parent.iterdir() if path.name[0] != "."}
        assert names == {"bases", "seeds-12-2", "counts-3.9-16-2"}
        if not number:
            monkeypatch.setattr(panel_cache, "_publish", never)


def test_an_index_is_filled_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = random_panel(60_000).packed
    whole = panel.seed_index(11, 1)
    places = np.concatenate([np.sort(whole.places[a:b]) for a, b in itertools.pairwise(whole.rows.tolist())])
    assert np.array_equal(places, whole.places)
    assert np.array_equal(np.sort(places), np.arange(11, 60_001))
    monkeypatch.setattr(panel_tables, "BAND", 1000)
    for found, expected in zip(panel.seed_index(11, 1), whole, strict=True):
        assert np.array_equal(found, expected)


def test_a_large_file_is_checked_in_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_cache, "CHECKED_BYTES", 1 << 16)
    panel = random_panel(90 << 20)
    source = embed(panel, encode)
    open_panel(source, decode, tmp_path)
    open_panel(source, never, tmp_path)
    with cached(tmp_path, panel).open("r+b") as file:
        file.seek(1 << 20)
        file.write(bytes(1 << 14))
    assert same(open_panel(source, decode, tmp_path), panel)


@given(st.data())
def test_a_damaged_cache_is_made_again(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    cache = tmp_path_factory.getbasetemp() / "damaged"
    open_panel(SOURCE, decode, cache)
    whole = cached(cache).read_bytes()
    damaged = bytearray(whole)
    if data.draw(st.booleans()):
        bit = data.draw(st.integers(0, 8 * len(whole) - 1))
        damaged[bit // 8] ^= 1 << bit % 8
    elif data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        damaged += data.draw(st.binary(min_size=1, max_size=9))
    cached(cache).unlink()  # a file that is mapped does not change under its readers
    cached(cache).write_bytes(damaged)
    calls: list[int] = []

    def counted(coded: bytes, count: int) -> Bases:
        calls.append(count)
        return decode(coded, count)

    assert same(open_panel(SOURCE, counted, cache), PANEL)
    assert calls == [501]
    assert cached(cache).read_bytes() == whole


def test_what_a_killed_job_left_is_removed(tmp_path: Path) -> None:
    cached(tmp_path).parent.mkdir(parents=True)
    left, other = (cached(tmp_path).with_name(f".{name}.123.tmp") for name in ("bases", "seeds-12-5"))
    left.write_bytes(b"half")
    other.write_bytes(b"half")
    open_panel(SOURCE, decode, tmp_path)
    assert not left.exists()
    assert other.exists()


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("GFZ_CACHE", raising=False)
    assert cache_directory() == tmp_path / "home/.cache/geneformer-rules"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == tmp_path / "home/.cache/geneformer-rules"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg/geneformer-rules"
    monkeypatch.setenv("GFZ_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"
    open_panel(SOURCE, decode)
    assert cached(tmp_path / "own").is_file()


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_no_home_at_all(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("GFZ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(caches.Path, "home", no_home)
    assert same(open_panel(SOURCE, decode), PANEL)
    assert "no home directory" in caplog.text


@pytest.fixture
def fresh_warnings() -> None:
    panel_cache._warn.cache_clear()


def decoded_with_one_warning(cache: Path, match: str) -> None:
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("geneformer_codec")
    logger.addHandler(handler)
    try:
        for _ in range(2):
            assert same(open_panel(SOURCE, decode, cache), PANEL)
    finally:
        logger.removeHandler(handler)
    (message,) = logged
    assert re.search(match, message)


@pytest.mark.usefixtures("fresh_warnings")
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    decoded_with_one_warning(tmp_path / "file", r"not cached.*GFZ_CACHE")


@pytest.mark.usefixtures("fresh_warnings")
def test_a_cache_that_others_may_write_to(tmp_path: Path) -> None:
    (tmp_path / "panels").mkdir()
    (tmp_path / "panels").chmod(0o777)
    decoded_with_one_warning(tmp_path, "other users may write to it")
    assert not list((tmp_path / "panels").iterdir())


@pytest.mark.usefixtures("fresh_warnings")
def test_a_directory_in_the_place_of_the_cache_file(tmp_path: Path) -> None:
    cached(tmp_path).mkdir(parents=True)
    decoded_with_one_warning(tmp_path, "Is a directory|not empty|exists")


@pytest.mark.usefixtures("fresh_warnings")
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(caches.fcntl, "flock", no_locks)
    decoded_with_one_warning(tmp_path, "No locks available")


@pytest.mark.usefixtures("fresh_warnings")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(panel_cache.os, "posix_fallocate", full)
    decoded_with_one_warning(tmp_path, "bases: No space left on device")
    assert [path.name for path in cached(tmp_path).parent.iterdir()] == []


@pytest.mark.usefixtures("fresh_warnings")
def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path).parent.mkdir(parents=True)
    monkeypatch.setattr(panel_cache, "_PATIENCE", -1.0)
    with caches.held(caches.acquire(cached(tmp_path).with_name(".bases.lock"), 0)):
        decoded_with_one_warning(tmp_path, "another job holds the lock")
    assert same(open_panel(SOURCE, decode, tmp_path), PANEL)
    assert cached(tmp_path).is_file()


def test_errors_of_the_panel_itself_pass_and_nothing_stays_locked(tmp_path: Path) -> None:
    def broken(coded: bytes, count: int) -> Bases:
        raise OSError("of the decoder")

    with pytest.raises(OSError, match="of the decoder"):
        open_panel(SOURCE, broken, tmp_path)
    with pytest.raises(ModelMissingError):
        open_panel(refer(PANEL), never, tmp_path)
    with pytest.raises(GfzError):
        open_panel(SOURCE, lambda coded, count: np.zeros(count, np.uint8), tmp_path)
    assert not cached(tmp_path).exists()
    assert same(open_panel(SOURCE, decode, tmp_path), PANEL)


class LoggedDecode:
    """Leaves a byte in a file for every call, and takes long enough for the others to come."""

    def __init__(self, log: Path):
        self._log = log

    def __call__(self, coded: bytes, count: int) -> Bases:
        with self._log.open("ab") as log:
            log.write(b"x")
        time.sleep(0.5)
        return decode(coded, count)


def job(source: EmbeddedPanel, log: Path, cache: Path, together: Barrier) -> None:
    together.wait(1800)
    found = open_panel(source, LoggedDecode(log), cache)
    (cache / f"{multiprocessing.current_process().name}.done").write_text(str(same(found, PANEL)))


def test_of_jobs_that_start_at_once_one_decodes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    log = tmp_path / "log"
    jobs = [
        context.Process(target=job, args=(SOURCE, log, tmp_path, together), name=f"job{number}") for number in range(3)
    ]
    for process in jobs:
        process.start()
    for process in jobs:
        process.join()
    assert [process.exitcode for process in jobs] == [0, 0, 0]
    assert [path.read_text() for path in tmp_path.glob("*.done")] == ["True"] * 3
    assert log.read_bytes() == b"x"
