"""Gated logistic mixing of the experts' log2 probabilities, a second layer over its weight sets, and adaptive maps.

Each set has rows of weights, one row chosen by a context; a row's logits are its weights times the inputs, and it
learns by its own error alone. The second layer adds the sets' logits, with weights chosen by how sure the copies are.
Two maps then correct the probability of the most likely base by how often such a claim held.
"""

import numpy as np

from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.integers import exp2_q30, log2_q10, ones_of_64, u
from geneformer_codec.predict.state import (
    BINS,
    CONFIDENCE,
    CROWD,
    DENSITY,
    FINAL,
    FRAME,
    GUESS,
    MAP_ONE,
    MAP_TWO,
    PHASE,
    SET_ROWS,
    SETS,
    SLANT,
    TOP,
    Frozen,
    Local,
    Mixing,
    Settings,
    Work,
)

TOTAL_BITS = 22
TOTAL = 1 << TOTAL_BITS
FLOOR = 4
"""The least of 2**22 that a base gets."""
ONE_BY_ONE = 4
"""Inputs that are sooner gone through one by one than as the vectors that padding makes of them."""
WEIGHT_LIMIT = (2 << 20) - 1
FINAL_LIMIT = 4 << 16
DENSITIES = np.array([sum(failed >= least for least in (1, 2, 3, 5, 8, 13, 21)) for failed in range(65)], np.int32)
"""By how many of the last 64 guesses failed."""
_BEFORE = tuple(sum(SET_ROWS[:which]) for which in range(SETS))
_B1, _B2, _B3, _B4, _B5 = _BEFORE[1:]


@inline
def inputs_at_work(cfg: Settings, frozen: Frozen, local: Local, work: Work) -> Int:
    """How many inputs to go through: the rest, which is 0, only where it makes up vectors."""
    used = cfg.heads + local.low_orders.shape[0] + frozen.count_orders.shape[0] + local.frame_orders.shape[0]
    used += 1 if local.outside.shape[0] else 0
    return used if used <= ONE_BY_ONE else work.inputs.shape[0] >> 2


@inline
def choose(cfg: Settings, local: Local, work: Work, past: Int, fails: Int, orders: Int) -> None:
    """The row of each set, of the final layer and of the maps."""
    sure, top, crowd = work.recall[CONFIDENCE], work.recall[TOP], work.recall[CROWD]
    inputs = work.inputs.shape[0] >> 2
    h = np.int64(past & np.uint64(0xFF))
    density = np.int64(DENSITIES[u(ones_of_64(fails))])
    work.recall[DENSITY] = density
    work.recall[FINAL] = ((sure * 8 + crowd) * 4 + np.int64(fails & np.uint64(3))) * SETS
    work.rows[0] = (sure * 16 + (h & 15)) * inputs
    if cfg.sets == 1:
        return
    steady = 0
    if orders == 1:
        steady = work.steady[0]
    elif orders > 1:
        steady = work.steady[u(orders - 2)] * 16 + work.steady[u(orders - 1)]
    work.rows[1] = (_B1 + steady) * inputs
    work.rows[2] = (_B2 + density * 32 + np.int64(fails & np.uint64(31))) * inputs
    work.rows[3] = (_B3 + (sure * 4 + top) * 8 + crowd) * inputs
    if local.frame_orders.shape[0]:
        frame, phase = work.recall[FRAME], work.recall[PHASE]
        work.rows[4] = (_B4 + ((h & 15) * 8 + (6 if phase == 3 else frame >> 2)) * 8 + sure) * inputs
        work.rows[5] = (_B5 + frame) * inputs
        work.recall[FINAL] = ((sure * 8 + crowd) * 4 + phase) * SETS
    else:
        work.rows[4] = (_B4 + (h & 127) * 8 + sure) * inputs
        work.rows[5] = _B5 * inputs


