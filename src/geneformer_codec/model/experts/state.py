"""What a lane's prediction is made of: settings, the panel's tables, and the state that the lane changes.

All of it is arrays of integers in named tuples, which compiled code takes apart at no cost.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK_BITS = 14
"""Copies are scored by blocks of 2**14 bases of the place they point into: about one mitochondrial genome."""
HEADS = 3
FEATURES = 6
SETS = 6
SET_ROWS = (128, 256, 1024, 256, 256, 1)
"""Rows of each weight set, one chosen a base; see `mixer.choose`."""
FINAL_ROWS = 256
BINS = 33
MAP_ROWS = (1024, 4096)
TRUST_RUNS = 64
TRUST_ROWS = 65536 + TRUST_RUNS
MAX_COUNT_ORDERS = 12
MAX_LOW_ORDERS = 8
LOW_ROW = 8
INPUT_PAD = 8

H, HR, FAILS, LOW, WIDTH, CODE = range(6)
"""Places in `Local.registers`: past bases, their reverse complement, failures of the top vote; the range coder's state."""
DONE, COPIES, TURN, AT = range(4)
"""Places in `Local.numbers`: bases done, live copies, where the next search of a long list starts, bytes of the stream."""


class Settings(NamedTuple):
    """How to predict; all integers. ``*_orders`` stand apart, in `Frozen` and `Local`."""

    copies: int  # at most so many at once
    seed: int  # bases that a place must share to be proposed from the panel
    own_seed: int  # the same for the lane's own past
    every: int  # bases between two searches
    tries: int  # places looked at in one search
    accept: int  # misses among the last 24 bases that a new copy may have
    drop: int  # misses among the last 24 bases that end a copy
    both_strands: int  # 1: reverse-complement copies, and counts of both strands
    rate: int  # of the mixer's weights, in 2**-13ths about
    final_rate: int
    attention_rate: int  # 0: the attention stays as it was trained
    trust_limit: int  # observations after which trust adapts no slower
    table_bits: int  # of a hashed table of counts
    learn_counts: int  # 1: the counts are the lane's own


class Frozen(NamedTuple):
    """What the panel taught; shared by all lanes and never written."""

    bases: NDArray[np.uint8]  # [panel]
    words: NDArray[np.uint64]  # 32 bases each, the first in the highest bits
    seeds: NDArray[np.uint32]  # [2**bits + 1] where each seed's places start
    places: NDArray[np.uint32]  # the places after each seed, ascending
    starts: NDArray[np.int64]  # where records start, for the first copies of a lane
    counts: NDArray[np.uint16]  # four counts of 4 bits a context, all orders end to end
    count_orders: NDArray[np.int64]
    count_at: NDArray[np.int64]  # where each order's table starts
    count_logs: NDArray[np.int32]  # [orders, 16] log2(count + prior), Q7


class Local(NamedTuple):
    """A lane's own past and tables."""

    bases: NDArray[np.uint8]  # [capacity]
    words: NDArray[np.uint64]
    heads: NDArray[np.int32]  # newest place after each hashed seed
    previous: NDArray[np.int32]  # [capacity + 1] the place before with the same hash
    scores: NDArray[np.int32]  # by block of panel and past
    low: NDArray[np.uint16]  # adaptive probabilities of short contexts, `LOW_ROW` a context
    low_orders: NDArray[np.int64]
    low_at: NDArray[np.int64]
    registers: NDArray[np.uint64]
    numbers: NDArray[np.int64]


class Copies(NamedTuple):
    """The live copies, the first ``numbers[COPIES]`` of each array; ``[rows, copies]`` arrays are flat."""

    place: NDArray[np.int64]  # of the base predicted, in panel and then past
    step: NDArray[np.int64]  # 1 forward, -1 reverse complement
    misses: NDArray[np.uint32]  # the last 32 bases, newest lowest: 1 where it failed
    run: NDArray[np.int32]  # hits since its last miss
    base: NDArray[np.int32]  # predicted
    trust: NDArray[np.int32]  # row of `Mixing.trust`
    miss: NDArray[np.int32]  # P(miss), Q16
    log_hit: NDArray[np.int32]  # log2, Q12
    log_miss: NDArray[np.int32]
    gain: NDArray[np.int32]  # log2 of what it gave the actual base, Q12
    marks: NDArray[np.int32]  # [4, copies] decayed sums of gain, Q12
    features: NDArray[np.int32]  # [FEATURES, copies], Q8
    weights: NDArray[np.int32]  # [HEADS, copies], Q20 of the best


