"""Bases of mapped reads, given their qualities: the compiled loop that encodes and decodes them, and what it adapts.

Most are what is expected. A *span* is bases that are all likely hits: one bit says whether they are. Other bases, and
those of a span with a miss, are coded one by one: a bit that is mixed from several contexts says whether it is the base
expected, and if not, which of the others it is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.places import Alignments, Reads, Run, after_event, code_bit, new_bits
from geneformer_codec.align.reference import UNKNOWN, Reference, predicted
from geneformer_codec.coding.integers import clamp, leading_zeros, u
from geneformer_codec.coding.jit import Int, inline, kernels, prefetch
from geneformer_codec.coding.mixing import LINE, Mixer, decode, encode, new_mixer, predict, start_decoding, update

kernel = kernels()

CONTEXTS, SETS = 8, 2
CONTEXT_SIZE = 1 << 16
"""Counters of each context of a hit."""
IN_SPAN = 1 << 15
"""The first counter for bases of a span that has a miss."""
WEIGHT_ROWS = 512
MOST_POSITION = 511
MOST_QUALITY = 63
LEARNING_RATE = 160

SPAN = 64
"""The most bases in a span."""
LIKELY = 1 << 16
"""The probability of a miss, of 2**22, above which a base is in no span."""
MOST_LIKELY = 1 << 20
"""The most that these probabilities sum to in a span."""
CLASS_BITS = 14
OTHERS = 256
_SEEN = 10, 24
"""log2 of the counts of bases seen, at least and at most."""
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
    others: NDArray[
        np.uint32
    ]  # [2, 4, 4, 8] counters of `code_other`: how many are left, best base, that tried, its count
    seen: NDArray[np.uint16]  # four counts of 4 bits for each place of the reference, or for places that share them
    misses: NDArray[np.uint32]  # of each class of bases: P(miss), Q22, and times seen in the low 10 bits
    spans: NDArray[np.uint32]  # [SPAN_SUMS, SPAN_STATES] counters
    span: NDArray[np.int64]  # [3, SPAN] what is known of the bases of the span at hand


def seen_size(places: int) -> int:
    """How many counts there are for so many places: a power of two."""
    return 1 << min(max(places.bit_length(), _SEEN[0]), _SEEN[1])


def new_difference_model(places: int) -> DifferenceModel:
    """For a reference of so many places."""
    return DifferenceModel(
        mixer=new_mixer(CONTEXT_SIZE, CONTEXT_SIZE // LINE, CONTEXTS, SETS, WEIGHT_ROWS, 1),
        cells=np.zeros(CONTEXTS, np.int64),
        others=new_bits(OTHERS),
        seen=np.zeros(seen_size(places), np.uint16),
        misses=new_bits(1 << CLASS_BITS),
        spans=new_spans(),
        span=np.zeros((3, SPAN), np.int64),
    )


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
        at = (remaining - 2) * OTHERS // 2 + expected.base * 32 + second * 8 + min(most, 7)
        if code_bit(model.others, run, at, 1 if second == base else 0):
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
    rows[0], rows[1] = q << 2 | recent, WEIGHT_ROWS + trust
    if share >= 0:
        for j in range(CONTEXTS):
            cells[j] += IN_SPAN
        cells[7] += share << 6 | left
        rows[0] += WEIGHT_ROWS // 2
        rows[1] = WEIGHT_ROWS + WEIGHT_ROWS // 2 + share
    probability = predict(mixer, cells, 0, 0)
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


class DifferenceSlice(NamedTuple):
    """Reads that are coded in one sequence, and the state of the coder."""

    reference: Reference
    reads: Reads
    alignments: Alignments
    qualities: NDArray[np.uint8]  # of each base, at most `MOST_QUALITY`
    model: DifferenceModel
    coder: NDArray[np.uint64]
    done: NDArray[np.int64]  # [1] how many reads, in order, are coded


@inline
def code_read(slice_: DifferenceSlice, run: Run, index: Int, bases: NDArray[np.uint8]) -> None:
    """Code the bases of a mapped read but for inserted ones.

    A span is bases that are all likely hits. One bit says whether they are; else they are coded up to the first that is
    none, and the rest is in the next span.
    """
    reference, alignments, model, qualities = slice_.reference, slice_.alignments, slice_.model, slice_.qualities
    mask = model.seen.shape[0] - 1
    second = np.int64(slice_.reads.seconds[index])
    first, end = slice_.reads.firsts[index], slice_.reads.ends[index]
    event = alignments.first_event[index]
    end_event = event + alignments.event_count[index]
    none = np.int64(0)
    read = Progress(first, alignments.places[index], np.int64(alignments.steps[index]), none, none, none, none, none)
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
            miss = np.int64(0) if run.decoding else is_miss(model, bases, read.at, length)
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


@inline
def code_slice(
    slice_: DifferenceSlice, bases: NDArray[np.uint8], data: NDArray[np.uint8], stop: Int, decoding: bool
) -> None:
    """Code the ``bases`` of mapped reads: on, up to the first read in order that begins at ``stop`` or after it."""
    order, run = slice_.reads.order, Run(slice_.coder, data, decoding)
    while slice_.done[0] < order.shape[0]:
        index = order[u(slice_.done[0])]
        if slice_.reads.firsts[index] >= stop:
            return
        if slice_.alignments.steps[index] != 0:
            code_read(slice_, run, index, bases)
        slice_.done[0] += 1


@kernel
def run(slice_: DifferenceSlice, bases: NDArray[np.uint8], data: NDArray[np.uint8], decoding: bool) -> None:
    """Encode all of a slice into ``data``, or decode it into ``bases``, which have those that are inserted."""
    if decoding:
        start_decoding(slice_.coder, data)
    code_slice(slice_, bases, data, bases.shape[0], decoding)
