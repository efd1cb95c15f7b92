"""Which runs of exceptions, unknown bases mostly, are filled with bases.

A run is filled where a passage earlier in the text has, in its place, as many bases as the run is long: then what is
copied from there goes on behind the run, and would be lost if the run had no bases. Where the earlier passage has a run
as long there, this one is filled if that one is.
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import hashed
from geneformer_codec.coding.jit import Int, inline, kernels
from geneformer_codec.sequence.seeds import SEED_LENGTH, next_seed

kernel = kernels()

MOST_BASES = 1 << 12
"""Of a run that is filled."""
RECENT = 4
"""Earlier passages that are looked at."""
LEAST_EQUAL = 20
"""Bases before the run, of `SEED_LENGTH`, that an earlier passage must share."""


def filled_runs(bases: NDArray[np.uint8], places: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """1 for each run to be filled, else 0; ``places`` are the bases before which they are."""
    filled = np.zeros(len(places), np.uint8)
    if len(places):
        bits = max(10, (4 * len(places)).bit_length())
        keys, recent = np.zeros(1 << bits, np.uint64), np.full((1 << bits) * RECENT, -1, np.int64)
        _fill(bases, places, lengths, filled, keys, recent, bits)
    return filled


@inline
def slot_of(keys: NDArray[np.uint64], seed: Int, bits: Int) -> Int:
    """Where a seed is in a table that holds seeds plus 1, or the empty place where it would be."""
    at = np.int64(hashed(seed) >> np.uint64(64 - bits))
    while keys[at] != np.uint64(0) and keys[at] != seed + np.uint64(1):
        at = (at + 1) & (keys.shape[0] - 1)
    return at


@kernel
def _fill(
    bases: NDArray[np.uint8], places: NDArray[np.int64], lengths: NDArray[np.int64], filled: NDArray[np.uint8],
    keys: NDArray[np.uint64], recent: NDArray[np.int64], bits: Int,
) -> None:  # fmt: skip
    for pass_ in range(2):  # the seeds that follow runs go into the table; then their places, while runs are looked at
        seed, other, run = np.uint64(0), np.uint64(0), 0
        for k in range(bases.shape[0]):
            seed, other = next_seed(seed, other, bases[k], SEED_LENGTH)
            place = k + 1 - SEED_LENGTH
            if place < 0:
                continue
            first = run
            while run < places.shape[0] and places[run] == place:
                run += 1
            if pass_ == 0:
                if first < run:
                    keys[slot_of(keys, seed, bits)] = seed + np.uint64(1)
                continue
            at = slot_of(keys, seed, bits)
            if keys[at] == np.uint64(0):
                continue
            at *= RECENT
            for number in range(first, run):
                filled[number] = is_filled(bases, places, lengths, filled, recent, at, number)
            for back in range(RECENT - 1, 0, -1):
                recent[at + back] = recent[at + back - 1]
            recent[at] = place


@inline
def is_filled(
    bases: NDArray[np.uint8], places: NDArray[np.int64], lengths: NDArray[np.int64], filled: NDArray[np.uint8],
    recent: NDArray[np.int64], at: Int, number: Int,
) -> Int:  # fmt: skip
    """Whether the run is filled, by passages before which the same seed stood."""
    place, length = places[number], lengths[number]
    if length > MOST_BASES:
        return 0
    for back in range(RECENT):
        there = recent[at + back]
        if there < 0:
            break
        other = np.searchsorted(places[:number], there)
        if other < number and places[other] == there:
            if lengths[other] == length:
                return filled[other]
            continue
        start, equal = there - length - SEED_LENGTH, 0
        if start < 0 or place < SEED_LENGTH:
            continue
        for k in range(SEED_LENGTH):
            equal += 1 if bases[start + k] == bases[place - SEED_LENGTH + k] else 0
        if equal >= LEAST_EQUAL:
            return 1
    return 0
