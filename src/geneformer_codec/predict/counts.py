"""Context counts as inputs of the mixer: adaptive probabilities of short contexts, four 4-bit counts of long ones."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import adaptation_rate, clamp, hashed, log2_q10, move_four, u
from geneformer_codec.coding.jit import Int, inline, prefetch
from geneformer_codec.predict.state import DONE, LOW_ROW, PanelTables, Recent, Scratch, Settings, Slice, SliceState

INPUT_LIMIT = 2047
"""Inputs are log2 in Q7 and stay within +-16 bits."""


@inline
def put(scratch: Scratch, at: Int, a: Int, b: Int, c: Int, d: Int) -> None:
    """Input ``at``: four log2 in Q7, centred."""
    inputs = scratch.inputs.shape[0] >> 2
    mean = (a + b + c + d) >> 2
    scratch.inputs[u(at)] = clamp(a - mean, -INPUT_LIMIT, INPUT_LIMIT)
    scratch.inputs[u(inputs + at)] = clamp(b - mean, -INPUT_LIMIT, INPUT_LIMIT)
    scratch.inputs[u(2 * inputs + at)] = clamp(c - mean, -INPUT_LIMIT, INPUT_LIMIT)
    scratch.inputs[u(3 * inputs + at)] = clamp(d - mean, -INPUT_LIMIT, INPUT_LIMIT)


@inline
def count_place(order: Int, context: Int, bits: Int) -> Int:
    """Where the counts of a context of ``order`` bases stand: direct, or hashed with the newest base kept."""
    if 2 * order <= bits:
        return np.int64(context)
    mixed = hashed((context >> np.uint64(2)) + np.uint64(order) * np.uint64(0x12345678901))
    return (np.int64(mixed >> np.uint64(64 - bits + 2)) << 2) | np.int64(context & np.uint64(3))


@inline
def last_bases(history: Int, order: Int) -> Int:
    """The newest ``order`` bases, fewer than 32."""
    return history & ((np.uint64(1) << np.uint64(2 * order)) - np.uint64(1))


@inline
def add_count(counts: NDArray[np.uint16], at: Int, base: Int) -> None:
    """One more of ``base``; all four are halved before one would pass 15."""
    value = np.int64(counts[u(at)])
    if (value >> (4 * base)) & 15 == 15:
        value = (value >> 1) & 0x7777
    counts[u(at)] = np.uint16(value + (1 << (4 * base)))


@inline
def add_pending(panel: PanelTables, scratch: Scratch, k: Int) -> None:
    """Add the count that was put off until its cache line is there: the place times 8, 4, and the base; 0 for none.

    It must be done before the place is read, or another base is counted there.
    """
    pending = scratch.pending[u(k)]
    if pending:
        add_count(panel.counts, pending >> 3, pending & 3)
        scratch.pending[u(k)] = 0


@inline
def predict_low(state: SliceState, scratch: Scratch, history: Int, at: Int) -> Int:
    """Inputs of the short contexts; gives the place after the last."""
    for k in range(state.low_orders.shape[0]):
        row = state.low_at[u(k)] + np.int64(last_bases(history, state.low_orders[u(k)])) * LOW_ROW
        put_row(state, scratch, at, row)
        at += 1
    return at


@inline
def put_row(state: SliceState, scratch: Scratch, at: Int, row: Int) -> None:
    """Input ``at``: the adaptive probabilities that start at ``row`` of `SliceState.low`."""
    put(
        scratch,
        at,
        log2_q10(np.int64(state.low[u(row)]) + 1) >> 3,
        log2_q10(np.int64(state.low[u(row + 1)]) + 1) >> 3,
        log2_q10(np.int64(state.low[u(row + 2)]) + 1) >> 3,
        log2_q10(np.int64(state.low[u(row + 3)]) + 1) >> 3,
    )


@inline
def predict_counts(settings: Settings, panel: PanelTables, scratch: Scratch, history: Int, at: Int) -> Int:
    """Inputs of the long contexts and, for the mixer, each one's confidence; gives the place after the last."""
    for k in range(panel.count_orders.shape[0]):
        order = panel.count_orders[u(k)]
        here = panel.count_at[u(k)] + count_place(order, last_bases(history, order), settings.table_bits)
        if scratch.pending[u(k)] >> 3 == here:
            add_pending(panel, scratch, k)
        value = np.int64(panel.counts[u(here)])
        a, b, c, d = value & 15, (value >> 4) & 15, (value >> 8) & 15, value >> 12
        total = a + b + c + d
        top = max(max(a, b), max(c, d))
        if total:
            logs = 16 * k
            table = panel.count_logs
            put(scratch, at, table[u(logs + a)], table[u(logs + b)], table[u(logs + c)], table[u(logs + d)])
            confidence = 3 if top == total else (2 if 10 * top > 9 * total else (1 if 10 * top > 6 * total else 0))
            scratch.count_confidence[u(k)] = (1 if total < 2 else (2 if total < 4 else 3)) * 4 + confidence
        else:
            put(scratch, at, 0, 0, 0, 0)
            scratch.count_confidence[u(k)] = 3
        at += 1
    return at


@inline
def prefetch_counts(settings: Settings, panel: PanelTables, history: Int) -> None:
    """Prefetch the counts of the next base: its four contexts, one for each value of this base, share a cache line."""
    for k in range(panel.count_orders.shape[0]):
        order = panel.count_orders[u(k)]
        context = last_bases(history << np.uint64(2), order)
        prefetch(panel.counts, panel.count_at[u(k)] + count_place(order, context, settings.table_bits))


@inline
def learn_row(state: SliceState, row: Int, base: Int) -> None:
    """Move the adaptive probabilities at ``row`` towards ``base``, by 1/(observations + 1.6), at least 1/256."""
    seen = np.int64(state.low[u(row + 4)])
    move_four(state.low, row, base, adaptation_rate(seen))
    if seen < 255:
        state.low[u(row + 4)] = np.uint16(seen + 1)


@inline
def base_before(recent: Recent, order: Int) -> Int:
    """The complement of the base ``order`` before the newest: what follows the others on the other strand."""
    return 3 - np.int64((recent.history >> np.uint64(2 * order)) & np.uint64(3))


@inline
def learn_contexts(slice_: Slice, before: Recent, after: Recent, base: Int) -> None:
    """Teach all contexts ``base`` and, of both strands, what stands before its reverse complement.

    ``before`` and ``after`` are the history without and with the base.
    """
    settings, panel, state, _, scratch = slice_
    done = state.numbers[DONE]
    for k in range(state.low_orders.shape[0]):
        order, at = state.low_orders[u(k)], state.low_at[u(k)]
        learn_row(state, at + np.int64(last_bases(before.history, order)) * LOW_ROW, base)
        if settings.both_strands and done >= order:
            context = np.int64(after.reverse_complement >> np.uint64(64 - 2 * order))
            learn_row(state, at + context * LOW_ROW, base_before(after, order))
    if settings.learn_counts:
        for k in range(panel.count_orders.shape[0]):
            order, at = panel.count_orders[u(k)], panel.count_at[u(k)]
            add_pending(panel, scratch, k)
            place = at + count_place(order, last_bases(before.history, order), settings.table_bits)
            add_count(panel.counts, place, base)
            if settings.both_strands and done >= order:
                context = after.reverse_complement >> np.uint64(64 - 2 * order)
                place = at + count_place(order, context, settings.table_bits)
                prefetch(panel.counts, place)
                scratch.pending[u(k)] = place * 8 + 4 + base_before(after, order)
