"""Slices of qualities: runs of reads that share the choice of contexts and the tree, and learn each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.slices import SliceCodec
from geneformer_codec.streams.qualities.tree import Alphabet

if TYPE_CHECKING:
    from geneformer_codec.streams.qualities.kernels import Slice

Bytes = NDArray[np.uint8]


class Effort(NamedTuple):
    """Contexts and sets of weights; and how many reads are coded in turns, by the profile."""

    contexts: int
    sets: int
    reads: tuple[int, int, int]


EFFORTS = {0: Effort(4, 1, (2, 4, 2)), 2: Effort(8, 2, (1, 4, 1)), 4: Effort(8, 4, (1, 4, 1))}
MOST_LINES = 1 << 16
"""Of counters of each context."""
MOST_LINES_OF_KMERS = 1 << 18
"""The same in the profile of k-mers, where all qualities are one slice: of many slices each would take 134 MB."""
MOST_BITS = 16
"""That the range coder writes for a binary decision; so many more for its end."""


class QualitySlice(NamedTuple):
    """Qualities as ranks, which are encoded or filled in; the lengths of their reads; the codes of their bases."""

    symbols: Bytes
    lengths: NDArray[np.int64]
    bases: Bytes


@dataclass(frozen=True)
class QualityCodec(SliceCodec):
    """How all slices of qualities are coded; ``whole``: there is one."""

    what: ClassVar[str] = "qualities"
    profile: int
    effort: int
    alphabet: Alphabet
    whole: bool = True

    @property
    def most_lines(self) -> int:
        """Of counters of each context."""
        return MOST_LINES_OF_KMERS if self.profile == 1 and self.whole else MOST_LINES

    def new_slice(self, some: QualitySlice) -> Slice:
        """What codes a slice, at its beginning."""
        from geneformer_codec.coding.mixing import coder_state, new_mixer
        from geneformer_codec.streams.qualities.kernels import NODES, ROWS, Slice, new_reads

        contexts, sets, turns = EFFORTS[self.effort]
        mixer = new_mixer(len(some.symbols), self.most_lines, contexts, sets, ROWS, NODES)
        reads = new_reads(turns[self.profile], contexts)
        return Slice(some.lengths, some.bases, self.profile, self.alphabet.tree, mixer, reads, coder_state())

    def most_bytes(self, some: QualitySlice) -> int:
        """That encoding a slice may take."""
        return MOST_BITS + self.alphabet.bits(some.symbols) * MOST_BITS // 8

    def run(self, slice_: Slice, some: QualitySlice, data: Bytes, decoding: bool) -> None:
        """Encode all of a slice into ``data``, or decode it."""
        from geneformer_codec.streams.qualities.kernels import run

        if len(self.alphabet.values) > 1:
            run(slice_, some.symbols, data, decoding)


def cut_slices(symbols: Bytes, lengths: NDArray[np.int64], bases: Bytes, edges: Sequence[int]) -> list[QualitySlice]:
    """Slices of reads, which are those from ``edges[0]`` on; their symbols are views."""
    slices, begin = list[QualitySlice](), 0
    for first, stop in pairwise(edges):
        end = begin + int(lengths[first:stop].sum())
        slices.append(QualitySlice(symbols[begin:end], lengths[first:stop], bases[begin:end]))
        begin = end
    return slices
