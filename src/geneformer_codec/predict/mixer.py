"""Gated logistic mixing of the experts' log2 probabilities, a second layer over its weight sets, and adaptive maps.

Each set has rows of weights, one row chosen by a context; a row's logits are its weights times the inputs, and it
learns by its own error alone. The second layer adds the sets' logits, with weights chosen by the confidence of the
copies. Two adaptive probability maps (SSE) then refine the most likely base's probability by how often it is right.
"""

import numpy as np

from geneformer_codec.coding.integers import clamp, count_ones_64, exp2_q30, log2_q10, u
from geneformer_codec.coding.jit import Int, inline
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
    MixerState,
    Recent,
    Scratch,
    Settings,
    Slice,
    SliceState,
)

TOTAL_BITS = 22
TOTAL = 1 << TOTAL_BITS
FLOOR = 4
"""The least of 2**22 that a base gets."""
ONE_BY_ONE = 4
"""Up to so many inputs, a loop over them is faster than the vectors that padding makes of them."""
WEIGHT_LIMIT = (2 << 20) - 1
FINAL_LIMIT = 4 << 16
DENSITIES = np.array([sum(missed >= least for least in (1, 2, 3, 5, 8, 13, 21)) for missed in range(65)], np.int32)
"""By how many of the last 64 guesses missed."""
_BEFORE = tuple(sum(SET_ROWS[:which]) for which in range(SETS))
_B1, _B2, _B3, _B4, _B5 = _BEFORE[1:]


@inline
def inputs_used(slice_: Slice) -> Int:
    """How many inputs to loop over: the padding, which is 0, only where it makes up vectors."""
    settings, panel, state, _, scratch = slice_
    used = settings.heads + state.low_orders.shape[0] + panel.count_orders.shape[0] + state.frame_orders.shape[0]
    used += 1 if state.network_logs.shape[0] else 0
    return used if used <= ONE_BY_ONE else scratch.inputs.shape[0] >> 2


@inline
def choose_weights(settings: Settings, state: SliceState, scratch: Scratch, recent: Recent, orders: Int) -> None:
    """The row of each set and of the final layer."""
    confidence, top, crowd = scratch.recall[CONFIDENCE], scratch.recall[TOP], scratch.recall[CROWD]
    inputs = scratch.inputs.shape[0] >> 2
    h = np.int64(recent.history & np.uint64(0xFF))
    density = np.int64(DENSITIES[u(count_ones_64(recent.miss_history))])
    scratch.recall[DENSITY] = density
    scratch.recall[FINAL] = ((confidence * 8 + crowd) * 4 + np.int64(recent.miss_history & np.uint64(3))) * SETS
    scratch.rows[0] = (confidence * 16 + (h & 15)) * inputs
    if settings.sets == 1:
        return
    of_counts = 0
    if orders == 1:
        of_counts = scratch.count_confidence[0]
    elif orders > 1:
        of_counts = scratch.count_confidence[u(orders - 2)] * 16 + scratch.count_confidence[u(orders - 1)]
    scratch.rows[1] = (_B1 + of_counts) * inputs
    scratch.rows[2] = (_B2 + density * 32 + np.int64(recent.miss_history & np.uint64(31))) * inputs
    scratch.rows[3] = (_B3 + (confidence * 4 + top) * 8 + crowd) * inputs
    if state.frame_orders.shape[0]:
        frame, phase = scratch.recall[FRAME], scratch.recall[PHASE]
        scratch.rows[4] = (_B4 + ((h & 15) * 8 + (6 if phase == 3 else frame >> 2)) * 8 + confidence) * inputs
        scratch.rows[5] = (_B5 + frame) * inputs
        scratch.recall[FINAL] = ((confidence * 8 + crowd) * 4 + phase) * SETS
    else:
        scratch.rows[4] = (_B4 + (h & 127) * 8 + confidence) * inputs
        scratch.rows[5] = _B5 * inputs


