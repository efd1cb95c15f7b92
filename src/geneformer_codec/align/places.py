"""Where mapped reads lie: the compiled loops that encode and decode it, and what they adapt.

Places are bits from the highest down, each by how often it was 0 and 1 after those above it: places that come again and
again, as of amplicons, cost little, and others no more than the size of the reference. Then come the *events* of a
read, at which bases are inserted, deleted or elsewhere. What is expected of each base is then known (`predict_bases`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.reference import OVERHANG, UNKNOWN, Reference, predicted
from geneformer_codec.coding.integers import u
from geneformer_codec.coding.jit import Int, inline, kernels
from geneformer_codec.coding.mixing import decode, encode, start_decoding, updated_counter

kernel = kernels()

INSERTED, DELETED, MOVED = range(3)
"""Kinds of events."""

# --- numbers and bits -----------------------------------------------------------------------------------------------

NEAR_BITS = 12
"""Of the distance of a mate, and of a place nearby."""
_LEAST_TREE, TREE_BITS = 10, 22
"""log2 of the nodes of the tree of places, at least and at most; those far down share them."""
SHARED_LEVEL = 16
NUMBER_BITS = 5
"""Of the length of a number, in bits."""
LENGTHS, TOPS = 1 << NUMBER_BITS, 8
NUMBER = LENGTHS + LENGTHS * TOPS
GAP, COUNT, LENGTH = range(3)
"""Numbers that are coded: bases between events, bases inserted and deleted."""
PLACES, DISTANCES, MOVES = range(3)
"""Trees."""

# Counters of single bits, by what they are of.
(
    MAPPED,  # [8] by the last three
    STRAND,  # [8] by the mate's, if it is near; of a move
    IS_NEAR,  # [2] of a mate, of a move
    MORE,  # [16] events, by those so far
    KIND,  # [4, 2] by the last
    BASE,  # [16, 4] an inserted one, by the two before
    NUMBERS,  # [3, NUMBER]
    NODE,  # [3, 32, 16, 16] by tree, level, and counts of the node
) = (0, 8, 16, 18, 34, 48, 112, 112 + 3 * NUMBER)
BITS = NODE + 3 * 32 * 256


class PlaceModel(NamedTuple):
    """What adapts while places are coded."""

    bits: NDArray[np.uint32]
    tree: NDArray[np.uint8]  # counts of 0 and 1 of each node of the tree of places
    near: NDArray[np.uint8]  # [2, 2**NEAR_BITS] the same for distances of mates and for moves nearby


def new_bits(count: int) -> NDArray[np.uint32]:
    """Counters that have seen nothing."""
    return np.full(count, 1 << 31, np.uint32)


def new_place_model(place_bits: int) -> PlaceModel:
    """For places of so many bits."""
    nodes = 1 << min(max(place_bits + 1, _LEAST_TREE), TREE_BITS)
    return PlaceModel(new_bits(BITS), np.zeros(nodes, np.uint8), np.zeros(2 << NEAR_BITS, np.uint8))


class Run(NamedTuple):
    """A coder at work."""

    state: NDArray[np.uint64]
    data: NDArray[np.uint8]
    decoding: bool


class Reads(NamedTuple):
    """The reads of a part in the order in which they are coded."""

    order: NDArray[np.int64]
    firsts: NDArray[np.int64]  # of each read, its first base, and the end of its last
    ends: NDArray[np.int64]
    paired: int  # of the first so many in order, the second, fourth, ... are the mates of those before
    seconds: NDArray[np.uint8]  # of each read, 1 if it is such a mate


class Alignments(NamedTuple):
    """Where reads lie, and what happens on the way."""

    places: NDArray[np.int64]  # of the first base of each read
    steps: NDArray[np.int8]  # 1, -1 for the other strand, 0 if the read is coded by itself
    first_event: NDArray[np.int64]  # of each read, and how many there are
    event_count: NDArray[np.int64]
    at: NDArray[np.int64]  # of each event: the base before which it is
    kinds: NDArray[np.uint8]
    values: NDArray[np.int64]  # bases inserted or deleted; the place after a move
    directions: NDArray[np.int8]  # the step after a move


@inline
def code_bit(bits: NDArray[np.uint32], run: Run, at: Int, bit: Int) -> Int:
    """Encode the bit, or decode it, by one counter."""
    counter = bits[u(at)]
    probability = min(max(np.int64(counter >> 16), 64), 65536 - 64)
    if run.decoding:
        bit = decode(run.state, run.data, probability)
    else:
        encode(run.state, run.data, probability, bit)
    bits[u(at)] = updated_counter(counter, bit)
    return bit


@inline
def code_node(
    bits: NDArray[np.uint32], run: Run, which: Int, tree: NDArray[np.uint8], first: Int, number: Int, size: Int
) -> Int:
    """Encode or decode a number of ``size`` bits by the counts of the nodes on its way in a tree from ``first`` on."""
    node, value = np.uint64(1), np.int64(0)
    for level in range(size):
        at = np.int64(node)
        if level > SHARED_LEVEL:
            mixed = node * np.uint64(0x9E3779B97F4A7C15)
            at = np.int64((mixed >> np.uint64(31)) & np.uint64(tree.shape[0] - 1))
        counts = np.int64(tree[u(first + at)])
        bit = (number >> (size - 1 - level)) & 1
        bit = code_bit(bits, run, NODE + (which * 32 + level) * 256 + counts, bit)
        zeros, ones = (counts & 15) + 1 - bit, (counts >> 4) + bit
        if zeros > 15 or ones > 15:
            zeros, ones = zeros >> 1, ones >> 1
        tree[u(first + at)] = np.uint8(ones << 4 | zeros)
        node = node * np.uint64(2) + np.uint64(bit)
        value = value * 2 + bit
    return value


@inline
def code_number(bits: NDArray[np.uint32], run: Run, which: Int, number: Int) -> Int:
    """Encode or decode a number of 0 to 2**31 - 2: how many bits one more than it has, then those."""
    row = NUMBERS + which * NUMBER
    length, value = np.int64(0), np.int64(1 if run.decoding else number + 1)
    while value >> (length + 1):
        length += 1
    node = np.int64(1)
    for k in range(NUMBER_BITS):
        node = node * 2 + code_bit(bits, run, row + node, (length >> (NUMBER_BITS - 1 - k)) & 1)
    length = node - LENGTHS
    found, top = np.int64(1), np.int64(1)
    for k in range(length):
        bit = (value >> (length - 1 - k)) & 1
        bit = code_bit(bits, run, row + LENGTHS + length * TOPS + (top if top < TOPS else 0), bit)
        top = top * 2 + bit
        found = found * 2 + bit
    return found - 1


@inline
def code_place(model: PlaceModel, run: Run, place_bits: Int, place: Int) -> Int:
    """Encode or decode a place."""
    return code_node(model.bits, run, PLACES, model.tree, 0, place + OVERHANG, place_bits) - OVERHANG


# --- places ---------------------------------------------------------------------------------------------------------


@inline
def code_start(
    model: PlaceModel, run: Run, place_bits: Int, place: Int, step: Int, mate_place: Int, mate_step: Int
) -> tuple[Int, Int]:
    """Where a read begins, and in which direction; the step of the mate is 0 if it is not mapped, or there is none."""
    near, distance = np.int64(0), (place - mate_place) * mate_step
    if mate_step != 0:
        near = np.int64(1 if 0 <= distance < (1 << NEAR_BITS) else 0)
        near = code_bit(model.bits, run, IS_NEAR, near)
    if near:
        distance = code_node(model.bits, run, DISTANCES, model.near, 0, distance, NEAR_BITS)
        place = mate_place + mate_step * distance
    else:
        place = code_place(model, run, place_bits, place)
    context = (2 + mate_step) if near else 0
    reverse = code_bit(model.bits, run, STRAND + context, 1 if step < 0 else 0)
    return place, np.int64(-1 if reverse else 1)


@inline
def code_move(
    model: PlaceModel, run: Run, place_bits: Int, place: Int, step: Int, before: Int, direction: Int
) -> tuple[Int, Int]:
    """Where a read goes on, from the place and step before."""
    half = 1 << (NEAR_BITS - 1)
    distance = (place - before) * direction + half
    near = np.int64(1 if step == direction and 0 <= distance < 2 * half else 0)
    near = code_bit(model.bits, run, IS_NEAR + 1, near)
    if near:
        distance = code_node(model.bits, run, MOVES, model.near, 2 * half, distance, NEAR_BITS)
        return before + direction * (distance - half), direction
    place = code_place(model, run, place_bits, place)
    reverse = code_bit(model.bits, run, STRAND + 4 + (1 if direction < 0 else 0), 1 if step < 0 else 0)
    return place, np.int64(-1 if reverse else 1)


@kernel
def code_places(
    reads: Reads, alignments: Alignments, model: PlaceModel, place_bits: Int, bases: NDArray[np.uint8],
    state: NDArray[np.uint64], data: NDArray[np.uint8], decoding: bool,
) -> bool:  # fmt: skip
    """Code where reads lie; decoding, also sets the ``bases`` that are inserted. False if the data are damaged."""
    run = Run(state, data, decoding)
    if decoding:
        start_decoding(state, data)
    bits = model.bits
    places, steps = alignments.places, alignments.steps
    history, events = np.int64(0), np.int64(0)
    mate_place, mate_step = np.int64(0), np.int64(0)
    last_kind = np.int64(0)
    for number in range(reads.order.shape[0]):
        read = reads.order[number]
        if not (number & 1 and number < reads.paired):
            mate_step = np.int64(0)
        mapped = code_bit(bits, run, MAPPED + (history & 7), 1 if steps[read] != 0 else 0)
        history = history * 2 + mapped
        # events are in the order of the reads when they are encoded, and in that of coding when they are decoded
        event = events if decoding else alignments.first_event[read]
        end_event = event + alignments.event_count[read]
        alignments.first_event[read] = event
        if not mapped:
            steps[read], alignments.event_count[read] = 0, 0
            mate_step = np.int64(0)
            continue
        place, step = code_start(model, run, place_bits, places[read], np.int64(steps[read]), mate_place, mate_step)
        places[read], steps[read] = place, step
        mate_place, mate_step = place, step
        at, end = reads.firsts[read], reads.ends[read]
        count: Int = np.int64(0)
        while True:
            more = code_bit(bits, run, MORE + min(count, 15), 1 if event < end_event else 0)
            if not more:
                break
            if decoding and event >= alignments.at.shape[0]:
                return False
            gap = code_number(bits, run, GAP, alignments.at[event] - at)
            place += gap * step
            at += gap
            kind = np.int64(alignments.kinds[event])
            row = KIND + 4 * last_kind
            if code_bit(bits, run, row, 1 if kind == MOVED else 0):
                kind = np.int64(MOVED)
            else:
                kind = code_bit(bits, run, row + 1, 1 if kind == DELETED else 0)
            last_kind = kind
            alignments.at[event], alignments.kinds[event] = at, kind
            if kind == MOVED:
                direction = np.int64(alignments.directions[event])
                place, step = code_move(model, run, place_bits, alignments.values[event], direction, place, step)
                alignments.values[event], alignments.directions[event] = place, step
            else:
                value = code_number(bits, run, COUNT + (kind == DELETED), alignments.values[event])
                alignments.values[event] = value
                if kind == DELETED:
                    place += value * step
                else:
                    if value > end - at or at >= end:
                        return False
                    before = np.int64(0)
                    for k in range(at, at + value):
                        row = BASE + 4 * (before & 15)
                        high = code_bit(bits, run, row, np.int64(bases[u(k)]) >> 1)
                        low = code_bit(bits, run, row + 1 + high, np.int64(bases[u(k)]) & 1)
                        bases[u(k)] = np.uint8(2 * high + low)
                        before = 4 * before + 2 * high + low
                    at += value
            if at > end:
                return False
            count += 1
            event += 1
        alignments.event_count[read] = count
        events = event
    return True


@kernel
def predict_bases(
    reference: Reference, reads: Reads, alignments: Alignments, own: NDArray[np.uint8], bases: NDArray[np.uint8]
) -> None:
    """Set ``bases`` of mapped reads to what is predicted, but for inserted ones, and of the others to their ``own``."""
    done = np.int64(0)
    for read in range(reads.firsts.shape[0]):
        at, end = reads.firsts[read], reads.ends[read]
        if alignments.steps[read] == 0:
            for k in range(at, end):
                bases[u(k)] = own[u(done + k - at)]
            done += end - at
            continue
        place, step = alignments.places[read], np.int64(alignments.steps[read])
        event = alignments.first_event[read]
        for k in range(alignments.event_count[read] + 1):
            stop = alignments.at[event + k] if k < alignments.event_count[read] else end
            while at < stop:
                base = predicted(reference, place, step)
                bases[u(at)] = np.uint8(base if base < UNKNOWN else 0)
                at += 1
                place += step
            if k < alignments.event_count[read]:
                at, place, step = after_event(alignments, event + k, at, place, step)


@inline
def after_event(alignments: Alignments, event: Int, at: Int, place: Int, step: Int) -> tuple[Int, Int, Int]:
    """The base, the place and the step with which a read goes on."""
    value = alignments.values[event]
    if alignments.kinds[event] == INSERTED:
        return at + value, place, step
    if alignments.kinds[event] == DELETED:
        return at, place + value * step, step
    return at, value, np.int64(alignments.directions[event])
