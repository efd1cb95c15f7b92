"""Where reads lie on a reference, found when they are encoded; a decoder is told.

Places come from sampled seeds: those of the panel from its index, those of the reads that are coded by themselves from
a hash table, which has the last place of each. Of the places of a few seeds the one with the fewest mismatches is
taken, and the read is followed from there, greedily.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.places import DELETED, INSERTED, MOVED, Alignments
from geneformer_codec.align.reference import OVERHANG, Reference, predicted
from geneformer_codec.coding.integers import count_ones, hashed, u
from geneformer_codec.coding.jit import Int, inline, kernels
from geneformer_codec.predict.search import is_chosen, panel_place, panel_row, panel_tag
from geneformer_codec.sequence.seeds import next_seed

kernel = kernels()

MOST_DELETED, MOST_INSERTED = 16, 4
"""Bases that an event takes; where more are missing, the read goes on at another place."""
AHEAD = 16
"""Bases that decide what a mismatch is."""
MOST_PLACES = 8
"""Places of a seed that are looked at."""
MOST_SEEDS = 6
"""Seeds with places that a read is looked for by."""
MOST_OVERHANG = OVERHANG // 2
"""So far before the reference a read may begin, or behind a seed on the other strand."""
COMPARED = 320
"""Bases at which two places of a read are compared."""
LOST = 14
"""Mismatches in 32 bases after which another place is looked for."""
BACK, LEAST_LEFT, NEXT_TRY = 24, 32, 64
"""Bases before, from which on it is; that must be left; and until it is tried again."""
MISMATCH_BITS, INDEL_BITS, MOVE_BITS = 10, 12, 28
"""What these cost, about."""


class Seeds(NamedTuple):
    """How reads are looked for."""

    heads: NDArray[np.int32]  # [2**n] after which base, of reads coded by themselves, the last seed of each hash stands
    length: Int
    sampling: Int


class Start(NamedTuple):
    """Where a read begins."""

    place: Int
    step: Int  # 1 or -1; 0 if no place was found
    misses: Int


@inline
def hits(reference: Reference, bases: NDArray[np.uint8], at: Int, end: Int, place: Int, step: Int, most: Int) -> Int:
    """How many of the next ``most`` bases are the reference's."""
    count = 0
    for k in range(min(most, end - at)):
        count += np.int64(bases[u(at + k)]) == predicted(reference, place + k * step, step)
    return count


@inline
def head_of(heads: NDArray[np.int32], mixed: Int) -> Int:
    """Where the last place of a seed with this hash stands."""
    return np.int64((mixed >> np.uint64(20)) & np.uint64(heads.shape[0] - 1))


@inline
def better(
    reference: Reference, bases: NDArray[np.uint8], begin: Int, end: Int, offset: Int, length: Int, after: Int,
    strand: Int, best: Start,
) -> Start:  # fmt: skip
    """The better one of ``best`` and the start by a seed that ends ``offset`` bases from ``begin``, ``after`` there."""
    step = np.int64(-1 if strand else 1)
    place = after - length + offset if strand else after - offset - 1
    if place == best.place and step == best.step:
        return best
    if place < -MOST_OVERHANG or place > after + MOST_OVERHANG:
        return best
    compared = min(end - begin, COMPARED)
    misses = compared - hits(reference, bases, begin, end, place, step, compared)
    return Start(place, step, misses) if misses < best.misses else best


@inline
def find_start(
    reference: Reference, seeds: Seeds, bases: NDArray[np.uint8], begin: Int, end: Int, most_seeds: Int
) -> Start:
    """Where base ``begin`` lies, by seeds from there on."""
    panel, heads, length = reference.panel, seeds.heads, seeds.length
    best = Start(np.int64(0), np.int64(0), np.int64(1) << 40)
    enough = min(end - begin, COMPARED) >> 5
    seed, reverse = np.uint64(0), np.uint64(0)
    tried = 0
    for at in range(begin, end):
        seed, reverse = next_seed(seed, reverse, bases[u(at)], length)
        offset = at - begin
        if offset + 1 < length:
            continue
        found = False
        for strand in range(2):
            mixed = hashed(reverse if strand else seed)
            if not is_chosen(mixed, seeds.sampling):
                continue
            row, tag = panel_row(panel, mixed), panel_tag(mixed)
            here, count = np.int64(panel.rows[u(row)]), 0
            while here < np.int64(panel.rows[u(row + 1)]) and count < MOST_PLACES:
                if panel.tags[u(here)] == tag:
                    best = better(reference, bases, begin, end, offset, length, panel_place(panel, here), strand, best)
                    found = True
                    count += 1
                here += 1
            after = np.int64(heads[u(head_of(heads, mixed))])
            if after:
                best = better(reference, bases, begin, end, offset, length, panel.length + after, strand, best)
                found = True
        tried += found
        if best.misses <= enough or tried >= most_seeds:
            break
    return best


@inline
def enter_read(reference: Reference, seeds: Seeds, bases: NDArray[np.uint8], first: Int, end: Int, done: Int) -> None:
    """Add a read to those that are coded by themselves, which have ``done`` bases."""
    seed, reverse = np.uint64(0), np.uint64(0)
    for at in range(first, end):
        reference.bases[u(done + at - first)] = bases[u(at)]
        seed, reverse = next_seed(seed, reverse, bases[u(at)], seeds.length)
        mixed = hashed(seed)
        if at - first + 1 >= seeds.length and is_chosen(mixed, seeds.sampling):
            seeds.heads[u(head_of(seeds.heads, mixed))] = np.int32(done + at - first + 1)


