"""Finding places to copy from: by seeds shared with the panel and with the slice's own past.

A place is compared over 32 bases, and becomes a copy while there is room or where it promises more than the worst one.
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, inline, prefetch
from geneformer_codec.predict.copies import RECENT, padded
from geneformer_codec.predict.counts import count_place
from geneformer_codec.predict.integers import every_other, leading_zeros, ones, reversed_bits, u
from geneformer_codec.predict.state import (  # fmt: skip
    BLOCK_BITS,
    COPIES,
    DONE,
    FLIP,
    MARKS,
    MISSES,
    PLACE,
    ROOM,
    RUN,
    STEP,
    TURN,
    Frozen,
    Local,
    Settings,
)

_HIT = -205  # what a base of the proposed passage counts before the copy has any gain of its own: -0.05 in Q12
_MISS = -18432  # -4.5
NEW_PENALTY = 1 << 12
NOT_YET = -1
"""Where the worst copy is, before anybody asked."""


def _first_marks() -> NDArray[np.int32]:
    """[4 horizons, 4 bytes of the history, 256]: a byte's part in the decayed sum over the last 32 bases, Q12."""
    table = np.zeros((4, 4, 256), np.int64)
    for horizon, shift in enumerate((2, 4, 6, 8)):
        for byte in range(4):
            for value in range(256):
                total = 0
                for bit in range(8):
                    age = 8 * byte + bit
                    gain = _MISS if value >> bit & 1 else _HIT
                    total += gain * ((1 << shift) - 1) ** age // (1 << shift) ** age
                table[horizon, byte, value] = total
    return table.reshape(-1).astype(np.int32)


FIRST_MARKS = _first_marks()


