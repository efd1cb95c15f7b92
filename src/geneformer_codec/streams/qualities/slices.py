"""Slices of qualities: runs of reads that share the choice of contexts and the tree, and learn each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.threads import work_on_all
from geneformer_codec.errors import FormatError
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
class Way:
    """How all slices of a stream are coded; ``whole``: there is one."""

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

    def most_bytes(self, symbols: Bytes) -> int:
        """That encoding them may take."""
        return MOST_BITS + self.alphabet.bits(symbols) * MOST_BITS // 8

    def code(self, some: QualitySlice, stream: bytes | None) -> bytes:
        """Encode a slice; or decode its ``stream`` into it, and return nothing."""
        from geneformer_codec.coding.mixing import PLACE, finish
        from geneformer_codec.streams.qualities.kernels import run

        if stream is None:
            data = np.empty(self.most_bytes(some.symbols), np.uint8)
        else:
            data = np.frombuffer(stream, np.uint8).copy()  # kernels take arrays that can be written to
        slice_ = self.new_slice(some)
        if len(self.alphabet.values) > 1:
            run(slice_, some.symbols, data, stream is not None)
        if stream is None:
            return finish(slice_.coder, data)
        check_end(int(slice_.coder[PLACE]), stream)
        return b""


def check_end(place: int, stream: bytes) -> None:
    """Refuse a stream that is read up to a place before its end."""
    if place < len(stream):
        raise FormatError("damaged qualities: bytes are left over")


Run = Callable[[Way, Sequence[QualitySlice], "Sequence[bytes] | None"], list[bytes]]
"""Something that does what `code_slices` does."""


def code_slices(
    way: Way, slices: Sequence[QualitySlice], streams: Sequence[bytes] | None, threads: int = 1
) -> list[bytes]:
    """Encode slices, or decode ``streams`` into them, and return nothing; on so many threads."""
    coded = [b""] * len(slices)

    def work(number: int, _: object) -> None:
        coded[number] = way.code(slices[number], None if streams is None else streams[number])

    work_on_all(work, sorted(range(len(slices)), key=lambda number: -len(slices[number].symbols)), threads)
    return coded


def slice_edges(lengths: NDArray[np.int64], most: int) -> list[int]:
    """Reads at which slices begin, and the end: each has as many as have at most so many qualities together, or one."""
    ends, edges = np.cumsum(lengths), [0]
    while (first := edges[-1]) < len(lengths):
        begin = int(ends[first - 1]) if first else 0
        edges.append(max(int(np.searchsorted(ends, begin + most, "right")), first + 1))
    return edges


def cut_slices(symbols: Bytes, lengths: NDArray[np.int64], bases: Bytes, edges: Sequence[int]) -> list[QualitySlice]:
    """Slices of reads, which are those from ``edges[0]`` on; their symbols are views."""
    slices, begin = list[QualitySlice](), 0
    for first, stop in pairwise(edges):
        end = begin + int(lengths[first:stop].sum())
        slices.append(QualitySlice(symbols[begin:end], lengths[first:stop], bases[begin:end]))
        begin = end
    return slices
