"""Contexts of a quality: the qualities before it and the bases around it, in three profiles of eight contexts.

Level ``fast`` uses four of them. The profiles suit reads of Illumina, Nanopore and PacBio HiFi; whichever is
smallest on a sample is used. A context is a number; equal numbers of the same context share counters. ``q`` is a
quality's rank among those that occur.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import u
from geneformer_codec.coding.jit import Int, inline

SHORT, NANOPORE, HIFI = range(3)

# What is remembered of the read so far.
Q1, Q2, Q3, Q4, MEAN4, MEAN8, MEAN32, MEAN128, RUN, OTHER, LEAST, BELOW, TOPS8, BANDS, TOPS16, SEEN = range(16)
# The last quality in each surrounding of one base on either side (64), and of two (1024).
NEAR = 16
WIDE = NEAR + 64
MEMORY = WIDE + 1024


@inline
def begin_read(profile: Int, memory: NDArray[np.int64]) -> None:
    """Forget the read before."""
    memory[: NEAR if profile == SHORT else MEMORY] = 0
    memory[LEAST] = 127


@inline
def base_at(bases: NDArray[np.uint8], place: Int, first: Int, end: Int) -> Int:
    """The base at a place: 0 to 3, 4 for anything else, 5 beyond the read."""
    if place < first or place >= end:
        return np.int64(5)
    return np.int64(bases[u(place)])


@inline
def look_around(
    around: NDArray[np.int64], bases: NDArray[np.uint8], place: Int, first: Int, end: Int, b1: Int, n1: Int
) -> None:
    """Set ``around``: how many equal bases stand before this one and after it, and the bases next to it."""
    b0 = np.int64(bases[u(place)])
    before, after = around[0], around[1]
    before = min(before + 1, 15) if b0 == b1 else 0
    if after > 0 and before and place + 15 < end:
        after -= 1
        if after == 14 and bases[u(place + 15)] == b0:
            after = 15
    else:
        after = 0
        while after < 15 and place + after + 1 < end and bases[u(place + after + 1)] == b0:
            after += 1
    b2, n2 = base_at(bases, place - 2, first, end), base_at(bases, place + 2, first, end)
    near = ((b1 & 3) * 4 + (b0 & 3)) * 4 + (n1 & 3)
    around[0], around[1], around[2], around[3] = before, after, near, (near * 4 + (b2 & 3)) * 4 + (n2 & 3)


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

    ``around`` gets those of bases: of short reads only if rows are chosen by them (``with_runs``).
    """
    b0 = np.int64(bases[u(place)])
    b1 = base_at(bases, place - 1, first, end)
    q1, q2 = memory[Q1], memory[Q2]
    last = len(contexts) - 1
    few = last == 3
    if profile == SHORT:
        b2 = base_at(bases, place - 2, first, end)
        if with_runs:
            look_around(around, bases, place, first, end, b1, base_at(bases, place + 1, first, end))
        at = min(place - first, 1023)
        contexts[0] = q1 << 10 | at
        contexts[1] = (memory[MEAN32] >> 4) << 8 | at >> 2
        contexts[2] = (q1 << 7 | q2) << 9 | b0 << 6 | b1 << 3 | b2
        contexts[last] = ((memory[MEAN4] >> 4) << 8 | memory[MEAN32] >> 5) << 3 | b0
        if few:
            return
        contexts[3] = (q1 << 7 | memory[MEAN8] >> 4) << 6 | memory[BELOW]
        contexts[4] = (q1 << 7 | memory[OTHER]) << 6 | min(memory[RUN], 63)
        contexts[5] = (q1 << 7 | memory[LEAST]) << 8 | memory[MEAN32] >> 5
        contexts[6] = (q1 << 7 | max(q2, memory[Q3])) << 7 | at >> 3
        return
    n1 = base_at(bases, place + 1, first, end)
    look_around(around, bases, place, first, end, b1, n1)
    before, after, near, wide = around[0], around[1], around[2], around[3]
    homopolymer = before << 4 | after
    if profile == NANOPORE:
        n3 = base_at(bases, place + 3, first, end)
        next_run = 0
        if n1 < 5 and n1 != b0:
            while next_run < 7 and place + next_run + 2 < end and bases[u(place + next_run + 2)] == n1:
                next_run += 1
        contexts[0] = q1 << 9 | b0 << 6 | b1 << 3 | n1
        contexts[1] = (q1 << 8 | homopolymer) << 3 | b0
        contexts[2] = (((wide << 3 | n3) << 8 | homopolymer) << 3 | next_run) << 3 | b0
        contexts[last] = (q1 << 7 | memory[LEAST]) << 5 | memory[MEAN8] >> 6
        if few:
            return
        contexts[3] = q1 << 8 | memory[TOPS8]
        contexts[4] = memory[BANDS] << 6 | b0 << 3 | b1
        contexts[5] = (q1 >> 2) << 15 | (q2 >> 2) << 10 | (memory[Q3] >> 2) << 5 | memory[Q4] >> 2
        contexts[6] = q1 << 7 | memory[WIDE + wide]
    else:
        contexts[0] = (q1 << 8 | homopolymer) << 3 | b0
        contexts[1] = ((memory[MEAN128] >> 4) << 8 | homopolymer) << 6 | b0 << 3 | n1
        contexts[2] = (memory[TOPS16] << 5 | min(memory[RUN], 31)) << 6 | b0 << 3 | n1
        contexts[3] = (memory[NEAR + near] << 8 | memory[MEAN32] >> 5) << 4 | before
        if few:
            return
        contexts[4] = q1 << 7 | memory[WIDE + wide]
        contexts[5] = q1 << 7 | memory[NEAR + near]
        contexts[6] = (q1 << 7 | memory[LEAST]) << 5 | memory[MEAN8] >> 6
        contexts[7] = q1 << 8 | memory[TOPS8]


@inline
def remember(profile: Int, memory: NDArray[np.int64], around: NDArray[np.int64], q: Int, top: Int) -> None:
    """Take a quality into the memory of the read, as far as its profile needs it; ``top`` is the highest rank."""
    q1 = memory[Q1]
    if memory[SEEN] == 0:
        memory[MEAN4] = memory[MEAN8] = q << 4
        memory[MEAN32] = q << 6
    else:
        memory[MEAN4] += ((q << 4) - memory[MEAN4]) >> 2
        memory[MEAN8] += ((q << 4) - memory[MEAN8]) >> 3
        memory[MEAN32] += ((q << 6) - memory[MEAN32]) >> 5
    if q == q1:
        memory[RUN] = min(memory[RUN] + 1, 255)
    else:
        memory[RUN] = 0
        memory[OTHER] = q1
    is_top = 1 if q == top else 0
    memory[LEAST] = min(memory[LEAST], q)
    if profile == SHORT:
        memory[BELOW] = min(memory[BELOW] + 1 - is_top, 63)
    else:
        if memory[SEEN] == 0:
            memory[MEAN128] = q << 6
        memory[MEAN128] += ((q << 6) - memory[MEAN128]) >> 7
        memory[TOPS8] = (memory[TOPS8] << 1 | is_top) & 255
        band = 3 if is_top else (3 * q) // (top + 1)
        memory[BANDS] = (memory[BANDS] << 2 | band) & 0xFFFF
        memory[TOPS16] += ((is_top << 8) - memory[TOPS16]) >> 4
        memory[NEAR + around[2]] = q
        memory[WIDE + around[3]] = q
    memory[SEEN] = 1
    memory[Q4] = memory[Q3]
    memory[Q3] = memory[Q2]
    memory[Q2] = q1
    memory[Q1] = q