@inline
def mix(settings: Settings, mixer: MixerState, scratch: Scratch, width: Int) -> None:
    """The logits and shares of every set, then of the final layer; of ``width`` inputs, see `inputs_used`."""
    inputs = scratch.inputs.shape[0] >> 2
    x, weights = scratch.inputs, mixer.weights
    f0 = f1 = f2 = f3 = np.int64(0)
    for which in range(settings.sets):
        row = scratch.rows[u(which)]
        s0 = s1 = s2 = s3 = np.int32(0)
        for j in range(width):
            w = np.int32(weights[u(row + j)] >> np.int32(6))
            s0 += np.int32(w * x[u(j)])
            s1 += np.int32(w * x[u(inputs + j)])
            s2 += np.int32(w * x[u(2 * inputs + j)])
            s3 += np.int32(w * x[u(3 * inputs + j)])
        z0, z1, z2, z3 = np.int64(s0) >> 11, np.int64(s1) >> 11, np.int64(s2) >> 11, np.int64(s3) >> 11
        at = 4 * which
        if settings.sets == 1:
            f0, f1, f2, f3 = z0, z1, z2, z3
            break
        scratch.logits[u(at)], scratch.logits[u(at + 1)], scratch.logits[u(at + 2)], scratch.logits[u(at + 3)] = (
            z0,
            z1,
            z2,
            z3,
        )
        best = max(max(z0, z1), max(z2, z3))
        p0, p1, p2, p3 = exp2_q30(best - z0), exp2_q30(best - z1), exp2_q30(best - z2), exp2_q30(best - z3)
        scale = np.int64(np.uint64(1 << 46) // np.uint64(p0 + p1 + p2 + p3))  # Q30 of these to Q16
        scratch.shares[u(at)] = (p0 * scale) >> 30
        scratch.shares[u(at + 1)] = (p1 * scale) >> 30
        scratch.shares[u(at + 2)] = (p2 * scale) >> 30
        scratch.shares[u(at + 3)] = (p3 * scale) >> 30
        part = np.int64(mixer.final[u(scratch.recall[FINAL] + which)])
        f0 += part * z0
        f1 += part * z1
        f2 += part * z2
        f3 += part * z3
    if settings.sets > 1:
        f0, f1, f2, f3 = f0 >> 16, f1 >> 16, f2 >> 16, f3 >> 16
    best = max(max(f0, f1), max(f2, f3))
    p0, p1, p2, p3 = exp2_q30(best - f0), exp2_q30(best - f1), exp2_q30(best - f2), exp2_q30(best - f3)
    total = p0 + p1 + p2 + p3
    scale = np.int64(np.uint64(1 << 52) // np.uint64(total))
    scratch.mixed[0] = (p0 * scale) >> 30
    scratch.mixed[1] = (p1 * scale) >> 30
    scratch.mixed[2] = (p2 * scale) >> 30
    scratch.mixed[3] = (p3 * scale) >> 30
    if settings.sets == 1:
        for base in range(4):
            scratch.shares[u(base)] = scratch.mixed[u(base)] >> 6


@inline
def correct(mixer: MixerState, scratch: Scratch, history: Int) -> None:
    """What is coded: the most likely base's share moved half way to the maps' estimate, and a floor for all."""
    guess, share = 0, scratch.mixed[0]
    for base in range(1, 4):
        if scratch.mixed[u(base)] > share:
            guess, share = base, scratch.mixed[u(base)]
    rest = max(TOTAL - share, 16)
    odds = log2_q10(share) - log2_q10(rest) + 16 * 768  # log2, Q10; a bin is 3/4 bit
    odds = clamp(odds, 0, 32 * 768 - 1)
    cell = np.int64(np.uint64(odds) // np.uint64(768))
    slant = odds - cell * 768
    h = np.int64(history & np.uint64(0xFF))
    one = (((scratch.recall[DENSITY] * 8 + scratch.recall[CONFIDENCE]) * 4 + (h & 3)) * 4 + guess) * BINS + cell
    kind = (scratch.recall[CONFIDENCE] * 4 + scratch.recall[TOP]) * 8 + scratch.recall[CROWD]
    two = (((kind & 255) * 4 + scratch.recall[PHASE]) * 4 + guess) * BINS + cell
    first = np.int64(mixer.map_one[u(one)]) * (768 - slant) + np.int64(mixer.map_one[u(one + 1)]) * slant
    second = np.int64(mixer.map_two[u(two)]) * (768 - slant) + np.int64(mixer.map_two[u(two + 1)]) * slant
    moved = (2 * share + np.int64(np.uint64(first + second) // np.uint64(768))) >> 2
    moved = min(moved, TOTAL - 3 * FLOOR)
    left = TOTAL - moved
    scale = np.int64(np.uint64((left - 3 * FLOOR) << 20) // np.uint64(rest))
    total = np.int64(0)
    for base in range(4):
        if base != guess:
            scratch.frequencies[u(base)] = ((scratch.mixed[u(base)] * scale) >> 20) + FLOOR
            total += scratch.frequencies[u(base)]
    scratch.frequencies[u(guess)] = TOTAL - total
    scratch.recall[GUESS] = guess
    scratch.recall[MAP_ONE] = one
    scratch.recall[MAP_TWO] = two
    scratch.recall[SLANT] = slant


@inline
def learn_weights(settings: Settings, mixer: MixerState, scratch: Scratch, base: Int, width: Int) -> None:
    """Move weights (of ``width`` inputs), final weights and maps towards the base that came."""
    inputs = scratch.inputs.shape[0] >> 2
    x, weights = scratch.inputs, mixer.weights
    rate = np.int32(settings.rate)
    for which in range(settings.sets):
        at = 4 * which
        e0 = np.int32((65536 if base == 0 else 0) - scratch.shares[u(at)])
        e1 = np.int32((65536 if base == 1 else 0) - scratch.shares[u(at + 1)])
        e2 = np.int32((65536 if base == 2 else 0) - scratch.shares[u(at + 2)])
        e3 = np.int32((65536 if base == 3 else 0) - scratch.shares[u(at + 3)])
        row = scratch.rows[u(which)]
        for j in range(width):
            push = np.int32(e0 * x[u(j)]) + np.int32(e1 * x[u(inputs + j)])
            push += np.int32(e2 * x[u(2 * inputs + j)]) + np.int32(e3 * x[u(3 * inputs + j)])
            step = np.int32(np.int32(np.int32(np.int32(push) >> np.int32(6)) * rate + np.int32(512)) >> np.int32(10))
            moved = np.int32(weights[u(row + j)] + step)
            weights[u(row + j)] = min(max(moved, np.int32(-WEIGHT_LIMIT)), np.int32(WEIGHT_LIMIT))
    row = scratch.recall[FINAL]
    for which in range(settings.sets if settings.sets > 1 else 0):
        push = np.int64(0)
        for other in range(4):
            error = (65536 if other == base else 0) - (scratch.mixed[u(other)] >> 6)
            push += error * scratch.logits[u(4 * which + other)]  # Q26
        moved = np.int64(mixer.final[u(row + which)]) + ((push * settings.final_rate + (1 << 23)) >> 24)
        mixer.final[u(row + which)] = clamp(moved, -FINAL_LIMIT, FINAL_LIMIT)
    held = TOTAL - 1 if scratch.recall[GUESS] == base else 0
    slant = scratch.recall[SLANT]
    for side in range(2):
        near = slant if side else 768 - slant
        one, two = scratch.recall[MAP_ONE] + side, scratch.recall[MAP_TWO] + side
        first, second = np.int64(mixer.map_one[u(one)]), np.int64(mixer.map_two[u(two)])
        mixer.map_one[u(one)] = first + (((held - first) * near * 109) >> 22)  # a fiftieth for a full cell
        mixer.map_two[u(two)] = second + (((held - second) * near * 109) >> 22)
