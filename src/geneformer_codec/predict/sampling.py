"""The slice's own past, searched and indexed at some seeds only: the same ones wherever a passage comes again.

An index of all seeds asks memory for a row a base, of a table larger than any cache. Which seeds count is said by a
hash of the seed and its reverse complement together, so that both strands choose the same places, and share a row.
One seed at a time is in hand, for three bases, as memory answers late: its row is asked for, then the seed is entered
there and what the row had is asked for, then that is looked at.
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, inline, prefetch
from geneformer_codec.predict.integers import hashed, u
from geneformer_codec.predict.search import NOT_YET, forward_misses, held, last, propose, turned_misses, turned_seed
from geneformer_codec.predict.state import DONE, SAMPLE, SAMPLE_ROW, Frozen, Local, Settings


@inline
def sample(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], own: Int, past: Int, turned: Int, bits: Int,
    asked: bool,
) -> None:  # fmt: skip
    """Take the newest seed in hand, if it is one that counts, or go on with the one in hand.

    The last step, which proposes copies, is left out unless these are ``asked``.
    """
    done, taken = local.numbers[DONE], local.numbers[SAMPLE]
    if taken == 0:
        seed = last(past, cfg.own_seed)
        if cfg.both_strands:
            seed += turned_seed(turned, cfg.own_seed)
        mixed = hashed(seed)
        chosen = (mixed & np.uint64(0xFFFF)) * np.uint64(cfg.sampled) < np.uint64(0x10000)
        if chosen and done >= cfg.own_seed:
            row = np.int64(mixed >> np.uint64(64 - bits))
            prefetch(local.heads, row)
            local.numbers[SAMPLE], local.numbers[SAMPLE_ROW] = done, row
    elif done == taken + 1:
        row = local.numbers[SAMPLE_ROW]
        place = np.int64(local.heads[u(row)])
        local.heads[u(row)] = taken
        local.previous[u(taken)] = place
        prefetch(local.words, place >> 5)
        prefetch(local.previous, place)
        local.numbers[SAMPLE_ROW] = place
    else:
        if asked:
            look(cfg, frozen, local, bank, own, past, turned, local.numbers[SAMPLE_ROW], done - taken)
        local.numbers[SAMPLE] = 0


@inline
def look(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], own: Int, past: Int, turned: Int, place: Int,
    late: Int,
) -> None:  # fmt: skip
    """Look at places after the seed that ended ``late`` bases ago or its reverse complement, newest first."""
    done = local.numbers[DONE]
    close = np.uint32(((1 << min(cfg.own_seed, 11)) - 1) << late)
    worst, weakest = np.int64(0), np.int64(NOT_YET)
    for _ in range(cfg.tries):
        if place == 0:
            break
        target, step = place + late, 1
        misses = forward_misses(local.words, target, past, done)
        if (misses & close) != 0 and cfg.both_strands and place > cfg.own_seed + late:
            target, step = place - cfg.own_seed - 1 - late, -1
            misses = turned_misses(local.words, target + 1, done, turned)
        if (misses & close) == 0 and not held(local, bank, own + target, step):
            worst, weakest = propose(cfg, frozen, local, bank, own + target, step, misses, own, worst, weakest)
        place = np.int64(local.previous[u(place)])