@inline
def mix_all(cfg: Settings, mix: Mixing, work: Work, width: Int) -> None:
    """The logits and shares of every set, then of the final layer; of ``width`` inputs, see `inputs_at_work`."""
    inputs = work.inputs.shape[0] >> 2
    x, weights = work.inputs, mix.weights
    f0 = f1 = f2 = f3 = np.int64(0)
    for which in range(cfg.sets):
        row = work.rows[u(which)]
        s0 = s1 = s2 = s3 = np.int32(0)
        for j in range(width):
            w = np.int32(weights[u(row + j)] >> np.int32(6))
            s0 += np.int32(w * x[u(j)])
            s1 += np.int32(w * x[u(inputs + j)])
            s2 += np.int32(w * x[u(2 * inputs + j)])
            s3 += np.int32(w * x[u(3 * inputs + j)])
        z0, z1, z2, z3 = np.int64(s0) >> 11, np.int64(s1) >> 11, np.int64(s2) >> 11, np.int64(s3) >> 11
        at = 4 * which
        if cfg.sets == 1:
            f0, f1, f2, f3 = z0, z1, z2, z3
            break
        work.logits[u(at)], work.logits[u(at + 1)], work.logits[u(at + 2)], work.logits[u(at + 3)] = z0, z1, z2, z3
        best = max(max(z0, z1), max(z2, z3))
        p0, p1, p2, p3 = exp2_q30(best - z0), exp2_q30(best - z1), exp2_q30(best - z2), exp2_q30(best - z3)
        scale = np.int64(np.uint64(1 << 46) // np.uint64(p0 + p1 + p2 + p3))  # Q30 of these to Q16
        work.shares[u(at)] = (p0 * scale) >> 30
        work.shares[u(at + 1)] = (p1 * scale) >> 30
        work.shares[u(at + 2)] = (p2 * scale) >> 30
        work.shares[u(at + 3)] = (p3 * scale) >> 30
        part = np.int64(mix.final[u(work.recall[FINAL] + which)])
        f0 += part * z0
        f1 += part * z1
        f2 += part * z2
        f3 += part * z3
    if cfg.sets > 1:
        f0, f1, f2, f3 = f0 >> 16, f1 >> 16, f2 >> 16, f3 >> 16
    best = max(max(f0, f1), max(f2, f3))
    p0, p1, p2, p3 = exp2_q30(best - f0), exp2_q30(best - f1), exp2_q30(best - f2), exp2_q30(best - f3)
    total = p0 + p1 + p2 + p3
    scale = np.int64(np.uint64(1 << 52) // np.uint64(total))
    work.mixed[0] = (p0 * scale) >> 30
    work.mixed[1] = (p1 * scale) >> 30
    work.mixed[2] = (p2 * scale) >> 30
    work.mixed[3] = (p3 * scale) >> 30
    if cfg.sets == 1:
        for base in range(4):
            work.shares[u(base)] = work.mixed[u(base)] >> 6


@inline
def correct(mix: Mixing, work: Work, past: Int) -> None:
    """What is coded: the most likely base's share moved half way to what the maps say of it, and a floor for all."""
    guess, share = 0, work.mixed[0]
    for base in range(1, 4):
        if work.mixed[u(base)] > share:
            guess, share = base, work.mixed[u(base)]
    rest = max(TOTAL - share, 16)
    odds = log2_q10(share) - log2_q10(rest) + 16 * 768  # log2, Q10; a bin is 3/4 bit
    odds = min(max(odds, 0), 32 * 768 - 1)
    cell = np.int64(np.uint64(odds) // np.uint64(768))
    slant = odds - cell * 768
    h = np.int64(past & np.uint64(0xFF))
    one = (((work.recall[DENSITY] * 8 + work.recall[CONFIDENCE]) * 4 + (h & 3)) * 4 + guess) * BINS + cell
    kind = (work.recall[CONFIDENCE] * 4 + work.recall[TOP]) * 8 + work.recall[CROWD]
    two = (((kind & 255) * 4 + work.recall[PHASE]) * 4 + guess) * BINS + cell
    first = np.int64(mix.map_one[u(one)]) * (768 - slant) + np.int64(mix.map_one[u(one + 1)]) * slant
    second = np.int64(mix.map_two[u(two)]) * (768 - slant) + np.int64(mix.map_two[u(two + 1)]) * slant
    moved = (2 * share + np.int64(np.uint64(first + second) // np.uint64(768))) >> 2
    moved = min(moved, TOTAL - 3 * FLOOR)
    left = TOTAL - moved
    scale = np.int64(np.uint64((left - 3 * FLOOR) << 20) // np.uint64(rest))
    total = np.int64(0)
    for base in range(4):
        if base != guess:
            work.coded[u(base)] = ((work.mixed[u(base)] * scale) >> 20) + FLOOR
            total += work.coded[u(base)]
    work.coded[u(guess)] = TOTAL - total
    work.recall[GUESS] = guess
    work.recall[MAP_ONE] = one
    work.recall[MAP_TWO] = two
    work.recall[SLANT] = slant


@inline
def learn(cfg: Settings, mix: Mixing, work: Work, base: Int, width: Int) -> None:
    """Move weights (of ``width`` inputs), final weights and maps towards the base that came."""
    inputs = work.inputs.shape[0] >> 2
    x, weights = work.inputs, mix.weights
    rate = np.int32(cfg.rate)
    for which in range(cfg.sets):
        at = 4 * which
        e0 = np.int32((65536 if base == 0 else 0) - work.shares[u(at)])
        e1 = np.int32((65536 if base == 1 else 0) - work.shares[u(at + 1)])
        e2 = np.int32((65536 if base == 2 else 0) - work.shares[u(at + 2)])
        e3 = np.int32((65536 if base == 3 else 0) - work.shares[u(at + 3)])
        row = work.rows[u(which)]
        for j in range(width):
            push = np.int32(e0 * x[u(j)]) + np.int32(e1 * x[u(inputs + j)])
            push += np.int32(e2 * x[u(2 * inputs + j)]) + np.int32(e3 * x[u(3 * inputs + j)])
            step = np.int32(np.int32(np.int32(np.int32(push) >> np.int32(6)) * rate + np.int32(512)) >> np.int32(10))
            moved = np.int32(weights[u(row + j)] + step)
            weights[u(row + j)] = min(max(moved, np.int32(-WEIGHT_LIMIT)), np.int32(WEIGHT_LIMIT))
    row = work.recall[FINAL]
    for which in range(cfg.sets if cfg.sets > 1 else 0):
        push = np.int64(0)
        for other in range(4):
            error = (65536 if other == base else 0) - (work.mixed[u(other)] >> 6)
            push += error * work.logits[u(4 * which + other)]  # Q26
        moved = np.int64(mix.final[u(row + which)]) + ((push * cfg.final_rate + (1 << 23)) >> 24)
        mix.final[u(row + which)] = min(max(moved, -FINAL_LIMIT), FINAL_LIMIT)
    held = TOTAL - 1 if work.recall[GUESS] == base else 0
    slant = work.recall[SLANT]
    for side in range(2):
        near = slant if side else 768 - slant
        one, two = work.recall[MAP_ONE] + side, work.recall[MAP_TWO] + side
        first, second = np.int64(mix.map_one[u(one)]), np.int64(mix.map_two[u(two)])
        mix.map_one[u(one)] = first + (((held - first) * near * 109) >> 22)  # a fiftieth for a full cell
        mix.map_two[u(two)] = second + (((held - second) * near * 109) >> 22)
