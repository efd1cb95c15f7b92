"""The compiled loop of the quality coder: a walk down the tree for every quality, decision by decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding import decisions
from geneformer_codec.coding.decisions import (
    INPUTS,
    LINE,
    Mixer,
    decode,
    encode,
    foretell,
    hash_contexts,
    learn,
    line_of,
    spread,
    start_decoding,
    u,
)
from geneformer_codec.compiled import Int, inline, kernels, sources

from .contexts import MEAN8, Q1, Q2, begin_read, find_contexts, remember

kernel = kernels(sources(decisions.__file__, Path(__file__).parent))

NODES = 128
"""More than a tree of 94 values can have."""
ROWS = 8192
"""Rows of weights in a set."""


@inline
def choose_rows(
    rows: NDArray[np.int64], memory: NDArray[np.int64], around: NDArray[np.int64], node: Int, at: Int
) -> None:
    """The row of weights that each set uses."""
    rows[0] = node
    if rows.shape[0] > 1:
        rows[1] = ROWS + min(at >> 3, 63) * NODES + node
    if rows.shape[0] > 2:
        q1 = memory[Q1]
        rows[2] = 2 * ROWS + q1 * 64 + min(memory[MEAN8] >> 5, 63)
        same = 1 if q1 == memory[Q2] else 0
        rows[3] = 3 * ROWS + ((min(around[0], 3) * 4 + min(around[1], 3)) * 2 + same) * NODES + node


@kernel
def run(
    symbols: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    bases: NDArray[np.uint8],
    profile: int,
    tree: NDArray[np.int64],
    mixer: Mixer,
    memory: NDArray[np.int64],
    around: NDArray[np.int64],
    state: NDArray[np.uint64],
    data: NDArray[np.uint8],
    decoding: bool,
) -> None:
    """Encode the ranks ``symbols`` into ``data``, or decode them out of it.

    ``tree`` [4, NODES]: the least rank of each node's upper half, and what follows its lower and its upper half, a
    node or ``-1 - rank``; then the highest rank.
    """
    top = tree[3, 0]
    if decoding:
        start_decoding(state, data)
    place = 0
    for read in range(len(lengths)):
        first = place
        end = first + int(lengths[read])
        begin_read(memory)
        around[0] = around[1] = 0
        rate = 160 + np.int64((400 << 15) // ((1 << 15) + first))
        while place < end:
            find_contexts(profile, memory, around, bases, place, first, end, mixer.contexts)
            hash_contexts(mixer)
            symbol = np.int64(symbols[u(place)])
            node, line = np.int64(0 if top else -1), np.int64(-1)
            while node >= 0:
                if node // LINE != line:
                    line = node // LINE
                    for j in range(INPUTS):
                        mixer.cells[u(j)] = line_of(mixer, spread(mixer, j, line))
                slot = node & (LINE - 1)
                choose_rows(mixer.rows, memory, around, node, place - first)
                chance = foretell(mixer, slot, node, node * NODES + memory[Q1])
                if decoding:
                    bit = decode(state, data, chance)
                else:
                    bit = 1 if symbol >= tree[0, u(node)] else 0
                    encode(state, data, chance, bit)
                learn(mixer, slot, node, bit, rate)
                node = tree[1 + bit, u(node)]
            symbol = -1 - node
            symbols[u(place)] = symbol
            remember(memory, around, symbol, top)
            place += 1
