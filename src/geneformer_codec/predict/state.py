"""What a slice's prediction is made of: settings, the panel's tables, and the state that the slice changes.

All of it is arrays of integers in nested named tuples, which compiled code takes apart at no cost:

    Slice
    ├── settings: Settings       how to predict; the same for all slices of an archive
    ├── panel: PanelTables       trained on the panel; shared by slices, never written
    ├── state: SliceState        what the slice has seen
    │   ├── bases, words         its bases so far (its history): one per byte, and 32 per word
    │   ├── chain_heads, chain_previous    hash chains: where each seed stood last, and where before
    │   ├── low, frame_scores    contexts that adapt
    │   ├── registers            [HISTORY | REVERSE_COMPLEMENT | MISS_HISTORY | LOW | WIDTH | HITS], 64 bits each
    │   ├── numbers              [DONE | COPIES | TURN | POSITION | BEST_FRAME | SAMPLE | SAMPLE_ROW | REVERSE_UNTIL |
    │   │                         HITS_LEFT | MISS_LEFT]
    │   ├── copy_places          [copy 0 | copy 1 | ... | copy 63] where each copy is, 64 bits
    │   └── bank                 the rest of the copies, one per column:
    │                              row STEP          [copy 0 | copy 1 | ... | copy 63]
    │                              ...
    │                              rows GAIN_SUMS    4 horizons
    │                              rows FEATURE      FEATURES
    │                              rows WEIGHT       HEADS
    ├── mixer: MixerState        what training gives and the slice adapts: weights, maps, trust, ...
    └── scratch: Scratch         what one base needs from its prediction to its learning
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import EXP
from geneformer_codec.coding.jit import Int

BLOCK_BITS = 14
"""Copies are scored by blocks of 2**14 bases of the place they point into: about one mitochondrial genome."""
HEADS = 3
"""Of attention, at most."""
FEATURES = 6
SETS = 6
SET_ROWS = (128, 256, 256, 256, 1024, 24)
"""Rows of each weight set, one chosen a base; see `mixer.choose_weights`."""
FINAL_ROWS = 256
BINS = 33
MAP_ROWS = (1024, 4096)
TRUST_BITS = 12
TRUST_RUNS = 64
TRUST_ROWS = (1 << TRUST_BITS) + TRUST_RUNS
RUN_ROWS = 1024
"""Rows of match runs, after those of trust; see `match_run`."""
MAX_COUNT_ORDERS = 12
MAX_LOW_ORDERS = 8
LOW_ROW = 8
FRAMES = 6
CLASSES = 8
"""Rows of a context in the tables of reading frames; six are used."""
MAX_FRAME_ORDERS = 4
INPUT_PAD = 8

HISTORY, REVERSE_COMPLEMENT, MISS_HISTORY, LOW, WIDTH, HITS = range(6)
REGISTERS = 6
"""Places in `SliceState.registers`: those of `Recent`, the range coder's interval, and the bases of the match run that
was coded last, the next one in the highest bits."""
DONE, COPIES, TURN, POSITION, BEST_FRAME, SAMPLE, SAMPLE_ROW, REVERSE_UNTIL, HITS_LEFT, MISS_LEFT = range(10)
NUMBERS = 10
"""Places in `SliceState.numbers`: bases done, live copies, where the next search of a long list starts, stream bytes,
the best reading frame, the end of the sampled seed at work (0 for none), its row or else the place there, the base up
to which reverse-complement copies are looked for at every search, because one was found, and what is known of the next
bases: so many hits, and, if not 0, then 1 + a base that is a miss."""


class Settings(NamedTuple):
    """How to predict; all integers. ``*_orders`` stand apart, in `PanelTables` and `SliceState`."""

    copies: int  # at most so many at once
    panel_seed_length: int  # bases that a place must share to be proposed from the panel
    history_seed_length: int  # the same for the slice's history
    panel_sampling: int  # one seed of the panel in so many is in its index and searched
    search_interval: int  # bases between two searches of the slice's history
    search_interval_few: int  # the same while copies are few
    max_candidates: int  # places looked at in one search
    max_start_mismatches: int  # of the last 24 bases, with which a copy may start
    max_mismatches: int  # of the last 24 bases, above which a copy ends
    long_history_weight: int  # sixteenths that a copy's longer history counts when places for copies are few
    both_strands: int  # 1: contexts learn from both strands, and every search looks for reverse-complement copies
    reverse_rarity: int  # else one search in so many does
    rate: int  # of the mixer's weights, in 2**-13ths about
    final_rate: int
    attention_rate: int  # 0: the attention stays as it was trained
    trust_limit: int  # observations after which trust adapts no slower
    table_bits: int  # of a hashed table of counts
    heads: int  # of attention, at most `HEADS`
    sets: int  # of weights, the first ones, at most `SETS`
    match_run_length: (
        int  # bases that a copy predicted, while none disagrees, from which a match run is coded; 0: never
    )
    match_run_length_noisy: int  # the same where the guess missed often lately; 0: as `match_run_length`
    search_run_limit: int  # bases of a run from which nothing is searched, and no hits are entered; 0: never
    history_sampling: int  # one seed of the history in so many is entered and searched; 0: all are
    shift_misses: int  # lately, after which a copy is shifted; 0: never
    learn_counts: int  # 1: the counts are the slice's own


class PanelTables(NamedTuple):
    """Trained on the panel; shared by all slices and never written."""

    words: NDArray[np.uint64]  # 32 bases each, the first in the highest bits
    rows: NDArray[np.uint32]  # [2**row_bits + 1] where the places of the seeds of each row start
    tags: NDArray[np.uint8]  # bits of the hash of each place's seed, which distinguish the seeds of a row
    places: NDArray[np.uint32]  # the places after the seeds, ascending in each row
    places_high: NDArray[np.uint8]  # their bits above 32; empty if the panel needs none
    starts: NDArray[np.int64]  # where records start, for the first copies of a slice
    counts: NDArray[np.uint16]  # four counts of 4 bits a context, all orders end to end
    count_orders: NDArray[np.int64]
    count_at: NDArray[np.int64]  # where each order's table starts
    count_logs: NDArray[np.int32]  # [orders, 16] log2(count + prior), Q7
    length: int  # bases
    row_bits: int
    history_offset: int  # where places in the slice's history begin: at a block of their own behind the panel


class SliceState(NamedTuple):
    """A slice's history and tables."""

    bases: NDArray[np.uint8]  # [capacity]
    words: NDArray[np.uint64]
    chain_heads: NDArray[np.int32]  # [2**chain_bits] newest place after each hashed seed that is entered
    chain_previous: NDArray[np.int32]  # [capacity + 1] the place before with the same hash
    chain_bits: int
    slice_length: int  # of the whole slice, wherever coding stops
    scores: NDArray[np.int32]  # by block of panel and history
    low: NDArray[np.uint16]  # adaptive probabilities of short contexts, `LOW_ROW` a context
    low_orders: NDArray[np.int64]
    low_at: NDArray[np.int64]
    frame_orders: NDArray[np.int64]
    frame_at: NDArray[np.int64]  # in `low`
    frame_scores: NDArray[np.int64]  # [FRAMES], log2, Q10
    network_logs: NDArray[np.int32]  # [capacity, 4] log2 of the network's probabilities, Q7; empty without a network
    registers: NDArray[np.uint64]
    numbers: NDArray[np.int64]
    copy_places: NDArray[np.int64]  # [ROOM] of the base that each copy predicts, in panel and then history
    bank: NDArray[np.int32]


