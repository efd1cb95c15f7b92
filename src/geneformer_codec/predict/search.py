"""Finding places to copy from, by seeds shared with the panel (an index) and with the slice's history (hash chains).

A candidate is compared over 32 bases, and becomes a copy while there is room or where its score beats the worst one's.
The panel's index has the seeds that a hash chooses, one in `panel_sampling`, and only these are searched.

Reverse-complement copies are always possible. Where both strands count, every search looks for them. Elsewhere few do,
and all 32 bases must be equal; once such a copy was found, every search does for the next `REVERSE_SPAN` bases.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import count_ones, every_other, hashed, leading_zeros, reversed_bits, u
from geneformer_codec.coding.jit import Int, inline, prefetch
from geneformer_codec.predict.copies import LAST_24, padded
from geneformer_codec.predict.counts import count_place
from geneformer_codec.predict.state import (  # fmt: skip
    BLOCK_BITS,
    COPIES,
    DONE,
    FLIP,
    GAIN_SUMS,
    MISSES,
    REVERSE_UNTIL,
    ROOM,
    RUN,
    STEP,
    TURN,
    PanelTables,
    Recent,
    Settings,
    Slice,
    SliceState,
)

_HIT = -205  # the gain that a new copy is assumed to have had from an equal base: -0.05 in Q12
_MISS = -18432  # from a mismatch: -4.5
NEW_PENALTY = 1 << 12
REVERSE_SPAN = 1 << 12
MOST_SCANNED = 64
"""Places of a row of the panel's index that one search looks through, for those with its tag."""
UNKNOWN = -1
"""The slot of the worst copy where that has to be looked for."""


