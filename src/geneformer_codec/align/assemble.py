"""Contigs of reads, as a panel for these reads: what is frequent, not what is right. See `kmers` for the method."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align import kmers

LONGEST_READS = 512
"""The most bases that reads may have, in the median: in longer ones with errors, too few k-mers have none."""
LEAST_COUNT = 3
"""Of k-mers that contigs go along; those that contigs start from are tried in the order of these."""
STARTS = (64, 16, 8, 4, LEAST_COUNT)
MOST_OVERLAP = 300
"""Bases that contigs go on along others, at most: those of a read, so that reads across their ends can be mapped."""
_LEAST_K = 15
_FILTER = 10, 24
"""log2 of the words of the filter, at least and at most."""
_TABLE = 16, 27
"""log2 of the size of the table, at first and at most."""
_FULL = 0.6
_CONTIG = 1 << 22
"""Bases of a contig to each side of where it starts, at most."""

Bases = NDArray[np.uint8]


class Assembler:
    """Counts the k-mers of reads as they come, and then gives contigs. Deterministic, in the order of the reads."""

    def __init__(self) -> None:
        self._k = self._median = 0
        self._entered = 0
        self._frozen = False

    def add(self, bases: Bases, lengths: NDArray[np.int64]) -> None:
        """Count reads with ``bases`` uint8 [n] of 0..3, of so many ``lengths``."""
        if not self._k:
            self._begin(bases, lengths)
        if self._median > LONGEST_READS:
            return
        bases, state, ring = np.require(bases, requirements=["C", "W"]), np.zeros(2, np.int64), _ring()
        while int(state[0]) < len(lengths):
            most = (1 << 62) if self._frozen else int(len(self._table) * _FULL)
            arrays = self._seen, self._table
            self._entered = kmers.count_kmers(
                bases, lengths, self._k, *arrays, self._entered, most, not self._frozen, state, ring
            )
            if self._entered >= most:
                self._make_room()

    def contigs(self, most_bases: int) -> list[Bases]:
        """The contigs, those with the most frequent k-mers first, of about ``most_bases`` at most."""
        return list(self._contigs(most_bases)) if 0 < self._median <= LONGEST_READS else []

    def _begin(self, bases: Bases, lengths: NDArray[np.int64]) -> None:
        some = lengths[lengths > 0]
        self._median = int(np.median(some)) if len(some) else 0
        self._k = min(kmers.MOST_K, max(_LEAST_K, self._median // 2 | 1))
        self._seen = np.zeros(1 << min(max(len(bases).bit_length(), _FILTER[0]), _FILTER[1]), np.uint64)
        self._table = np.zeros(1 << _TABLE[0], np.uint64)

    def _make_room(self) -> None:
        """A larger table; or, of the largest, only what is frequent, and then no more k-mers if that is too much."""
        largest = len(self._table) >> _TABLE[1] > 0
        table = np.zeros(len(self._table) if largest else 2 * len(self._table), np.uint64)
        self._entered = kmers.move_entries(self._table, table, LEAST_COUNT if largest else 1)
        self._table = table
        self._frozen = largest and self._entered > len(table) * _FULL / 2

    def _contigs(self, most_bases: int) -> Iterator[Bases]:
        right, left, found = np.zeros(_CONTIG, np.uint8), np.zeros(_CONTIG, np.uint8), np.zeros(3, np.int64)
        shortest = max(2 * self._k, self._median * 4 // 5)
        overlap = max(0, min(self._median, MOST_OVERLAP) - self._k)
        total = 0
        for least in STARTS:
            at = 0
            while total < most_bases:
                at = kmers.walk_contig(self._table, self._k, at, least, LEAST_COUNT, overlap, right, left, found)
                if at < 0:
                    break
                if found[2] >= shortest:
                    contig = np.concatenate((3 - left[: found[1]][::-1], right[: found[0]]))
                    total += len(contig)
                    yield contig


def _ring() -> NDArray[np.uint64]:
    return np.zeros((2, kmers.AHEAD), np.uint64)