# Rows of the bank of copies, `ROOM` numbers each: one array with fixed distances, so that compilers see that rows do
# not overlap, worked on `GROUP` copies at a time, so that they see vectors.
ROOM = 64
GROUP = 8
(
    STEP,  # 1 forward, -1 reverse complement
    FLIP,  # 0 forward, 3 reverse complement: complements a base
    MISSES,  # the last 32 bases, newest lowest: 1 where it missed
    RUN,  # hits since its last miss
    BASE,  # predicted
    TRUST,  # row of `MixerState.trust`
    MISS,  # P(miss), Q16
    LOG_HIT,  # log2, Q10
    LOG_MISS,
    GAIN,  # log2 of what it gave the actual base, Q12
    DEAD,  # 0, or a score that leaves a row without a copy no weight
    NOISY,  # 1: it missed two or more of the last 16 bases
) = (row * ROOM for row in range(12))
GAIN_SUMS = 12 * ROOM  # 4 rows: decayed sums of GAIN, Q12
FEATURE = 16 * ROOM  # `FEATURES` rows, Q8
WEIGHT = 22 * ROOM  # one row: of the head at work, Q20 of the best; `HEADS` rows
BANK = 25 * ROOM


class MixerState(NamedTuple):
    """What training gives a slice to start with, and what the slice then adapts."""

    weights: NDArray[np.int32]  # [rows of all sets, inputs], Q20
    final: NDArray[np.int32]  # [FINAL_ROWS, SETS], Q16
    map_one: NDArray[np.int32]  # [rows, BINS], Q22
    map_two: NDArray[np.int32]
    trust: NDArray[np.uint32]  # P(miss) by a copy's recent misses: Q22, observations in the low 10 bits
    substitutions: NDArray[np.int32]  # [noisy, predicted, previous, actual] when a copy misses, Q16
    attention: NDArray[np.int32]  # [HEADS, FEATURES], Q20

    def copy(self) -> "MixerState":
        """The same for another slice to change."""
        return MixerState._make(array.copy() for array in self)