def _start_sums() -> NDArray[np.int32]:
    """[4 horizons, 4 bytes of the misses, 256]: a byte's part in the decayed sum over the last 32 bases, Q12."""
    parts = [
        [[gain * ((1 << shift) - 1) ** age // (1 << shift) ** age for gain in (_HIT, _MISS)] for age in range(32)]
        for shift in (2, 4, 6, 8)
    ]
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    sums: NDArray[np.int64] = np.array(parts, np.int64).reshape(4, 4, 8, 2)[:, :, np.arange(8), bits].sum(axis=3)
    return sums.reshape(-1).astype(np.int32)


START_SUMS = _start_sums()


def _run_sums() -> NDArray[np.int32]:
    """[4 horizons, 64]: the gain of a miss 8, 24, 40, ... bases ago, decayed, Q12."""
    rows = [
        [_MISS * ((1 << shift) - 1) ** (16 * k + 8) // (1 << shift) ** (16 * k + 8) for k in range(64)]
        for shift in (2, 4, 6, 8)
    ]
    return np.array(rows, np.int64).reshape(-1).astype(np.int32)


RUN_SUMS = _run_sums()
MOST_WINDOWS = 30
"""So that a run stays below 1,024, as far as `RUN_SUMS` reaches."""


@inline
def window(words: NDArray[np.uint64], end: Int) -> Int:
    """The 32 bases before ``end`` (32 or more), the newest in the lowest bits."""
    start = end - 32
    word, shift = start >> 5, np.uint64(2 * (start & 31))
    high = words[u(word)] << shift
    return high | ((words[u(word + 1)] >> np.uint64(1)) >> (np.uint64(63) - shift))


class Candidate(NamedTuple):
    """A place that may become a copy."""

    place: Int  # int64
    step: Int  # int64: 1 or -1
    misses: Int  # uint32: as in the bank


class Worst(NamedTuple):
    """The copy with the least score; ``slot`` is `UNKNOWN` after a change."""

    score: Int
    slot: Int


class PanelSeeds(NamedTuple):
    """The newest seed's hash on both strands, and whether the panel is searched for it."""

    forward_hash: Int  # uint64
    reverse_hash: Int  # uint64
    forward: Int
    reverse: Int
    seeking: Int  # see `seeks_reverse`


@inline
def is_copy(state: SliceState, place: Int, step: Int) -> Int:
    """Whether there is such a copy already."""
    bank = state.bank
    live, way = np.int64(state.numbers[COPIES]), np.int32(step)
    found = False
    for k in range(padded(live)):
        found |= (state.copy_places[u(k)] == place) & (bank[u(STEP + k)] == way) & (k < live)
    return found


@inline
def seeks_reverse(settings: Settings, state: SliceState, done: Int) -> Int:
    """Whether every search after ``done`` bases looks for reverse-complement copies."""
    return (settings.both_strands != 0) | (done < state.numbers[REVERSE_UNTIL])


@inline
def add(settings: Settings, panel: PanelTables, state: SliceState, new: Candidate, worst: Worst) -> Int:
    """A new copy at once while there is room, else in the slot of the worst if the new one scores higher.

    False when nothing changed.
    """
    bank = state.bank
    live, at = state.numbers[COPIES], worst.slot
    near = start_sum(1, new.misses) - NEW_PENALTY
    run = 0
    if new.misses == 0 and new.step > 0:
        run = exact_run(panel, state, new.place)
    far = start_sum(2, new.misses) + np.int64(RUN_SUMS[u(128 + (run >> 4))]) - NEW_PENALTY
    farther = start_sum(3, new.misses) + np.int64(RUN_SUMS[u(192 + (run >> 4))]) - NEW_PENALTY
    long_history = ((far + farther) * settings.long_history_weight) >> 4
    if live == settings.copies and near + long_history + block_score(state, new.place) <= worst.score:
        return False
    if live < settings.copies:
        at = live
        state.numbers[COPIES] = live + 1
    state.copy_places[u(at)] = new.place
    bank[u(STEP + at)] = new.step
    bank[u(FLIP + at)] = 0 if new.step > 0 else 3
    bank[u(MISSES + at)] = np.int32(new.misses)
    bank[u(RUN + at)] = run
    bank[u(GAIN_SUMS + at)] = start_sum(0, new.misses) - NEW_PENALTY
    bank[u(GAIN_SUMS + ROOM + at)] = near
    bank[u(GAIN_SUMS + 2 * ROOM + at)] = far
    bank[u(GAIN_SUMS + 3 * ROOM + at)] = farther
    return True


@inline
def exact_run(panel: PanelTables, state: SliceState, place: Int) -> Int:
    """How many bases before ``place``, the last 32 known to be among them, equal the slice's last: at most 992."""
    done, offset = state.numbers[DONE], panel.history_offset
    run = 32
    for _ in range(MOST_WINDOWS):
        there = place - run if place < offset else place - offset - run
        if there < 32 or done - run < 32:
            break
        differ = window(panel.words, there) if place < offset else window(state.words, there)
        differ ^= window(state.words, done - run)
        if differ:
            low = np.int64(differ & (np.uint64(0) - differ) & np.uint64(0x7FFFFFFFFFFFFFFF))
            run += (63 - leading_zeros(low)) >> 1 if low else 31
            break
        run += 32
    return run


@inline
def start_sum(horizon: Int, misses: Int) -> Int:
    """The decayed sum of gains that a copy would have from a passage with these misses."""
    value, row = np.int64(misses), horizon << 10
    total = np.int64(START_SUMS[u(row + (value & 255))]) + np.int64(START_SUMS[u(row + 256 + (value >> 8 & 255))])
    total += np.int64(START_SUMS[u(row + 512 + (value >> 16 & 255))])
    return total + np.int64(START_SUMS[u(row + 768 + (value >> 24))])


@inline
def block_score(state: SliceState, place: Int) -> Int:
    """A tenth of the score, Q8, of a place's block, in Q12."""
    return (np.int64(state.scores[u(place >> BLOCK_BITS)]) * 13) >> 3


@inline
def find_worst(settings: Settings, state: SliceState) -> Worst:
    """The copy with the least score; while there is room for more, none is."""
    bank, live = state.bank, state.numbers[COPIES]
    worst, at = np.int64(1) << 40, np.int64(0)
    if live == settings.copies:
        for k in range(live):
            score = np.int64(bank[u(GAIN_SUMS + ROOM + k)]) + block_score(state, state.copy_places[u(k)])
            longer = np.int64(bank[u(GAIN_SUMS + 2 * ROOM + k)]) + np.int64(bank[u(GAIN_SUMS + 3 * ROOM + k)])
            score += (longer * settings.long_history_weight) >> 4
            if score < worst:
                worst, at = score, np.int64(k)
    return Worst(worst, at)


@inline
def propose(settings: Settings, panel: PanelTables, state: SliceState, new: Candidate, worst: Worst) -> Worst:
    """Add a candidate with few mismatches if its score allows; gives the worst copy, as far as it is known."""
    if np.int64(count_ones(np.uint32(new.misses & LAST_24))) <= settings.max_start_mismatches:
        if worst.slot == UNKNOWN:
            worst = find_worst(settings, state)
        if add(settings, panel, state, new, worst):
            worst = Worst(np.int64(0), np.int64(UNKNOWN))
            if new.step < 0:
                state.numbers[REVERSE_UNTIL] = state.numbers[DONE] + REVERSE_SPAN
    return worst


@inline
def forward_misses(words: NDArray[np.uint64], end: Int, history: Int, done: Int) -> Int:
    """Where the last 32 bases and those before ``end`` differ; what either lacks is no difference."""
    both = min(end, done)
    if end >= 32:
        differ = window(words, end) ^ history
    else:
        start = np.uint64(0)
        for k in range(end):
            start = (start << np.uint64(2)) | ((words[u(k >> 5)] >> np.uint64(62 - 2 * (k & 31))) & np.uint64(3))
        differ = start ^ history
    misses = every_other(differ | (differ >> np.uint64(1)))
    if both < 32:
        misses &= np.uint32((np.int64(1) << both) - 1)
    return misses


@inline
def reverse_misses(words: NDArray[np.uint64], first: Int, end: Int, reverse_complement: Int) -> Int:
    """Where the last 32 bases differ from the reverse complement of those from ``first`` on; ``end`` is the last's."""
    differ = window(words, first + 32) ^ reverse_complement
    misses = reversed_bits(every_other(differ | (differ >> np.uint64(1))))
    return misses if first + 32 <= end else np.uint32(0xFFFFFFFF)


@inline
def seed_row(seed: Int, length: Int, bits: Int) -> Int:
    """The row of a seed of ``length`` bases in an index of 2**bits rows."""
    return count_place(length, seed, bits)


@inline
def forward_seed(recent: Recent, length: Int) -> Int:
    """The newest ``length`` bases, at most 32."""
    if length >= 32:
        return recent.history
    return recent.history & ((np.uint64(1) << np.uint64(2 * length)) - np.uint64(1))


@inline
def reverse_seed(recent: Recent, length: Int) -> Int:
    """The reverse complement of the newest ``length`` bases."""
    return recent.reverse_complement >> np.uint64(64 - 2 * length)


@inline
def is_chosen(mixed: Int, sampling: Int) -> Int:
    """Whether a seed with this hash is one in ``sampling``."""
    return (mixed & np.uint64(0xFFFF)) * np.uint64(sampling) < np.uint64(0x10000)


@inline
def panel_seeds(settings: Settings, panel: PanelTables, state: SliceState, recent: Recent, done: Int) -> PanelSeeds:
    """What the panel is to be searched for after ``done`` bases."""
    length, sampling = settings.panel_seed_length, settings.panel_sampling
    forward, reverse = hashed(forward_seed(recent, length)), hashed(reverse_seed(recent, length))
    seeking = seeks_reverse(settings, state, done)
    rarity = 1 if seeking else settings.reverse_rarity
    there = (panel.length > 0) & (done >= length)
    in_reverse = there & is_chosen(reverse, sampling * rarity)
    return PanelSeeds(forward, reverse, there & is_chosen(forward, sampling), in_reverse, seeking)


@inline
def panel_row(panel: PanelTables, mixed: Int) -> Int:
    """The row of the panel's index that has the seeds of a hash."""
    return np.int64(mixed >> np.uint64(64 - panel.row_bits))


@inline
def panel_tag(mixed: Int) -> Int:
    """A tag that distinguishes the seeds of a row."""
    return np.uint8((mixed >> np.uint64(16)) & np.uint64(0xFF))


@inline
def panel_place(panel: PanelTables, at: Int) -> Int:
    """Entry ``at`` of the panel's index."""
    place = np.int64(panel.places[u(at)])
    if panel.places_high.shape[0]:
        place |= np.int64(panel.places_high[u(at)]) << 32
    return place


@inline
def search(slice_: Slice, recent: Recent, seeds: PanelSeeds, in_history: Int) -> None:
    """Propose copies whose last bases are the slice's: from the panel, and from the slice's history."""
    settings, panel, state, _, _ = slice_
    if seeds.forward:
        search_panel(settings, panel, state, recent, seeds.forward_hash, 1, False)
    if seeds.reverse:
        search_panel(settings, panel, state, recent, seeds.reverse_hash, -1, not seeds.seeking)
    done, length = state.numbers[DONE], settings.history_seed_length
    if in_history and done >= length:
        search_history(settings, panel, state, recent, forward_seed(recent, length), 1, False)
        if seeds.seeking or done % (settings.search_interval * settings.reverse_rarity) == 0:
            search_history(settings, panel, state, recent, reverse_seed(recent, length), -1, not seeds.seeking)


@inline
def search_panel(
    settings: Settings, panel: PanelTables, state: SliceState, recent: Recent, mixed: Int, step: Int, exact: Int
) -> None:
    """Look at some of the panel's places after a seed, going round a long row from search to search.

    If ``exact``, only places where all 32 bases are equal will do.
    """
    row, tag = panel_row(panel, mixed), panel_tag(mixed)
    begin = np.int64(panel.rows[u(row)])
    count = np.int64(panel.rows[u(row + 1)]) - begin
    first = 0
    if count > settings.max_candidates:
        state.numbers[TURN] += settings.max_candidates
        first = state.numbers[TURN] % count
    scanned = min(count, MOST_SCANNED)
    found = 0
    for k in range(scanned):  # all at once, before the first is waited for
        at = begin + first + k
        at -= count if at >= begin + count else 0
        if panel.tags[u(at)] == tag:
            prefetch(panel.words, panel_place(panel, at) >> 5)
            found += 1
            if found == settings.max_candidates:
                scanned = k + 1
                break
    if found == 0:
        return
    worst = Worst(np.int64(0), np.int64(UNKNOWN))
    for k in range(scanned):
        at = begin + first + k
        at -= count if at >= begin + count else 0
        if panel.tags[u(at)] != tag:
            continue
        place = panel_place(panel, at)
        if step < 0:
            place -= settings.panel_seed_length + 1  # the base before the seed, on the other strand the next
        if place < 0 or place >= panel.length or is_copy(state, place, step):
            continue
        if step > 0:
            misses = forward_misses(panel.words, place, recent.history, state.numbers[DONE])
        else:
            misses = reverse_misses(panel.words, place + 1, panel.length, recent.reverse_complement)
        if not exact or misses == 0:
            worst = propose(settings, panel, state, Candidate(place, step, misses), worst)


@inline
def search_history(
    settings: Settings, panel: PanelTables, state: SliceState, recent: Recent, seed: Int, step: Int, exact: Int
) -> None:
    """The same along a chain of the slice's history, newest first."""
    done, length = state.numbers[DONE], settings.history_seed_length
    place = np.int64(state.chain_heads[u(seed_row(seed, length, state.chain_bits))])
    if step > 0 and place == done:
        place = np.int64(state.chain_previous[u(place)])  # the seed itself
    close = np.uint32(0xFFFFFFFF) if exact else np.uint32((1 << min(length, 11)) - 1)
    worst = Worst(np.int64(0), np.int64(UNKNOWN))
    for _ in range(settings.max_candidates):
        if place == 0:
            break
        target = place if step > 0 else place - length - 1
        if target >= 0 and not is_copy(state, panel.history_offset + target, step):
            if step > 0:
                misses = forward_misses(state.words, place, recent.history, done)
            else:
                misses = reverse_misses(state.words, target + 1, done, recent.reverse_complement)
            if (misses & close) == 0:
                new = Candidate(panel.history_offset + target, step, misses)
                worst = propose(settings, panel, state, new, worst)
        place = np.int64(state.chain_previous[u(place)])


@inline
def prefetch_rows(
    settings: Settings, panel: PanelTables, state: SliceState, recent: Recent, seeds: PanelSeeds, in_history: Int
) -> None:
    """Prefetch the rows that a search will read, once their seeds are known; `prefetch_chain` has one of them."""
    if seeds.forward:
        prefetch(panel.rows, panel_row(panel, seeds.forward_hash))
    if seeds.reverse:
        prefetch(panel.rows, panel_row(panel, seeds.reverse_hash))
    if in_history and settings.both_strands:
        length = settings.history_seed_length
        prefetch(state.chain_heads, seed_row(reverse_seed(recent, length), length, state.chain_bits))


@inline
def prefetch_places(
    settings: Settings, panel: PanelTables, state: SliceState, recent: Recent, seeds: PanelSeeds, in_history: Int
) -> None:
    """Prefetch what those rows, which have come in the meantime, point to."""
    if seeds.forward:
        at = np.int64(panel.rows[u(panel_row(panel, seeds.forward_hash))])
        prefetch(panel.tags, at)
        prefetch(panel.places, at)
    if seeds.reverse:
        at = np.int64(panel.rows[u(panel_row(panel, seeds.reverse_hash))])
        prefetch(panel.tags, at)
        prefetch(panel.places, at)
    if in_history:
        length = settings.history_seed_length
        prefetch_newest(state, seed_row(forward_seed(recent, length), length, state.chain_bits))
        if settings.both_strands:
            prefetch_newest(state, seed_row(reverse_seed(recent, length), length, state.chain_bits))


@inline
def prefetch_newest(state: SliceState, row: Int) -> None:
    """Prefetch the bases at the head of a chain, and the place before it."""
    place = np.int64(state.chain_heads[u(row)])
    prefetch(state.words, place >> 5)
    prefetch(state.chain_previous, place)


@inline
def chain_row(settings: Settings, state: SliceState, history: Int) -> Int:
    """The first of four rows, for the next base's seed with each value of this base."""
    length = settings.history_seed_length
    seed = history << np.uint64(2)
    if length < 32:
        seed &= (np.uint64(1) << np.uint64(2 * length)) - np.uint64(1)
    return seed_row(seed, length, state.chain_bits)


@inline
def prefetch_chain(settings: Settings, state: SliceState, history: Int) -> Int:
    """The same; prefetches their cache line."""
    row = chain_row(settings, state, history)
    prefetch(state.chain_heads, row)
    return row


@inline
def prefetch_chains(settings: Settings, state: SliceState, history: Int, ahead: Int, count: Int) -> None:
    """Prefetch the rows of the next bases, so many; ``ahead`` has them, the first in its highest bits."""
    for _ in range(count):
        prefetch(state.chain_heads, chain_row(settings, state, history))
        history = (history << np.uint64(2)) | (ahead >> np.uint64(62))
        ahead <<= np.uint64(2)


@inline
def append(state: SliceState, base: Int) -> None:
    """Put ``base`` at the end of the slice's history; counts it as done."""
    done = state.numbers[DONE]
    state.bases[u(done)] = base
    state.words[u(done >> 5)] |= np.uint64(base) << np.uint64(62 - 2 * (done & 31))
    state.numbers[DONE] = done + 1


@inline
def append_hits(state: SliceState, bases: Int, hits: Int) -> None:
    """The same of ``hits`` of 32 bases, the first in the highest bits."""
    done, words = state.numbers[DONE], state.words
    word, shift = done >> 5, np.uint64(2 * (done & 31))
    kept = first_bases(bases, hits)
    words[u(word)] |= kept >> shift
    words[u(word + 1)] |= (kept << np.uint64(1)) << (np.uint64(63) - shift)
    for place in range(done, done + hits):
        state.bases[u(place)] = np.uint8(bases >> np.uint64(62))
        bases <<= np.uint64(2)
    state.numbers[DONE] = done + hits


@inline
def extended(recent: Recent, base: Int) -> Recent:
    """The history with ``base``; that of misses follows when all have learned."""
    return Recent(
        (recent.history << np.uint64(2)) | np.uint64(base),
        (recent.reverse_complement >> np.uint64(2)) | (np.uint64(3 - base) << np.uint64(62)),
        recent.miss_history,
    )


@inline
def extended_by(recent: Recent, bases: Int, count: Int) -> Recent:
    """The same with the first ``count`` of 32 bases, at least one."""
    more, rest = np.uint64(2 * count - 1), np.uint64(64 - 2 * count)
    return Recent(
        ((recent.history << more) << np.uint64(1)) | (bases >> rest),
        ((recent.reverse_complement >> more) >> np.uint64(1)) | (reversed_complement(bases) << rest),
        recent.miss_history,
    )


@inline
def base_of(bases: Int, number: Int) -> Int:
    """Of 32 bases."""
    return np.int64((bases >> np.uint64(62 - 2 * number)) & np.uint64(3))


@inline
def first_bases(bases: Int, count: Int) -> Int:
    """The first ``count``, at least one, of 32 bases; the others are 0."""
    return bases & ~((np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(2 * count - 1)) >> np.uint64(1))


@inline
def reversed_complement(bases: Int) -> Int:
    """The reverse complement of 32 bases."""
    low, high = np.uint64(bases & np.uint64(0xFFFFFFFF)), np.uint64(bases >> np.uint64(32))
    bits = (np.uint64(reversed_bits(low)) << np.uint64(32)) | np.uint64(reversed_bits(high))
    even = np.uint64(0x5555555555555555)
    return ~(((bits & even) << np.uint64(1)) | ((bits >> np.uint64(1)) & even))


@inline
def enter(settings: Settings, state: SliceState, done: Int, row: Int) -> None:
    """Put the seed before base ``done``, of ``row``, at the head of its chain."""
    if done >= settings.history_seed_length:
        state.chain_previous[u(done)] = state.chain_heads[u(row)]
        state.chain_heads[u(row)] = done


@inline
def enter_hits(settings: Settings, state: SliceState, recent: Recent, bases: Int, hits: Int) -> Recent:
    """The same after each of ``hits`` of 32 bases, which are appended already; the history with these."""
    first = state.numbers[DONE] - hits + 1
    row = chain_row(settings, state, recent.history)
    for done in range(first, first + hits):
        base = np.int64(bases >> np.uint64(62))
        bases <<= np.uint64(2)
        recent = extended(recent, base)
        enter(settings, state, done, row + base)
        row = chain_row(settings, state, recent.history)
    return recent
