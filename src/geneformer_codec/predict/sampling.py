"""The slice's history, entered and searched at some seeds only: the same ones wherever a passage comes again.

Hash chains of all seeds touch, for every base, a row of a table larger than any cache. Which seeds are taken depends on
a hash of the seed or its reverse complement, whichever is less: both strands choose the same places and share a row.
One seed at a time is at work, for three bases, to hide the latency of memory: its row is prefetched, then the seed is
entered there and the place that the row had is prefetched, then that place is compared.
"""

import numpy as np

from geneformer_codec.coding.integers import hashed, leading_zeros, u
from geneformer_codec.coding.jit import Int, inline, prefetch
from geneformer_codec.predict.search import (
    UNKNOWN,
    Candidate,
    Worst,
    base_of,
    extended,
    extended_by,
    forward_misses,
    forward_seed,
    is_chosen,
    is_copy,
    propose,
    reverse_misses,
    reverse_seed,
)
from geneformer_codec.predict.state import DONE, SAMPLE, SAMPLE_ROW, PanelTables, Recent, Settings, Slice, SliceState

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@inline
def sample(slice_: Slice, recent: Recent, searching: Int, seeking: Int) -> None:
    """Start with the newest seed, if it is one to be taken, or go on with the one at work.

    The last step, which proposes copies, is left out unless ``searching``; ``seeking`` as in `PanelSeeds`.
    """
    settings, panel, state, _, _ = slice_
    done, taken = state.numbers[DONE], state.numbers[SAMPLE]
    if taken == 0:
        state.numbers[SAMPLE], state.numbers[SAMPLE_ROW] = take_seed(settings, state, recent, done)
    elif done == taken + 1:
        state.numbers[SAMPLE_ROW] = enter_seed(state, taken, state.numbers[SAMPLE_ROW])
    else:
        if searching:
            search_sample(settings, panel, state, recent, state.numbers[SAMPLE_ROW], done - taken, seeking)
        state.numbers[SAMPLE] = 0


@inline
def sample_hits(settings: Settings, state: SliceState, recent: Recent, bases: Int, hits: Int) -> Recent:
    """The same after each of ``hits`` of 32 bases, which are appended already; the history with these.

    Which seeds are to be taken is found first, without a branch, so that the rows of several are waited for at once.
    """
    first, length = state.numbers[DONE] - hits + 1, settings.history_seed_length
    taken, row = state.numbers[SAMPLE], state.numbers[SAMPLE_ROW]
    after, chosen = recent, np.uint64(0)
    for k in range(hits):
        after = extended(after, base_of(bases, k))
        mixed = sample_hash(after, length)
        chosen = (chosen << np.uint64(1)) | np.uint64(is_chosen(mixed, settings.history_sampling))
    chosen <<= np.uint64(64 - hits)  # from here on the first is in the highest bit
    chosen &= ALL >> np.uint64(max(length - first, 0))
    if taken:
        chosen &= ALL >> np.uint64(taken + 3 - first)
        if first == taken + 1:
            row = enter_seed(state, taken, row)
        if first + hits > taken + 2:
            taken = np.int64(0)
    while chosen:
        k = leading_zeros(np.int64(chosen))
        chosen &= (ALL >> np.uint64(3)) >> np.uint64(k)
        taken, row = first + k, sample_row(state, sample_hash(extended_by(recent, bases, k + 1), length))
        if k + 1 < hits:
            row = link_seed(state, taken, row)
        if k + 2 < hits:
            taken = np.int64(0)
    state.numbers[SAMPLE], state.numbers[SAMPLE_ROW] = taken, row
    return after


@inline
def sample_hash(recent: Recent, length: Int) -> Int:
    """The hash of the newest seed or its reverse complement, whichever is less."""
    return hashed(min(forward_seed(recent, length), reverse_seed(recent, length)))


@inline
def sample_row(state: SliceState, mixed: Int) -> Int:
    """The row of a seed of this hash."""
    return np.int64(mixed >> np.uint64(64 - state.chain_bits))


@inline
def take_seed(settings: Settings, state: SliceState, recent: Recent, done: Int) -> tuple[Int, Int]:
    """The end of the newest seed, and its row, if it is one to be taken; else 0."""
    length = settings.history_seed_length
    mixed = sample_hash(recent, length)
    if is_chosen(mixed, settings.history_sampling) and done >= length:
        row = sample_row(state, mixed)
        prefetch(state.chain_heads, row)
        return done, row
    return np.int64(0), np.int64(0)


@inline
def link_seed(state: SliceState, taken: Int, row: Int) -> Int:
    """Put the seed that ends at ``taken`` at the head of its chain; the place that was there before."""
    place = np.int64(state.chain_heads[u(row)])
    state.chain_heads[u(row)] = taken
    state.chain_previous[u(taken)] = place
    return place


@inline
def enter_seed(state: SliceState, taken: Int, row: Int) -> Int:
    """The same; prefetches what a search will read."""
    place = link_seed(state, taken, row)
    prefetch(state.words, place >> 5)
    prefetch(state.chain_previous, place)
    return place


@inline
def search_sample(
    settings: Settings, panel: PanelTables, state: SliceState, recent: Recent, place: Int, late: Int, seeking: Int
) -> None:
    """Compare places after the seed that ended ``late`` bases ago or its reverse complement, newest first."""
    done, length = state.numbers[DONE], settings.history_seed_length
    close = np.uint32(((1 << min(length, 11)) - 1) << late)
    worst = Worst(np.int64(0), np.int64(UNKNOWN))
    for _ in range(settings.max_candidates):
        if place == 0:
            break
        target, step = place + late, 1
        misses = forward_misses(state.words, target, recent.history, done)
        needed = close
        if (misses & close) != 0 and place > length + late:
            target, step = place - length - 1 - late, -1
            misses = reverse_misses(state.words, target + 1, done, recent.reverse_complement)
            needed = close if seeking else np.uint32(0xFFFFFFFF)
        if (misses & needed) == 0 and not is_copy(state, panel.history_offset + target, step):
            new = Candidate(panel.history_offset + target, step, misses)
            worst = propose(settings, panel, state, new, worst)
        place = np.int64(state.chain_previous[u(place)])
