"""Reading frames: experts that learn the three places of a codon, and find by themselves which place a base has.

Genes are written in triplets, and what a base may be depends most on its place in one. Six hypotheses say which place
that is: three frames of this strand, three of the other. Each is scored by how well the tables of its places
(`CLASSES`: three places, as read on this strand and on the other) foretold the last few hundred bases. Only the
best one predicts and learns, so that the tables come to mean codons without ever being told where genes are; a base
teaches the tables of the other strand the same place read backwards. The tables are those of short contexts, a
row for each class.
"""

import numpy as np

from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.counts import last_bases, learn_low_row, put_row
from geneformer_codec.predict.integers import log2_q10, u
from geneformer_codec.predict.state import (
    BEST_FRAME,
    CLASSES,
    DONE,
    FRAME,
    FRAMES,
    LOW_ROW,
    PHASE,
    Local,
    Settings,
    Work,
)

MEMORY = 7
"""A score forgets a 2**7th of itself a base."""
STAY = 2 << 10
"""Bits, Q10, by which another hypothesis must be ahead of the one that was best."""
LIKELY, SURE, SURER = 600, 3200, 6600
"""How far the best is ahead, Q10, for the mixer."""


@inline
def frame_class(frame: Int, third: Int) -> Int:
    """The class of a base in a hypothesis; ``third`` is its place in the slice modulo 3."""
    place = third - frame if frame < 3 else frame - 3 - third
    return (place + 3 if place < 0 else place) + (0 if frame < 3 else 3)


@inline
def predict_frames(local: Local, work: Work, past: Int, at: Int) -> Int:
    """Inputs of the best hypothesis; gives the place after the last."""
    orders = local.frame_orders.shape[0]
    work.recall[FRAME] = 0
    work.recall[PHASE] = 3
    if orders == 0:
        return at
    best = local.numbers[BEST_FRAME]
    place = frame_class(best, local.numbers[DONE] % 3)
    lead = np.int64(1) << 40
    for other in range(FRAMES):
        if other != best:
            lead = min(lead, local.frame_scores[u(best)] - local.frame_scores[u(other)])
    sure = (lead >= LIKELY) + (lead >= SURE) + (lead >= SURER)
    work.recall[FRAME] = place * 4 + sure
    work.recall[PHASE] = place % 3 if sure >= 2 else 3
    for k in range(orders):
        context = np.int64(last_bases(past, local.frame_orders[u(k)]))
        row = local.frame_at[u(k)] + (context * CLASSES + place) * LOW_ROW
        put_row(local, work, at, row)
        at += 1
    return at


@inline
def learn_frames(cfg: Settings, local: Local, divisors: Int, past: Int, turned: Int, done: Int, base: Int) -> None:
    """Score all hypotheses by ``base``, and teach the tables of the best. The arguments are those of `counts.learn`."""
    orders = local.frame_orders.shape[0]
    if orders == 0:
        return
    third = done % 3
    first = local.frame_at[0] + np.int64(last_bases(past, local.frame_orders[0])) * CLASSES * LOW_ROW + base
    best = local.numbers[BEST_FRAME]
    most = local.frame_scores[u(best)]
    for frame in range(FRAMES):
        share = np.int64(local.low[u(first + frame_class(frame, third) * LOW_ROW)])
        score = local.frame_scores[u(frame)]
        local.frame_scores[u(frame)] = score - (score >> MEMORY) + log2_q10(share + 8) - (16 << 10)
    most = local.frame_scores[u(best)] + STAY
    for frame in range(FRAMES):
        if local.frame_scores[u(frame)] > most:
            best, most = frame, local.frame_scores[u(frame)]
    local.numbers[BEST_FRAME] = best
    place = frame_class(best, third)
    with_base = (past << np.uint64(2)) | np.uint64(base)
    for k in range(orders):
        order = local.frame_orders[u(k)]
        context = np.int64(last_bases(past, order))
        learn_low_row(local, divisors, local.frame_at[u(k)] + (context * CLASSES + place) * LOW_ROW, base)
        if cfg.both_strands and done >= order:
            other = 3 - np.int64((with_base >> np.uint64(2 * order)) & np.uint64(3))
            context = np.int64(turned >> np.uint64(64 - 2 * order))
            there = frame_class(best, (done - order) % 3)
            there += 3 if best < 3 else -3
            learn_low_row(local, divisors, local.frame_at[u(k)] + (context * CLASSES + there) * LOW_ROW, other)
