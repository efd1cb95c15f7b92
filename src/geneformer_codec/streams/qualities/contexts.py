"""Contexts of a quality: the qualities before it and the bases around it, in three profiles of eight contexts.

Level ``fast`` uses the first four. The profiles suit reads of Illumina, Nanopore and PacBio HiFi; whichever is
smallest on a sample is used. A context is a number; equal numbers of the same context share counters. ``q`` is a
quality's rank among those that occur.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import u
from geneformer_codec.coding.jit import Int, inline

SHORT, NANOPORE, HIFI = range(3)

# What is remembered of the read so far; each profile keeps what it needs.
Q1, Q2, Q3, Q4, MEAN4, MEAN8, MEAN32, MEAN128, RUN, OTHER, LEAST, BELOW, TOPS16, SEEN = range(14)
# The last quality for each three bases around (64), and each five (1024).
NEAR = SEEN + 1
WIDE = NEAR + 64
MEMORY = WIDE + 1024
# Of the bases around: how many equal ones are right before and right after, and the window.
BEFORE, AFTER, WINDOW = range(3)
WINDOW_BEFORE, WINDOW_AFTER = 5, 4
"""Bases of the window on either side of the one at hand, two bits each, the last one lowest."""
_WINDOW = (1 << 2 * (WINDOW_BEFORE + 1 + WINDOW_AFTER)) - 1


@inline
def begin_read(
    profile: Int, memory: NDArray[np.int64], around: NDArray[np.int64], bases: NDArray[np.uint8], first: Int, end: Int
) -> None:
    """Forget the read before, and begin ``bases[first:end]``."""
    memory[: MEMORY if profile == HIFI else NEAR] = 0
    memory[LEAST] = 127
    around[:] = 0
    for place in range(first - WINDOW_AFTER, first):
        slide_window(around, bases, place, end)


@inline
def slide_window(around: NDArray[np.int64], bases: NDArray[np.uint8], place: Int, end: Int) -> None:
    """Move the window to ``place``."""
    after = np.int64(bases[u(place + WINDOW_AFTER)]) & 3 if place + WINDOW_AFTER < end else np.int64(0)
    around[WINDOW] = (around[WINDOW] << 2 | after) & _WINDOW


@inline
def kmer(around: NDArray[np.int64], before: Int, after: Int) -> Int:
    """The k-mer of so many bases before and after the one at hand, and that, as a number."""
    return (around[WINDOW] >> (2 * (WINDOW_AFTER - after))) & ((1 << (2 * (before + 1 + after))) - 1)


@inline
def base_at(bases: NDArray[np.uint8], place: Int, first: Int, end: Int) -> Int:
    """The base at a place: 0 to 3, 4 for anything else, 5 beyond the read."""
    if place < first or place >= end:
        return np.int64(5)
    return np.int64(bases[u(place)])


@inline
def count_equal(around: NDArray[np.int64], bases: NDArray[np.uint8], place: Int, end: Int, b1: Int) -> None:
    """Set how many equal bases are right before this one, and right after it; ``b1`` is the base before."""
    b0 = np.int64(bases[u(place)])
    before, after = around[BEFORE], around[AFTER]
    before = min(before + 1, 15) if b0 == b1 else 0
    if after > 0 and before and place + 15 < end:
        after -= 1
        if after == 14 and bases[u(place + 15)] == b0:
            after = 15
    else:
        after = 0
        while after < 15 and place + after + 1 < end and bases[u(place + after + 1)] == b0:
            after += 1
    around[BEFORE], around[AFTER] = before, after


@inline
def find_contexts(
    profile: Int,
    memory: NDArray[np.int64],
    around: NDArray[np.int64],
    bases: NDArray[np.uint8],
    place: Int,
    first: Int,
    end: Int,
    contexts: NDArray[np.uint64],
    with_runs: bool,
) -> None:
    """The contexts of the quality at ``place`` of the read ``bases[first:end]``.

    ``around`` gets the bases around; of short reads how many are equal only if rows are chosen by that (``with_runs``).
    """
    b0 = np.int64(bases[u(place)])
    b1 = base_at(bases, place - 1, first, end)
    q1, q2, q3, q4 = memory[Q1], memory[Q2], memory[Q3], memory[Q4]
    few = len(contexts) == 4
    if profile == SHORT:
        b2 = base_at(bases, place - 2, first, end)
        if with_runs:
            count_equal(around, bases, place, end, b1)
        at = min(place - first, 1023)
        contexts[0] = q1 << 10 | at
        contexts[1] = (memory[MEAN32] >> 4) << 8 | at >> 2
        contexts[2] = (q1 << 7 | q2) << 9 | b0 << 6 | b1 << 3 | b2
        contexts[3] = ((memory[MEAN4] >> 4) << 8 | memory[MEAN32] >> 5) << 3 | b0
        if few:
            return
        slide_window(around, bases, place, end)
        contexts[4] = (q1 << 7 | memory[OTHER]) << 6 | min(memory[RUN], 63)
        contexts[5] = (q1 >> 1) << 12 | kmer(around, 5, 0)
        contexts[6] = (q1 << 7 | max(q2, q3)) << 7 | at >> 3
        contexts[7] = (q1 << 7 | memory[MEAN8] >> 4) << 6 | memory[BELOW]
        return
    count_equal(around, bases, place, end, b1)
    slide_window(around, bases, place, end)
    n1 = base_at(bases, place + 1, first, end)
    homopolymer = around[BEFORE] << 4 | around[AFTER]
    near, wide = kmer(around, 1, 1), kmer(around, 2, 2)
    if profile == NANOPORE:
        contexts[0] = (q1 >> 1) << 10 | kmer(around, 3, 1)
        contexts[1] = (q1 << 8 | homopolymer) << 3 | b0
        contexts[2] = (q1 >> 3) << 18 | kmer(around, 4, 4)
        contexts[3] = (q1 << 7 | q2) << 5 | q3 >> 2
        if few:
            return
        next_run = 0
        if n1 < 5 and n1 != b0:
            while next_run < 7 and place + next_run + 2 < end and bases[u(place + next_run + 2)] == n1:
                next_run += 1
        most, least = max(max(q1, q2), max(q3, q4)), min(min(q1, q2), min(q3, q4))
        contexts[4] = (q1 >> 1) << 12 | kmer(around, 4, 1)
        contexts[5] = (kmer(around, 2, 3) << 8 | homopolymer) << 3 | next_run
        contexts[6] = ((q1 >> 1) << 5 | q2 >> 2) << 6 | near
        contexts[7] = (q1 << 6 | most >> 1) << 6 | least >> 1
    else:
        contexts[0] = (q1 << 8 | homopolymer) << 3 | b0
        contexts[1] = ((memory[MEAN128] >> 4) << 8 | homopolymer) << 6 | b0 << 3 | n1
        contexts[2] = (memory[TOPS16] << 5 | min(memory[RUN], 31)) << 6 | b0 << 3 | n1
        contexts[3] = (memory[NEAR + near] << 8 | memory[MEAN32] >> 5) << 4 | around[BEFORE]
        if few:
            return
        contexts[4] = q1 << 7 | memory[WIDE + wide]
        contexts[5] = q1 << 7 | memory[NEAR + near]
        contexts[6] = (q1 << 7 | memory[LEAST]) << 5 | memory[MEAN8] >> 6
        contexts[7] = ((memory[MEAN32] >> 8) << 8 | homopolymer) << 10 | wide


@inline
def moved(mean: Int, q: Int, bits: Int, shift: Int, begun: Int) -> Int:
    """A mean of qualities times 2**bits after one more, which counts one of 2**shift; the first one alone."""
    return mean + (((q << bits) - mean) >> shift) if begun else q << bits


@inline
def remember(profile: Int, memory: NDArray[np.int64], around: NDArray[np.int64], q: Int, top: Int) -> None:
    """Take a quality into the memory of the read, as far as its profile needs it; ``top`` is the highest rank."""
    q1, begun = memory[Q1], memory[SEEN]
    is_top = 1 if q == top else 0
    memory[MEAN8] = moved(memory[MEAN8], q, 4, 3, begun)
    if profile != NANOPORE:
        memory[MEAN32] = moved(memory[MEAN32], q, 6, 5, begun)
        if q == q1:
            memory[RUN] = min(memory[RUN] + 1, 255)
        else:
            memory[RUN] = 0
            memory[OTHER] = q1
    if profile == SHORT:
        memory[MEAN4] = moved(memory[MEAN4], q, 4, 2, begun)
        memory[BELOW] = min(memory[BELOW] + 1 - is_top, 63)
    elif profile == HIFI:
        memory[MEAN128] = moved(memory[MEAN128], q, 6, 7, begun)
        memory[LEAST] = min(memory[LEAST], q)
        memory[TOPS16] += ((is_top << 8) - memory[TOPS16]) >> 4
        memory[NEAR + kmer(around, 1, 1)] = q
        memory[WIDE + kmer(around, 2, 2)] = q
    memory[SEEN] = 1
    memory[Q4] = memory[Q3]
    memory[Q3] = memory[Q2]
    memory[Q2] = q1
    memory[Q1] = q
