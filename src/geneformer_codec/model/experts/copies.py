"""Copy experts (after XM, Cao et al. 2007) and the attention over them.

A copy points at a base of the panel or of the lane's past, forward or reverse complement, and predicts the base it
points at. How far it is trusted is learned by its last misses. Attention gives each copy a weight, by a score that is
linear in what is known of it (`FEATURES`): how well it did lately on four horizons, how its block did, its trust. Each
head sums the weighted predictions to one distribution.
"""

import numpy as np
from numba import njit

from .counts import put
from .integers import every_other, hashed, leading_zeros, log2_q10, ones, reversed_bits
from .state import (
    BLOCK_BITS,
    CONFIDENCE,
    COPIES,
    CROWD,
    FEATURES,
    HEADS,
    SET_ROWS,
    SETS,
    TOP,
    TURN,
    Copies,
    Frozen,
    Local,
    Mixing,
    Settings,
    Work,
)

MARK_FLOOR = -30 << 12
FEATURE_LIMIT = 8191
ATTENTION_LIMIT = 4 << 20
RECENT = np.uint32(0xFFFFFF)
_HIT = -205  # what a base of the proposed passage counts before the copy has any gain of its own: -0.05 in Q12
_MISS = -18432  # -4.5
NEW_PENALTY = 1 << 12


def _first_marks() -> np.ndarray:
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


@njit(forceinline=True)
def own_start(frozen: Frozen) -> int:
    """Where places in the lane's own past begin: at a block of their own behind the panel."""
    return (frozen.bases.shape[0] + (1 << BLOCK_BITS) - 1) >> BLOCK_BITS << BLOCK_BITS


@njit(forceinline=True)
def window(words: np.ndarray, end: int) -> np.uint64:
    """The 32 bases before ``end`` (32 or more), the newest in the lowest bits."""
    start = end - 32
    word, shift = start >> 5, np.uint64(2 * (start & 31))
    high = words[word] << shift
    return high | ((words[word + 1] >> np.uint64(1)) >> (np.uint64(63) - shift))


@njit(forceinline=True)
def predict(
    cfg: Settings, frozen: Frozen, local: Local, copies: Copies, mix: Mixing, work: Work, own: int, previous: int
) -> None:
    """What each copy predicts and how far it is trusted; the heads' votes, as inputs 0..HEADS-1."""
    live = np.int64(local.numbers[COPIES])
    room = copies.place.shape[0]
    for c in range(live):
        place = copies.place[c]
        base = np.int64(frozen.bases[place] if place < own else local.bases[place - own])
        if copies.step[c] < 0:
            base = 3 - base
        misses = np.int64(copies.misses[c])
        row = misses & 0xFFFF
        if row == 0:
            if misses:
                row = 65536 + 32 + ((63 - leading_zeros((misses >> 16) & -(misses >> 16))) >> 2)
            else:
                row = 65536 + max(60 - leading_zeros(np.int64(copies.run[c]) | 1), 0)
        value = np.int64(mix.trust[row] >> np.uint32(10))
        copies.base[c] = base
        copies.trust[c] = row
        copies.miss[c] = value >> 6
        log_miss = log2_q10(value) - (22 << 10)
        log_hit = log2_q10((1 << 22) - value) - (22 << 10)
        copies.log_miss[c] = log_miss << 2
        copies.log_hit[c] = log_hit << 2
        copies.features[4 * room + c] = min(max(np.int64(local.scores[place >> BLOCK_BITS]) >> 3, -2047), 2047)
        copies.features[5 * room + c] = (log_hit - log_miss) >> 2
    for k in range(4 * room):
        copies.features[k] = min(max(copies.marks[k] >> np.int32(4), np.int32(-FEATURE_LIMIT)), np.int32(FEATURE_LIMIT))
    if live == 0:
        for head in range(HEADS):
            put(work, head, 0, 0, 0, 0)
            for base in range(4):
                work.votes[4 * head + base] = 1 << 22
        return
    for head in range(HEADS):
        attend(copies, mix.attention, head, live, room)
        vote(copies, mix.swaps, work, head, live, room, previous)