@inline
def find_indel(
    reference: Reference, bases: NDArray[np.uint8], at: Int, end: Int, place: Int, step: Int
) -> tuple[Int, Int]:
    """What a mismatch at base ``at`` is: bases inserted and bases deleted; both 0 for a substitution."""
    left = min(end - at - 1, AHEAD)
    best = hits(reference, bases, at + 1, end, place + step, step, AHEAD) + 2
    inserted, deleted = np.int64(0), np.int64(0)
    if best > left or left < 4:
        return inserted, deleted
    for k in range(1, MOST_DELETED + 1):
        if predicted(reference, place + k * step, step) == np.int64(bases[u(at)]):
            score = hits(reference, bases, at, end, place + k * step, step, AHEAD) - 1 - k // 4
            if score > best:
                best, deleted = score, np.int64(k)
    for k in range(1, MOST_INSERTED + 1):
        score = hits(reference, bases, at + k, end, place, step, AHEAD) - 2 * k
        if score > best:
            best, inserted, deleted = score, np.int64(k), np.int64(0)
    return inserted, deleted


@inline
def put_event(alignments: Alignments, event: Int, at: Int, kind: Int, value: Int, direction: Int) -> Int:
    """Write an event; gives the number of the next, which is the same if there is no room."""
    if event == alignments.at.shape[0]:
        return event
    alignments.at[event], alignments.kinds[event] = at, kind
    alignments.values[event], alignments.directions[event] = value, direction
    return event + 1


@inline
def follow(
    reference: Reference, seeds: Seeds, bases: NDArray[np.uint8], first: Int, end: Int, start: Start,
    alignments: Alignments, event: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """Write the events of a read; gives the number of the next, and what the read costs but for its start, in bits."""
    place, step, at, next_try = start.place, start.step, first, first + LEAST_LEFT
    recent, mismatches, cost = np.uint32(0), np.int64(0), np.int64(0)
    settled, room = first, alignments.at.shape[0] - 2  # no event is taken back
    while at < end:
        if np.int64(bases[u(at)]) == predicted(reference, place, step):
            recent <<= np.uint32(1)
            at += 1
            place += step
            continue
        inserted, deleted = find_indel(reference, bases, at, end, place, step)
        if deleted and event < room:
            event = put_event(alignments, event, at, DELETED, deleted, step)
            place += deleted * step
            settled = at
            cost += INDEL_BITS
            continue
        if inserted and event < room:
            event = put_event(alignments, event, at, INSERTED, inserted, step)
            at += inserted
            settled = at
            cost += INDEL_BITS + 2 * inserted
            continue
        mismatches += 1
        recent = (recent << np.uint32(1)) | np.uint32(1)
        at += 1
        place += step
        if np.int64(count_ones(recent)) > LOST and at >= next_try and end - at > LEAST_LEFT and event < room:
            # Lost: the read may go on elsewhere, from some bases before.
            next_try = at + NEXT_TRY
            begin = max(at - BACK, settled)
            here = place - (at - begin) * step
            other = find_start(reference, seeds, bases, begin, end, MOST_SEEDS // 2)
            window = min(end - begin, 4 * BACK)
            now = hits(reference, bases, begin, end, here, step, window)
            if other.step and hits(reference, bases, begin, end, other.place, other.step, window) > now + window // 4:
                move = other.place
                while begin < at and np.int64(bases[u(begin)]) != predicted(reference, move, other.step):
                    begin += 1
                    move += other.step
                event = put_event(alignments, event, begin, MOVED, move, other.step)
                at, place, step = begin, move, other.step
                settled = at
                cost += MOVE_BITS
                recent = np.uint32(0)
    return event, cost + MISMATCH_BITS * mismatches


@kernel
def map_reads(
    reference: Reference, seeds: Seeds, bases: NDArray[np.uint8], firsts: NDArray[np.int64], ends: NDArray[np.int64],
    alignments: Alignments, place_bits: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """Map reads, or add them to those that are coded by themselves; gives how many bases these have, and the events.

    A read is mapped if it costs less than about a bit and a half a base, and its differences less than half a bit a
    base or what three of them cost.
    """
    event, done = np.int64(0), np.int64(0)
    for read in range(firsts.shape[0]):
        first, end = firsts[read], ends[read]
        alignments.steps[read] = 0
        alignments.first_event[read], alignments.event_count[read] = event, 0
        length = end - first
        if length >= seeds.length:
            start = find_start(reference, seeds, bases, first, end, MOST_SEEDS)
            if start.step:
                after, cost = follow(reference, seeds, bases, first, end, start, alignments, event)
                if cost + place_bits <= 3 * length // 2 and cost <= max(4 * MISMATCH_BITS, length * 5 // 8):
                    alignments.places[read], alignments.steps[read] = start.place, start.step
                    alignments.event_count[read] = after - event
                    event = after
        if alignments.steps[read] == 0:
            enter_read(reference, seeds, bases, first, end, done)
            done += length
    return done, event
