"""Match runs: when all copies agree and the best one has a long run, code their base without running the mixer.

The probability that this base is wrong is learned by the length of the run, how often the guess missed lately, how many
copies there are, and the base. The other bases share it by the substitutions of copies.

Most runs go on for long. So the next bases of all copies are compared at once (`look_ahead`), and while the guesses
hit, the copies are left as they were, to be moved on together in the end (`move_copies`).
"""

from typing import NamedTuple

import numpy as np

from geneformer_codec.coding.integers import adaptation_rate, clamp, count_ones_64, leading_zeros, reversed_bits, u
from geneformer_codec.coding.jit import Int, apart, inline
from geneformer_codec.predict.copies import base_at, decay_gains, padded, rebase
from geneformer_codec.predict.mixer import FLOOR, TOTAL
from geneformer_codec.predict.search import window
from geneformer_codec.predict.state import (
    BASE,
    BLOCK_BITS,
    COPIES,
    DONE,
    FLIP,
    GAIN,
    GUESS,
    LOG_HIT,
    LOG_MISS,
    MISSES,
    NOISY,
    RUN,
    RUN_ROW,
    STEP,
    TRUST_ROWS,
    MixerState,
    PanelTables,
    Scratch,
    Settings,
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
MOST_SEEN = 1000
MISS_LOG = -8 << 10
"""The log2 of P(miss), Q10, that copies are scored by after a match run."""


@inline
def run_length(settings: Settings, miss_history: Int) -> Int:
    """The length from which a run is coded; less where guesses miss anyway."""
    noisy = settings.match_run_length_noisy and np.int64(count_ones_64(miss_history)) >= NOISY_MISSES
    return max(settings.match_run_length_noisy if noisy else settings.match_run_length, SHORTEST)


@inline
def find_run(panel: PanelTables, state: SliceState, scratch: Scratch, miss_history: Int, coded: Int) -> Int:
    """The longest run of the copies if it is long and all predict the same base, else 0.

    Long is `LEAST_RUN`, or ``coded``, from which it is coded, if that is less. The run's row and its base go to
    ``scratch.recall``.
    """
    bank = state.bank
    live = np.int64(state.numbers[COPIES])
    longest = np.int64(0)
    for k in range(live):
        longest = max(longest, np.int64(bank[u(RUN + k)]))
    if longest < LEAST_RUN and longest < coded:
        return 0
    guess = np.int64(0)
    for k in range(live):
        base = base_at(panel, state.bases, state.copy_places[u(k)])
        base ^= np.int64(bank[u(FLIP + k)])
        bank[u(BASE + k)] = base
        if k and base != guess:
            return 0
        guess = base
    scratch.recall[GUESS] = guess
    scratch.recall[RUN_ROW] = run_row(longest, miss_history, live, guess)
    return longest


@inline
def run_row(longest: Int, miss_history: Int, live: Int, guess: Int) -> Int:
    """The row of such runs in the table of trust."""
    if longest < LEAST_RUN:
        return SHORT_ROWS + longest * 4 + guess
    shift = 63 - leading_zeros(longest)
    length = min(2 * shift + ((longest >> (shift - 1)) & 1) - 6, 15)
    missed = count_ones_64(miss_history)
    density = (missed >= 1) + (missed >= 2) + (missed >= 4)
    crowd = (live >= 2) + (live >= 4) + (live >= 8)
    return TRUST_ROWS + ((length * 4 + density) * 4 + crowd) * 4 + guess


class Ahead(NamedTuple):
    """The next bases, on which all copies agree."""

    count: Int  # int64: at most 32
    bases: Int  # uint64: the first in the highest bits


@apart
def look_ahead(panel: PanelTables, state: SliceState) -> Ahead:
    """How many of the next bases all copies have in the blocks where they are, and agree on, and these."""
    bank, done = state.bank, state.numbers[DONE]
    count, first = np.int64(32), np.uint64(0)
    for k in range(state.numbers[COPIES]):
        place, step = state.copy_places[u(k)], np.int64(bank[u(STEP + k)])
        in_panel = place < panel.history_offset
        if in_panel:
            here, left = place, (panel.length - place) if step > 0 else place + 1
        else:
            here = place - panel.history_offset
            left = (done - here) if step > 0 else here + 1
        if step < 0 and here < 31:
            return Ahead(np.int64(0), first)
        within = place & ((1 << BLOCK_BITS) - 1)
        left = min(left, (1 << BLOCK_BITS) - within if step > 0 else within + 1)
        end = (here + 32) if step > 0 else here + 1
        bases = window(panel.words, end) if in_panel else window(state.words, end)
        if step < 0:
            bases = turned(bases)
        if k == 0:
            first = bases
        differ = bases ^ first
        if differ:
            left = min(left, leading_zeros(np.int64(differ)) >> 1)
        count = min(count, left)
    return Ahead(count, first)


@inline
def turned(bases: Int) -> Int:
    """The reverse complement of 32 bases."""
    low, high = np.uint64(bases & np.uint64(0xFFFFFFFF)), np.uint64(bases >> np.uint64(32))
    bits = (np.uint64(reversed_bits(low)) << np.uint64(32)) | np.uint64(reversed_bits(high))
    even = np.uint64(0x5555555555555555)
    return ~(((bits & even) << np.uint64(1)) | ((bits >> np.uint64(1)) & even))


@inline
def can_run_on(settings: Settings, miss_history: Int) -> Int:
    """Whether a hit cannot end a run: it cannot raise the length from which one is coded."""
    return settings.match_run_length_noisy == 0 or np.int64(count_ones_64(miss_history)) < NOISY_MISSES


@apart
def move_copies(state: SliceState, hits: Int, guess: Int) -> None:
    """Move all copies on, which predicted the last ``hits`` bases and now predict ``guess``."""
    bank, live = state.bank, np.int64(state.numbers[COPIES])
    first = state.numbers[DONE] - hits
    width = padded(live)
    count = np.int32(hits)
    for k in range(width):
        bank[u(BASE + k)] = np.int32(guess)
        bank[u(GAIN + k)] = np.int32(0)
        bank[u(MISSES + k)] = np.int32(bank[u(MISSES + k)] << count)
        bank[u(RUN + k)] = np.int32(bank[u(RUN + k)] + count)
    for k in range(width):
        state.copy_places[u(k)] += np.int64(hits) * np.int64(bank[u(STEP + k)])
    for number in range(hits):
        decay_gains(bank, width)
        if ((first + number) & 7) == 7:
            rebase(bank, live)


@inline
def predict_run(mixer: MixerState, scratch: Scratch, previous: Int) -> None:
    """What is coded: the run's base, and P(miss) shared by the substitutions of clean copies."""
    guess = scratch.recall[GUESS]
    miss = np.int64(mixer.trust[u(scratch.recall[RUN_ROW])] >> np.uint32(10))
    row = 16 * guess + 4 * previous
    total = np.int64(0)
    for base in range(4):
        share = np.int64(0)
        if base != guess:
            share = ((miss * np.int64(mixer.substitutions[u(row + base)])) >> 16) + FLOOR
        scratch.frequencies[u(base)] = share
        total += share
    scratch.frequencies[u(guess)] = TOTAL - total


@inline
def learn_run(mixer: MixerState, row: Int, hit: Int) -> None:
    """P(miss) of such runs, by whether this one hit."""
    entry = np.int64(mixer.trust[u(row)])
    seen, miss = entry & 1023, entry >> 10
    if hit:
        miss -= (miss * adaptation_rate(seen)) >> 16
    else:
        miss += (((1 << 22) - miss) * adaptation_rate(seen)) >> 16
    seen += seen < MOST_SEEN
    mixer.trust[u(row)] = np.uint32((clamp(miss, LEAST_MISS, MOST_MISS) << 10) | seen)


@inline
def prepare_copies(state: SliceState) -> None:
    """What `copies.learn_copies` needs of copies when only their bases were looked at."""
    bank = state.bank
    for k in range(padded(np.int64(state.numbers[COPIES]))):
        bank[u(NOISY + k)] = np.int32(0)
        bank[u(LOG_HIT + k)] = np.int32(0)
        bank[u(LOG_MISS + k)] = np.int32(MISS_LOG)