def _run_marks() -> NDArray[np.int32]:
    """[4 horizons, 64]: what a miss 8, 24, 40, ... bases ago is worth, Q12."""
    rows = [
        [_MISS * ((1 << shift) - 1) ** (16 * k + 8) // (1 << shift) ** (16 * k + 8) for k in range(64)]
        for shift in (2, 4, 6, 8)
    ]
    return np.array(rows, np.int64).reshape(-1).astype(np.int32)


RUN_MARKS = _run_marks()
MOST_WINDOWS = 30
"""So that a run stays below 1,024, as far as `RUN_MARKS` reaches."""


@inline
def window(words: NDArray[np.uint64], end: Int) -> Int:
    """The 32 bases before ``end`` (32 or more), the newest in the lowest bits."""
    start = end - 32
    word, shift = start >> 5, np.uint64(2 * (start & 31))
    high = words[u(word)] << shift
    return high | ((words[u(word + 1)] >> np.uint64(1)) >> (np.uint64(63) - shift))


@inline
def held(local: Local, bank: NDArray[np.int32], place: Int, step: Int) -> Int:
    """Whether there is such a copy already."""
    live, wanted, way = np.int32(local.numbers[COPIES]), np.int32(place), np.int32(step)
    found = np.int32(0)
    for k in range(padded(local.numbers[COPIES])):
        same = (bank[u(PLACE + k)] == wanted) & (bank[u(STEP + k)] == way)
        found = np.int32(found | np.int32(same & (np.int32(k) < live)))
    return found != 0


@inline
def add(
    cfg: Settings,
    frozen: Frozen,
    local: Local,
    bank: NDArray[np.int32],
    place: Int,
    step: Int,
    misses: Int,
    own: Int,
    worst: Int,
    at: Int,
) -> Int:
    """A new copy at once while there is room, else in the place ``at`` of the worst if it promises more than that.

    False when nothing changed.
    """
    live = local.numbers[COPIES]
    near = first_mark(1, misses) - NEW_PENALTY
    run = 0
    if misses == 0 and step > 0:
        run = exact_run(frozen, local, place, own)
    far = first_mark(2, misses) + np.int64(RUN_MARKS[u(128 + (run >> 4))]) - NEW_PENALTY
    farther = first_mark(3, misses) + np.int64(RUN_MARKS[u(192 + (run >> 4))]) - NEW_PENALTY
    if live == cfg.copies and near + (((far + farther) * cfg.reach) >> 4) + block_worth(local, place) <= worst:
        return False
    if live < cfg.copies:
        at = live
        local.numbers[COPIES] = live + 1
    bank[u(PLACE + at)] = place
    bank[u(STEP + at)] = step
    bank[u(FLIP + at)] = 0 if step > 0 else 3
    bank[u(MISSES + at)] = np.int32(misses)
    bank[u(RUN + at)] = run
    bank[u(MARKS + at)] = first_mark(0, misses) - NEW_PENALTY
    bank[u(MARKS + ROOM + at)] = near
    bank[u(MARKS + 2 * ROOM + at)] = far
    bank[u(MARKS + 3 * ROOM + at)] = farther
    return True


@inline
def exact_run(frozen: Frozen, local: Local, place: Int, own: Int) -> Int:
    """How many bases before ``place``, the last 32 known to be among them, equal the slice's last: at most 992."""
    done = local.numbers[DONE]
    run = 32
    for _ in range(MOST_WINDOWS):
        there = place - run if place < own else place - own - run
        if there < 32 or done - run < 32:
            break
        differ = window(frozen.words, there) if place < own else window(local.words, there)
        differ ^= window(local.words, done - run)
        if differ:
            low = np.int64(differ & (np.uint64(0) - differ) & np.uint64(0x7FFFFFFFFFFFFFFF))
            run += (63 - leading_zeros(low)) >> 1 if low else 31
            break
        run += 32
    return run


@inline
def first_mark(horizon: Int, misses: Int) -> Int:
    """What a passage with these misses would have brought a copy."""
    value, row = np.int64(misses), horizon << 10
    total = np.int64(FIRST_MARKS[u(row + (value & 255))]) + np.int64(FIRST_MARKS[u(row + 256 + (value >> 8 & 255))])
    total += np.int64(FIRST_MARKS[u(row + 512 + (value >> 16 & 255))])
    return total + np.int64(FIRST_MARKS[u(row + 768 + (value >> 24))])


@inline
def block_worth(local: Local, place: Int) -> Int:
    """The score of a place's block, Q8, as a tenth in Q12."""
    return (np.int64(local.scores[u(place >> BLOCK_BITS)]) * 13) >> 3


@inline
def find_worst(cfg: Settings, local: Local, bank: NDArray[np.int32]) -> tuple[Int, Int]:
    """What the least promising copy is worth, and where it is; all are kept while there is room."""
    live = local.numbers[COPIES]
    worst, at = np.int64(1) << 40, 0
    if live == cfg.copies:
        for k in range(live):
            value = np.int64(bank[u(MARKS + ROOM + k)]) + block_worth(local, np.int64(bank[u(PLACE + k)]))
            past = np.int64(bank[u(MARKS + 2 * ROOM + k)]) + np.int64(bank[u(MARKS + 3 * ROOM + k)])
            value += (past * cfg.reach) >> 4
            if value < worst:
                worst, at = value, k
    return worst, at


@inline
def propose(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], place: Int, step: Int, misses: Int, own: Int,
    worst: Int, weakest: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """Add a copy that fits, if it promises enough; gives what `find_worst` does, or `NOT_YET` after a change."""
    if np.int64(ones(np.uint32(misses & RECENT))) <= cfg.accept:
        if weakest == NOT_YET:
            worst, weakest = find_worst(cfg, local, bank)
        if add(cfg, frozen, local, bank, place, step, misses, own, worst, weakest):
            weakest = np.int64(NOT_YET)
    return worst, weakest


@inline
def forward_misses(words: NDArray[np.uint64], end: Int, past: Int, done: Int) -> Int:
    """Where the last 32 bases and those before ``end`` differ; what either lacks is no difference."""
    both = min(end, done)
    if end >= 32:
        differ = window(words, end) ^ past
    else:
        held = np.uint64(0)
        for k in range(end):
            held = (held << np.uint64(2)) | ((words[u(k >> 5)] >> np.uint64(62 - 2 * (k & 31))) & np.uint64(3))
        differ = held ^ past
    misses = every_other(differ | (differ >> np.uint64(1)))
    if both < 32:
        misses &= np.uint32((np.int64(1) << both) - 1)
    return misses


@inline
def turned_misses(words: NDArray[np.uint64], first: Int, end: Int, turned: Int) -> Int:
    """Where the last 32 bases differ from the reverse complement of those from ``first`` on; ``end`` is the last's."""
    differ = window(words, first + 32) ^ turned
    misses = reversed_bits(every_other(differ | (differ >> np.uint64(1))))
    return misses if first + 32 <= end else np.uint32(0xFFFFFFFF)


@inline
def seed_row(seed: Int, length: Int, bits: Int) -> Int:
    """Where a seed of ``length`` bases stands in an index of 2**bits rows."""
    return count_place(length, seed, bits)


@inline
def search(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], own: Int, past: Int, turned: Int,
    panel_bits: Int, own_bits: Int,
) -> None:  # fmt: skip
    """Propose copies whose last bases are the slice's: from the panel, and from the slice's past."""
    done = local.numbers[0]
    if done >= cfg.seed and frozen.places.shape[0]:
        search_panel(cfg, frozen, local, bank, own, last(past, cfg.seed), past, turned, done, panel_bits, 1)
        if cfg.both_strands:
            seed = turned_seed(turned, cfg.seed)
            search_panel(cfg, frozen, local, bank, own, seed, past, turned, done, panel_bits, -1)
    if done >= cfg.own_seed and cfg.sampled == 0:
        search_own(cfg, frozen, local, bank, own, last(past, cfg.own_seed), past, turned, done, own_bits, 1)
        if cfg.both_strands:
            seed = turned_seed(turned, cfg.own_seed)
            search_own(cfg, frozen, local, bank, own, seed, past, turned, done, own_bits, -1)


