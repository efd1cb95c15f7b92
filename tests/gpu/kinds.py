"""Kinds of predictors whose kernels are compared with the CPU's, and samples for them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.models import without_model
from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import ExpertSettings, with_level

Bases = NDArray[np.uint8]

KINDS = ["fast-panel", "balanced-alone", "balanced-panel", "fast-alone", "max-panel", "max-alone", "fast-reads"]
"""Levels, with a panel or without; reads have settings of their own at fast."""
LENGTHS = [1000] * 28 + [900, 100, 500, 37, 1000, 5, 1, 0] + [1000] * 10
"""Of slices: more than the 32 of a warp, and some whose hash chains are of another size."""


def relative(bases: Bases, share: float, random: np.random.Generator) -> Bases:
    """The bases with a ``share`` of them changed, and as many left out."""
    out = bases.copy()
    places = random.random(len(out)) < share
    out[places] = (out[places] + random.integers(1, 4, int(places.sum()), np.uint8)) & 3
    return out[random.random(len(out)) > share]


def predictor_of(kind: str, panel: Bases, longest: int) -> Predictor:
    """Untrained experts for slices of at most ``longest`` bases, with a panel of two records or without."""
    level, what = kind.split("-")
    if what == "panel":
        half = np.array([0, len(panel) // 2], np.int64)
        return Predictor(with_level(ExpertSettings(), level), PackedPanel.of(panel, half))
    return Predictor(without_model(level, longest, is_reads=what == "reads"))


def sample_of(kind: str, lengths: Sequence[int] = LENGTHS) -> tuple[Predictor, Bases]:
    """A predictor, and a sample that repeats itself: reads, or genomes with one piece that is random."""
    random, total = np.random.Generator(np.random.PCG64(1)), sum(lengths)
    ancestor = random.integers(0, 4, total + total // 10, np.uint8)
    predictor = predictor_of(kind, relative(ancestor, 0.02, random), max(lengths))
    if kind.endswith("reads"):
        starts = random.integers(0, 1500, total // 100 + 1)
        reads = [relative(ancestor[start : start + 120], 0.01, random)[:100] for start in starts]
        return predictor, np.concatenate(reads)[:total]
    if kind.endswith("alone"):
        ancestor = ancestor[: len(ancestor) // 900 * 150].reshape(-1, 150).repeat(6, 0).reshape(-1)
    genome = relative(ancestor, 0.02, random)[:total]
    genome[5000:6500] = random.integers(0, 4, 1500, np.uint8)
    genome[300:700] = genome[:400]
    genome[8500:8900] = 3 - genome[8000:8400][::-1]
    return predictor, genome


def relatives(length: int, count: int, panel_bases: int = 4_000_000) -> tuple[Bases, Bases]:
    """A panel of two genomes, and ``count`` slices [count, length] of other relatives, one in 16 of them random."""
    random = np.random.Generator(np.random.PCG64(1))
    ancestor = random.integers(0, 4, panel_bases, np.uint8)
    panel = np.concatenate([relative(ancestor, 0.015, random) for _ in range(2)])
    rows: list[Bases] = []
    while len(rows) < count:
        genome = relative(ancestor, 0.015, random)
        rows += [genome[start : start + length] for start in random.integers(0, len(genome) - length, 32)]
    for number in range(0, count, 16):
        rows[number] = random.integers(0, 4, length, np.uint8)
    return panel, np.stack([rows[number] for number in random.permutation(count)])
