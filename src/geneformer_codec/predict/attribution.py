"""What the bits of a slice are spent on: it is encoded again, a base at a time, and each base's bits go to a cause.

The *leader* is the copy with the longest run of hits, if that is `LEADS` or more. Where it predicts another base than
the one that comes, what follows in the slice and in the copied text decides the cause: a mismatch, an insertion or
deletion, or else the copy is lost. The bases up to `REACH` later count as coming after that; others by whether all
copies are right.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.copies import base_at
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.slice import kernel, run
from geneformer_codec.predict.state import (
    COPIES,
    FLIP,
    HITS_LEFT,
    MISS_LEFT,
    POSITION,
    RUN,
    STEP,
    WIDTH,
    PanelTables,
    Slice,
    SliceState,
)

CAUSES = (
    "record start", "mismatch", "deletion", "insertion", "copy lost", "copies agree", "copies disagree", "unpredicted"
)  # fmt: skip
START, MISMATCH, DELETION, INSERTION, LOST, AGREED, DISPUTED, UNPREDICTED = range(len(CAUSES))
LEADS = 16
"""Hits from which a copy leads."""
REACH = 32
"""Bases that are put down to what came before them."""
SAME = 12
"""Equal bases of the next 16 after which a copy that missed counts as continued."""
LONGEST = 64
"""Bases of an insertion or deletion, at most."""


class Spent(NamedTuple):
    """By cause."""

    events: NDArray[np.int64]
    bases: NDArray[np.int64]
    first: NDArray[np.float64]
    """Bits of the bases at which the events are."""
    after: NDArray[np.float64]
    """Bits of the other bases."""


def nothing_spent() -> Spent:
    """To be added to."""
    count = len(CAUSES)
    return Spent(np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count), np.zeros(count))


@inline
def leader(state: SliceState) -> Int:
    """The slot of the leader; -1 without one."""
    slot, longest = -1, LEADS - 1
    for k in range(state.numbers[COPIES]):
        if state.bank[RUN + k] > longest:
            slot, longest = k, state.bank[RUN + k]
    return slot


@inline
def agree(panel: PanelTables, state: SliceState, base: Int) -> Int:
    """Whether all copies predict ``base``."""
    for k in range(state.numbers[COPIES]):
        if base_at(panel, state.bases, state.copy_places[k]) ^ np.int64(state.bank[FLIP + k]) != base:
            return False
    return True


@inline
def equal(panel: PanelTables, symbols: NDArray[np.uint8], at: Int, place: Int, step: Int) -> Int:
    """Of 16 bases of the slice from ``at`` on, how many equal those of a copy from ``place`` on."""
    offset, count = panel.history_offset, 0
    in_panel = place < offset
    for k in range(16):
        there = place + k * step
        if at + k >= symbols.shape[0] or there < 0 or (there < offset) != in_panel:
            break
        if there >= (panel.length if in_panel else offset + symbols.shape[0]):
            break
        base = base_at(panel, symbols, there)
        count += 1 if (base if step > 0 else 3 - base) == np.int64(symbols[at + k]) else 0
    return count


@inline
def why(panel: PanelTables, symbols: NDArray[np.uint8], at: Int, place: Int, step: Int) -> Int:
    """The cause for which a copy predicted another base than the one ``at``."""
    if equal(panel, symbols, at + 1, place + step, step) >= SAME:
        return MISMATCH
    for length in range(1, LONGEST + 1):
        if equal(panel, symbols, at, place + length * step, step) == 16:
            return DELETION
        if equal(panel, symbols, at + length, place, step) == 16:
            return INSERTION
    return LOST


def attribute(predictor: Predictor, bases: NDArray[np.uint8], starts: NDArray[np.int64], spent: Spent) -> bytes:
    """Encode a slice of ``bases``, which gives its stream, and add to ``spent``; records start at ``starts``."""
    coder = predictor.slice_coder(len(bases), bases)
    _attribute(coder.slice_, bases, starts, coder.stream, spent)
    return coder.finish()


@kernel
def _attribute(
    slice_: Slice, symbols: NDArray[np.uint8], starts: NDArray[np.int64], stream: NDArray[np.uint8], spent: Spent
) -> None:
    _, panel, state, _, _ = slice_
    numbers, registers, bank = state.numbers, state.registers, state.bank
    cause, left, number, held = UNPREDICTED, 0, 0, 0.0
    for at in range(symbols.shape[0]):
        in_run = numbers[HITS_LEFT] > 0  # its copies are at its end already
        first, slot = False, -1 if in_run else leader(state)
        if number < starts.shape[0] and starts[number] == at:
            cause, left, first = START, REACH, True
            number += 1
        elif left == 0 or cause != START:
            if slot >= 0:
                place, step = state.copy_places[slot], np.int64(bank[STEP + slot])
                if base_at(panel, state.bases, place) ^ np.int64(bank[FLIP + slot]) != np.int64(symbols[at]):
                    cause, left, first = why(panel, symbols, at, place, step), REACH, True
            if left == 0:
                cause = AGREED if in_run else UNPREDICTED
                if slot >= 0:
                    cause = AGREED if agree(panel, state, np.int64(symbols[at])) else DISPUTED
        left -= 1 if left else 0
        written, width = numbers[POSITION], np.float64(registers[WIDTH])
        run(slice_, symbols, at + 1, stream, 0, False)
        bits = held + 8 * (numbers[POSITION] - written) + np.log2(width) - np.log2(np.float64(registers[WIDTH]))
        held = bits if numbers[MISS_LEFT] else 0.0  # a match run that ends with a miss is coded for that
        bits -= held
        spent.events[cause] += 1 if first else 0
        spent.bases[cause] += 1
        spent.first[cause] += bits if first else 0.0
        spent.after[cause] += 0.0 if first else bits