class Scratch(NamedTuple):
    """What one base needs from its prediction to its learning."""

    trust_logs: NDArray[np.int32]  # [TRUST_ROWS, 2] log2 of P(hit) and P(miss), Q10: follows `MixerState.trust`
    inputs: NDArray[np.int32]  # [4, inputs], centred log2, Q7
    votes: NDArray[np.int64]  # [HEADS, 4], Q24
    sums: NDArray[np.int64]  # [HEADS, 12] weights by base, and what misses of clean, of noisy copies take from them
    logits: NDArray[np.int64]  # [SETS, 4], Q10
    shares: NDArray[np.int64]  # [SETS, 4], Q16
    mixed: NDArray[np.int64]  # [4] after the final layer, Q22
    frequencies: NDArray[np.int64]  # [4] what is coded; sums to 2**22
    rows: NDArray[np.int64]  # [SETS] first weight of the chosen row
    count_confidence: NDArray[np.int64]  # of each count order
    pull: NDArray[np.int64]  # [4], of the attention's gradient, as are the next two
    escape: NDArray[np.int64]  # [2, 4]
    slopes: NDArray[np.int64]  # [FEATURES]
    recall: NDArray[np.int64]  # [RECALL] numbers of the prediction that learning needs
    pending: NDArray[np.int64]  # of each count order, the count that is still to be added; see `counts.add_pending`


CONFIDENCE, TOP, CROWD, FINAL, MAP_ONE, MAP_TWO, SLANT, GUESS, DENSITY, FRAME, PHASE = range(11)
RECALL = 11


class Slice(NamedTuple):
    """All data of a slice that kernels use."""

    settings: Settings
    panel: PanelTables
    state: SliceState
    mixer: MixerState
    scratch: Scratch


class Recent(NamedTuple):
    """The end of a slice's history; kernels hold it in registers."""

    history: Int  # uint64: the last 32 bases, the newest in the lowest bits
    reverse_complement: Int  # uint64: the same on the other strand, the newest in the highest bits
    miss_history: Int  # uint64: of the last 64 guesses, the newest lowest, 1 where it missed


def low_places(low_orders: Sequence[int], frame_orders: Sequence[int]) -> NDArray[np.int64]:
    """Where the table of each short context and of each order of the reading frames starts, and where the last ends."""
    rows = [4**order for order in low_orders] + [CLASSES * 4**order for order in frame_orders]
    return np.cumsum([0, *(LOW_ROW * row for row in rows)]).astype(np.int64)


