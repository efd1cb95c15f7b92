"""Mapped reads as places and differences: the compiled loops that encode and decode, and what they adapt.

First where each read lies, and where bases are inserted, deleted or elsewhere (`code_places`). What is predicted of a
base is then known, and the qualities are coded. Then, given these, whether each base is what is predicted, a bit that
is mixed from several contexts, and where it is not, what it is (`code_differences`).

Places are bits from the highest down, each by how often it was 0 and 1 after those above it: places that come again and
again, as of amplicons, cost little, and others no more than the size of the reference.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.reference import OVERHANG, UNKNOWN, Reference, predicted
from geneformer_codec.coding.integers import clamp, leading_zeros, u
from geneformer_codec.coding.jit import Int, inline, kernels, prefetch
from geneformer_codec.coding.mixing import Mixer, decode, encode, predict, start_decoding, update, updated_counter

kernel = kernels()

INSERTED, DELETED, MOVED = range(3)
"""Kinds of events."""

# --- numbers and bits -----------------------------------------------------------------------------------------------

NEAR_BITS = 12
"""Of the distance of a mate, and of a place nearby."""
TREE_BITS = 22
"""log2 of the nodes of the tree of places; those far down share them."""
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
    OTHER,  # [2, 4, 4, 8] is it the likelier of the others; by what was predicted, that one, and its count
    NUMBERS,  # [3, NUMBER]
    NODE,  # [3, 32, 16, 16] by tree, level, and counts of the node
) = (0, 8, 16, 18, 34, 48, 112, 368, 368 + 3 * NUMBER)
BITS = NODE + 3 * 32 * 256


class PlaceModel(NamedTuple):
    """What adapts while places are coded; ``bits`` serves differences, too."""

    bits: NDArray[np.uint32]
    tree: NDArray[np.uint8]  # counts of 0 and 1 of each node of the tree of places
    near: NDArray[np.uint8]  # [2, 2**NEAR_BITS] the same for distances of mates and for moves nearby


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


# --- differences ----------------------------------------------------------------------------------------------------

CONTEXTS, SETS = 8, 2
CONTEXT_SIZE = 1 << 16
"""Counters of each context of a hit."""
IN_SPAN = 1 << 15
"""The first counter for bases of a span that has a miss."""
WEIGHT_ROWS = 512
MOST_POSITION = 511
MOST_QUALITY = 63
MAP_ROWS = 128
LEARNING_RATE = 160

SPAN = 64
"""The most bases in a span."""
LIKELY = 1 << 16
"""The probability of a miss, of 2**22, above which a base is in no span."""
MOST_LIKELY = 1 << 20
"""The most that these probabilities sum to in a span."""
CLASS_BITS = 14
MOST_SEEN = 1023
MOST_SHARE = 31
MISS_RATE = np.array([65536 * 2 // (2 * seen + 3) for seen in range(MOST_SEEN + 1)], np.uint32)
"""How far, of 2**16, the probability of a miss moves in a class that has seen so many bases."""
SPAN_SUMS, SPAN_STATES = 24 * 4, 16
"""Rows of counters of spans, by the sum of probabilities in quarters of a power of two; and counters in each."""
CLASS, MISS_RISK, BEST = range(3)
"""Rows of `DifferenceModel.span`: class, probability of a miss, base."""


def new_spans() -> NDArray[np.uint32]:
    """Counters of whether spans have a miss: at first as likely as the sum says."""
    shares = [min((9 + 2 * (step & 3)) << (step >> 2) >> 3, 1 << 21) for step in range(SPAN_SUMS)]
    return np.repeat(np.array(shares, np.uint32) << 10 | 30, SPAN_STATES)


class DifferenceModel(NamedTuple):
    """What adapts while differences are coded."""

    mixer: Mixer
    cells: NDArray[np.int64]
    bits: NDArray[np.uint32]
    seen: NDArray[np.uint16]  # four counts of 4 bits for each place of the reference, or for places that share them
    misses: NDArray[np.uint32]  # of each class of bases: P(miss), Q22, and times seen in the low 10 bits
    spans: NDArray[np.uint32]  # [SPAN_SUMS, SPAN_STATES] counters
    span: NDArray[np.int64]  # [3, SPAN] what is known of the bases of the span at hand


class Progress(NamedTuple):
    """What is remembered of a read."""

    at: Int
    place: Int
    step: Int
    history: Int  # of hits, the newest lowest, 1 where it was none
    previous: Int  # bases, the newest lowest
    misses: Int
    since: Int  # 16 after an event, less 1 for each base, down to 0
    quality_before: Int


class Expected(NamedTuple):
    """What is expected at a place."""

    base: Int
    count: Int  # how often it was seen
    others: Int  # and other bases
    counts: Int
    own: Int  # 1: it is the reference's


@inline
def expect(model: DifferenceModel, reference: Reference, place: Int, step: Int) -> Expected:
    """The base that was seen most at a place, where the reference's has a head start."""
    counts = np.int64(model.seen[u(place & (model.seen.shape[0] - 1))])
    own = predicted(reference, place, step)
    best, most, total = np.int64(0), np.int64(-1), np.int64(0)
    for base in range(4):
        count = (counts >> (4 * (base if step > 0 else 3 - base))) & 15
        total += count
        score = 2 * count + (3 if base == own else 0)
        if score > most:
            best, most = np.int64(base), score
    count = (counts >> (4 * (best if step > 0 else 3 - best))) & 15
    return Expected(best, count, total - count, counts, np.int64(1 if best == own else 0))