@njit(forceinline=True)
def attend(copies: Copies, attention: np.ndarray, head: int, live: int, room: int) -> None:
    """The head's weight of each copy: two to the power of its score, in Q20 of the best."""
    a = attention[head * FEATURES] >> 8
    b = attention[head * FEATURES + 1] >> 8
    c = attention[head * FEATURES + 2] >> 8
    d = attention[head * FEATURES + 3] >> 8
    e = attention[head * FEATURES + 4] >> 8
    f = attention[head * FEATURES + 5] >> 8
    x, out = copies.features, copies.weights
    first = head * room
    best = np.int32(-(1 << 30))
    for k in range(live):
        score = np.int32(
            a * x[k] + b * x[room + k] + c * x[2 * room + k] + d * x[3 * room + k] + e * x[4 * room + k]
            + f * x[5 * room + k]
        )  # fmt: skip
        short = np.int32(score >> np.int32(12))
        out[first + k] = short
        best = max(best, short)
    for k in range(live):
        fall = np.int32(best - out[first + k])
        part = np.int32(fall & np.int32(255))
        whole = min(np.int32(fall >> np.int32(8)), np.int32(30))
        # 2**-part by a parabola through 1 and 1/2
        slope = np.int32(np.int32(44040) - np.int32(np.int32(44) * part))
        full = np.int32(np.int32(1 << 20) - np.int32(np.int32(part * slope) >> np.int32(4)))
        out[first + k] = np.int32(full >> whole)


@njit(forceinline=True)
def vote(copies: Copies, swaps: np.ndarray, work: Work, head: int, live: int, room: int, previous: int) -> None:
    """The head's distribution, Q24 times the sum of weights, and its input."""
    first = head * room
    out, base, miss = copies.weights, copies.base, copies.miss
    a0 = a1 = a2 = a3 = np.int32(0)
    m0 = m1 = m2 = m3 = np.int32(0)
    for k in range(live):
        weight = out[first + k]
        lost = np.int32(np.int32(np.int32(weight >> np.int32(6)) * miss[k]) >> np.int32(6))
        a0 = np.int32(a0 + (weight if base[k] == 0 else np.int32(0)))
        a1 = np.int32(a1 + (weight if base[k] == 1 else np.int32(0)))
        a2 = np.int32(a2 + (weight if base[k] == 2 else np.int32(0)))
        a3 = np.int32(a3 + (weight if base[k] == 3 else np.int32(0)))
        m0 = np.int32(m0 + (lost if base[k] == 0 else np.int32(0)))
        m1 = np.int32(m1 + (lost if base[k] == 1 else np.int32(0)))
        m2 = np.int32(m2 + (lost if base[k] == 2 else np.int32(0)))
        m3 = np.int32(m3 + (lost if base[k] == 3 else np.int32(0)))
    t = 4 * previous
    v0 = (np.int64(a0) << 4) - m0 + 1600
    v1 = (np.int64(a1) << 4) - m1 + 1600
    v2 = (np.int64(a2) << 4) - m2 + 1600
    v3 = (np.int64(a3) << 4) - m3 + 1600
    v0 += (m1 * np.int64(swaps[16 + t]) + m2 * np.int64(swaps[32 + t]) + m3 * np.int64(swaps[48 + t])) >> 16
    v1 += (m0 * np.int64(swaps[1 + t]) + m2 * np.int64(swaps[33 + t]) + m3 * np.int64(swaps[49 + t])) >> 16
    v2 += (m0 * np.int64(swaps[2 + t]) + m1 * np.int64(swaps[18 + t]) + m3 * np.int64(swaps[50 + t])) >> 16
    v3 += (m0 * np.int64(swaps[3 + t]) + m1 * np.int64(swaps[19 + t]) + m2 * np.int64(swaps[35 + t])) >> 16
    work.votes[4 * head] = v0
    work.votes[4 * head + 1] = v1
    work.votes[4 * head + 2] = v2
    work.votes[4 * head + 3] = v3
    put(work, head, log2_q10(v0) >> 3, log2_q10(v1) >> 3, log2_q10(v2) >> 3, log2_q10(v3) >> 3)


@njit(forceinline=True)
def judge(work: Work, live: int) -> None:
    """For the mixer: the second head's top base, how sure it is, and how many copies there are."""
    total = work.votes[4] + work.votes[5] + work.votes[6] + work.votes[7]
    top, most = 0, work.votes[4]
    for base in range(1, 4):
        if work.votes[4 + base] > most:
            top, most = base, work.votes[4 + base]
    share = (most << 10) // total
    sure = 0
    if live:
        sure = 1 + (share >= 512) + (share >= 717) + (share >= 870) + (share >= 952) + (share >= 993) + (share >= 1014)
    else:
        top = 0
    work.recall[CONFIDENCE] = sure
    work.recall[TOP] = top
    work.recall[CROWD] = (live >= 2) + (live >= 4) + (live >= 8) + (live >= 14) + (live >= 24)