@inline
def last(past: Int, length: Int) -> Int:
    """The newest ``length`` bases, at most 32."""
    return past if length >= 32 else past & ((np.uint64(1) << np.uint64(2 * length)) - np.uint64(1))


@inline
def turned_seed(turned: Int, length: Int) -> Int:
    """The reverse complement of the newest ``length`` bases."""
    return turned >> np.uint64(64 - 2 * length)


@inline
def search_panel(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], own: Int, seed: Int, past: Int,
    turned: Int, done: Int, bits: Int, step: Int,
) -> None:  # fmt: skip
    """Look at some of the panel's places after ``seed``, going round a long list from search to search."""
    row = seed_row(seed, cfg.seed, bits)
    begin = np.int64(frozen.seeds[u(row)])
    count = np.int64(frozen.seeds[u(row + 1)]) - begin
    at = 0
    tries = min(count, cfg.tries)
    if count > cfg.tries:
        local.numbers[TURN] += cfg.tries
        at = local.numbers[TURN] % count
    end = frozen.bases.shape[0]
    for k in range(tries):  # all at once, before the first is waited for
        there = begin + at + k
        prefetch(frozen.words, np.int64(frozen.places[u(there - count if there >= begin + count else there)]) >> 5)
    worst, weakest = np.int64(0), np.int64(NOT_YET)
    for _ in range(tries):
        place = np.int64(frozen.places[u(begin + at)])
        at += 1
        if at == count:
            at = 0
        if step < 0:
            place -= cfg.seed + 1  # the base before the seed, on the other strand the next
        if place < 0 or place >= end or held(local, bank, place, step):
            continue
        if step > 0:
            misses = forward_misses(frozen.words, place, past, done)
        else:
            misses = turned_misses(frozen.words, place + 1, end, turned)
        worst, weakest = propose(cfg, frozen, local, bank, place, step, misses, own, worst, weakest)


