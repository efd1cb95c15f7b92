"""The short way through a base: where all copies say the same and one has been right for long, nobody else is asked.

How likely such a claim fails is learned by how long that copy has been right, how often the guess failed lately, how
many copies there are, and the base. What comes instead is what copies say of misses.
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.copies import padded
from geneformer_codec.predict.integers import leading_zeros, ones_of_64, u
from geneformer_codec.predict.mixer import FLOOR, TOTAL
from geneformer_codec.predict.state import (
    BASE,
    CLAIM,
    COPIES,
    DIRTY,
    FLIP,
    GUESS,
    LOG_HIT,
    LOG_MISS,
    PLACE,
    RUN,
    TRUST_ROWS,
    Frozen,
    Local,
    Mixing,
    Settings,
    Work,
)

LEAST_RUN = 8
"""Bases without a failure from which claims are learned, whether they are coded or not; those coded, from fewer."""
SHORT_CLAIMS = TRUST_ROWS - 4 * LEAST_RUN
"""Where rows of claims of fewer bases start, four a base: from 2 bases on these are rows that no copy comes to."""
SHORTEST = 2
MANY = 6
"""Failures of the last 64 guesses from which `brief` counts, and not `sure`."""
LEAST_MISS = 64
MOST_MISS = 15 << 18
"""Bounds of P(failure), of 2**22."""
MOST_SEEN = 1000
MISS_LOG = -8 << 10
"""What a failed claim costs its copies, log2 in Q10."""


@inline
def find(frozen: Frozen, local: Local, bank: NDArray[np.int32], work: Work, own: Int, fails: Int, wanted: Int) -> Int:
    """How long the best copy has been right, if that is long and all copies say the same, else 0.

    Long is `LEAST_RUN`, or ``wanted``, with which a claim is coded, if that is less. Puts into ``work.recall`` the
    claim's row and what it claims.
    """
    live = np.int64(local.numbers[COPIES])
    longest = np.int64(0)
    for k in range(live):
        longest = max(longest, np.int64(bank[u(RUN + k)]))
    if longest < LEAST_RUN and longest < wanted:
        return 0
    guess = np.int64(0)
    for k in range(live):
        place = np.int64(bank[u(PLACE + k)])
        base = np.int64(frozen.bases[u(place)]) if place < own else np.int64(local.bases[u(place - own)])
        base ^= np.int64(bank[u(FLIP + k)])
        bank[u(BASE + k)] = base
        if k and base != guess:
            return 0
        guess = base
    work.recall[GUESS] = guess
    if longest < LEAST_RUN:
        work.recall[CLAIM] = SHORT_CLAIMS + longest * 4 + guess
        return longest
    shift = 63 - leading_zeros(longest)
    length = min(2 * shift + ((longest >> (shift - 1)) & 1) - 6, 15)
    failed = ones_of_64(fails)
    density = (failed >= 1) + (failed >= 2) + (failed >= 4)
    crowd = (live >= 2) + (live >= 4) + (live >= 8)
    work.recall[CLAIM] = TRUST_ROWS + ((length * 4 + density) * 4 + crowd) * 4 + guess
    return longest


@inline
def wanted(cfg: Settings, fails: Int) -> Int:
    """For how long a copy must have been right to be believed alone; less long where guesses fail anyway."""
    bases = cfg.brief if cfg.brief and np.int64(ones_of_64(fails)) >= MANY else cfg.sure
    return max(bases, SHORTEST)


@inline
def predict(mix: Mixing, work: Work, previous: Int) -> None:
    """What is coded: the claim, and of what it leaves each other base's share by the swaps of clean copies."""
    guess = work.recall[GUESS]
    miss = np.int64(mix.trust[u(work.recall[CLAIM])] >> np.uint32(10))
    row = 16 * guess + 4 * previous
    total = np.int64(0)
    for base in range(4):
        share = np.int64(0)
        if base != guess:
            share = ((miss * np.int64(mix.swaps[u(row + base)])) >> 16) + FLOOR
        work.coded[u(base)] = share
        total += share
    work.coded[u(guess)] = TOTAL - total


@inline
def learn_claim(mix: Mixing, claim: Int, divisors: Int, held: Int) -> None:
    """Whether a claim held."""
    entry = np.int64(mix.trust[u(claim)])
    seen, miss = entry & 1023, entry >> 10
    if held:
        miss -= (miss * divisors[u(seen)]) >> 16
    else:
        miss += (((1 << 22) - miss) * divisors[u(seen)]) >> 16
    seen += seen < MOST_SEEN
    mix.trust[u(claim)] = np.uint32((min(max(miss, LEAST_MISS), MOST_MISS) << 10) | seen)


@inline
def prepare(local: Local, bank: NDArray[np.int32]) -> None:
    """What `copies.learn` is to know of copies that were not asked for more than their base."""
    for k in range(padded(np.int64(local.numbers[COPIES]))):
        bank[u(DIRTY + k)] = np.int32(0)
        bank[u(LOG_HIT + k)] = np.int32(0)
        bank[u(LOG_MISS + k)] = np.int32(MISS_LOG)
