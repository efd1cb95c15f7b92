"""Copy experts (after XM, Cao et al. 2007) and the attention over them.

A copy points at a base of the panel or of the slice's history, forward or reverse complement, and predicts the base it
points at. Its probability of a miss (its *trust*) is learned by the pattern of its last misses. Attention gives each
copy a weight, by a score that is linear in its features (`FEATURES`): its recent gain over four horizons, the score of
the block it points into, its trust. Each head sums the weighted predictions to one distribution.
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import (
    adaptation_rate,
    clamp,
    count_ones,
    leading_zeros,
    log2_q10,
    shift_right,
    u,
)
from geneformer_codec.coding.jit import Int, apart, inline
from geneformer_codec.predict.counts import put
from geneformer_codec.predict.state import (  # fmt: skip
    BASE,
    BLOCK_BITS,
    CONFIDENCE,
    COPIES,
    CROWD,
    DEAD,
    DONE,
    FEATURE,
    FEATURES,
    FINAL,
    FLIP,
    GAIN,
    GAIN_SUMS,
    GROUP,
    LOG_HIT,
    LOG_MISS,
    MISS,
    MISSES,
    NOISY,
    ROOM,
    RUN,
    STEP,
    TOP,
    TRUST,
    TRUST_BITS,
    TRUST_ROWS,
    WEIGHT,
    MixerState,
    PanelTables,
    Scratch,
    Settings,
    Slice,
    SliceState,
)

GAIN_SUM_FLOOR = -30 << 12
FEATURE_LIMIT = 8191
SCORE_LIMIT = 2047
ATTENTION_LIMIT = 4 << 20
LEAST_VOTE = 1600
LEAST_MISS = 256
MOST_MISS = 15 << 18
HIT_MASK = 3
"""Of the copies that hit, one in four updates trust, in turns, and then four times."""
CROWDS = np.array([sum(live >= least for least in (2, 4, 8, 14, 24)) for live in range(ROOM + 1)], np.int64)
"""By how many copies there are."""
LAST_16 = np.uint32(0xFFFF)
LAST_24 = np.uint32(0xFFFFFF)
"""Of the misses of a copy."""


@inline
def base_at(panel: PanelTables, history: NDArray[np.uint8], place: Int) -> Int:
    """The base at a place of the panel, or, from `history_offset` on, of the slice's history."""
    if place >= panel.history_offset:
        return np.int64(history[u(place - panel.history_offset)])
    return np.int64((panel.words[u(place >> 5)] >> np.uint64(62 - 2 * (place & 31))) & np.uint64(3))


@inline
def padded(live: Int) -> Int:
    """Live copies, and the slots behind them that make up a vector: what those hold is written, and never counts."""
    return (live + GROUP - 1) // GROUP * GROUP


@inline
def refresh(mixer: MixerState, scratch: Scratch, row: Int) -> None:
    """The logarithms that go with a row of trust."""
    value = np.int64(mixer.trust[u(row)] >> np.uint32(10))
    scratch.trust_logs[u(2 * row)] = log2_q10((1 << 22) - value) - (22 << 10)
    scratch.trust_logs[u(2 * row + 1)] = log2_q10(value) - (22 << 10)


