"""The experts' CUDA kernels (`tests/gpu/experts`), run by the CPU: they code as the CPU's own kernels do."""

from pathlib import Path

import numpy as np
import pytest

from geneformer_codec.predict.panel_tables import PackedPanel

LENGTH, COUNT, UNIQUE = 1000, 40, 32
"""Bases of a slice, and slices: more than the 32 of a group, which those of the next one repeat."""
OTHERS = [pytest.param(name, marks=pytest.mark.nightly) for name in ("balanced_panel", "fast_bare", "balanced_bare")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fast_panel", *OTHERS])
def test_kernels_code_as_the_cpu_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba_cuda")
    pytest.importorskip("numba", minversion="0.68")  # earlier ones lack passes of LLVM that kernels are built with
    monkeypatch.syspath_prepend(Path(__file__).parent / "experts")
    from assemble import emulated
    from build import ancestry, layout_of, predictor_of, tables_of
    from forms import Forms
    from kernel import codes_of, plain_tables, pretend_device
    from layout import LOCAL
    from run import Slices

    pretend_device()
    plain_tables()
    random = np.random.Generator(np.random.PCG64(1))
    evolve = ancestry(60_000, random)
    predictor = predictor_of(name, PackedPanel.of(evolve(0.02), np.array([0, 40_000], np.int64)))
    genome = evolve(0.03)
    data = np.stack([genome[1500 * number : 1500 * number + LENGTH] for number in range(UNIQUE)])
    data[5] = random.integers(0, 4, LENGTH, np.uint8)
    cpu = [predictor.encode(row) for row in data]
    if predictor.has_panel:
        assert sum(map(len, cpu)) < data.size / 8, "the panel predicts"

    layout = layout_of(predictor, LENGTH, LOCAL)
    slices = Slices(np, layout.summary(), layout.begin(), COUNT, tables_of(predictor))
    forms = Forms(prefetches=False)

    slices.start(LENGTH, data)
    emulated(codes_of(layout, False, "encode", forms), "encode")(*slices.arguments)
    assert slices.streams(COUNT) == [cpu[number % UNIQUE] for number in range(COUNT)]

    slices.start(LENGTH, streams=cpu)
    assert slices.decoded(data) == 0
    emulated(codes_of(layout, True, "decode", forms), "decode")(*slices.arguments)
    assert slices.decoded(data) == COUNT
