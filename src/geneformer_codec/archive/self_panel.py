"""A panel made of the sample itself: what recurs in several of its parts, which are coded independently.

That of reads is made of their contigs (`read_panel`); the rest of this module is about FASTA.

All parts are read once. Of each stretch of `STRETCH` bases some seeds are kept, sampled by hash, fewer the larger the
sample is. A seed that is in several parts recurs. The stretches with most seeds that recur and are not in
the panel yet become the panel, best first, up to `SELF_PANEL_BASES`. The panel is used if it makes the archive smaller:
it is stored once, and the parts are predicted from it.
"""

import contextlib
import itertools
import logging
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.read_panel import read_contigs
from geneformer_codec.archive.settings import SELF_PANEL, SELF_PANEL_BASES
from geneformer_codec.coding.interface import Progress, begin_phase
from geneformer_codec.coding.threads import cores, in_order
from geneformer_codec.files import guarded, temporary
from geneformer_codec.model.file import Experts, Model
from geneformer_codec.model.panel import Panel, embed
from geneformer_codec.model.panel_cache import open_panel
from geneformer_codec.model.panel_coding import encode_panel
from geneformer_codec.predict.panel_tables import packed_words, unpacked_words, words_of
from geneformer_codec.predict.settings import without_panel
from geneformer_codec.sequence.parts import Part
from geneformer_codec.sequence.seeds import numbered, sampled_seeds, still_sampled, take_stretches
from geneformer_codec.sequence.strands import both_strands
from geneformer_codec.streams.interface import PartContent

STRETCH = 1 << 14
SAMPLING = 32
"""One seed in so many is kept at first."""
MOST_SEEDS = 1 << 22
"""Seeds that are kept at most; where there are more, half as many are sampled."""
PERCENTAGES = (50, 20, 5, 1)
"""Shares of a stretch's seeds that must be new for the panel: stretches with most come first."""
LEAST_SAVING = 0.01
"""The share of the sample's different seeds that the panel must save."""
LEAST_SAVED_BASES = 1 << 16
"""Bases that it must save, as a model takes some kilobytes."""

Bases = NDArray[np.uint8]

_LOG = logging.getLogger("geneformer_codec")


def make_self_panel(
    parts: Iterable[Part], level: str, label: str, threads: int = 0, progress: Progress | None = None
) -> Model | None:
    """The model that is a panel of these parts, coded at ``level``; None where none pays.

    ``label`` names the sample in errors. Of the ``progress``, the search and the coding are a phase each.
    """
    threads, parts = threads or cores(), iter(parts)
    first = next(parts)
    parts = itertools.chain((first,), parts)
    begin_phase(progress, "count k-mers" if first.is_reads else "seek repeats")
    if first.is_reads:
        records = read_contigs(parts, level, threads, progress)
    else:
        records = _recurring(parts, label, threads, progress)
    if not records:
        return None
    panel = Panel.of(records)
    _LOG.info("%s: has a panel of its own, of %s bases", label, f"{panel.length:,}")
    bases = panel.bases
    settings = without_panel(level, both_strands(bases))
    begin_phase(progress, "code panel", panel.length)
    source = embed(panel, lambda bases: encode_panel(bases, settings, threads, progress))
    model = Model.of(None, Experts(None, source), {"name": SELF_PANEL})
    open_panel(source, lambda coded, count: bases, of_archive=True)  # so that it is not decoded at once
    return model


def _recurring(parts: Iterable[Part], label: str, threads: int, progress: Progress | None) -> list[Bases]:
    """Stretches that are in several parts."""
    with Sketch(label) as sketch:
        for bases, hashes, ends in in_order(_sampled, parts, threads, progress):
            sketch.add(bases, hashes, ends)
        return sketch.chosen()


def _sampled(part: Part, progress: Progress) -> tuple[Bases, NDArray[np.uint64], NDArray[np.int64]]:
    """The bases of a part, and its seeds."""
    bases = PartContent.parse(part).bases
    found = seeds_of(bases)
    progress(len(bases))
    return bases, *found


def seeds_of(bases: Bases) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes and ends of the seeds that a `Sketch` takes."""
    room = len(bases) // SAMPLING * 2 + 1024
    hashes, ends = np.empty(room, np.uint64), np.empty(room, np.int64)
    count = sampled_seeds(np.require(bases, requirements=["C", "W"]), SAMPLING, hashes, ends)
    return hashes[:count], ends[:count]


class Sketch(contextlib.AbstractContextManager["Sketch"]):
    """Seeds of all parts of a sample, and its bases in a temporary file."""

    def __init__(self, label: str) -> None:
        self._file, self._place = temporary(label)
        self._sampling = SAMPLING
        self._lengths: list[int] = []
        self._hashes: list[NDArray[np.uint64]] = []
        self._stretches: list[NDArray[np.int32]] = []
        self._ends = [0]
        """Where the stretches of each part end, beginning with 0."""

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, bases: Bases, hashes: NDArray[np.uint64], ends: NDArray[np.int64]) -> None:
        """Add a part, and its seeds sampled at `SAMPLING`."""
        with guarded(self._place):
            self._file.write(packed_words(bases).tobytes())
        self._lengths.append(len(bases))
        self._hashes.append(hashes)
        self._stretches.append((ends // STRETCH + self._ends[-1]).astype(np.int32))
        self._ends.append(self._ends[-1] + -(-len(bases) // STRETCH))
        self._thin(len(self._hashes) - 1)
        while sum(map(len, self._hashes)) > MOST_SEEDS:
            self._sampling *= 2
            self._thin(0)

    def _thin(self, first: int) -> None:
        """Keep what is sampled, in the parts from ``first`` on."""
        for part in range(first, len(self._hashes)):
            kept = still_sampled(self._hashes[part], self._sampling)
            self._hashes[part], self._stretches[part] = self._hashes[part][kept], self._stretches[part][kept]

    def chosen(self) -> list[Bases]:
        """The records of the panel, none if it does not pay."""
        ends = np.cumsum([len(hashes) for hashes in self._hashes], dtype=np.int64)
        seeds, in_parts = numbered(np.concatenate(self._hashes), ends)
        stretches = np.concatenate(self._stretches)
        recurs, covered = in_parts > 1, np.zeros(len(in_parts), np.bool_)
        taken = np.zeros(self._ends[-1], np.bool_)
        for share in PERCENTAGES:
            take_stretches(seeds, stretches, recurs, covered, taken, share, SELF_PANEL_BASES // STRETCH)
        # a seed saves as many as there are parts that have it, less the one time that the panel has it
        saved = int(in_parts[covered].sum()) - int(covered.sum())
        if saved < LEAST_SAVING * int(in_parts.sum()) or saved * self._sampling < LEAST_SAVED_BASES:
            return []
        return self._records(taken)

    def _records(self, taken: NDArray[np.bool_]) -> list[Bases]:
        """The bases of stretches that are ``taken``; neighbours make one record."""
        records, place = list[Bases](), 0
        for length, begin, end in zip(self._lengths, self._ends, self._ends[1:], strict=False):
            size = 8 * words_of(length)
            edges = np.flatnonzero(np.diff(taken[begin:end], prepend=False, append=False)).tolist()
            if edges:
                with guarded(self._place):
                    self._file.seek(place)
                    words = np.frombuffer(self._file.read(size), np.uint64)
                bases = unpacked_words(words, length)
                for start, stop in zip(edges[::2], edges[1::2], strict=True):
                    records.append(bases[STRETCH * start : STRETCH * stop].copy())  # a view would hold all of the part
            place += size
        return records
