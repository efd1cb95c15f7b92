"""The panel's tables, built by passes over it: packed words, an index of seeds, counts."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, kernels, prefetch
from geneformer_codec.predict.counts import add_count, count_place, last_bases
from geneformer_codec.predict.search import seed_row
from geneformer_codec.predict.state import PanelTables

kernel = kernels()


@kernel
def pack_words(bases: NDArray[np.uint8], words: NDArray[np.uint64]) -> None:
    """32 bases a word, the first in the highest bits."""
    for k in range(bases.shape[0]):
        words[k >> 5] |= np.uint64(bases[k]) << np.uint64(62 - 2 * (k & 31))


@kernel
def seed_index(tables: PanelTables, length: Int, rows: NDArray[np.int64]) -> None:
    """Fill ``seeds`` and ``places``: those after each seed of ``length`` bases, ascending.

    ``rows`` is a ring of the next rows, which are prefetched.
    """
    bases, seeds, places, ahead = tables.bases, tables.seeds, tables.places, rows.shape[0]
    for turn in range(2):
        history = np.uint64(0)
        mask = (np.uint64(1) << np.uint64(2 * length)) - np.uint64(1) if length < 32 else ~np.uint64(0)
        for k in range(bases.shape[0] + ahead):
            if k < bases.shape[0]:
                history = (history << np.uint64(2)) | np.uint64(bases[k])
                row = seed_row(history & mask, length, tables.seed_bits) if k + 1 >= length else -1
            else:
                row = -1
            old = rows[k % ahead]
            rows[k % ahead] = row
            if row >= 0:
                prefetch(seeds, row)
            if k >= ahead and old >= 0:
                if turn == 0:
                    seeds[old + 1] += np.uint32(1)
                else:
                    places[seeds[old]] = np.uint32(k - ahead + 1)
                    seeds[old] += np.uint32(1)
        if turn == 0:
            for row in range(seeds.shape[0] - 1):
                seeds[row + 1] += seeds[row]
    for row in range(seeds.shape[0] - 1, 0, -1):  # filling moved each start to the next
        seeds[row] = seeds[row - 1]
    seeds[0] = 0


@kernel
def count_all(
    tables: PanelTables, number: Int, bits: Int, both_strands: bool, rows: NDArray[np.int64], next_: NDArray[np.int64]
) -> None:
    """Counts of the base after each context of order ``number``, and of both strands if asked.

    ``rows`` and ``next_`` are a ring of rows, which are prefetched, and of the bases to be counted there.
    """
    bases, counts, ahead = tables.bases, tables.counts, rows.shape[0]
    order, at = tables.count_orders[number], tables.count_at[number]
    history, reverse_complement = np.uint64(0), np.uint64(0)
    for k in range(bases.shape[0] + ahead):
        slot = k % ahead
        old, base = rows[slot], next_[slot]
        rows[slot] = -1
        if k < bases.shape[0]:
            base_here = np.int64(bases[k])
            if k >= order:
                rows[slot] = at + count_place(order, last_bases(history, order), bits)
                next_[slot] = base_here
                prefetch(counts, rows[slot])
            history = (history << np.uint64(2)) | np.uint64(base_here)
            reverse_complement = (reverse_complement >> np.uint64(2)) | (np.uint64(3 - base_here) << np.uint64(62))
        if k >= ahead and old >= 0:
            add_count(counts, old, base)
        if both_strands and order <= k < bases.shape[0]:
            place = at + count_place(order, reverse_complement >> np.uint64(64 - 2 * order), bits)
            add_count(counts, place, 3 - np.int64((history >> np.uint64(2 * order)) & np.uint64(3)))
