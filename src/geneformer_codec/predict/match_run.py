"""Match runs: where all copies agree and the best one has a long run, many bases are coded at once, without the mixer.

What is coded is whether all of the next bases, up to 32, are those that the copies predict; else how many are, and the
base that comes instead of the next. The probability of a miss is learned by the length of the run, how often the guess
missed lately, how many copies there are, and the base. The other bases share it by the substitutions of copies.

The copies are moved on as soon as a run is coded; its bases enter history and index when they are decoded one by one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import count_ones_64, leading_zeros, u
from geneformer_codec.coding.jit import Int, apart, inline
from geneformer_codec.coding.range_coder import RangeCoder, decode_base, encode_base, narrow, refill
from geneformer_codec.predict.copies import base_at, padded, rebase
from geneformer_codec.predict.mixer import TOTAL, TOTAL_BITS
from geneformer_codec.predict.search import base_of, first_bases, reversed_complement, window
from geneformer_codec.predict.state import (
    BASE,
    BLOCK_BITS,
    COPIES,
    DONE,
    FLIP,
    GAIN_SUMS,
    GUESS,
    HITS,
    HITS_LEFT,
    LOG_HIT,
    LOG_MISS,
    MISS_LEFT,
    MISSES,
    NOISY,
    ROOM,
    RUN,
    STEP,
    TRUST_ROWS,
    MixerState,
    PanelTables,
    Scratch,
    Settings,
    Slice,
    SliceState,
)

LEAST_RUN = 8
"""Bases without a miss from which a run is learned from, coded or not; one that is coded, from fewer."""
SHORT_ROWS = TRUST_ROWS - 4 * LEAST_RUN
"""Where the rows of shorter runs start, four a base: from 2 bases on these are rows that no copy comes to."""
SHORTEST = 2
NOISY_MISSES = 6
"""Misses of the last 64 guesses from which `match_run_length_noisy` holds."""
LEAST_MISS = 64
MOST_MISS = 15 << 18
"""Bounds of P(miss), of 2**22."""
LEAST_OTHER = 1 << 11
"""What each base gets, of 2**22, when it is known that the guess missed."""
MOST_EXPECTED = 1 << 20
"""Misses expected, of 2**22, above which fewer bases are coded at once."""
FEW_SEEN = 512
"""Observations of P(miss) up to which each counts; then one in 8, so that rates fall to 1 / 4,416."""
MOST_SEEN = 1000
RATES = np.array([10 * 2**24 // (10 * (seen + 7 * max(seen - FEW_SEEN, 0)) + 16) for seen in range(1024)], np.int64)
"""How far P(miss) moves, of 2**24, by observations."""
DECAYED = np.array([(2**a - 1) ** n * 65536 // 2 ** (a * n) for a in (2, 4, 6, 8) for n in range(33)], np.int64)
"""[4 horizons, 33] what so many hits leave of a sum of gains, of 2**16."""
MISS_LOG = -8 << 10
"""The log2 of P(miss), Q10, that copies are scored by when they missed in a match run."""


@inline
def run_length(settings: Settings, miss_history: Int) -> Int:
    """The length from which a run is coded; less where guesses miss anyway."""
    noisy = settings.match_run_length_noisy and np.int64(count_ones_64(miss_history)) >= NOISY_MISSES
    return max(settings.match_run_length_noisy if noisy else settings.match_run_length, SHORTEST)


@inline
def longest_run(state: SliceState) -> Int:
    """Of the copies."""
    longest = np.int64(0)
    for k in range(np.int64(state.numbers[COPIES])):
        longest = max(longest, np.int64(state.bank[u(RUN + k)]))
    return longest


@inline
def agree(panel: PanelTables, state: SliceState, scratch: Scratch) -> Int:
    """Whether all copies predict the same base, which goes to ``scratch.recall``."""
    bank = state.bank
    guess = np.int64(0)
    for k in range(np.int64(state.numbers[COPIES])):
        base = base_at(panel, state.bases, state.copy_places[u(k)])
        base ^= np.int64(bank[u(FLIP + k)])
        bank[u(BASE + k)] = base
        if k and base != guess:
            return False
        guess = base
    scratch.recall[GUESS] = guess
    return True


@inline
def run_row(longest: Int, miss_history: Int, live: Int) -> Int:
    """The first of the four rows, by base, of such runs in the table of trust."""
    if longest < LEAST_RUN:
        return SHORT_ROWS + longest * 4
    shift = 63 - leading_zeros(longest)
    length = min(2 * shift + ((longest >> (shift - 1)) & 1) - 6, 15)
    missed = count_ones_64(miss_history)
    density = (missed >= 1) + (missed >= 2) + (missed >= 4)
    crowd = (live >= 2) + (live >= 4) + (live >= 8)
    return TRUST_ROWS + ((length * 4 + density) * 4 + crowd) * 4


class Ahead(NamedTuple):
    """The next bases, on which all copies agree."""

    count: Int  # int64: at most 32
    bases: Int  # uint64: the first in the highest bits


@apart
def look_ahead(panel: PanelTables, state: SliceState) -> Ahead:
    """How many of the next bases all copies have and agree on, and these; none leaves the block where it is."""
    bank, done = state.bank, state.numbers[DONE]
    count, first = np.int64(32), np.uint64(0)
    for k in range(state.numbers[COPIES]):
        place, step = state.copy_places[u(k)], np.int64(bank[u(STEP + k)])
        in_panel = place < panel.history_offset
        here = place if in_panel else place - panel.history_offset
        if step < 0 and here < 31:
            return Ahead(np.int64(0), first)
        end = (here + 32) if step > 0 else here + 1
        bases = window(panel.words, end) if in_panel else window(state.words, end)
        within = place & ((1 << BLOCK_BITS) - 1)
        if step > 0:
            left = min((1 << BLOCK_BITS) - 1 - within, (panel.length - 1 if in_panel else done) - here)
        else:
            left = within
            bases = reversed_complement(bases)
        if k == 0:
            first = bases
        differ = bases ^ first
        if differ:
            left = min(left, leading_zeros(np.int64(differ)) >> 1)
        count = min(count, left)
    return Ahead(count, first)


@inline
def move_copies(state: SliceState, hits: Int, guess: Int) -> None:
    """Move all copies on, whose next ``hits`` predictions are right, and which predict ``guess`` after them."""
    bank, live = state.bank, np.int64(state.numbers[COPIES])
    width = padded(live)
    count = np.int32(hits)
    for k in range(width):
        bank[u(BASE + k)] = np.int32(guess)
        bank[u(MISSES + k)] = np.int32((np.int64(bank[u(MISSES + k)]) << np.int64(hits)) & 0xFFFFFFFF)
        bank[u(RUN + k)] = np.int32(bank[u(RUN + k)] + count)
    for k in range(width):
        state.copy_places[u(k)] += np.int64(hits) * np.int64(bank[u(STEP + k)])
    for horizon in range(4):
        left = np.int64(DECAYED[u(horizon * 33 + hits)])
        for k in range(width):
            at = GAIN_SUMS + horizon * ROOM + k
            bank[u(at)] = np.int32((np.int64(bank[u(at)]) * left) >> 16)
    rebase(bank, live)


@inline
def code_run(
    slice_: Slice, coder: RangeCoder, longest: Int, miss_history: Int, previous: Int, symbols: NDArray[np.uint8],
    stream: NDArray[np.uint8], stream_end: Int, decoding: bool,
) -> RangeCoder:  # fmt: skip
    """Code the next bases, at least one, which all copies agree on; ``longest`` is the longest run.

    The outcome goes to ``HITS``, ``HITS_LEFT`` and ``MISS_LEFT`` of the state.
    """
    _, panel, state, mixer, scratch = slice_
    numbers, done = state.numbers, state.numbers[DONE]
    ahead = look_ahead(panel, state)
    leaving = ahead.count == 0  # a copy that comes to another block, or ends, is moved on by its miss or hit
    bases = np.uint64(scratch.recall[GUESS]) << np.uint64(62) if leaving else ahead.bases
    count = min(max(ahead.count, 1), longest, state.slice_length - done)
    rows = run_row(longest, miss_history, numbers[COPIES])
    expected = expected_misses(mixer, rows, bases, count)
    while count > 1 and expected > MOST_EXPECTED:
        count >>= 1
        expected = expected_misses(mixer, rows, bases, count)
    # P(some miss), as far as the square of what is expected
    some = expected if count == 1 else expected - ((expected * expected) >> (TOTAL_BITS + 1))

    hits = np.int64(0) if decoding else count_hits(symbols, done, bases, count)
    coder, missed = code_bit(coder, stream, stream_end, TOTAL - some, hits < count, decoding)
    hits = hits if missed else count
    if missed:
        coder, hits = code_place(coder, stream, stream_end, mixer, rows, bases, expected, hits, decoding)
        guess = base_of(bases, hits)
        expect_miss(mixer, scratch, guess, base_of(bases, hits - 1) if hits else previous)
        if decoding:
            coder, base = decode_base(coder, stream, stream_end, scratch.frequencies, TOTAL_BITS)
        else:
            base = np.int64(symbols[u(done + hits)])
            coder = encode_base(coder, stream, scratch.frequencies, base, TOTAL_BITS)
        numbers[MISS_LEFT] = base + 1
    learn_hits(mixer, rows, bases, hits)
    if missed:
        learn_miss(mixer, rows + guess)
    elif leaving:
        hits = np.int64(0)
        numbers[MISS_LEFT] = scratch.recall[GUESS] + 1
    state.registers[HITS], numbers[HITS_LEFT] = bases, hits
    if hits:
        move_copies(state, hits, base_of(bases, hits & 31))
    return coder


@inline
def count_hits(symbols: NDArray[np.uint8], done: Int, bases: Int, count: Int) -> Int:
    """How many of the next symbols are ``bases``; one that is no base is, whatever is expected."""
    for number in range(count):
        symbol = np.uint64(symbols[u(done + number)])
        if symbol != bases >> np.uint64(62) and symbol < np.uint64(4):
            return np.int64(number)
        bases <<= np.uint64(2)
    return np.int64(count)


@inline
def count_bases(bases: Int, count: Int) -> tuple[Int, Int, Int, Int]:
    """How many of the first ``count`` of 32 bases are A, C, G, T."""
    even, kept = np.uint64(0x5555555555555555), first_bases(bases, count)
    low, high = kept & even, (kept >> np.uint64(1)) & even
    t = np.int64(count_ones_64(low & high))
    c, g = np.int64(count_ones_64(low)) - t, np.int64(count_ones_64(high)) - t
    return count - c - g - t, c, g, t


@inline
def expected_misses(mixer: MixerState, rows: Int, bases: Int, count: Int) -> Int:
    """The sum of P(miss) of ``count`` bases, Q22."""
    a, c, g, t = count_bases(bases, count)
    total = a * p_miss(mixer, rows) + c * p_miss(mixer, rows + 1)
    return total + g * p_miss(mixer, rows + 2) + t * p_miss(mixer, rows + 3)


@inline
def p_miss(mixer: MixerState, row: Int) -> Int:
    """Of a base, Q22."""
    return np.int64(mixer.trust[u(row)] >> np.uint32(10))


@inline
def code_bit(
    coder: RangeCoder, stream: NDArray[np.uint8], stream_end: Int, zero: Int, bit: Int, decoding: bool
) -> tuple[RangeCoder, Int]:
    """Code a bit; P(0) is ``zero`` of 2**22."""
    first = (coder.width >> np.uint64(TOTAL_BITS)) * np.uint64(zero)
    if decoding:
        bit = coder.low >= first
        if bit:
            coder = RangeCoder(coder.low - first, coder.width - first, coder.position)
        else:
            coder = RangeCoder(coder.low, first, coder.position)
        return refill(coder, stream, stream_end), bit
    if bit:
        return narrow(coder, stream, first, coder.width - first), bit
    return narrow(coder, stream, np.uint64(0), first), bit


@inline
def code_place(
    coder: RangeCoder, stream: NDArray[np.uint8], stream_end: Int, mixer: MixerState, rows: Int, bases: Int, total: Int,
    hits: Int, decoding: bool,
) -> tuple[RangeCoder, Int]:  # fmt: skip
    """Code how many hits are before the miss: each base's share is its P(miss); all of them are ``total``."""
    step = coder.width // np.uint64(total)
    target = min(np.int64(coder.low // step), total - 1) if decoding else np.int64(0)
    below, number = np.int64(0), np.int64(0)
    while True:
        share = p_miss(mixer, rows + np.int64(bases >> np.uint64(62)))
        if (target < below + share) if decoding else (number == hits):
            break
        below += share
        number += 1
        bases <<= np.uint64(2)
    start, size = step * np.uint64(below), step * np.uint64(share)
    if decoding:
        code = min(coder.low - start, size - np.uint64(1))
        return refill(RangeCoder(code, size, coder.position), stream, stream_end), number
    return narrow(coder, stream, start, size), number


@inline
def expect_miss(mixer: MixerState, scratch: Scratch, guess: Int, previous: Int) -> None:
    """The frequencies of the other three bases, by the substitutions of clean copies."""
    row = 16 * guess + 4 * previous
    for base in range(4):
        share = (np.int64(mixer.substitutions[u(row + base)]) * (TOTAL - 4 * LEAST_OTHER)) >> 16
        scratch.frequencies[u(base)] = (0 if base == guess else share) + LEAST_OTHER


@inline
def learn_hits(mixer: MixerState, rows: Int, bases: Int, count: Int) -> None:
    """P(miss) of such runs, by ``count`` hits."""
    if count:
        a, c, g, t = count_bases(bases, count)
        learn_hits_of(mixer, rows, a)
        learn_hits_of(mixer, rows + 1, c)
        learn_hits_of(mixer, rows + 2, g)
        learn_hits_of(mixer, rows + 3, t)


@inline
def learn_hits_of(mixer: MixerState, row: Int, count: Int) -> None:
    """Of one row, by as many hits at once: all at the rate of the last."""
    if count:
        entry = np.int64(mixer.trust[u(row)])
        seen = entry & 1023
        miss: Int = entry >> 10
        last = min(seen + count - 1, FEW_SEEN) if seen < FEW_SEEN else seen
        miss = np.int64(max(miss - ((miss * count * np.int64(RATES[u(last)])) >> 24), LEAST_MISS))
        mixer.trust[u(row)] = np.uint32((miss << 10) | more_seen(seen, count, miss))


@inline
def learn_miss(mixer: MixerState, row: Int) -> None:
    """Of one row, by a miss."""
    entry = np.int64(mixer.trust[u(row)])
    seen = entry & 1023
    miss: Int = entry >> 10
    miss = np.int64(min(miss + ((((1 << 22) - miss) * np.int64(RATES[u(seen)])) >> 24), MOST_MISS))
    mixer.trust[u(row)] = np.uint32((miss << 10) | more_seen(seen, 1, miss))


@inline
def more_seen(seen: Int, count: Int, miss: Int) -> Int:
    """Observations with ``count`` more; the lowest bits of ``miss`` serve as a random number."""
    if seen < FEW_SEEN:
        return min(seen + count, FEW_SEEN)
    return min(seen + ((count + (miss & 7)) >> 3), MOST_SEEN)


@inline
def prepare_copies(state: SliceState) -> None:
    """What `copies.learn_copies` needs of copies when only their bases were looked at."""
    bank = state.bank
    for k in range(padded(np.int64(state.numbers[COPIES]))):
        bank[u(NOISY + k)] = np.int32(0)
        bank[u(LOG_HIT + k)] = np.int32(0)
        bank[u(LOG_MISS + k)] = np.int32(MISS_LOG)
