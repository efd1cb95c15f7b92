"""The experts made ready: tables of the panel, starting state, and the coding of one lane."""

import copy
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from . import lane, tables
from .settings import ExpertSettings
from .state import (
    AT,
    BLOCK_BITS,
    CODE,
    FRAMES,
    WIDTH,
    Frozen,
    Local,
    Mixing,
    Work,
    fresh_low,
    inputs_of,
    low_places,
    make_copies,
    make_work,
    untrained,
)

AHEAD = 16
CHUNK = 1 << 15
"""Bases between two reports of progress, which are also the moments when work can be stopped."""
MAX_PLACES = (1 << 31) - (1 << 20)
"""Bases of panel and part together."""
_END_BYTES = 64
_ALL = (1 << 64) - 1


class Predictor:
    """Codes lanes with a panel that has taught the counts, or without one.

    ``bases`` and ``starts`` are the panel's records end to end and where each begins; ``start`` is the state a lane
    starts from (`Mixing`), and ``low`` the probabilities of its short contexts; None for untrained ones. A predictor is
    shared by threads: `encode` and `decode` make what they change.
    """

    def __init__(
        self,
        settings: ExpertSettings,
        bases: NDArray[np.uint8] | None = None,
        starts: NDArray[np.int64] | None = None,
        start: Mixing | None = None,
        low: NDArray[np.uint16] | None = None,
    ) -> None:
        self.settings = settings
        self.has_panel = bases is not None and len(bases) > 0
        self._cfg = settings.kernel(not self.has_panel)
        self._panel = np.zeros(0, np.uint8) if bases is None else bases
        if len(self._panel) > MAX_PLACES:
            raise FormatError(f"a panel of {len(self._panel):,} bases is more than this version can index")
        self._orders = np.array(settings.count_orders, np.int64)
        sizes = [1 << min(2 * order, settings.table_bits) for order in settings.count_orders]
        self._count_at = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._logs = np.array(
            [round(128 * math.log2(k + prior / 100)) for prior in settings.count_priors for k in range(16)], np.int32
        )
        self._low_orders = np.array(settings.low_orders, np.int64)
        self._frame_orders = np.array(settings.frame_orders, np.int64)
        self._low_at = low_places(settings.low_orders, settings.frame_orders)
        self.start = start or untrained(self._cfg, settings.contexts)
        self.low = fresh_low(settings.low_orders, settings.frame_orders) if low is None else low
        self._starts = np.zeros(0, np.int64) if starts is None or not self.has_panel else starts[: len(starts)]
        self._frozen = self._freeze() if self.has_panel else None

    def at(self, settings: ExpertSettings) -> "Predictor":
        """The same tables for settings that differ in how they are used only, such as another level's."""
        other = copy.copy(self)
        other.settings, other._cfg = settings, settings.kernel(not self.has_panel)
        return other

    def _freeze(self) -> Frozen:
        panel, settings = self._panel, self.settings
        words = np.zeros(len(panel) // 32 + 3, np.uint64)
        bits = min(24, max(12, len(panel).bit_length()))
        seeds, places = np.zeros((1 << bits) + 1, np.uint32), np.zeros(len(panel), np.uint32)
        counts = np.zeros(int(self._count_at[-1]) + 16, np.uint16)
        tables.pack_words(panel, words)
        tables.seed_index(panel, settings.seed, bits, seeds, places, np.zeros(AHEAD, np.int64))
        for order, at in zip(settings.count_orders, self._count_at, strict=False):
            tables.count_all(
                panel,
                order,
                int(at),
                settings.table_bits,
                settings.both_strands,
                counts,
                np.zeros(AHEAD, np.int64),
                np.zeros(AHEAD, np.int64),
            )
        return Frozen(panel, words, seeds, places, self._starts, counts, self._orders, self._count_at[:-1], self._logs)

    def _own_tables(self) -> Frozen:
        """Counts of the lane's own where there is no panel."""
        none = np.zeros(0, np.uint8)
        counts = np.zeros(int(self._count_at[-1]) + 16, np.uint16)
        return Frozen(
            none, np.zeros(3, np.uint64), np.zeros(2, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.int64), counts,
            self._orders, self._count_at[:-1], self._logs,
        )  # fmt: skip

    def _lane(
        self, length: int, mix: Mixing, low: NDArray[np.uint16], outside: NDArray[np.int32] | None = None
    ) -> tuple[Frozen, Local, NDArray[np.int32], Work]:
        if len(self._panel) + length > MAX_PLACES:
            raise FormatError(f"a lane of {length:,} bases is more than this version can index; use smaller parts")
        frozen = self._frozen or self._own_tables()
        bits = min(24, max(12, length.bit_length()))
        blocks = (len(self._panel) >> BLOCK_BITS) + (length >> BLOCK_BITS) + 4
        registers = np.zeros(6, np.uint64)
        registers[WIDTH] = _ALL
        frames_at = len(self._low_orders)
        local = Local(
            np.zeros(length, np.uint8), np.zeros(length // 32 + 3, np.uint64), np.zeros(1 << bits, np.int32),
            np.zeros(length + 1, np.int32), np.zeros(blocks, np.int32), low, self._low_orders, self._low_at[:frames_at],
            self._frame_orders, self._low_at[frames_at:-1], np.zeros(FRAMES, np.int64),
            np.zeros(0, np.int32) if outside is None else outside, registers, np.zeros(5, np.int64),
        )  # fmt: skip
        bank = make_copies()
        work = make_work(inputs_of(self.settings.heads, self.settings.contexts))
        lane.begin(self._cfg, frozen, local, bank, mix, work)
        return frozen, local, bank, work

    def encode(self, bases: NDArray[np.uint8], report: Callable[[int], None] | None = None) -> bytes:
        """One lane's stream. ``bases`` uint8 [n], values 0..3; ``report`` is told of bases done now and then."""
        mix, low = self.start.copy(), self.low.copy()
        return self.adapt(bases, mix, low, report)

    def adapt(
        self,
        bases: NDArray[np.uint8],
        mix: Mixing,
        low: NDArray[np.uint16],
        report: Callable[[int], None] | None = None,
    ) -> bytes:
        """Encode a lane that starts from ``mix`` and ``low`` and leaves there what it learned: this is training."""
        frozen, local, bank, work = self._lane(len(bases), mix, low)
        stream = np.zeros(3 * len(bases) + _END_BYTES, np.uint8)
        for stop in range(CHUNK, len(bases) + CHUNK, CHUNK):
            size = min(stop, len(bases)) - (stop - CHUNK)
            lane.run(self._cfg, frozen, local, bank, mix, work, bases, stop - CHUNK + size, stream, 0, False)
            if report:
                report(size)
        end = lane.finish(local, stream)
        return stream[:end].tobytes()

    def decode(
        self, data: bytes, length: int, report: Callable[[int], None] | None = None, stop: int | None = None
    ) -> NDArray[np.uint8]:
        """The first ``stop`` bases of a lane of ``length``, all if not said.

        Any bytes decode to something; a checksum must say whether it is right.
        """
        wanted = length if stop is None else min(stop, length)
        mix, low = self.start.copy(), self.low.copy()
        frozen, local, bank, work = self._lane(length, mix, low)
        local.registers[CODE] = int.from_bytes(data[:8].ljust(8, b"\0"), "big")
        local.numbers[AT] = 8
        stream, out = np.frombuffer(bytearray(data + b"\0"), np.uint8), np.zeros(wanted, np.uint8)
        for end in range(CHUNK, wanted + CHUNK, CHUNK):
            size = min(end, wanted) - (end - CHUNK)
            lane.run(self._cfg, frozen, local, bank, mix, work, out, end - CHUNK + size, stream, len(data), True)
            if report:
                report(size)
        return out
