"""The panel as the experts use it: bases packed 32 a word, an index of sampled seeds, and counts, each built by passes.

A panel may have billions of bases, so nothing here holds more than its result: words and index, at the usual sampling
1.5 bytes a base.
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
BAND = 1 << 28
"""Places of the index that one pass fills, so that what is written stays in few pages of memory."""
AHEAD = 16
COUNTS_PAD = 16
"""Counts behind the last that may be prefetched."""
MAX_BASES = 1 << 38
"""More than `SeedIndex.places` and its high bits, 40 together, can number, less what a slice may have."""


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
        rows = count_seeds(self, seed_length, sampling)
        total, high = int(rows[-1]), self.length >> 32 > 0
        index = SeedIndex(rows, *(np.zeros(n, kind) for n, kind in index_arrays(total, high)))
        fill_seeds(self, seed_length, sampling, index)
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
    """32 bases a word, the first in the highest bits."""
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


def index_arrays(total: int, high: bool) -> list[tuple[int, type]]:
    """Sizes and types of the arrays of an index of ``total`` places but for its rows."""
    return [(total, np.uint8), (total, np.uint32), (total if high else 0, np.uint8)]


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


def count_seeds(panel: PackedPanel, seed_length: int, sampling: int) -> NDArray[np.uint32]:
    """Where the places of each row start."""
    bits = row_bits(panel.length, sampling)
    rows = np.zeros((1 << bits) + 1, np.uint32)
    count_rows(panel.words, panel.length, seed_length, sampling, rows, bits)
    if int(rows.sum(dtype=np.int64)) >= 1 << 32:
        raise ValueError("the index of a panel has at most 2**32 places: sample fewer of its seeds")
    np.cumsum(rows, out=rows)
    return rows


def fill_seeds(panel: PackedPanel, seed_length: int, sampling: int, index: SeedIndex) -> None:
    """Enter the places, in bands of rows."""
    rows = index.rows
    first = 0
    while first < len(rows) - 1:
        stop = int(np.searchsorted(rows, min(int(rows[first]) + BAND, (1 << 32) - 1), "right")) - 1
        stop = min(max(stop, first + 1), len(rows) - 1)
        nexts = rows[first:stop].copy()
        enter_rows(panel.words, panel.length, seed_length, sampling, index, first, nexts, index.row_bits)
        first = stop


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
def count_rows(
    words: NDArray[np.uint64], length: Int, seed_length: Int, sampling: Int, rows: NDArray[np.uint32], bits: Int
) -> None:
    """Count the places of row r in ``rows[r + 1]``."""
    history = np.uint64(0)
    mask = (np.uint64(1) << np.uint64(2 * seed_length)) - np.uint64(1)
    for k in range(length):
        history = ((history << np.uint64(2)) | base_of(words, k)) & mask
        mixed = hashed(history)
        if is_chosen(mixed, sampling) and k + 1 >= seed_length:
            rows[np.int64(mixed >> np.uint64(64 - bits)) + 1] += np.uint32(1)


@kernel
def enter_rows(
    words: NDArray[np.uint64], length: Int, seed_length: Int, sampling: Int, index: SeedIndex, first: Int,
    nexts: NDArray[np.uint32], bits: Int,
) -> None:  # fmt: skip
    """Enter the places of the rows from ``first`` on that have a number in ``nexts``, where their next place goes."""
    history = np.uint64(0)
    mask = (np.uint64(1) << np.uint64(2 * seed_length)) - np.uint64(1)
    for k in range(length):
        history = ((history << np.uint64(2)) | base_of(words, k)) & mask
        mixed = hashed(history)
        if is_chosen(mixed, sampling) and k + 1 >= seed_length:
            row = np.int64(mixed >> np.uint64(64 - bits)) - first
            if 0 <= row < nexts.shape[0]:
                at = nexts[row]
                nexts[row] = at + np.uint32(1)
                index.tags[at] = panel_tag(mixed)
                index.places[at] = np.uint32((k + 1) & 0xFFFFFFFF)
                if index.places_high.shape[0]:
                    index.places_high[at] = np.uint8((k + 1) >> 32)


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
