"""Codon phase: experts that learn the three positions of a codon, and infer which position a base has.

In genes, the distribution of a base depends on its position in the codon. There are six hypotheses, the reading frames:
three on this strand, three on the other. Each is scored by how well the tables of its positions (`CLASSES`: three
positions, on this strand and on the other) predicted the last few hundred bases. Only the best one predicts and learns,
so the tables specialise on codon positions without annotation; a base also updates the same position on the other
strand. The tables are those of short contexts, a row for each class.
"""

import numpy as np

from geneformer_codec.coding.integers import log2_q10, u
from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.counts import base_before, last_bases, learn_row, put_row
from geneformer_codec.predict.state import (
    BEST_FRAME,
    CLASSES,
    DONE,
    FRAME,
    FRAMES,
    LOW_ROW,
    PHASE,
    Recent,
    Scratch,
    Settings,
    SliceState,
)

MEMORY = 7
"""A score forgets a 2**7th of itself a base."""
STAY = 2 << 10
"""Bits, Q10, by which another hypothesis must be ahead of the one that was best."""
LEADS = 600, 3200, 6600
"""How far the best is ahead, Q10, for the mixer."""


@inline
def frame_class(frame: Int, third: Int) -> Int:
    """The class of a base in a hypothesis; ``third`` is its place in the slice modulo 3."""
    place = third - frame if frame < 3 else frame - 3 - third
    return (place + 3 if place < 0 else place) + (0 if frame < 3 else 3)


@inline
def predict_frames(state: SliceState, scratch: Scratch, history: Int, at: Int) -> Int:
    """Inputs of the best hypothesis; gives the place after the last."""
    orders = state.frame_orders.shape[0]
    scratch.recall[FRAME] = 0
    scratch.recall[PHASE] = 3
    if orders == 0:
        return at
    best = state.numbers[BEST_FRAME]
    place = frame_class(best, state.numbers[DONE] % 3)
    lead = np.int64(1) << 40
    for other in range(FRAMES):
        if other != best:
            lead = min(lead, state.frame_scores[u(best)] - state.frame_scores[u(other)])
    certainty = (lead >= LEADS[0]) + (lead >= LEADS[1]) + (lead >= LEADS[2])
    scratch.recall[FRAME] = place * 4 + certainty
    scratch.recall[PHASE] = place % 3 if certainty >= 2 else 3
    for k in range(orders):
        context = np.int64(last_bases(history, state.frame_orders[u(k)]))
        row = state.frame_at[u(k)] + (context * CLASSES + place) * LOW_ROW
        put_row(state, scratch, at, row)
        at += 1
    return at


@inline
def learn_frames(settings: Settings, state: SliceState, before: Recent, after: Recent, base: Int) -> None:
    """Score all hypotheses by ``base``, and teach the tables of the best; see `counts.learn_contexts`."""
    orders = state.frame_orders.shape[0]
    if orders == 0:
        return
    done = state.numbers[DONE]
    third = done % 3
    first = state.frame_at[0] + np.int64(last_bases(before.history, state.frame_orders[0])) * CLASSES * LOW_ROW + base
    best = state.numbers[BEST_FRAME]
    for frame in range(FRAMES):
        share = np.int64(state.low[u(first + frame_class(frame, third) * LOW_ROW)])
        score = state.frame_scores[u(frame)]
        state.frame_scores[u(frame)] = score - (score >> MEMORY) + log2_q10(share + 8) - (16 << 10)
    most = state.frame_scores[u(best)] + STAY
    for frame in range(FRAMES):
        if state.frame_scores[u(frame)] > most:
            best, most = frame, state.frame_scores[u(frame)]
    state.numbers[BEST_FRAME] = best
    place = frame_class(best, third)
    for k in range(orders):
        order, at = state.frame_orders[u(k)], state.frame_at[u(k)]
        context = np.int64(last_bases(before.history, order))
        learn_row(state, at + (context * CLASSES + place) * LOW_ROW, base)
        if settings.both_strands and done >= order:
            context = np.int64(after.reverse_complement >> np.uint64(64 - 2 * order))
            there = frame_class(best, (done - order) % 3) + (3 if best < 3 else -3)
            learn_row(state, at + (context * CLASSES + there) * LOW_ROW, base_before(after, order))
