"""The compiled loop of the quality coder: every quality is a walk down the tree, bit by bit.

Reads can be coded in turns: while the counters of one are on their way from memory, the others go on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import u
from geneformer_codec.coding.jit import Int, inline, kernels, prefetch
from geneformer_codec.coding.mixing import (
    LINE,
    Mixer,
    decode,
    encode,
    hash_contexts,
    line_of,
    predict,
    spread,
    start_decoding,
    update,
)
from geneformer_codec.streams.qualities.contexts import (
    AFTER,
    BEFORE,
    HIFI,
    MEAN8,
    MEMORY,
    Q1,
    Q2,
    SHORT,
    begin_read,
    find_contexts,
    kmer,
    remember,
)

kernel = kernels()

NODES = 128
"""More than a tree of 94 values can have."""
ROWS = NODES * 128
"""Rows of weights in a set."""
PLACE, FIRST, END, NODE, RATE = range(5)
"""Of a walk: the residue at hand, the first of its read, the one after its last, the node (-1: no reads are left)."""
NEXT, START, DONE = range(3)
"""The next read, its first residue, and how many qualities are coded."""


class Reads(NamedTuple):
    """The reads that are being coded in turns."""

    memory: NDArray[np.int64]  # [reads, MEMORY], see `contexts`
    around: NDArray[np.int64]  # [reads, 3], from the bases, see `contexts`
    contexts: NDArray[np.uint64]  # [reads, contexts]
    cells: NDArray[np.int64]  # [reads, contexts], where each context's line of counters begins
    walks: NDArray[np.int64]  # [reads, 5], see `PLACE`
    ahead: NDArray[np.int64]  # [3], see `NEXT`
    all: tuple[int, ...]  # their numbers; see `Mixer.contexts`


def new_reads(reads: int, contexts: int) -> Reads:
    """Places for so many reads, which have had none yet."""
    return Reads(
        memory=np.zeros((reads, MEMORY), np.int64),
        around=np.zeros((reads, 3), np.int64),
        contexts=np.zeros((reads, contexts), np.uint64),
        cells=np.zeros((reads, contexts), np.int64),
        walks=np.zeros((reads, 5), np.int64),
        ahead=np.zeros(3, np.int64),
        all=tuple(range(reads)),
    )


class Slice(NamedTuple):
    """Qualities that are coded in one sequence, as far as both sides know them, and the state of the coder.

    ``tree`` [4, NODES]: the least rank of each node's upper half, and what follows its lower and its upper half, a
    node or ``-1 - rank``; then the highest rank, which is not 0.
    """

    lengths: NDArray[np.int64]  # of its reads
    bases: NDArray[np.uint8]
    profile: int
    tree: NDArray[np.int64]
    mixer: Mixer
    reads: Reads
    coder: NDArray[np.uint64]


@inline
def choose_rows(
    mixer: Mixer, profile: Int, memory: NDArray[np.int64], around: NDArray[np.int64], node: Int, at: Int
) -> None:
    """The row of weights that each set uses."""
    rows, q1 = mixer.rows, memory[Q1]
    homopolymer = (min(around[BEFORE], 3) * 4 + min(around[AFTER], 3)) * 2 + (1 if q1 == memory[Q2] else 0)
    rows[0] = (homopolymer if profile == HIFI else q1) * NODES + node
    if len(mixer.sets) > 1:
        rows[1] = ROWS + (min(at >> 3, 127) if profile == SHORT else kmer(around, 1, 1)) * NODES + node
    if len(mixer.sets) > 2:
        rows[2] = 2 * ROWS + q1 * 64 + min(memory[MEAN8] >> 5, 63)
        rows[3] = 3 * ROWS + (q1 if profile == HIFI else homopolymer) * NODES + node


@inline
def find_lines(mixer: Mixer, contexts: NDArray[np.uint64], cells: NDArray[np.int64], part: Int) -> None:
    """Find the lines of counters for a part of the tree."""
    for j in range(len(mixer.contexts)):
        cells[u(j)] = line_of(mixer, spread(contexts[u(j)], part))
    for j in range(len(mixer.contexts)):
        prefetch(mixer.counters, j * mixer.counters.shape[1] + cells[u(j)])


@inline
def begin_quality(slice_: Slice, read: Int) -> None:
    """Go to the root for the next quality: of this read, or of the next one that has any."""
    reads, lengths, bases, profile, mixer = slice_.reads, slice_.lengths, slice_.bases, slice_.profile, slice_.mixer
    walk, memory, around = reads.walks[read], reads.memory[read], reads.around[read]
    if walk[PLACE] == walk[END]:
        ahead = reads.ahead
        while ahead[NEXT] < len(lengths) and lengths[u(ahead[NEXT])] == 0:
            ahead[NEXT] += 1
        if ahead[NEXT] == len(lengths):
            walk[NODE] = -1
            return
        walk[PLACE] = walk[FIRST] = ahead[START]
        ahead[START] += lengths[u(ahead[NEXT])]
        ahead[NEXT] += 1
        walk[END] = ahead[START]
        walk[RATE] = 160 + (400 << 15) // ((1 << 15) + walk[FIRST])
        begin_read(profile, memory, around, bases, walk[FIRST], walk[END])
    walk[NODE] = 0
    contexts = reads.contexts[read]
    with_runs = len(mixer.sets) > 2
    find_contexts(profile, memory, around, bases, walk[PLACE], walk[FIRST], walk[END], contexts, with_runs)
    hash_contexts(mixer, contexts)
    find_lines(mixer, contexts, reads.cells[read], 0)


@inline
def begin_slice(slice_: Slice, data: NDArray[np.uint8], decoding: bool) -> None:
    """Make ready to code the first quality."""
    if decoding:
        start_decoding(slice_.coder, data)
    for read in range(len(slice_.reads.all)):
        begin_quality(slice_, read)


@inline
def code_slice(slice_: Slice, symbols: NDArray[np.uint8], data: NDArray[np.uint8], stop: Int, decoding: bool) -> None:
    """Encode the ranks ``symbols`` into ``data``, or decode them out of it: on until ``stop`` of them are coded."""
    reads, tree, mixer, profile = slice_.reads, slice_.tree, slice_.mixer, slice_.profile
    while reads.ahead[DONE] < stop:
        for read in range(len(reads.all)):
            walk, memory, cells = reads.walks[read], reads.memory[read], reads.cells[read]
            node, place = walk[NODE], walk[PLACE]
            if node < 0:
                continue
            slot = node & (LINE - 1)
            choose_rows(mixer, profile, memory, reads.around[read], node, place - walk[FIRST])
            probability = predict(mixer, cells, slot, node)
            if decoding:
                bit = decode(slice_.coder, data, probability)
            else:
                bit = 1 if np.int64(symbols[u(place)]) >= tree[0, u(node)] else 0
                encode(slice_.coder, data, probability, bit)
            update(mixer, cells, slot, node, bit, walk[RATE])
            after = tree[1 + bit, u(node)]
            if after >= 0:
                walk[NODE] = after
                if after // LINE != node // LINE:
                    find_lines(mixer, reads.contexts[read], cells, after // LINE)
            else:
                symbols[u(place)] = -1 - after
                remember(profile, memory, reads.around[read], -1 - after, tree[3, 0])
                walk[PLACE] = place + 1
                reads.ahead[DONE] += 1
                begin_quality(slice_, read)


@kernel
def run(slice_: Slice, symbols: NDArray[np.uint8], data: NDArray[np.uint8], decoding: bool) -> None:
    """Encode all of a slice into ``data``, or decode it."""
    begin_slice(slice_, data, decoding)
    code_slice(slice_, symbols, data, len(symbols), decoding)