@inline
def learn_seen(model: DifferenceModel, place: Int, step: Int, base: Int) -> None:
    """Count a base at a place."""
    at = u(place & (model.seen.shape[0] - 1))
    counts = np.int64(model.seen[at])
    shift = 4 * (base if step > 0 else 3 - base)
    if (counts >> shift) & 15 == 15:
        counts = (counts >> 1) & 0x7777
    model.seen[at] = np.uint16(counts + (1 << shift))


@inline
def code_other(model: DifferenceModel, run: Run, expected: Expected, step: Int, base: Int) -> Int:
    """A base that is not the expected one: is it the one of the other three that was seen most at the place, ..."""
    excluded = 1 << expected.base
    for remaining in range(3, 1, -1):
        second, most = np.int64(0), np.int64(-1)
        for other in range(4):
            count = (expected.counts >> (4 * (other if step > 0 else 3 - other))) & 15
            if not (excluded >> other) & 1 and count > most:
                second, most = np.int64(other), count
        at = OTHER + (remaining - 2) * 128 + expected.base * 32 + second * 8 + min(most, 7)
        if code_bit(model.bits, run, at, 1 if second == base else 0):
            return second
        excluded |= 1 << second
    for other in range(4):
        if not (excluded >> other) & 1:
            base = np.int64(other)
    return base


@inline
def learn_miss(model: DifferenceModel, kind: Int, miss: Int) -> None:
    """Learn whether a base of a class was a miss."""
    counter = model.misses[u(kind)]
    seen: Int = counter & MOST_SEEN
    share: Int = np.int64(counter >> 10)
    goal = 4194303 if miss else 0
    share += ((goal - share) * np.int64(MISS_RATE[u(seen)])) >> 16
    model.misses[u(kind)] = np.uint32((share << 10) | min(seen + 1, MOST_SEEN))


@inline
def quarter_log(value: Int) -> Int:
    """log2 of 1 or more, in quarters."""
    shift = 63 - leading_zeros(np.int64(value))
    return 4 * shift + (((value << 2) >> shift) & 3)


@inline
def recent_misses(history: Int, since: Int) -> Int:
    """How near the last misses are, or the last event: 0 to 3."""
    return 3 if since > 0 else min(np.int64(history & 1) + 2 * np.int64((history & 254) != 0), 2)


