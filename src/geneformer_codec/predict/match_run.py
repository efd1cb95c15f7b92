"""Match runs: when all copies agree and the best one has a long run, code their base without running the mixer.

The probability that this base is wrong is learned by the length of the run, how often the guess missed lately, how many
copies there are, and the base. The other bases share it by the substitutions of copies.
"""

import numpy as np

from geneformer_codec.coding.integers import adaptation_rate, clamp, count_ones_64, leading_zeros, u
from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.copies import base_at, padded
from geneformer_codec.predict.mixer import FLOOR, TOTAL
from geneformer_codec.predict.state import (
    BASE,
    COPIES,
    FLIP,
    GUESS,
    LOG_HIT,
    LOG_MISS,
    NOISY,
    RUN,
    RUN_ROW,
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
    if longest < LEAST_RUN:
        scratch.recall[RUN_ROW] = SHORT_ROWS + longest * 4 + guess
        return longest
    shift = 63 - leading_zeros(longest)
    length = min(2 * shift + ((longest >> (shift - 1)) & 1) - 6, 15)
    missed = count_ones_64(miss_history)
    density = (missed >= 1) + (missed >= 2) + (missed >= 4)
    crowd = (live >= 2) + (live >= 4) + (live >= 8)
    scratch.recall[RUN_ROW] = TRUST_ROWS + ((length * 4 + density) * 4 + crowd) * 4 + guess
    return longest


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
