"""The panel as the experts use it: packed bases (32 per word), an index of sampled seeds, and counts, built in passes.

A panel may have billions of bases, so nothing here holds much more than its result: words and index, at the usual
sampling 1.5 bytes per base. Seeds are sorted into the rows of the index by way of divisions, runs of rows that are few
enough to be written to one after the other, and small enough to stay in a cache while their seeds go into their rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import hashed
from geneformer_codec.coding.jit import Int, inline, kernels, prefetch
from geneformer_codec.predict.counts import add_count, count_place, last_bases
from geneformer_codec.predict.search import is_chosen, panel_tag

kernel = kernels()

SEEDS_A_ROW = 8
MIN_ROW_BITS, MAX_ROW_BITS = 8, 30
DIVISION_BITS, MAX_DIVISION_ROW_BITS = 9, 18
"""There are 2**9 divisions, or as many more as a division would have more than 2**18 rows."""
BAND = 1 << 27
"""Places that one pass gathers at most, of 8 bytes each."""
AHEAD = 16
COUNTS_PAD = 16
"""Counts behind the last that may be prefetched."""
PLACE_BITS = 38
"""Of the base that a seed ends in, while seeds are sorted; `SeedIndex.places` and its high bits have 40."""
MAX_BASES = 1 << PLACE_BITS


class SeedIndex(NamedTuple):
    """See `PanelTables`."""

    rows: NDArray[np.uint32]
    tags: NDArray[np.uint8]
    places: NDArray[np.uint32]
    places_high: NDArray[np.uint8]

    @property
    def row_bits(self) -> int:
        """log2 of the number of rows."""
        return (len(self.rows) - 1).bit_length() - 1


@dataclass(frozen=True, eq=False)
class PackedPanel:
    """A panel's ``length`` bases as `words` [length // 32 + 3], and where its records that have bases start."""

    words: NDArray[np.uint64]
    length: int
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, bases: NDArray[np.uint8], starts: NDArray[np.int64] | None = None) -> "PackedPanel":
        """Pack ``bases`` uint8 [n] of 0..3."""
        starts = np.zeros(0, np.int64) if starts is None else starts
        return cls(packed_words(bases), len(bases), starts[starts < len(bases)])

    def seed_index(self, seed_length: int, sampling: int) -> SeedIndex:
        """The index of one in ``sampling`` seeds of ``seed_length`` bases."""
        starts = count_seeds(self, seed_length, sampling)
        index = SeedIndex(*(np.zeros(n, kind) for n, kind in index_arrays(self, sampling, int(starts[-1]))))
        fill_seeds(self, seed_length, sampling, starts, index)
        return index

    def counts(self, orders: Sequence[int], table_bits: int, both_strands: bool) -> NDArray[np.uint16]:
        """Counts of the base after each context of each of ``orders``, end to end, and of both strands if asked."""
        counts = np.zeros(count_places(orders, table_bits)[-1] + COUNTS_PAD, np.uint16)
        fill_counts(self, orders, table_bits, both_strands, counts)
        return counts


def words_of(length: int) -> int:
    """Words that hold so many bases, and two more that may be read."""
    return length // 32 + 3