@inline
def find_span(
    reference: Reference, model: DifferenceModel, read: Progress, qualities: NDArray[np.uint8], stop: Int
) -> tuple[Int, Int]:
    """How many bases are in the span, at least one, and the sum of their probabilities of a miss."""
    mask, length, total = model.seen.shape[0] - 1, np.int64(0), np.int64(0)
    while length < SPAN and read.at + length < stop:
        place = read.place + length * read.step
        counts = np.int64(model.seen[u(place & mask)])
        base = predicted(reference, place, read.step)
        count, others, own = counts >> (4 * (base if read.step > 0 else 3 - base)), np.int64(0), np.int64(1)
        if base >= UNKNOWN or count > 15 or counts != count << (4 * (base if read.step > 0 else 3 - base)):
            expected = expect(model, reference, place, read.step)
            base, count, others, own = expected.base, expected.count, expected.others, expected.own
        recent = recent_misses(read.history << length, read.since - length)
        kind = ((clamp(count, 0, 7) << 2 | clamp(others, 0, 3)) << 1 | own) << 8
        kind |= np.int64(qualities[u(read.at + length)]) << 2 | recent
        miss = np.int64(model.misses[u(kind)] >> 10)
        if length and (miss > LIKELY or total + miss > MOST_LIKELY):
            break
        model.span[CLASS, length], model.span[MISS_RISK, length], model.span[BEST, length] = kind, miss, base
        total += miss
        length += 1
        if miss > LIKELY:
            break
    return length, total


@inline
def code_hit(
    model: DifferenceModel, run: Run, read: Progress, expected: Expected, around: tuple[Int, Int, Int, Int],
    position: Int, recent: Int, share: Int, hit: Int,
) -> Int:  # fmt: skip
    """Whether a base is the expected one, from mixed contexts.

    ``around`` is its quality, the next one, the next base expected, and how many bases of the span follow; ``share`` is
    -1 outside of a span with a miss.
    """
    mixer, cells, rows = model.mixer, model.cells, model.mixer.rows
    q, q_after, ahead, left = around
    few, count, others = clamp(read.misses, 0, 15), clamp(expected.count, 0, 7), clamp(expected.others, 0, 3)
    seen: Int = clamp(expected.count, 0, 15) << 4 | clamp(expected.others, 0, 15)
    trust = (count << 2 | others) << 1 | expected.own
    cells[0] = (read.history & 255) << 6 | q
    cells[1] = (trust << 6 | q) << 2 | recent
    cells[2] = position << 4 | (q >> 2)
    cells[3] = (((read.previous & 63) << 2 | expected.base) << 2 | ahead) << 4 | (q >> 2)
    cells[4] = (few << 6 | q) << 3 | (q_after >> 3)
    cells[5] = ((seen << 2 | expected.base) << 1 | expected.own) << 4 | (q >> 3) << 1 | (recent != 0)
    cells[6] = (read.quality_before << 6 | q) << 3 | (q_after >> 3)
    cells[7] = np.int64(0)
    rows[0], rows[1], map_row = q << 2 | recent, WEIGHT_ROWS + trust, q
    if share >= 0:
        for j in range(CONTEXTS):
            cells[j] += IN_SPAN
        cells[7] += share << 6 | left
        rows[0] += WEIGHT_ROWS // 2
        rows[1] = WEIGHT_ROWS + WEIGHT_ROWS // 2 + share
        map_row = MAP_ROWS // 2 + share
    probability = predict(mixer, cells, 0, 0, map_row)
    if run.decoding:
        hit = decode(run.state, run.data, probability)
    else:
        encode(run.state, run.data, probability, hit)
    update(mixer, cells, 0, 0, hit, LEARNING_RATE)
    return hit


@inline
def take_span(
    model: DifferenceModel, read: Progress, qualities: NDArray[np.uint8], bases: NDArray[np.uint8], length: Int
) -> Progress:
    """Learn from a span without a miss, and set its ``bases``."""
    previous, place = read.previous, read.place
    for k in range(length):
        base = model.span[BEST, k]
        bases[u(read.at + k)] = np.uint8(base)
        learn_miss(model, model.span[CLASS, k], np.int64(0))
        learn_seen(model, place, read.step, base)
        previous = previous * 4 + base
        place += read.step
    at = read.at + length
    last = np.int64(qualities[u(at - 1)])
    since = max(read.since - length, 0)
    return Progress(at, place, read.step, read.history << length, previous, read.misses, since, last)


