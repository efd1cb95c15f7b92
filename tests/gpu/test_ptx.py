"""Kernels are compiled for GPUs where there is none, once for each processor, and serve panels of any size."""

import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba_cuda")
pytest.importorskip("numba", minversion="0.68")  # earlier ones lack passes of LLVM that kernels are built with

from kinds import layout_of, predictor_of

from geneformer_codec.coding import kernel_cache
from geneformer_codec.cuda.experts import ExpertLayout
from geneformer_codec.cuda.kernel import Source
from geneformer_codec.cuda.qualities import Qualities


def layout(kind: str = "fast-panel", panel: int = 20_000, capacity: int = 1024, decoding: bool = True) -> ExpertLayout:
    return ExpertLayout(predictor_of(kind, np.zeros(panel, np.uint8), 1000), capacity, decoding)


@pytest.mark.nightly
def test_kernels_are_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "_SAID", set())  # by other tests of this process
    caplog.set_level(logging.INFO, "geneformer_codec")
    source = Source(layout(), decoding=True)
    codes = source.codes()
    monkeypatch.setattr(Source, "codes", lambda self: codes)
    made = {processor: source.ptx(processor) for processor in ("sm_80", "sm_90")}
    for processor, ptx in made.items():
        assert f".target {processor}".encode() in ptx
        entry = ptx[ptx.index(b".visible .entry code_slices(") :].split(b")")[0]
        assert entry.count(b".param .u64") == 4
        assert b"prefetch.L2" in ptx
        assert b".extern .func" not in ptx, "all that it calls is there"
    assert caplog.text.count("compiling for the GPU") == 1, "printed once"
    monkeypatch.delattr(Source, "codes")
    larger_panel = Source(layout(panel=2_000_000), decoding=True)
    assert {processor: larger_panel.ptx(processor) for processor in made} == made
    assert sorted(path.name[:17] for path in tmp_path.rglob("cuda.*.kernel")) == [
        "cuda.decode-sm_80",
        "cuda.decode-sm_90",
    ]


def test_what_kernels_are_made_for() -> None:
    """Settings and the longest slice, encoding or decoding, and nothing of a panel."""
    same = {Source(layout(panel=panel), True).digest for panel in (20_000, 1_000_000)}
    assert len(same) == 1
    others = [
        Source(layout(), False),
        Source(layout(decoding=False), False),
        Source(layout(capacity=2048), True),
        Source(layout("balanced-panel"), True),
        Source(layout("fast-alone"), True),
    ]
    assert len(same.union(source.digest for source in others)) == 6


def test_what_kernels_of_qualities_are_made_for() -> None:
    """A profile and a level, and slices of any size; encoding or decoding."""
    sizes = [(1 << 10, 1 << 10, 1 << 10), (1 << 20, 1 << 14, 1 << 23)]
    same = {Source(Qualities(0, 2).layout(size, True), True).digest for size in sizes}
    assert len(same) == 1
    others = [
        Source(layout_of("balanced-illumina", 0, False), False),
        Source(layout_of("balanced-hifi", 0, True), True),
        Source(layout_of("max-illumina", 0, True), True),
    ]
    assert len(same.union(source.digest for source in others)) == 4
