"""Kinds of predictors, of qualities and of differences, whose kernels are compared with the CPU's; samples for them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.aligner import Aligner
from geneformer_codec.align.difference_slices import DifferenceCodec, ReadSlice
from geneformer_codec.align.places import INSERTED, predict_bases
from geneformer_codec.archive.models import without_model
from geneformer_codec.coding.slices import SliceCodec
from geneformer_codec.cuda.differences import Differences
from geneformer_codec.cuda.experts import ExpertLayout
from geneformer_codec.cuda.layout import Layout
from geneformer_codec.cuda.qualities import Qualities
from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import ExpertSettings, with_level, with_panel_alone
from geneformer_codec.streams.qualities.slices import QualityCodec, QualitySlice
from geneformer_codec.streams.qualities.tree import Alphabet

Bases = NDArray[np.uint8]

KINDS = ["fast-panel", "balanced-alone", "balanced-panel", "fast-alone", "max-panel", "max-alone", "fast-reads"]
"""Levels, with a panel or without; reads have settings of their own at fast."""
PROFILES = {"illumina": (0, 150), "nanopore": (1, 900), "hifi": (2, 9000)}
"""Of qualities, and bases of a read."""
EFFORTS = {"fast": 0, "balanced": 2, "max": 4}
QUALITY_KINDS = [f"{level}-{sequencer}" for sequencer in PROFILES for level in EFFORTS]
MAPPED_KINDS = ["mapped-reads"]
"""Differences of mapped reads, which are the same at all levels."""
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


def layout_of(kind: str, longest: int, decoding: bool) -> Layout:
    """That of slices of at most so many bases, of qualities or of differences."""
    if kind in MAPPED_KINDS:
        codec, _ = mapped_of(kind, [1000])
        return Differences(codec.reference.panel).layout(
            (1 << 20, 1 << 14, 1 << 14, 1 << 20, 1 << 24, 1 << 22), decoding
        )
    if kind in QUALITY_KINDS:
        level, sequencer = kind.split("-")
        capacity = 1 << 20, 1 << 14, 1 << 23
        return Qualities(PROFILES[sequencer][0], EFFORTS[level]).layout(capacity, decoding)
    return ExpertLayout(predictor_of(kind, np.zeros(100_000, np.uint8), longest), longest, decoding)


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


def qualities_of(kind: str, lengths: Sequence[int] = LENGTHS) -> tuple[QualityCodec, list[QualitySlice]]:
    """How qualities of a kind are coded, and slices of so many: random walks, along reads with repeated bases."""
    random = np.random.Generator(np.random.PCG64(3))
    level, sequencer = kind.split("-")
    profile, read = PROFILES[sequencer]
    slices = []
    for length in lengths:
        steps = random.choice(np.array([-7, -1, 0, 1, 7]), length, p=[0.05, 0.15, 0.6, 0.15, 0.05])
        ranks = np.abs(np.cumsum(steps) % 80 - 40).astype(np.uint8)
        bases = np.repeat(random.choice(5, length, p=[0.3, 0.2, 0.2, 0.29, 0.01]), random.integers(1, 4, length))
        ends = np.sort(random.integers(0, length + 1, length // read))
        reads = np.diff(ends, prepend=0, append=length)  # some are empty
        slices.append(QualitySlice(ranks, reads, bases[:length].astype(np.uint8)))
    some = np.concatenate([np.arange(41, dtype=np.uint8), *(one.symbols for one in slices)])
    return QualityCodec(profile, EFFORTS[level], Alphabet.of(some + np.uint8(33)), whole=False), slices


def mapped_of(kind: str, lengths: Sequence[int] = LENGTHS) -> tuple[DifferenceCodec, list[ReadSlice]]:
    """A panel, and slices of so many bases in reads of it of either strand; some reads are of something else."""
    random = np.random.Generator(np.random.PCG64(4))
    panel = random.integers(0, 4, 20_000, np.uint8)
    reads: list[Bases] = []
    edges = [0]
    for length in lengths:
        while length > 0:
            size = min(length, int(random.integers(30, 200)))
            start = int(random.integers(0, len(panel) - 400))
            read = relative(panel[start : start + size + 100], 0.01, random)[:size]
            if random.random() < 0.1:
                read = random.integers(0, 4, size, np.uint8)
            reads.append(read if random.random() < 0.5 else 3 - read[::-1])
            length -= size
        edges.append(len(reads))
    tables = Predictor(with_panel_alone("fast"), PackedPanel.of(panel)).tables
    assert tables is not None
    aligner, bases = Aligner(tables, 16, 2), np.concatenate(reads)
    alignment = aligner.align(bases, np.array(list(map(len, reads)), np.int64), [len(reads)])
    assert alignment is not None
    made: list[tuple[DifferenceCodec, list[ReadSlice]]] = []

    def run(codec: DifferenceCodec, slices: list[ReadSlice], _: object) -> list[bytes]:
        made.append((codec, slices))
        return []

    aligner.code_differences(alignment, bases, random.integers(33, 75, len(bases), np.uint8), edges, None, run)
    return made[0]


def symbols_of(some: QualitySlice | ReadSlice) -> Bases:
    """What is coded of a slice."""
    return some.symbols if isinstance(some, QualitySlice) else some.bases


def empty(codec: SliceCodec, slices: Sequence[QualitySlice | ReadSlice]) -> list[QualitySlice | ReadSlice]:
    """The same reads, whose qualities, or bases, are not known yet; but for those that are not coded."""
    out: list[QualitySlice | ReadSlice] = []
    for one in slices:
        if isinstance(one, QualitySlice):
            out.append(one._replace(symbols=np.zeros_like(one.symbols)))
            continue
        assert isinstance(codec, DifferenceCodec)
        expected = np.zeros_like(one.bases)
        own = np.concatenate(
            [
                np.zeros(0, np.uint8),
                *(
                    one.bases[first:end]
                    for first, end, step in zip(one.reads.firsts, one.reads.ends, one.found.steps, strict=True)
                    if not step
                ),
            ]
        )
        for read, event in enumerate(one.found.first_event.tolist()):
            for number in range(event, event + int(one.found.event_count[read])):
                if one.found.kinds[number] == INSERTED:
                    at = int(one.found.at[number])
                    kept = slice(at, at + int(one.found.values[number]))
                    expected[kept] = one.bases[kept]
        predict_bases(codec.reference, one.reads, one.found, own, expected)
        out.append(one._replace(bases=expected))
    return out
