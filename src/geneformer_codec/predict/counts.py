"""Context counts as inputs of the mixer: adaptive probabilities of short contexts, four 4-bit counts of long ones."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, inline, prefetch
from geneformer_codec.predict.integers import hashed, log2_q10, move_four, u
from geneformer_codec.predict.state import LOW_ROW, Frozen, Local, Settings, Work

INPUT_LIMIT = 2047
"""Inputs are log2 in Q7 and stay within +-16 bits."""


@inline
def put(work: Work, at: Int, a: Int, b: Int, c: Int, d: Int) -> None:
    """Input ``at``: four log2 in Q7, centred."""
    inputs = work.inputs.shape[0] >> 2
    mean = (a + b + c + d) >> 2
    work.inputs[u(at)] = min(max(a - mean, -INPUT_LIMIT), INPUT_LIMIT)
    work.inputs[u(inputs + at)] = min(max(b - mean, -INPUT_LIMIT), INPUT_LIMIT)
    work.inputs[u(2 * inputs + at)] = min(max(c - mean, -INPUT_LIMIT), INPUT_LIMIT)
    work.inputs[u(3 * inputs + at)] = min(max(d - mean, -INPUT_LIMIT), INPUT_LIMIT)


@inline
def count_place(order: Int, context: Int, bits: Int) -> Int:
    """Where the counts of a context of ``order`` bases stand: direct, or hashed with the newest base kept."""
    if 2 * order <= bits:
        return np.int64(context)
    mixed = hashed((context >> np.uint64(2)) + np.uint64(order) * np.uint64(0x12345678901))
    return (np.int64(mixed >> np.uint64(64 - bits + 2)) << 2) | np.int64(context & np.uint64(3))


@inline
def last_bases(past: Int, order: Int) -> Int:
    """The newest ``order`` bases, fewer than 32."""
    return past & ((np.uint64(1) << np.uint64(2 * order)) - np.uint64(1))


@inline
def add_count(counts: NDArray[np.uint16], at: Int, base: Int) -> None:
    """One more of ``base``; all four are halved before one would pass 15."""
    value = np.int64(counts[u(at)])
    if (value >> (4 * base)) & 15 == 15:
        value = (value >> 1) & 0x7777
    counts[u(at)] = np.uint16(value + (1 << (4 * base)))


@inline
def catch_up(frozen: Frozen, work: Work, k: Int) -> None:
    """Count what was put off until it came from memory: the place times 8, 4, and the base; 0 for nothing.

    It must be done before the place is looked at, or another base is counted there.
    """
    late = work.late[u(k)]
    if late:
        add_count(frozen.counts, late >> 3, late & 3)
        work.late[u(k)] = 0


@inline
def predict_low(local: Local, work: Work, past: Int, at: Int) -> Int:
    """Inputs of the short contexts; gives the place after the last."""
    for k in range(local.low_orders.shape[0]):
        row = local.low_at[u(k)] + np.int64(last_bases(past, local.low_orders[u(k)])) * LOW_ROW
        put_row(local, work, at, row)
        at += 1
    return at


@inline
def put_row(local: Local, work: Work, at: Int, row: Int) -> None:
    """Input ``at``: the adaptive probabilities that start at ``row`` of `Local.low`."""
    put(
        work,
        at,
        log2_q10(np.int64(local.low[u(row)]) + 1) >> 3,
        log2_q10(np.int64(local.low[u(row + 1)]) + 1) >> 3,
        log2_q10(np.int64(local.low[u(row + 2)]) + 1) >> 3,
        log2_q10(np.int64(local.low[u(row + 3)]) + 1) >> 3,
    )


@inline
def predict_counts(cfg: Settings, frozen: Frozen, work: Work, past: Int, at: Int) -> Int:
    """Inputs of the long contexts and, for the mixer, how sure each is; gives the place after the last."""
    for k in range(frozen.count_orders.shape[0]):
        order = frozen.count_orders[u(k)]
        here = frozen.count_at[u(k)] + count_place(order, last_bases(past, order), cfg.table_bits)
        if work.late[u(k)] >> 3 == here:
            catch_up(frozen, work, k)
        value = np.int64(frozen.counts[u(here)])
        a, b, c, d = value & 15, (value >> 4) & 15, (value >> 8) & 15, value >> 12
        total = a + b + c + d
        top = max(max(a, b), max(c, d))
        if total:
            logs = 16 * k
            table = frozen.count_logs
            put(work, at, table[u(logs + a)], table[u(logs + b)], table[u(logs + c)], table[u(logs + d)])
            sure = 3 if top == total else (2 if 10 * top > 9 * total else (1 if 10 * top > 6 * total else 0))
            work.steady[u(k)] = (1 if total < 2 else (2 if total < 4 else 3)) * 4 + sure
        else:
            put(work, at, 0, 0, 0, 0)
            work.steady[u(k)] = 3
        at += 1
    return at


@inline
def prefetch_counts(cfg: Settings, frozen: Frozen, past: Int) -> None:
    """Ask for the counts of the next base: its four contexts, one for each value of this base, share a cache line."""
    for k in range(frozen.count_orders.shape[0]):
        order = frozen.count_orders[u(k)]
        context = last_bases(past << np.uint64(2), order)
        prefetch(frozen.counts, frozen.count_at[u(k)] + count_place(order, context, cfg.table_bits))


@inline
def learn_low(local: Local, divisors: NDArray[np.int64], context: Int, k: Int, base: Int) -> None:
    """Move the probabilities of a short context towards ``base``, by 1/(observations + 1.6), at least 1/256."""
    learn_low_row(local, divisors, local.low_at[u(k)] + np.int64(context) * LOW_ROW, base)


@inline
def learn_low_row(local: Local, divisors: NDArray[np.int64], row: Int, base: Int) -> None:
    """The same for the row that starts at ``row``."""
    seen = np.int64(local.low[u(row + 4)])
    rate = divisors[u(seen)]
    move_four(local.low, row, base, rate)
    if seen < 255:
        local.low[u(row + 4)] = np.uint16(seen + 1)


@inline
def learn(
    cfg: Settings, frozen: Frozen, local: Local, work: Work, divisors: NDArray[np.int64], past: Int, turned: Int,
    done: Int, base: Int,
) -> None:  # fmt: skip
    """Teach all counts ``base`` after ``past`` and, of both strands, the complement before the reverse complement.

    ``turned`` is the reverse complement of the bases up to and with ``base``, the newest in the highest bits; ``done``
    bases came before.
    """
    with_base = (past << np.uint64(2)) | np.uint64(base)
    for k in range(local.low_orders.shape[0]):
        order = local.low_orders[u(k)]
        learn_low(local, divisors, last_bases(past, order), k, base)
        if cfg.both_strands and done >= order:
            other = 3 - np.int64((with_base >> np.uint64(2 * order)) & np.uint64(3))
            learn_low(local, divisors, turned >> np.uint64(64 - 2 * order), k, other)
    if cfg.learn_counts:
        for k in range(frozen.count_orders.shape[0]):
            order = frozen.count_orders[u(k)]
            at = frozen.count_at[u(k)]
            catch_up(frozen, work, k)
            add_count(frozen.counts, at + count_place(order, last_bases(past, order), cfg.table_bits), base)
            if cfg.both_strands and done >= order:
                other = 3 - np.int64((with_base >> np.uint64(2 * order)) & np.uint64(3))
                place = at + count_place(order, turned >> np.uint64(64 - 2 * order), cfg.table_bits)
                prefetch(frozen.counts, place)
                work.late[u(k)] = place * 8 + 4 + other