def untrained_low(low_orders: Sequence[int], frame_orders: Sequence[int]) -> NDArray[np.uint16]:
    """Tables that have seen nothing."""
    low = np.zeros((int(low_places(low_orders, frame_orders)[-1]) // LOW_ROW, LOW_ROW), np.uint16)
    low[:, :4] = 1 << 14
    return low.reshape(-1)


def padded_inputs(heads: int, contexts: int) -> int:
    """Inputs of the mixer, padded so that rows of weights stay aligned."""
    return -(-(heads + contexts) // INPUT_PAD) * INPUT_PAD


def untrained_mixer(settings: Settings, contexts: int) -> MixerState:
    """Where training starts; ``contexts`` is how many of them give an input."""
    heads = settings.heads
    inputs = padded_inputs(heads, contexts)
    weights = np.zeros((sum(SET_ROWS), inputs), np.int32)
    weights[:, :heads] = round(0.3 * (1 << 20))
    weights[:, heads : heads + contexts] = round(0.15 * (1 << 20))
    final = np.zeros((FINAL_ROWS, SETS), np.int32)
    final[:, : settings.sets] = (1 << 16) // settings.sets
    bins = []
    for index in range(BINS):  # P of a log-odds of (index - 16) * 3/4 bits
        odds = (int(EXP[(abs(index - 16) * 768) & 1023]) >> ((abs(index - 16) * 768) >> 10)) + 1
        small = (odds << 22) // ((1 << 30) + odds)
        bins.append((1 << 22) - 1 - small if index >= 16 else small)
    maps = [np.tile(np.array(bins, np.int32), (rows, 1)) for rows in MAP_ROWS]
    trust = np.zeros(TRUST_ROWS + RUN_ROWS, np.uint32)
    recent = 1 << TRUST_BITS
    histories = np.arange(recent)
    total, missed, weight = 0, np.zeros(recent, np.int64), 1 << 16
    for bit in range(TRUST_BITS):
        total += weight
        missed += weight * (histories >> bit & 1)
        weight = weight * 9 // 10
    rate = (missed * 97 // 100 << 22) // total + (1 << 22) // 50
    trust[:recent] = np.minimum(rate, 3 << 20) << 10
    trust[recent:TRUST_ROWS] = np.maximum((1 << 22) // (8 * np.arange(TRUST_RUNS) + 30), 64) << 10
    trust[recent + 32 : TRUST_ROWS] = ((1 << 22) // 60) << 10
    lengths = 8 << np.arange(8).repeat(2)
    trust[TRUST_ROWS:] = ((1 << 22) // (4 * lengths) << 10).repeat(64)
    substitutions = np.full((2, 4, 4, 4), 65536 // 3, np.int32)
    attention = np.zeros((HEADS, FEATURES), np.int32)
    for head, horizon in enumerate((1, 0, 2)):
        attention[head, horizon] = 1 << 20
    return MixerState(
        weights.reshape(-1), final.reshape(-1), maps[0].reshape(-1), maps[1].reshape(-1), trust,
        substitutions.reshape(-1), attention.reshape(-1),
    )  # fmt: skip


def new_scratch(inputs: int) -> Scratch:
    """Scratch of a slice."""
    wide: Any = np.int64
    return Scratch(
        trust_logs=np.zeros(2 * TRUST_ROWS, np.int32),
        inputs=np.zeros(4 * inputs, np.int32),
        votes=np.zeros(HEADS * 4, wide),
        sums=np.zeros(HEADS * 12, wide),
        logits=np.zeros(SETS * 4, wide),
        shares=np.zeros(SETS * 4, wide),
        mixed=np.zeros(4, wide),
        frequencies=np.zeros(4, wide),
        rows=np.zeros(SETS, wide),
        count_confidence=np.zeros(MAX_COUNT_ORDERS, wide),
        pull=np.zeros(4, wide),
        escape=np.zeros(8, wide),
        slopes=np.zeros(FEATURES, wide),
        recall=np.zeros(RECALL, wide),
        pending=np.zeros(MAX_COUNT_ORDERS, wide),
    )
