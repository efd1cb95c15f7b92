"""The compiled loop of the quality coder: contexts, counters, mixer and range coder, decision by decision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.decisions import (
    CELLS,
    ODDS,
    Int,
    between,
    counted,
    decode,
    encode,
    forecast_of,
    inline,
    kernel,
    mixed,
    squashed,
    start_decoding,
    teach,
    u,
)

from .contexts import CONTEXTS, MEAN8, MEMORY, Q1, Q2, begin_read, find_contexts, remember

NODES = 128
"""More than a tree of 94 values can have."""
LINE = 16
"""Counters of a context stand together by so many nodes."""
SETS = 4
ROWS = 8192
"""Rows of weights in a set."""


@inline
def choose_rows(
    rows: NDArray[np.int64], memory: NDArray[np.int64], around: NDArray[np.int64], node: Int, at: Int
) -> None:
    """The row of weights that each set uses."""
    q1 = memory[Q1]
    rows[0] = node
    rows[1] = ROWS + min(at >> 3, 63) * NODES + node
    rows[2] = 2 * ROWS + q1 * 64 + min(memory[MEAN8] >> 5, 63)
    same = 1 if q1 == memory[Q2] else 0
    rows[3] = 3 * ROWS + ((min(around[0], 3) * 4 + min(around[1], 3)) * 2 + same) * NODES + node


@kernel
def run(
    symbols: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    bases: NDArray[np.uint8],
    profile: int,
    sets: int,
    tree: NDArray[np.int64],
    counters: NDArray[np.uint32],
    weights: NDArray[np.int32],
    final: NDArray[np.int32],
    maps: NDArray[np.uint16],
    scratch: NDArray[np.int64],
    contexts: NDArray[np.uint64],
    inputs: NDArray[np.int32],
    state: NDArray[np.uint64],
    data: NDArray[np.uint8],
    decoding: bool,
) -> None:
    """Encode the ranks ``symbols`` into ``data``, or decode them out of it.

    ``tree`` [3, NODES]: the least rank of each node's upper half, and what follows its lower and its upper half: a
    node, or ``-1 - rank``. ``counters`` [CONTEXTS, lines * LINE], ``weights`` [SETS * ROWS * CONTEXTS], ``final``
    [NODES * SETS] and ``maps`` [NODES * NODES * CELLS] are what is learned; the others are room to work in.
    """
    lines = counters.shape[1] // LINE
    mask = np.uint64(lines - 1)
    top = tree[3, 0]
    memory, around, rows, logits, cells = (
        scratch[:MEMORY],
        scratch[MEMORY : MEMORY + 4],
        scratch[MEMORY + 4 : MEMORY + 4 + SETS],
        scratch[MEMORY + 8 : MEMORY + 8 + SETS],
        scratch[MEMORY + 12 : MEMORY + 12 + CONTEXTS],
    )
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
            find_contexts(profile, memory, around, bases, place, first, end, contexts)
            for j in range(CONTEXTS):
                value = (contexts[u(j)] * np.uint64(16) + np.uint64(j)) * np.uint64(0x9E3779B97F4A7C15)
                contexts[u(j)] = value ^ (value >> np.uint64(29))
            symbol = np.int64(symbols[u(place)])
            node, line = np.int64(0 if top else -1), np.int64(-1)
            q1 = memory[Q1]
            while node >= 0:
                if node // LINE != line:
                    line = node // LINE
                    for j in range(CONTEXTS):
                        value = (contexts[u(j)] + np.uint64(line)) * np.uint64(0xD6E8FEB86659FD93)
                        cells[u(j)] = np.int64((value >> np.uint64(36)) & mask) * LINE
                slot = node & (LINE - 1)
                for j in range(CONTEXTS):
                    inputs[u(j)] = forecast_of(counters[u(j), u(cells[u(j)] + slot)])
                choose_rows(rows, memory, around, node, place - first)
                total: Int = np.int64(0)
                for k in range(sets):
                    logits[u(k)] = mixed(weights, rows[u(k)] * CONTEXTS, inputs)
                    total += final[u(node * SETS + k)] * logits[u(k)]
                forecast = between(total >> 16, -ODDS, ODDS)
                chance = np.int64(squashed(forecast))
                # The map: how often such a forecast held, after such a quality.
                cell = (forecast + 4096) >> 8
                slant = (forecast + 4096) & 255
                at = (node * NODES + q1) * CELLS + cell
                held = (np.int64(maps[u(at)]) * (256 - slant) + np.int64(maps[u(at + 1)]) * slant) >> 8
                coded = between((chance + held) >> 1, 16, 65536 - 16)
                if decoding:
                    bit = decode(state, data, coded)
                else:
                    bit = 1 if symbol >= tree[0, u(node)] else 0
                    encode(state, data, coded, bit)
                whole = 65536 if bit else 0
                for k in range(sets):
                    teach(weights, rows[u(k)] * CONTEXTS, inputs, (whole - np.int64(squashed(logits[u(k)]))) * rate)
                    step = (logits[u(k)] * (whole - chance) + (1 << 17)) >> 18
                    spot = node * SETS + k
                    final[u(spot)] = between(final[u(spot)] + step, -4 << 16, 4 << 16)
                near = at + (slant >> 7)
                maps[u(near)] += ((65535 if bit else 0) - np.int64(maps[u(near)])) >> 6
                for j in range(CONTEXTS):
                    cell = cells[u(j)] + slot
                    counters[u(j), u(cell)] = counted(counters[u(j), u(cell)], bit)
                node = tree[1 + bit, u(node)]
            symbol = -1 - node
            symbols[u(place)] = symbol
            remember(memory, around, symbol, top)
            place += 1