@inline
def search_own(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], own: Int, seed: Int, past: Int,
    turned: Int, done: Int, bits: Int, step: Int,
) -> None:  # fmt: skip
    """The same in the slice's past, newest first."""
    place = np.int64(local.heads[u(seed_row(seed, cfg.own_seed, bits))])
    if step > 0 and place == done:
        place = np.int64(local.previous[u(place)])  # the seed itself
    close = np.uint32((1 << min(cfg.own_seed, 11)) - 1)
    worst, weakest = np.int64(0), np.int64(NOT_YET)
    for _ in range(cfg.tries):
        if place == 0:
            break
        target = place if step > 0 else place - cfg.own_seed - 1
        if target >= 0 and not held(local, bank, own + target, step):
            if step > 0:
                misses = forward_misses(local.words, place, past, done)
            else:
                misses = turned_misses(local.words, target + 1, done, turned)
            if (misses & close) == 0:
                worst, weakest = propose(cfg, frozen, local, bank, own + target, step, misses, own, worst, weakest)
        place = np.int64(local.previous[u(place)])


@inline
def prefetch_rows(
    cfg: Settings, frozen: Frozen, local: Local, past: Int, turned: Int, panel_bits: Int, own_bits: Int
) -> None:
    """Ask for the rows that a search will look at, once their seeds are known; for one of them `own_rows` has."""
    if frozen.places.shape[0]:
        prefetch(frozen.seeds, seed_row(last(past, cfg.seed), cfg.seed, panel_bits))
        if cfg.both_strands:
            prefetch(frozen.seeds, seed_row(turned_seed(turned, cfg.seed), cfg.seed, panel_bits))
    if cfg.both_strands and cfg.sampled == 0:
        prefetch(local.heads, seed_row(turned_seed(turned, cfg.own_seed), cfg.own_seed, own_bits))


@inline
def prefetch_places(
    cfg: Settings, frozen: Frozen, local: Local, past: Int, turned: Int, panel_bits: Int, own_bits: Int
) -> None:
    """Ask for what those rows, which have come in the meantime, say."""
    if frozen.places.shape[0]:
        row = seed_row(last(past, cfg.seed), cfg.seed, panel_bits)
        prefetch(frozen.places, np.int64(frozen.seeds[u(row)]))
        if cfg.both_strands:
            row = seed_row(turned_seed(turned, cfg.seed), cfg.seed, panel_bits)
            prefetch(frozen.places, np.int64(frozen.seeds[u(row)]))
    if cfg.sampled == 0:
        prefetch_newest(local, seed_row(last(past, cfg.own_seed), cfg.own_seed, own_bits))
        if cfg.both_strands:
            prefetch_newest(local, seed_row(turned_seed(turned, cfg.own_seed), cfg.own_seed, own_bits))


@inline
def prefetch_newest(local: Local, row: Int) -> None:
    """Ask for the bases at the newest place of a row of the slice's past, and for the place before it."""
    place = np.int64(local.heads[u(row)])
    prefetch(local.words, place >> 5)
    prefetch(local.previous, place)


@inline
def own_rows(cfg: Settings, local: Local, past: Int, bits: Int) -> Int:
    """The first of four rows, for the next base's seed with each value of this base; asks for their cache line."""
    row = seed_row(last(past << np.uint64(2), cfg.own_seed), cfg.own_seed, bits)
    prefetch(local.heads, row)
    return row


@inline
def remember(local: Local, base: Int) -> None:
    """Put ``base`` at the end of the slice's own past; counts it as done."""
    done = local.numbers[DONE]
    local.bases[u(done)] = base
    local.words[u(done >> 5)] |= np.uint64(base) << np.uint64(62 - 2 * (done & 31))
    local.numbers[DONE] = done + 1


@inline
def enter(cfg: Settings, local: Local, row: Int) -> None:
    """Enter the newest seed, of ``row``, into the index of the slice's own past."""
    done = local.numbers[DONE]
    if done >= cfg.own_seed:
        local.previous[u(done)] = local.heads[u(row)]
        local.heads[u(row)] = done
