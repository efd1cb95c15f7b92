"""A cache of kernels of each test's own, and what is logged."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from geneformer_codec.coding import jit, kernel_cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the folder is yet to be made."""
    monkeypatch.setenv("GFZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernel_cache, "_SAID", set())
    monkeypatch.setattr(kernel_cache, "_TURN", turn := kernel_cache._Turn())
    monkeypatch.setattr(jit, "turn", turn)
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged since it was last asked for: warnings, and that something is compiled."""
    caplog.set_level(logging.INFO, "geneformer_codec")

    def lines() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        kernel_cache._SAID.clear()
        return found

    return lines