@inline
def is_miss(model: DifferenceModel, bases: NDArray[np.uint8], at: Int, length: Int) -> Int:
    """1 if one of the ``bases`` of the span is not the expected one."""
    for k in range(length):
        if np.int64(bases[u(at + k)]) != model.span[BEST, k]:
            return np.int64(1)
    return np.int64(0)


@kernel
def code_differences(
    reference: Reference, reads: Reads, alignments: Alignments, model: DifferenceModel, qualities: NDArray[np.uint8],
    bases: NDArray[np.uint8], state: NDArray[np.uint64], data: NDArray[np.uint8], decoding: bool,
) -> None:  # fmt: skip
    """Code the ``bases`` of mapped reads but for inserted ones, given their ``qualities``, at most `MOST_QUALITY`.

    A span is bases that are all likely hits. One bit says whether they are; else they are coded up to the first that is
    none, and the rest is in the next span.
    """
    run = Run(state, data, decoding)
    mask = model.seen.shape[0] - 1
    if decoding:
        start_decoding(state, data)
    for number in range(reads.order.shape[0]):
        index = reads.order[number]
        if alignments.steps[index] == 0:
            continue
        second = np.int64(1 if number & 1 and number < reads.paired else 0)
        first, end = reads.firsts[index], reads.ends[index]
        event = alignments.first_event[index]
        end_event = event + alignments.event_count[index]
        none = np.int64(0)
        read = Progress(
            first, alignments.places[index], np.int64(alignments.steps[index]), none, none, none, none, none
        )
        while read.at < end:
            if event < end_event and alignments.at[event] == read.at:
                at, place, step = after_event(alignments, event, read.at, read.place, read.step)
                previous = read.previous
                for k in range(read.at, at):
                    previous = previous * 4 + np.int64(bases[u(k)])
                event += 1
                read = Progress(at, place, step, read.history, previous, read.misses, np.int64(16), read.quality_before)
                continue

            # Most bases: all of a span are what is expected.
            stop = min(end, alignments.at[event]) if event < end_event else end
            length, total = find_span(reference, model, read, qualities, stop)
            prefetch(model.seen, (read.place + (length + 16) * read.step) & mask)
            if length > 1:
                state_of = (model.span[CLASS, 0] & 3) << 2 | min(read.misses, 3)
                counter = quarter_log(total + 1) * SPAN_STATES + state_of
                miss = np.int64(0) if decoding else is_miss(model, bases, read.at, length)
                if not code_bit(model.spans, run, counter, miss):
                    read = take_span(model, read, qualities, bases, length)
                    continue

            # A base by itself, or those of a span up to its first miss; if no other is one, the last is.
            for k in range(length):
                expected = expect(model, reference, read.place, read.step)
                q = np.int64(qualities[u(read.at)])
                hit = np.int64(0)
                if length == 1 or k < length - 1:
                    share = np.int64(-1)
                    if length > 1:
                        share = clamp(quarter_log(total + 1) - quarter_log(model.span[MISS_RISK, k] + 1), 0, MOST_SHARE)
                    q_after = np.int64(qualities[u(read.at + 1)]) if read.at + 1 < end else q
                    ahead = predicted(reference, read.place + read.step, read.step) & 3
                    position = min(read.at - first, MOST_POSITION) << 1 | second
                    hit = np.int64(1 if np.int64(bases[u(read.at)]) == expected.base else 0)
                    around = (q, q_after, ahead, length - 1 - k)
                    hit = code_hit(model, run, read, expected, around, position, model.span[CLASS, k] & 3, share, hit)
                total -= model.span[MISS_RISK, k]
                learn_miss(model, model.span[CLASS, k], 1 - hit)
                base = expected.base
                if not hit:
                    base = code_other(model, run, expected, read.step, np.int64(bases[u(read.at)]))
                bases[u(read.at)] = np.uint8(base)
                learn_seen(model, read.place, read.step, base)
                read = Progress(
                    read.at + 1, read.place + read.step, read.step, read.history * 2 + 1 - hit,
                    read.previous * 4 + base, read.misses + 1 - hit, max(read.since - 1, 0), q,
                )  # fmt: skip
                if not hit:
                    break
