"""Copy experts (after XM, Cao et al. 2007) and the attention over them.

A copy points at a base of the panel or of the slice's past, forward or reverse complement, and predicts the base it
points at. How far it is trusted is learned by its last misses. Attention gives each copy a weight, by a score that is
linear in what is known of it (`FEATURES`): how well it did lately on four horizons, how its block did, its trust. Each
head sums the weighted predictions to one distribution.
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, apart, inline
from geneformer_codec.predict.counts import put
from geneformer_codec.predict.integers import leading_zeros, log2_q10, ones, shifted, u
from geneformer_codec.predict.state import (  # fmt: skip
    BASE,
    BLOCK_BITS,
    CONFIDENCE,
    COPIES,
    CROWD,
    DEAD,
    DIRTY,
    DONE,
    FEATURE,
    FEATURES,
    FINAL,
    FLIP,
    GAIN,
    GROUP,
    LOG_HIT,
    LOG_MISS,
    MARKS,
    MISS,
    MISSES,
    PLACE,
    ROOM,
    RUN,
    STEP,
    TOP,
    TRUST,
    TRUST_BITS,
    TRUST_ROWS,
    WEIGHT,
    Frozen,
    Local,
    Mixing,
    Settings,
    Work,
)

MARK_FLOOR = -30 << 12
FEATURE_LIMIT = 8191
SCORE_LIMIT = 2047
ATTENTION_LIMIT = 4 << 20
LEAST_VOTE = 1600
LEAST_MISS = 256
MOST_MISS = 15 << 18
TEACHERS = 3
CROWDS = np.array([sum(live >= least for least in (2, 4, 8, 14, 24)) for live in range(ROOM + 1)], np.int64)
"""By how many copies there are."""
DIRTY_PART = np.uint32(0xFFFF)
RECENT = np.uint32(0xFFFFFF)


@inline
def own_start(frozen: Frozen) -> Int:
    """Where places in the slice's own past begin: at a block of their own behind the panel."""
    return (frozen.bases.shape[0] + (1 << BLOCK_BITS) - 1) >> BLOCK_BITS << BLOCK_BITS


@inline
def padded(live: Int) -> Int:
    """Live copies, and the slots behind them that make up a vector: what those hold is written, and never counts."""
    return (live + GROUP - 1) // GROUP * GROUP


@inline
def refresh(mix: Mixing, work: Work, row: Int) -> None:
    """The logarithms that go with a row of trust."""
    value = np.int64(mix.trust[u(row)] >> np.uint32(10))
    work.trust_logs[u(2 * row)] = log2_q10((1 << 22) - value) - (22 << 10)
    work.trust_logs[u(2 * row + 1)] = log2_q10(value) - (22 << 10)


@inline
def refresh_all(mix: Mixing, work: Work) -> None:
    """The logarithms of all rows of trust."""
    for row in range(TRUST_ROWS):
        refresh(mix, work, row)


@inline
def trust_row(misses: Int, run: Int) -> Int:
    """Where trust is learned: by the last 12 bases, then by how far back a miss lies."""
    row = misses & ((1 << TRUST_BITS) - 1)
    if row == 0:
        older = misses >> TRUST_BITS
        if older:
            row = (1 << TRUST_BITS) + 32 + ((63 - leading_zeros(older & -older)) >> 2)
        else:
            row = (1 << TRUST_BITS) + max(60 - leading_zeros(run | 1), 0)
    return row