@njit(forceinline=True)
def learn_attention(
    cfg: Settings, local: Local, copies: Copies, mix: Mixing, work: Work, base: int, previous: int
) -> None:
    """One step down the gradient of the coded bits by the attention, through the mixer's first layer."""
    live = np.int64(local.numbers[COPIES])
    room = copies.place.shape[0]
    inputs = work.inputs.shape[0] >> 2
    final = work.recall[3]
    for head in range(HEADS):
        reach = np.int64(0)  # weight of this head in the logits, Q16
        for which in range(SETS):
            reach += (np.int64(mix.final[final + which]) * np.int64(mix.weights[work.rows[which] + head])) >> 20
        total = np.int64(0)
        for k in range(live):
            total += copies.weights[head * room + k]
        pull = np.zeros(4, np.int64)
        sum_votes = work.votes[4 * head] + work.votes[4 * head + 1] + work.votes[4 * head + 2] + work.votes[4 * head + 3]
        for other in range(4):
            error = (65536 if other == base else 0) - (work.coded[other] >> 6)
            share = max((work.votes[4 * head + other] << 16) // sum_votes, 16)
            pull[other] = min(max((error << 16) // share, -(1 << 26)), 1 << 26)  # Q16
        escape = np.zeros(4, np.int64)
        for said in range(4):
            for other in range(4):
                if other != said:
                    escape[said] += (pull[other] * np.int64(mix.swaps[16 * said + 4 * previous + other])) >> 16
        slopes = np.zeros(FEATURES, np.int64)
        scale = (np.int64(1) << 42) // total
        for k in range(live):
            said = np.int64(copies.base[k])
            worth = pull[said] + (((escape[said] - pull[said]) * np.int64(copies.miss[k])) >> 16)
            part = (worth * ((np.int64(copies.weights[head * room + k]) * scale) >> 26) + (1 << 15)) >> 16
            for f in range(FEATURES):
                slopes[f] += part * np.int64(copies.features[f * room + k])
        for f in range(FEATURES):
            slope = (((slopes[f] + (1 << 7)) >> 8) * reach + (1 << 19)) >> 20  # Q12
            slope = min(max(slope, -(4 << 12)), 4 << 12)
            moved = np.int64(mix.attention[head * FEATURES + f]) + ((slope * cfg.attention_rate + 8) >> 4)
            mix.attention[head * FEATURES + f] = min(max(moved, -ATTENTION_LIMIT), ATTENTION_LIMIT)


@njit(forceinline=True)
def learn(
    cfg: Settings, frozen: Frozen, local: Local, copies: Copies, mix: Mixing, own: int, previous: int, base: int,
    divisors: np.ndarray,
) -> None:  # fmt: skip
    """Score every copy by the base that came, move it on, and drop those that fail too often."""
    live = np.int64(local.numbers[COPIES])
    room = copies.place.shape[0]
    done = local.numbers[0]
    total = np.int64(0)
    for k in range(live):
        if copies.base[k] == base:
            copies.gain[k] = copies.log_hit[k]
        else:
            swap = np.int64(mix.swaps[16 * np.int64(copies.base[k]) + 4 * previous + base])
            copies.gain[k] = np.int64(copies.log_miss[k]) + ((log2_q10(swap + 1) - (16 << 10)) << 2)
        total += copies.gain[k]
    mean = total // max(live, 1)
    marks, gain = copies.marks, copies.gain
    for k in range(live):
        marks[k] += gain[k] - (marks[k] >> np.int32(2))
    for k in range(live):
        marks[room + k] += gain[k] - (marks[room + k] >> np.int32(4))
    for k in range(live):
        marks[2 * room + k] += gain[k] - (marks[2 * room + k] >> np.int32(6))
    for k in range(live):
        marks[3 * room + k] += gain[k] - (marks[3 * room + k] >> np.int32(8))
    kept = 0
    end = own + done + 1
    panel = frozen.bases.shape[0]
    for k in range(live):
        hit = copies.base[k] == base
        row = np.int64(copies.trust[k])
        entry = np.int64(mix.trust[row])
        seen, miss = entry & 1023, entry >> 10
        miss += (((0 if hit else 1 << 22) - miss) * divisors[seen]) >> 16
        seen += seen < cfg.trust_limit
        mix.trust[row] = np.uint32((min(max(miss, 256), 15 << 18) << 10) | seen)
        place = copies.place[k]
        block = place >> BLOCK_BITS
        lead = min(max(np.int64(gain[k]) - mean, -16384), 8192) >> 4
        score = np.int64(local.scores[block])
        local.scores[block] = score - (score >> 9) + lead
        misses = (copies.misses[k] << np.uint32(1)) | np.uint32(0 if hit else 1)
        step = copies.step[k]
        place += step
        keep = np.int64(ones(np.uint32(misses & RECENT))) <= cfg.drop
        if not hit:
            swap = 16 * np.int64(copies.base[k]) + 4 * previous
            for other in range(4):
                if other != np.int64(copies.base[k]):
                    value = np.int64(mix.swaps[swap + other])
                    mix.swaps[swap + other] = value + (((65536 if other == base else 0) - value) >> 9)
        keep = keep and 0 <= place and (place < panel or (own <= place and place < end))
        if keep:
            copies.place[kept] = place
            copies.step[kept] = step
            copies.misses[kept] = misses
            copies.run[kept] = copies.run[k] + 1 if hit else 0
            if kept != k:
                for horizon in range(4):
                    marks[horizon * room + kept] = marks[horizon * room + k]
            kept += 1
    local.numbers[COPIES] = kept
    if (done & 7) == 7:
        level(copies, kept, room)


@njit(forceinline=True)
def level(copies: Copies, live: int, room: int) -> None:
    """Keep the marks small: only their differences count."""
    for horizon in range(4):
        first = horizon * room
        best = np.int32(-(1 << 30))
        for k in range(live):
            best = max(best, copies.marks[first + k])
        for k in range(live):
            copies.marks[first + k] = max(copies.marks[first + k] - best, np.int32(MARK_FLOOR))


@njit(forceinline=True)
def add(cfg: Settings, local: Local, copies: Copies, place: int, step: int, misses: np.uint32) -> None:
    """A new copy, in the place of the worst when there is no room and it promises more."""
    live = local.numbers[COPIES]
    room = copies.place.shape[0]
    at = live
    first = np.zeros(4, np.int64)
    for horizon in range(4):
        for byte in range(4):
            value = np.int64((misses >> np.uint32(8 * byte)) & np.uint32(255))
            first[horizon] += FIRST_MARKS[(4 * horizon + byte) * 256 + value]
        first[horizon] -= NEW_PENALTY
    if live == cfg.copies:
        # the score of a block in Q8 counts a tenth, as an eighth of its place in the features does
        worst = first[1] + ((np.int64(local.scores[place >> BLOCK_BITS]) * 13) >> 3)
        at = -1
        for k in range(live):
            value = np.int64(copies.marks[room + k]) + ((np.int64(local.scores[copies.place[k] >> BLOCK_BITS]) * 13) >> 3)
            if value < worst:
                worst, at = value, k
        if at < 0:
            return
    else:
        local.numbers[COPIES] = live + 1
    copies.place[at] = place
    copies.step[at] = step
    copies.misses[at] = misses
    copies.run[at] = 0
    for horizon in range(4):
        copies.marks[horizon * room + at] = first[horizon]


@njit(forceinline=True)
def known(copies: Copies, live: int, place: int, step: int) -> bool:
    """Whether a copy is there already."""
    found = 0
    for k in range(live):
        found |= (copies.place[k] == place) & (copies.step[k] == step)
    return found != 0


@njit(forceinline=True)
def forward_misses(words: np.ndarray, end: int, past: np.uint64, done: int) -> np.uint32:
    """Where the last 32 bases and those before ``end`` differ; what either lacks is no difference."""
    both = min(end, done)
    if end >= 32:
        differ = window(words, end) ^ past
    else:
        held = np.uint64(0)
        for k in range(end):
            held = (held << np.uint64(2)) | ((words[k >> 5] >> np.uint64(62 - 2 * (k & 31))) & np.uint64(3))
        differ = held ^ past
    misses = every_other(differ | (differ >> np.uint64(1)))
    if both < 32:
        misses &= np.uint32((np.int64(1) << both) - 1)
    return misses


@njit(forceinline=True)
def turned_misses(words: np.ndarray, first: int, end: int, turned: np.uint64) -> np.uint32:
    """Where the last 32 bases differ from the reverse complement of those from ``first`` on, of ``end`` that there are."""
    differ = window(words, first + 32) ^ turned
    misses = reversed_bits(every_other(differ | (differ >> np.uint64(1))))
    return misses if first + 32 <= end else np.uint32(0xFFFFFFFF)


@njit(forceinline=True)
def seed_row(seed: np.uint64, length: int, bits: int) -> int:
    """Where a seed of ``length`` bases stands in an index of 2**bits rows."""
    if 2 * length <= bits:
        return np.int64(seed)
    return np.int64(hashed(seed) >> np.uint64(64 - bits))


@njit(forceinline=True)
def search(
    cfg: Settings, frozen: Frozen, local: Local, copies: Copies, own: int, past: np.uint64, turned: np.uint64,
    panel_bits: int, own_bits: int,
) -> None:  # fmt: skip
    """Propose copies whose last bases are the lane's: from the panel, and from the lane's past."""
    done = local.numbers[0]
    if done >= cfg.seed and frozen.places.shape[0]:
        search_panel(cfg, frozen, local, copies, last(past, cfg.seed), past, turned, done, panel_bits, 1)
        if cfg.both_strands:
            seed = turned >> np.uint64(64 - 2 * cfg.seed)
            search_panel(cfg, frozen, local, copies, seed, past, turned, done, panel_bits, -1)
    if done >= cfg.own_seed:
        search_own(cfg, local, copies, own, last(past, cfg.own_seed), past, turned, done, own_bits, 1)
        if cfg.both_strands:
            seed = turned >> np.uint64(64 - 2 * cfg.own_seed)
            search_own(cfg, local, copies, own, seed, past, turned, done, own_bits, -1)


@njit(forceinline=True)
def last(past: np.uint64, length: int) -> np.uint64:
    """The newest ``length`` bases, at most 32."""
    return past if length >= 32 else past & ((np.uint64(1) << np.uint64(2 * length)) - np.uint64(1))


@njit(forceinline=True)
def search_panel(
    cfg: Settings, frozen: Frozen, local: Local, copies: Copies, seed: np.uint64, past: np.uint64, turned: np.uint64,
    done: int, bits: int, step: int,
) -> None:  # fmt: skip
    """Look at some of the panel's places after ``seed``, going round a long list from search to search."""
    row = seed_row(seed, cfg.seed, bits)
    begin = np.int64(frozen.seeds[row])
    count = np.int64(frozen.seeds[row + 1]) - begin
    at = 0
    tries = min(count, cfg.tries)
    if count > cfg.tries:
        local.numbers[TURN] += cfg.tries
        at = local.numbers[TURN] % count
    end = frozen.bases.shape[0]
    for _ in range(tries):
        place = np.int64(frozen.places[begin + at])
        at += 1
        if at == count:
            at = 0
        if step > 0:
            misses = forward_misses(frozen.words, place, past, done)
            there = place < end
        else:
            place -= cfg.seed + 1  # the base before the seed, on the other strand the next
            there = place >= 0
            misses = turned_misses(frozen.words, place + 1, end, turned)
        if there and np.int64(ones(np.uint32(misses & RECENT))) <= cfg.accept:
            if not known(copies, local.numbers[COPIES], place, step):
                add(cfg, local, copies, place, step, misses)


@njit(forceinline=True)
def search_own(
    cfg: Settings, local: Local, copies: Copies, own: int, seed: np.uint64, past: np.uint64, turned: np.uint64,
    done: int, bits: int, step: int,
) -> None:  # fmt: skip
    """The same in the lane's past, newest first."""
    place = np.int64(local.heads[seed_row(seed, cfg.own_seed, bits)])
    close = np.uint32((1 << min(cfg.own_seed, 11)) - 1)
    for _ in range(cfg.tries):
        if place == 0:
            break
        if step > 0:
            misses = forward_misses(local.words, place, past, done)
            target = place
            there = True
        else:
            target = place - cfg.own_seed - 1
            there = target >= 0
            misses = turned_misses(local.words, target + 1, done, turned) if there else np.uint32(0xFFFFFFFF)
        if there and (misses & close) == 0 and np.int64(ones(np.uint32(misses & RECENT))) <= cfg.accept:
            if not known(copies, local.numbers[COPIES], own + target, step):
                add(cfg, local, copies, own + target, step, misses)
        place = np.int64(local.previous[place])


@njit(forceinline=True)
def remember(cfg: Settings, local: Local, past: np.uint64, base: int, bits: int) -> None:
    """Enter the newest base, the last of ``past``, into the lane's own past and index; counts it as done."""
    done = local.numbers[0]
    local.bases[done] = base
    local.words[done >> 5] |= np.uint64(base) << np.uint64(62 - 2 * (done & 31))
    done += 1
    local.numbers[0] = done
    if done >= cfg.own_seed:
        row = seed_row(last(past, cfg.own_seed), cfg.own_seed, bits)
        local.previous[done] = local.heads[row]
        local.heads[row] = done


__all__ = ["SET_ROWS", "judge", "learn", "learn_attention", "predict", "remember", "search"]