@inline
def refresh_all(mixer: MixerState, scratch: Scratch) -> None:
    """The logarithms of all rows of trust."""
    for row in range(TRUST_ROWS):
        refresh(mixer, scratch, row)


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
def predict_copies(slice_: Slice, previous: Int) -> None:
    """Each copy's base and trust; the heads' votes, as inputs 0..HEADS-1."""
    settings, panel, state, mixer, scratch = slice_
    bank = state.bank
    live = np.int64(state.numbers[COPIES])
    if live == 0:
        for head in range(settings.heads):
            put(scratch, head, 0, 0, 0, 0)
            for base in range(4):
                scratch.votes[u(4 * head + base)] = 1 << 22
        return
    for c in range(live):
        recent = np.uint32(bank[u(MISSES + c)]) & LAST_16
        bank[u(NOISY + c)] = np.int32(1) if count_ones(recent) > 1 else np.int32(0)
        place = state.copy_places[u(c)]
        base = base_at(panel, state.bases, place)
        bank[u(BASE + c)] = base ^ np.int64(bank[u(FLIP + c)])
        row = trust_row(np.int64(bank[u(MISSES + c)]) & 0xFFFFFFFF, np.int64(bank[u(RUN + c)]))
        bank[u(TRUST + c)] = row
        bank[u(MISS + c)] = np.int64(mixer.trust[u(row)] >> np.uint32(16))
        bank[u(LOG_HIT + c)] = scratch.trust_logs[u(2 * row)]
        bank[u(LOG_MISS + c)] = scratch.trust_logs[u(2 * row + 1)]
        bank[u(FEATURE + 4 * ROOM + c)] = state.scores[u(place >> BLOCK_BITS)]
    width = padded(live)
    for k in range(width):
        bank[u(DEAD + k)] = np.int32(0) if np.int32(k) < np.int32(live) else np.int32(-(1 << 29))
        bank[u(FEATURE + k)] = shrunk(bank[u(GAIN_SUMS + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + ROOM + k)] = shrunk(bank[u(GAIN_SUMS + ROOM + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + 2 * ROOM + k)] = shrunk(bank[u(GAIN_SUMS + 2 * ROOM + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + 3 * ROOM + k)] = shrunk(bank[u(GAIN_SUMS + 3 * ROOM + k)], 4, FEATURE_LIMIT)
        bank[u(FEATURE + 4 * ROOM + k)] = shrunk(bank[u(FEATURE + 4 * ROOM + k)], 3, SCORE_LIMIT)
        bank[u(FEATURE + 5 * ROOM + k)] = np.int32(
            np.int32(bank[u(LOG_HIT + k)] - bank[u(LOG_MISS + k)]) >> np.int32(2)
        )
    for at in range(12 * settings.heads):
        scratch.sums[u(at)] = 0
    for head in range(settings.heads):
        attend(bank, mixer.attention, head, width)
    for head in range(settings.heads):
        for k in range(live):
            base, miss = np.int64(bank[u(BASE + k)]), np.int64(bank[u(MISS + k)])
            weight = np.int64(bank[u(WEIGHT + head * ROOM + k)])
            noisy = np.int64(bank[u(NOISY + k)])
            scratch.sums[u(12 * head + base)] += weight
            scratch.sums[u(12 * head + 4 + 4 * noisy + base)] += (weight * miss) >> 12
    for head in range(settings.heads):
        vote(mixer.substitutions, scratch, head, previous)


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
        bank[u(out + k)] = shift_right(full, whole)


@inline
def vote(substitutions: NDArray[np.int32], scratch: Scratch, head: Int, previous: Int) -> None:
    """The head's distribution, Q24 times the sum of weights, and its input."""
    at = 12 * head
    v0 = (scratch.sums[u(at)] << 4) + LEAST_VOTE
    v1 = (scratch.sums[u(at + 1)] << 4) + LEAST_VOTE
    v2 = (scratch.sums[u(at + 2)] << 4) + LEAST_VOTE
    v3 = (scratch.sums[u(at + 3)] << 4) + LEAST_VOTE
    for noisy in range(2):
        m = at + 4 + 4 * noisy
        m0, m1, m2, m3 = scratch.sums[u(m)], scratch.sums[u(m + 1)], scratch.sums[u(m + 2)], scratch.sums[u(m + 3)]
        if m0 | m1 | m2 | m3 == 0:
            continue
        t = 64 * noisy + 4 * previous
        n0 = (
            m1 * np.int64(substitutions[u(t + 16)])
            + m2 * np.int64(substitutions[u(t + 32)])
            + m3 * np.int64(substitutions[u(t + 48)])
        )
        n1 = (
            m0 * np.int64(substitutions[u(t + 1)])
            + m2 * np.int64(substitutions[u(t + 33)])
            + m3 * np.int64(substitutions[u(t + 49)])
        )
        n2 = (
            m0 * np.int64(substitutions[u(t + 2)])
            + m1 * np.int64(substitutions[u(t + 18)])
            + m3 * np.int64(substitutions[u(t + 50)])
        )
        n3 = (
            m0 * np.int64(substitutions[u(t + 3)])
            + m1 * np.int64(substitutions[u(t + 19)])
            + m2 * np.int64(substitutions[u(t + 35)])
        )
        v0 += (n0 >> 16) - m0
        v1 += (n1 >> 16) - m1
        v2 += (n2 >> 16) - m2
        v3 += (n3 >> 16) - m3
    scratch.votes[u(4 * head)] = v0
    scratch.votes[u(4 * head + 1)] = v1
    scratch.votes[u(4 * head + 2)] = v2
    scratch.votes[u(4 * head + 3)] = v3
    put(scratch, head, log2_q10(v0) >> 3, log2_q10(v1) >> 3, log2_q10(v2) >> 3, log2_q10(v3) >> 3)


@inline
def summarise(scratch: Scratch, live: Int) -> None:
    """For the mixer: the first head's top base, its share as a confidence of 0..7, and how many copies there are."""
    total = scratch.votes[0] + scratch.votes[1] + scratch.votes[2] + scratch.votes[3]
    top, most = 0, scratch.votes[0]
    for base in range(1, 4):
        if scratch.votes[u(base)] > most:
            top, most = base, scratch.votes[u(base)]
    confidence, share = 0, most << 10
    if live:
        confidence = 1 + (share >= 512 * total) + (share >= 717 * total) + (share >= 870 * total)
        confidence += (share >= 952 * total) + (share >= 993 * total) + (share >= 1014 * total)
    else:
        top = 0
    scratch.recall[CONFIDENCE] = confidence
    scratch.recall[TOP] = top
    scratch.recall[CROWD] = CROWDS[u(live)]


@inline
def learn_attention(
    settings: Settings, state: SliceState, mixer: MixerState, scratch: Scratch, base: Int, previous: Int
) -> None:
    """One step down the gradient of the coded bits by the attention, through the mixer's first layer."""
    bank = state.bank
    live = np.int64(state.numbers[COPIES])
    final = scratch.recall[FINAL]
    pull, escape, slopes = scratch.pull, scratch.escape, scratch.slopes
    width = padded(live)
    for head in range(settings.heads):
        slope_scale = np.int64(0)  # weight of this head in the logits, Q16
        for which in range(settings.sets):
            slope_scale += (
                np.int64(mixer.final[u(final + which)]) * np.int64(mixer.weights[u(scratch.rows[u(which)] + head)])
            ) >> 20
        total = np.int64(0)
        for k in range(live):
            total += bank[u(WEIGHT + head * ROOM + k)]
        votes = np.int64(0)
        for other in range(4):
            votes += scratch.votes[u(4 * head + other)]
        for other in range(4):
            error = (65536 if other == base else 0) - (scratch.frequencies[u(other)] >> 6)
            share = max((scratch.votes[u(4 * head + other)] << 16) // votes, 16)
            pull[u(other)] = min(max((error << 16) // share, -(1 << 26)), 1 << 26)  # Q16
        escape[:] = 0
        for kind in range(8):
            predicted = kind & 3
            for other in range(4):
                if other != predicted:
                    escape[u(kind)] += (
                        pull[u(other)] * np.int64(mixer.substitutions[u(16 * kind + 4 * previous + other)])
                    ) >> 16
            escape[u(kind)] -= pull[u(predicted)]
        scale = np.int64(np.uint64(1 << 42) // np.uint64(total))
        for k in range(live, width):
            bank[u(GAIN + k)] = 0
        for k in range(live):
            predicted = np.int64(bank[u(BASE + k)])
            worth = pull[u(predicted)] + (
                (escape[u(4 * np.int64(bank[u(NOISY + k)]) + predicted)] * np.int64(bank[u(MISS + k)])) >> 16
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
            slope = (((slopes[u(f)] + (1 << 7)) >> 8) * slope_scale + (1 << 19)) >> 20  # Q12
            slope = min(max(slope, -(4 << 12)), 4 << 12)
            moved = np.int64(mixer.attention[u(head * FEATURES + f)]) + ((slope * settings.attention_rate + 8) >> 4)
            mixer.attention[u(head * FEATURES + f)] = min(max(moved, -ATTENTION_LIMIT), ATTENTION_LIMIT)


@inline
def learn_copies(slice_: Slice, previous: Int, base: Int, teach: bool) -> None:
    """Score every copy by the base, move it on, and drop those with too many misses; ``teach`` trust as well."""
    settings, panel, state, mixer, scratch = slice_
    bank = state.bank
    live = np.int64(state.numbers[COPIES])
    if live == 0:
        return
    done = state.numbers[DONE]
    width = padded(live)
    came, count = np.int32(base), np.int32(live)
    missed = np.int32(0)
    for k in range(width):
        missed = np.int32(missed + np.int32((bank[u(BASE + k)] != came) & (np.int32(k) < count)))
    if teach:
        learn_trust(settings, state, mixer, scratch, base)
    if missed:
        learn_misses(state, mixer, live, previous, base)
    else:
        for k in range(width):
            bank[u(GAIN + k)] = np.int32(bank[u(LOG_HIT + k)] << np.int32(2))
    ends = np.int32(0)
    end, before = panel.length, panel.history_offset - 1
    decay_gains(bank, width)
    for k in range(width):
        miss = np.int32(bank[u(BASE + k)] != came)
        bank[u(MISSES + k)] = np.int32(np.int32(bank[u(MISSES + k)] << np.int32(1)) | miss)
        bank[u(RUN + k)] = np.int32(np.int32(bank[u(RUN + k)] + np.int32(1)) & np.int32(miss - np.int32(1)))
    crossed = np.int32(0)
    for k in range(width):
        step = np.int64(bank[u(STEP + k)])
        place = state.copy_places[u(k)] + step
        state.copy_places[u(k)] = place
        crossed = np.int32(crossed | np.int32(((place ^ (place - step)) >> BLOCK_BITS) != 0))
        # the panel's end, the panel's start, the start of the slice's history
        ends = np.int32(ends | np.int32((place == end) | (place == before) | (place < 0)))
    if crossed:
        for k in range(live):
            place = state.copy_places[u(k)]
            hand_on(state, place - np.int64(bank[u(STEP + k)]), place)
    if missed or ends:
        state.numbers[COPIES] = drop(state, live, end, panel.history_offset, done + 1, settings.max_mismatches)
    if (done & 7) == 7:
        rebase(bank, np.int64(state.numbers[COPIES]))


@inline
def hand_on(state: SliceState, before: Int, after: Int) -> None:
    """Where a copy comes to another block, the score of that moves half way to that of the block before.

    What was a good relative so far mostly goes on to be one.
    """
    block = after >> BLOCK_BITS
    if block != before >> BLOCK_BITS and after >= 0:
        score = np.int64(state.scores[u(block)])
        state.scores[u(block)] = score + ((np.int64(state.scores[u(before >> BLOCK_BITS)]) - score) >> 1)


@inline
def decay_gains(bank: NDArray[np.int32], width: Int) -> None:
    """Take the gains into their sums, over four horizons."""
    for k in range(width):
        gain = bank[u(GAIN + k)]
        bank[u(GAIN_SUMS + k)] = np.int32(
            bank[u(GAIN_SUMS + k)] + np.int32(gain - (bank[u(GAIN_SUMS + k)] >> np.int32(2)))
        )
        at = GAIN_SUMS + ROOM + k
        bank[u(at)] = np.int32(bank[u(at)] + np.int32(gain - (bank[u(at)] >> np.int32(4))))
        at = GAIN_SUMS + 2 * ROOM + k
        bank[u(at)] = np.int32(bank[u(at)] + np.int32(gain - (bank[u(at)] >> np.int32(6))))
        at = GAIN_SUMS + 3 * ROOM + k
        bank[u(at)] = np.int32(bank[u(at)] + np.int32(gain - (bank[u(at)] >> np.int32(8))))


@inline
def learn_trust(settings: Settings, state: SliceState, mixer: MixerState, scratch: Scratch, base: Int) -> None:
    """P(miss) after such misses, from all copies that missed and every fourth of the others."""
    bank, live, done = state.bank, np.int64(state.numbers[COPIES]), state.numbers[DONE]
    for k in range(live):
        hit = np.int64(bank[u(BASE + k)]) == base
        if hit and ((k + done) & HIT_MASK) != 0:
            continue
        row = np.int64(bank[u(TRUST + k)])
        entry = np.int64(mixer.trust[u(row)])
        seen, miss = entry & 1023, entry >> 10
        if hit:
            for _ in range(HIT_MASK + 1):
                miss -= (miss * adaptation_rate(seen) + (1 << 15)) >> 16
                seen += seen < settings.trust_limit
        else:
            miss += (((1 << 22) - miss) * adaptation_rate(seen)) >> 16
            seen += seen < settings.trust_limit
        mixer.trust[u(row)] = np.uint32((min(max(miss, LEAST_MISS), MOST_MISS) << 10) | seen)
        refresh(mixer, scratch, row)


@inline
def learn_misses(state: SliceState, mixer: MixerState, live: Int, previous: Int, base: Int) -> None:
    """Gains where some copies missed, the scores of blocks against each other, and the substitutions."""
    bank = state.bank
    total = np.int64(0)
    for k in range(live):
        predicted = np.int64(bank[u(BASE + k)])
        if predicted == base:
            gain = np.int64(bank[u(LOG_HIT + k)]) << 2
        else:
            swap = np.int64(
                mixer.substitutions[u(64 * np.int64(bank[u(NOISY + k)]) + 16 * predicted + 4 * previous + base)]
            )
            gain = (np.int64(bank[u(LOG_MISS + k)]) + log2_q10(swap + 1) - (16 << 10)) << 2
        bank[u(GAIN + k)] = gain
        total += gain
    mean = total // live
    for k in range(live):
        block = state.copy_places[u(k)] >> BLOCK_BITS
        score = np.int64(state.scores[u(block)])
        gain = clamp(np.int64(bank[u(GAIN + k)]) - mean, -16384, 8192)
        state.scores[u(block)] = score - (score >> 9) + (gain >> 4)
        predicted = np.int64(bank[u(BASE + k)])
        if predicted != base:
            swap = 64 * np.int64(bank[u(NOISY + k)]) + 16 * predicted + 4 * previous
            for other in range(4):
                if other != predicted:
                    value = np.int64(mixer.substitutions[u(swap + other)])
                    mixer.substitutions[u(swap + other)] = value + (((65536 if other == base else 0) - value) >> 9)


@apart
def drop(state: SliceState, live: Int, panel: Int, offset: Int, done: Int, most: Int) -> Int:
    """Keep the copies with at most ``most`` misses that point at a base; gives how many these are."""
    bank = state.bank
    kept = 0
    for k in range(live):
        place = state.copy_places[u(k)]
        within = place >= 0 and (place < panel or (offset <= place and place < offset + done))
        if within and np.int64(count_ones(np.uint32(bank[u(MISSES + k)]) & LAST_24)) <= most:
            if kept != k:
                state.copy_places[u(kept)] = place
                for row in (STEP, FLIP, MISSES, RUN):
                    bank[u(row + kept)] = bank[u(row + k)]
                for horizon in range(4):
                    bank[u(GAIN_SUMS + horizon * ROOM + kept)] = bank[u(GAIN_SUMS + horizon * ROOM + k)]
            kept += 1
    return kept


@inline
def rebase(bank: NDArray[np.int32], live: Int) -> None:
    """Keep the sums of gains small: only their differences count."""
    for horizon in range(4):
        first = GAIN_SUMS + horizon * ROOM
        best = np.int32(-(1 << 30))
        for k in range(live):
            best = max(best, bank[u(first + k)])
        for k in range(live):
            bank[u(first + k)] = max(np.int32(bank[u(first + k)] - best), np.int32(GAIN_SUM_FLOOR))