@inline
def predict(
    cfg: Settings,
    frozen: Frozen,
    local: Local,
    bank: NDArray[np.int32],
    mix: Mixing,
    work: Work,
    own: Int,
    previous: Int,
) -> None:
    """What each copy predicts and how far it is trusted; the heads' votes, as inputs 0..HEADS-1."""
    live = np.int64(local.numbers[COPIES])
    if live == 0:
        for head in range(cfg.heads):
            put(work, head, 0, 0, 0, 0)
            for base in range(4):
                work.votes[u(4 * head + base)] = 1 << 22
        return
    for c in range(live):
        recent = np.uint32(bank[u(MISSES + c)]) & DIRTY_PART
        bank[u(DIRTY + c)] = np.int32(1) if ones(recent) > 1 else np.int32(0)
        place = np.int64(bank[u(PLACE + c)])
        base = np.int64(frozen.bases[u(place)]) if place < own else np.int64(local.bases[u(place - own)])
        bank[u(BASE + c)] = base ^ np.int64(bank[u(FLIP + c)])
        row = trust_row(np.int64(bank[u(MISSES + c)]) & 0xFFFFFFFF, np.int64(bank[u(RUN + c)]))
        bank[u(TRUST + c)] = row
        bank[u(MISS + c)] = np.int64(mix.trust[u(row)] >> np.uint32(16))
        bank[u(LOG_HIT + c)] = work.trust_logs[u(2 * row)]
        bank[u(LOG_MISS + c)] = work.trust_logs[u(2 * row + 1)]
        bank[u(FEATURE + 4 * ROOM + c)] = local.scores[u(place >> BLOCK_BITS)]
    width = padded(live)
    for k in range(width):
        bank[u(DEAD + k)] = np.int32(0) if np.int32(k) < np.int32(live) else np.int32(-(1 << 29))
        bank[u(FEATURE + k)] = shrunk(bank[u(MARKS + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + ROOM + k)] = shrunk(bank[u(MARKS + ROOM + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + 2 * ROOM + k)] = shrunk(bank[u(MARKS + 2 * ROOM + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + 3 * ROOM + k)] = shrunk(bank[u(MARKS + 3 * ROOM + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + 4 * ROOM + k)] = shrunk(bank[u(FEATURE + 4 * ROOM + k)], 3, SCORE_LIMIT)
        bank[u(FEATURE + 5 * ROOM + k)] = np.int32(
            np.int32(bank[u(LOG_HIT + k)] - bank[u(LOG_MISS + k)]) >> np.int32(2)
        )
    for at in range(12 * cfg.heads):
        work.sums[u(at)] = 0
    for head in range(cfg.heads):
        attend(bank, mix.attention, head, width)
    for head in range(cfg.heads):
        for k in range(live):
            base, miss = np.int64(bank[u(BASE + k)]), np.int64(bank[u(MISS + k)])
            weight = np.int64(bank[u(WEIGHT + head * ROOM + k)])
            dirty = np.int64(bank[u(DIRTY + k)])
            work.sums[u(12 * head + base)] += weight
            work.sums[u(12 * head + 4 + 4 * dirty + base)] += (weight * miss) >> 12
    for head in range(cfg.heads):
        vote(mix.swaps, work, head, previous)


@inline
def shrunk(value: Int, bits: Int, limit: Int) -> Int:
    """Without its last ``bits``, within +-limit."""
    return min(max(np.int32(value >> np.int32(bits)), np.int32(-limit)), np.int32(limit))


@inline
def attend(bank: NDArray[np.int32], attention: NDArray[np.int32], head: Int, width: Int) -> None:
    """The head's weight of each copy: two to the power of its score, in Q20 of the best."""
    a = np.int32(attention[u(head * FEATURES)] >> 8)
    b = np.int32(attention[u(head * FEATURES + 1)] >> 8)
    c = np.int32(attention[u(head * FEATURES + 2)] >> 8)
    d = np.int32(attention[u(head * FEATURES + 3)] >> 8)
    e = np.int32(attention[u(head * FEATURES + 4)] >> 8)
    f = np.int32(attention[u(head * FEATURES + 5)] >> 8)
    out = WEIGHT + head * ROOM
    best = np.int32(-(1 << 30))
    for k in range(width):
        score = np.int32(a * bank[u(FEATURE + k)])
        score = np.int32(score + np.int32(b * bank[u(FEATURE + ROOM + k)]))
        score = np.int32(score + np.int32(c * bank[u(FEATURE + 2 * ROOM + k)]))
        score = np.int32(score + np.int32(d * bank[u(FEATURE + 3 * ROOM + k)]))
        score = np.int32(score + np.int32(e * bank[u(FEATURE + 4 * ROOM + k)]))
        score = np.int32(score + np.int32(f * bank[u(FEATURE + 5 * ROOM + k)]))
        short = np.int32(np.int32(score >> np.int32(12)) + bank[u(DEAD + k)])
        bank[u(out + k)] = short
        best = max(best, short)
    for k in range(width):
        fall = np.int32(best - bank[u(out + k)])
        part = np.int32(fall & np.int32(255))
        whole = min(np.int32(fall >> np.int32(8)), np.int32(30))
        # 2**-part by a parabola through 1 and 1/2
        slope = np.int32(np.int32(44040) - np.int32(np.int32(44) * part))
        full = np.int32(np.int32(1 << 20) - np.int32(np.int32(part * slope) >> np.int32(4)))
        bank[u(out + k)] = shifted(full, whole)


@inline
def vote(swaps: NDArray[np.int32], work: Work, head: Int, previous: Int) -> None:
    """The head's distribution, Q24 times the sum of weights, and its input."""
    at = 12 * head
    v0 = (work.sums[u(at)] << 4) + LEAST_VOTE
    v1 = (work.sums[u(at + 1)] << 4) + LEAST_VOTE
    v2 = (work.sums[u(at + 2)] << 4) + LEAST_VOTE
    v3 = (work.sums[u(at + 3)] << 4) + LEAST_VOTE
    for dirty in range(2):
        m = at + 4 + 4 * dirty
        m0, m1, m2, m3 = work.sums[u(m)], work.sums[u(m + 1)], work.sums[u(m + 2)], work.sums[u(m + 3)]
        if m0 | m1 | m2 | m3 == 0:
            continue
        t = 64 * dirty + 4 * previous
        n0 = m1 * np.int64(swaps[u(t + 16)]) + m2 * np.int64(swaps[u(t + 32)]) + m3 * np.int64(swaps[u(t + 48)])
        n1 = m0 * np.int64(swaps[u(t + 1)]) + m2 * np.int64(swaps[u(t + 33)]) + m3 * np.int64(swaps[u(t + 49)])
        n2 = m0 * np.int64(swaps[u(t + 2)]) + m1 * np.int64(swaps[u(t + 18)]) + m3 * np.int64(swaps[u(t + 50)])
        n3 = m0 * np.int64(swaps[u(t + 3)]) + m1 * np.int64(swaps[u(t + 19)]) + m2 * np.int64(swaps[u(t + 35)])
        v0 += (n0 >> 16) - m0
        v1 += (n1 >> 16) - m1
        v2 += (n2 >> 16) - m2
        v3 += (n3 >> 16) - m3
    work.votes[u(4 * head)] = v0
    work.votes[u(4 * head + 1)] = v1
    work.votes[u(4 * head + 2)] = v2
    work.votes[u(4 * head + 3)] = v3
    put(work, head, log2_q10(v0) >> 3, log2_q10(v1) >> 3, log2_q10(v2) >> 3, log2_q10(v3) >> 3)


@inline
def judge(work: Work, live: Int) -> None:
    """For the mixer: the first head's top base, how sure it is, and how many copies there are."""
    total = work.votes[0] + work.votes[1] + work.votes[2] + work.votes[3]
    top, most = 0, work.votes[0]
    for base in range(1, 4):
        if work.votes[u(base)] > most:
            top, most = base, work.votes[u(base)]
    sure, share = 0, most << 10
    if live:
        sure = 1 + (share >= 512 * total) + (share >= 717 * total) + (share >= 870 * total)
        sure += (share >= 952 * total) + (share >= 993 * total) + (share >= 1014 * total)
    else:
        top = 0
    work.recall[CONFIDENCE] = sure
    work.recall[TOP] = top
    work.recall[CROWD] = CROWDS[u(live)]


@inline
def learn_attention(
    cfg: Settings, local: Local, bank: NDArray[np.int32], mix: Mixing, work: Work, base: Int, previous: Int
) -> None:
    """One step down the gradient of the coded bits by the attention, through the mixer's first layer."""
    live = np.int64(local.numbers[COPIES])
    final = work.recall[FINAL]
    pull, escape, slopes = work.pull, work.escape, work.slopes
    width = padded(live)
    for head in range(cfg.heads):
        reach = np.int64(0)  # weight of this head in the logits, Q16
        for which in range(cfg.sets):
            reach += (
                np.int64(mix.final[u(final + which)]) * np.int64(mix.weights[u(work.rows[u(which)] + head)])
            ) >> 20
        total = np.int64(0)
        for k in range(live):
            total += bank[u(WEIGHT + head * ROOM + k)]
        votes = np.int64(0)
        for other in range(4):
            votes += work.votes[u(4 * head + other)]
        for other in range(4):
            error = (65536 if other == base else 0) - (work.coded[u(other)] >> 6)
            share = max((work.votes[u(4 * head + other)] << 16) // votes, 16)
            pull[u(other)] = min(max((error << 16) // share, -(1 << 26)), 1 << 26)  # Q16
        escape[:] = 0
        for kind in range(8):
            said = kind & 3
            for other in range(4):
                if other != said:
                    escape[u(kind)] += (pull[u(other)] * np.int64(mix.swaps[u(16 * kind + 4 * previous + other)])) >> 16
            escape[u(kind)] -= pull[u(said)]
        scale = np.int64(np.uint64(1 << 42) // np.uint64(total))
        for k in range(live, width):
            bank[u(GAIN + k)] = 0
        for k in range(live):
            said = np.int64(bank[u(BASE + k)])
            worth = pull[u(said)] + (
                (escape[u(4 * np.int64(bank[u(DIRTY + k)]) + said)] * np.int64(bank[u(MISS + k)])) >> 16
            )
            share = (np.int64(bank[u(WEIGHT + head * ROOM + k)]) * scale) >> 26
            bank[u(GAIN + k)] = (worth * share + (1 << 15)) >> 16  # the row of gains is free until these are learned
        s0 = s1 = s2 = s3 = s4 = s5 = np.int64(0)
        for k in range(width):
            part = np.int64(bank[u(GAIN + k)])
            s0 += part * np.int64(bank[u(FEATURE + k)])
            s1 += part * np.int64(bank[u(FEATURE + ROOM + k)])
            s2 += part * np.int64(bank[u(FEATURE + 2 * ROOM + k)])
            s3 += part * np.int64(bank[u(FEATURE + 3 * ROOM + k)])
            s4 += part * np.int64(bank[u(FEATURE + 4 * ROOM + k)])
            s5 += part * np.int64(bank[u(FEATURE + 5 * ROOM + k)])
        slopes[0], slopes[1], slopes[2], slopes[3], slopes[4], slopes[5] = s0, s1, s2, s3, s4, s5
        for f in range(FEATURES):
            slope = (((slopes[u(f)] + (1 << 7)) >> 8) * reach + (1 << 19)) >> 20  # Q12
            slope = min(max(slope, -(4 << 12)), 4 << 12)
            moved = np.int64(mix.attention[u(head * FEATURES + f)]) + ((slope * cfg.attention_rate + 8) >> 4)
            mix.attention[u(head * FEATURES + f)] = min(max(moved, -ATTENTION_LIMIT), ATTENTION_LIMIT)


@inline
def learn(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], mix: Mixing, work: Work, own: Int,
    previous: Int, base: Int, divisors: NDArray[np.int64], teach: bool,
) -> None:  # fmt: skip
    """Score every copy by the base that came, move it on, and drop those that fail too often."""
    live = np.int64(local.numbers[COPIES])
    if live == 0:
        return
    done = local.numbers[DONE]
    width = padded(live)
    came, count = np.int32(base), np.int32(live)
    missed = np.int32(0)
    for k in range(width):
        missed = np.int32(missed + np.int32((bank[u(BASE + k)] != came) & (np.int32(k) < count)))
    if teach:
        teach_trust(cfg, bank, mix, work, live, done, base, divisors)
    if missed:
        learn_missed(local, bank, mix, live, previous, base)
    else:
        for k in range(width):
            bank[u(GAIN + k)] = np.int32(bank[u(LOG_HIT + k)] << np.int32(2))
    ends = np.int32(0)
    panel = np.int32(frozen.bases.shape[0])
    before = np.int32(own - 1)
    for k in range(width):
        gain = bank[u(GAIN + k)]
        bank[u(MARKS + k)] = np.int32(bank[u(MARKS + k)] + np.int32(gain - (bank[u(MARKS + k)] >> np.int32(2))))
        at = MARKS + ROOM + k
        bank[u(at)] = np.int32(bank[u(at)] + np.int32(gain - (bank[u(at)] >> np.int32(4))))
        at = MARKS + 2 * ROOM + k
        bank[u(at)] = np.int32(bank[u(at)] + np.int32(gain - (bank[u(at)] >> np.int32(6))))
        at = MARKS + 3 * ROOM + k
        bank[u(at)] = np.int32(bank[u(at)] + np.int32(gain - (bank[u(at)] >> np.int32(8))))
    for k in range(width):
        miss = np.int32(bank[u(BASE + k)] != came)
        bank[u(MISSES + k)] = np.int32(np.int32(bank[u(MISSES + k)] << np.int32(1)) | miss)
        bank[u(RUN + k)] = np.int32(np.int32(bank[u(RUN + k)] + np.int32(1)) & np.int32(miss - np.int32(1)))
        place = np.int32(bank[u(PLACE + k)] + bank[u(STEP + k)])
        bank[u(PLACE + k)] = place
        # the panel's end, the panel's start, the start of the slice's past
        ends = np.int32(ends | np.int32((place == panel) | (place == before) | (place < 0)))
    if missed or ends:
        local.numbers[COPIES] = drop(bank, live, np.int64(panel), own, own + done + 1, cfg.drop)
    if (done & 7) == 7:
        level(bank, np.int64(local.numbers[COPIES]))


@inline
def teach_trust(
    cfg: Settings,
    bank: NDArray[np.int32],
    mix: Mixing,
    work: Work,
    live: Int,
    done: Int,
    base: Int,
    divisors: NDArray[np.int64],
) -> None:
    """What a copy with such misses does next. All copies that missed teach it, and of the others every fourth."""
    for k in range(live):
        hit = np.int64(bank[u(BASE + k)]) == base
        if hit and ((k + done) & TEACHERS) != 0:
            continue
        row = np.int64(bank[u(TRUST + k)])
        entry = np.int64(mix.trust[u(row)])
        seen, miss = entry & 1023, entry >> 10
        if hit:
            for _ in range(TEACHERS + 1):
                miss -= (miss * divisors[u(seen)] + (1 << 15)) >> 16
                seen += seen < cfg.trust_limit
        else:
            miss += (((1 << 22) - miss) * divisors[u(seen)]) >> 16
            seen += seen < cfg.trust_limit
        mix.trust[u(row)] = np.uint32((min(max(miss, LEAST_MISS), MOST_MISS) << 10) | seen)
        refresh(mix, work, row)


@inline
def learn_missed(local: Local, bank: NDArray[np.int32], mix: Mixing, live: Int, previous: Int, base: Int) -> None:
    """Gains where some copies missed, the scores of blocks against each other, and what comes in place of what."""
    total = np.int64(0)
    for k in range(live):
        said = np.int64(bank[u(BASE + k)])
        if said == base:
            gain = np.int64(bank[u(LOG_HIT + k)]) << 2
        else:
            swap = np.int64(mix.swaps[u(64 * np.int64(bank[u(DIRTY + k)]) + 16 * said + 4 * previous + base)])
            gain = (np.int64(bank[u(LOG_MISS + k)]) + log2_q10(swap + 1) - (16 << 10)) << 2
        bank[u(GAIN + k)] = gain
        total += gain
    mean = total // live
    for k in range(live):
        block = np.int64(bank[u(PLACE + k)]) >> BLOCK_BITS
        score = np.int64(local.scores[u(block)])
        local.scores[u(block)] = (
            score - (score >> 9) + (min(max(np.int64(bank[u(GAIN + k)]) - mean, -16384), 8192) >> 4)
        )
        said = np.int64(bank[u(BASE + k)])
        if said != base:
            swap = 64 * np.int64(bank[u(DIRTY + k)]) + 16 * said + 4 * previous
            for other in range(4):
                if other != said:
                    value = np.int64(mix.swaps[u(swap + other)])
                    mix.swaps[u(swap + other)] = value + (((65536 if other == base else 0) - value) >> 9)


@apart
def drop(bank: NDArray[np.int32], live: Int, panel: Int, own: Int, end: Int, most: Int) -> Int:
    """Keep the copies that do not fail too often and that point at a base; gives how many these are."""
    kept = 0
    for k in range(live):
        place = np.int64(bank[u(PLACE + k)])
        within = place >= 0 and (place < panel or (own <= place and place < end))
        if within and np.int64(ones(np.uint32(bank[u(MISSES + k)]) & RECENT)) <= most:
            if kept != k:
                for row in (PLACE, STEP, FLIP, MISSES, RUN):
                    bank[u(row + kept)] = bank[u(row + k)]
                for horizon in range(4):
                    bank[u(MARKS + horizon * ROOM + kept)] = bank[u(MARKS + horizon * ROOM + k)]
            kept += 1
    return kept


@inline
def level(bank: NDArray[np.int32], live: Int) -> None:
    """Keep the marks small: only their differences count."""
    for horizon in range(4):
        first = MARKS + horizon * ROOM
        best = np.int32(-(1 << 30))
        for k in range(live):
            best = max(best, bank[u(first + k)])
        for k in range(live):
            bank[u(first + k)] = max(np.int32(bank[u(first + k)] - best), np.int32(MARK_FLOOR))