class Mixing(NamedTuple):
    """What training gives a lane to start with, and what the lane then adapts."""

    weights: NDArray[np.int32]  # [rows of all sets, inputs], Q20
    final: NDArray[np.int32]  # [FINAL_ROWS, SETS], Q16
    map_one: NDArray[np.int32]  # [rows, BINS], Q16
    map_two: NDArray[np.int32]
    trust: NDArray[np.uint32]  # P(miss) by a copy's recent misses: Q22, observations in the low 10 bits
    swaps: NDArray[np.int32]  # [predicted, previous, actual] when a copy misses, Q16
    attention: NDArray[np.int32]  # [HEADS, FEATURES], Q20


class Work(NamedTuple):
    """Scratch of one base."""

    inputs: NDArray[np.int32]  # [4, inputs], centred log2, Q7
    votes: NDArray[np.int64]  # [HEADS, 4], Q24
    logits: NDArray[np.int64]  # [SETS, 4], Q10
    shares: NDArray[np.int64]  # [SETS, 4], Q16
    mixed: NDArray[np.int64]  # [4] after the final layer, Q22
    coded: NDArray[np.int64]  # [4] after the maps; sums to 2**22
    rows: NDArray[np.int64]  # [SETS] first weight of the chosen row
    steady: NDArray[np.int64]  # confidence of each count order
    recall: NDArray[np.int64]  # [RECALL] what the update must know of the prediction


CONFIDENCE, TOP, CROWD, FINAL, MAP_ONE, MAP_TWO, SLANT, GUESS = range(8)
RECALL = 8


def tuple_size(orders: NDArray[np.int64], row: int) -> NDArray[np.int64]:
    """Where the table of each order starts, and where the last ends."""
    return np.concatenate([[0], np.cumsum(row << (2 * orders))]).astype(np.int64)


def inputs_of(low_orders: int, count_orders: int) -> int:
    """Inputs of the mixer, padded so that rows of weights stay aligned."""
    return -(-(HEADS + low_orders + count_orders) // INPUT_PAD) * INPUT_PAD


def untrained(settings: Settings, low_orders: int, count_orders: int) -> Mixing:
    """Where training starts."""
    inputs = inputs_of(low_orders, count_orders)
    weights = np.zeros((sum(SET_ROWS), inputs), np.int32)
    weights[:, :HEADS] = round(0.3 * (1 << 20))
    weights[:, HEADS : HEADS + low_orders + count_orders] = round(0.15 * (1 << 20))
    final = np.full((FINAL_ROWS, SETS), (1 << 16) // SETS, np.int32)
    from .integers import EXP

    bins = []
    for index in range(BINS):  # P of a log-odds of (index - 16) * 3/4 bits
        odds = (int(EXP[(abs(index - 16) * 768) & 1023]) >> ((abs(index - 16) * 768) >> 10)) + 1
        small = (odds << 16) // ((1 << 30) + odds)
        bins.append(65536 - small if index >= 16 else small)
    maps = [np.tile(np.array(bins, np.int32), (rows, 1)) for rows in MAP_ROWS]
    trust = np.zeros(TRUST_ROWS, np.uint32)
    histories = np.arange(65536)
    total, missed, weight = 0, np.zeros(65536, np.int64), 1 << 16
    for bit in range(16):
        total += weight
        missed += weight * (histories >> bit & 1)
        weight = weight * 9 // 10
    rate = (missed * 97 // 100 << 22) // total + (1 << 22) // 50
    trust[:65536] = np.minimum(rate, 3 << 20) << 10
    trust[65536:] = np.maximum((1 << 22) // (8 * np.arange(TRUST_RUNS) + 30), 64) << 10
    trust[65536 + 32 :] = ((1 << 22) // 60) << 10
    swaps = np.full((4, 4, 4), 65536 // 3, np.int32)
    attention = np.zeros((HEADS, FEATURES), np.int32)
    for head in range(HEADS):
        attention[head, head] = 1 << 20
    return Mixing(
        weights.reshape(-1), final.reshape(-1), maps[0].reshape(-1), maps[1].reshape(-1), trust,
        swaps.reshape(-1), attention.reshape(-1),
    )  # fmt: skip


def make_work(inputs: int) -> Work:
    """Scratch for lanes that are coded one after the other."""
    wide: Any = np.int64
    return Work(
        np.zeros(4 * inputs, np.int32), np.zeros(HEADS * 4, wide), np.zeros(SETS * 4, wide), np.zeros(SETS * 4, wide),
        np.zeros(4, wide), np.zeros(4, wide), np.zeros(SETS, wide), np.zeros(MAX_COUNT_ORDERS, wide),
        np.zeros(RECALL, wide),
    )  # fmt: skip


def make_copies(count: int) -> Copies:
    """No copies yet, room for ``count``."""
    narrow: Any = np.int32
    return Copies(
        np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.uint32),
        *(np.zeros(count, narrow) for _ in range(7)),
        np.zeros(4 * count, narrow), np.zeros(FEATURES * count, narrow), np.zeros(HEADS * count, narrow),
    )  # fmt: skip
