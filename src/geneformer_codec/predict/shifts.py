"""Copies that an insertion or deletion has put out of step are shifted to where they go on."""

import numpy as np

from geneformer_codec.coding.integers import count_ones, u
from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.search import forward_misses, is_copy, reverse_misses, start_sum
from geneformer_codec.predict.state import (
    COPIES,
    DONE,
    GAIN_SUMS,
    MISSES,
    ROOM,
    RUN,
    STEP,
    PanelTables,
    Recent,
    Settings,
    SliceState,
)

MOST_SHIFT = 4
"""Bases of an insertion or deletion after which a copy goes on."""
LEAST_SHIFT_LENGTH, MOST_SHIFT_LENGTH = 4, 8
"""Bases since a copy got out of step; those after the first must agree where it is shifted to."""
LAST_SHIFT = np.uint32((1 << MOST_SHIFT_LENGTH) - 1)
SHIFT_STARTS = np.uint32(int(LAST_SHIFT) >> (LEAST_SHIFT_LENGTH - 1) << (LEAST_SHIFT_LENGTH - 1))
FEW_MISSES = 4
"""Misses before, above which one more is needed."""


@inline
def shifted_misses(panel: PanelTables, state: SliceState, recent: Recent, place: Int, step: Int) -> Int:
    """The misses that a copy would have had which is now at ``place``; all of 32 where that is near an end."""
    done, at = state.numbers[DONE], place
    words, end = panel.words, panel.length
    if place >= panel.history_offset:
        words, at, end = state.words, place - panel.history_offset, done
    if at >= end or (at < 32 if step > 0 else (at < 0 or at + 33 > end)):
        return np.uint32(0xFFFFFFFF)
    if step > 0:
        return forward_misses(words, at, recent.history, done)
    return reverse_misses(words, at + 1, end, recent.reverse_complement)


@inline
def shift_length(settings: Settings, misses: Int) -> Int:
    """The bases, beginning with a miss, in which a copy missed so often that it may be out of step; 0: not so often.

    One that missed often before must miss once more: it is a distant relative, or has a poor read beside it.
    """
    needed, found = settings.shift_misses, np.int64(0)
    if misses & SHIFT_STARTS == np.uint32(0) or np.int64(count_ones(misses & LAST_SHIFT)) < needed:
        return found
    in_all = np.int64(count_ones(misses))
    for length in range(MOST_SHIFT_LENGTH, LEAST_SHIFT_LENGTH - 1, -1):
        newest = misses & np.uint32((1 << length) - 1)
        count = np.int64(count_ones(newest))
        if newest >> np.uint32(length - 1) and count >= needed + (1 if in_all - count > FEW_MISSES else 0):
            found = np.int64(length)
    return found


@inline
def shift_copies(settings: Settings, panel: PanelTables, state: SliceState, recent: Recent) -> None:
    """Move copies that an insertion or deletion has put out of step: by the least shift after which they go on.

    See `shift_length`.
    """
    bank = state.bank
    for k in range(np.int64(state.numbers[COPIES])):
        misses = np.uint32(bank[u(MISSES + k)])
        after = shift_length(settings, misses)
        if after == 0:
            continue
        newest, since = np.uint32((1 << after) - 1), np.uint32(1 << after >> 1)
        place, step = state.copy_places[u(k)], np.int64(bank[u(STEP + k)])
        for number in range(2 * MOST_SHIFT):
            shift = -(number // 2 + 1) if number & 1 else number // 2 + 1
            if shifted_misses(panel, state, recent, place + shift, step) & (newest >> np.uint32(1)):
                continue
            if not is_copy(state, place + shift, step):
                misses = (misses & ~newest) | since
                state.copy_places[u(k)] = place + shift
                bank[u(MISSES + k)], bank[u(RUN + k)] = np.int32(misses), after - 1
                for horizon in range(4):
                    at = u(GAIN_SUMS + horizon * ROOM + k)
                    bank[at] = max(np.int64(bank[at]), start_sum(horizon, misses))
            break