def packed_words(bases: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """32 bases per word, the first in the highest bits."""
    words = np.zeros(words_of(len(bases)), np.uint64)
    pack_words(np.ascontiguousarray(bases), words, 0)
    return words


def unpacked_words(words: NDArray[np.uint64], length: int, first: int = 0) -> NDArray[np.uint8]:
    """The inverse of `packed_words`, from base ``first`` on."""
    bases = np.empty(length, np.uint8)
    unpack_words(words, first, bases)
    return bases


def row_bits(length: int, sampling: int) -> int:
    """log2 of the rows of the index of a panel of ``length`` bases."""
    return min(MAX_ROW_BITS, max(MIN_ROW_BITS, (length // (SEEDS_A_ROW * sampling)).bit_length()))


def index_arrays(panel: PackedPanel, sampling: int, total: int) -> list[tuple[int, type]]:
    """Sizes and types of the arrays of an index of ``total`` places."""
    rows, high = (1 << row_bits(panel.length, sampling)) + 1, total if panel.length >> 32 else 0
    return [(rows, np.uint32), (total, np.uint8), (total, np.uint32), (high, np.uint8)]


def index_bytes(length: int, sampling: int) -> int:
    """Memory of bases and index together, about."""
    return length // 4 + (4 << row_bits(length, sampling)) + length // sampling * (6 if length >> 32 else 5)


def count_places(orders: Sequence[int], table_bits: int) -> list[int]:
    """Where the counts of each order start, and where the last end."""
    return list(accumulate((1 << min(2 * order, table_bits) for order in orders), initial=0))


def fill_counts(
    panel: PackedPanel, orders: Sequence[int], table_bits: int, both_strands: bool, counts: NDArray[np.uint16]
) -> None:
    """Count the panel in ``counts``, which are 0."""
    places = count_places(orders, table_bits)
    for order, begin, end in zip(orders, places, places[1:], strict=False):
        rings = np.zeros((2, AHEAD), np.int64)
        count_all(panel.words, panel.length, counts[begin:end], order, table_bits, both_strands, *rings)


def division_bits(row_bits: int) -> int:
    """log2 of the number of divisions."""
    return max(min(row_bits, DIVISION_BITS), row_bits - MAX_DIVISION_ROW_BITS)


def count_seeds(panel: PackedPanel, seed_length: int, sampling: int) -> NDArray[np.int64]:
    """Where the places of each division start, and where the last end."""
    bits = division_bits(row_bits(panel.length, sampling))
    counts = np.zeros((1 << bits) + 1, np.int64)
    count_divisions(panel.words, panel.length, seed_length, sampling, counts, bits)
    starts = np.cumsum(counts)
    if int(starts[-1]) >= 1 << 32:
        raise ValueError("the index of a panel has at most 2**32 places: sample fewer of its seeds")
    return starts


def fill_seeds(
    panel: PackedPanel, seed_length: int, sampling: int, starts: NDArray[np.int64], index: SeedIndex
) -> None:
    """Fill the index, in bands of divisions; ``starts`` are those of `count_seeds`."""
    bits = division_bits(index.row_bits)
    row_bits, first = index.row_bits - bits, 0
    while first < len(starts) - 1:
        stop = max(int(np.searchsorted(starts, starts[first] + BAND, "right")) - 1, first + 1)
        band = starts[first : stop + 1]
        # each division has room for one more, as what is not sampled is written, too
        nexts = band[:-1] - band[0] + np.arange(len(band) - 1)
        seeds = np.empty(int(band[-1] - band[0]) + len(nexts), np.uint64)
        gather_seeds(panel.words, panel.length, seed_length, sampling, first, nexts, seeds, bits, row_bits)
        enter_seeds(seeds, band, first, index, np.zeros(1 << row_bits, np.int64))
        first = stop
    index.rows[-1] = starts[-1]


@inline
def base_of(words: NDArray[np.uint64], k: Int) -> Int:
    """Base ``k`` of packed words."""
    return (words[k >> 5] >> np.uint64(62 - 2 * (k & 31))) & np.uint64(3)


@kernel
def pack_words(bases: NDArray[np.uint8], words: NDArray[np.uint64], first: Int) -> None:
    """Put ``bases`` behind the first ``first`` bases of ``words``, which are 0 from there on."""
    for k in range(bases.shape[0]):
        at = first + k
        words[at >> 5] |= np.uint64(bases[k]) << np.uint64(62 - 2 * (at & 31))


@kernel
def unpack_words(words: NDArray[np.uint64], first: Int, bases: NDArray[np.uint8]) -> None:
    """The bases of ``words`` from ``first`` on."""
    for k in range(bases.shape[0]):
        bases[k] = np.uint8(base_of(words, first + k))


@kernel
def count_divisions(
    words: NDArray[np.uint64], length: Int, seed_length: Int, sampling: Int, counts: NDArray[np.int64], bits: Int
) -> None:
    """Count the places of division d in ``counts[d + 1]``."""
    history = np.uint64(0)
    mask = (np.uint64(1) << np.uint64(2 * seed_length)) - np.uint64(1)
    for k in range(length):
        history = ((history << np.uint64(2)) | base_of(words, k)) & mask
        mixed = hashed(history)
        # no branch by chance, which would be mispredicted
        counts[np.int64(mixed >> np.uint64(64 - bits)) + 1] += is_chosen(mixed, sampling) & (k + 1 >= seed_length)


@kernel
def gather_seeds(
    words: NDArray[np.uint64], length: Int, seed_length: Int, sampling: Int, first: Int, nexts: NDArray[np.int64],
    seeds: NDArray[np.uint64], bits: Int, row_bits: Int,
) -> None:  # fmt: skip
    """Gather the seeds of the divisions from ``first`` on that have a number in ``nexts``, where their next seed goes.

    A seed is, from the highest bits on: its row in the division, 18 bits; its tag, 8; and the base it ends in.
    """
    history = np.uint64(0)
    mask = (np.uint64(1) << np.uint64(2 * seed_length)) - np.uint64(1)
    row_mask = (np.uint64(1) << np.uint64(row_bits)) - np.uint64(1)
    for k in range(length):
        history = ((history << np.uint64(2)) | base_of(words, k)) & mask
        mixed = hashed(history)
        division = np.int64(mixed >> np.uint64(64 - bits)) - first
        if k + 1 >= seed_length and 0 <= division < nexts.shape[0]:
            at = nexts[division]
            row = (mixed >> np.uint64(64 - bits - row_bits)) & row_mask
            tagged = (row << np.uint64(8)) | np.uint64(panel_tag(mixed))
            seeds[at] = (tagged << np.uint64(PLACE_BITS)) | np.uint64(k)
            nexts[division] = at + is_chosen(mixed, sampling)


@kernel
def enter_seeds(
    seeds: NDArray[np.uint64], starts: NDArray[np.int64], first: Int, index: SeedIndex, nexts: NDArray[np.int64]
) -> None:
    """Enter gathered ``seeds`` of the divisions from ``first`` on into their rows; ``nexts`` is for those of one."""
    rows = nexts.shape[0]
    for division in range(starts.shape[0] - 1):
        begin, end = starts[division] - starts[0] + division, starts[division + 1] - starts[0] + division
        nexts[:] = 0
        for k in range(begin, end):
            nexts[np.int64(seeds[k] >> np.uint64(PLACE_BITS + 8))] += 1
        at, row_at = starts[division], (first + division) * rows
        for row in range(rows):
            index.rows[row_at + row] = np.uint32(at)
            count, nexts[row] = nexts[row], at
            at += count
        for k in range(begin, end):
            row = np.int64(seeds[k] >> np.uint64(PLACE_BITS + 8))
            at = nexts[row]
            nexts[row] = at + 1
            index.tags[at] = np.uint8((seeds[k] >> np.uint64(PLACE_BITS)) & np.uint64(0xFF))
            place = (seeds[k] & np.uint64((1 << PLACE_BITS) - 1)) + np.uint64(1)
            index.places[at] = np.uint32(place & np.uint64(0xFFFFFFFF))
            if index.places_high.shape[0]:
                index.places_high[at] = np.uint8(place >> np.uint64(32))


@kernel
def count_all(
    words: NDArray[np.uint64], length: Int, counts: NDArray[np.uint16], order: Int, bits: Int, both_strands: bool,
    rows: NDArray[np.int64], next_: NDArray[np.int64],
) -> None:  # fmt: skip
    """Counts of the base after each context of ``order`` bases, and of both strands if asked.

    ``rows`` and ``next_`` are a ring of rows, which are prefetched, and of the bases to be counted there.
    """
    ahead = rows.shape[0]
    rows[:] = -1
    history, reverse_complement = np.uint64(0), np.uint64(0)
    for k in range(length + ahead):
        slot = k % ahead
        old, base = rows[slot], next_[slot]
        rows[slot] = -1
        if k < length:
            base_here = np.int64(base_of(words, k))
            if k >= order:
                rows[slot] = count_place(order, last_bases(history, order), bits)
                next_[slot] = base_here
                prefetch(counts, rows[slot])
            history = (history << np.uint64(2)) | np.uint64(base_here)
            reverse_complement = (reverse_complement >> np.uint64(2)) | (np.uint64(3 - base_here) << np.uint64(62))
        if old >= 0:
            add_count(counts, old, base)
        if both_strands and order <= k < length:
            place = count_place(order, reverse_complement >> np.uint64(64 - 2 * order), bits)
            add_count(counts, place, 3 - np.int64((history >> np.uint64(2 * order)) & np.uint64(3)))
