"""The experts made ready: tables of the panel, starting state, and the coding of one slice."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.predict import panel_tables as tables
from geneformer_codec.predict import slice as loop
from geneformer_codec.predict.integers import count_log
from geneformer_codec.predict.settings import ExpertSettings
from geneformer_codec.predict.state import (
    AT,
    BLOCK_BITS,
    CODE,
    DONE,
    FRAMES,
    NUMBERS,
    WIDTH,
    Frozen,
    Local,
    Mixing,
    Settings,
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
    """Codes slices with a panel that has taught the counts, or without one.

    ``bases`` and ``starts`` are the panel's records end to end and where each begins; ``start`` is the state a slice
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
        self._logs = np.array([count_log(k, prior) for prior in settings.count_priors for k in range(16)], np.int32)
        self._low_orders = np.array(settings.low_orders, np.int64)
        self._frame_orders = np.array(settings.frame_orders, np.int64)
        self._low_at = low_places(settings.low_orders, settings.frame_orders)
        self.start = start or untrained(self._cfg, settings.contexts)
        self.low = fresh_low(settings.low_orders, settings.frame_orders) if low is None else low
        starts = np.zeros(0, np.int64) if starts is None else starts
        self._starts = starts[starts < len(self._panel)]  # the last record may be empty
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
        with ThreadPoolExecutor(1) as pool:  # beside the counts, both being bound by memory
            waiting = pool.submit(self._index, panel, words, bits, seeds, places)
            for order, at in zip(settings.count_orders, self._count_at, strict=False):
                tables.count_all(
                    panel, order, int(at), settings.table_bits, settings.both_strands, counts,
                    np.zeros(AHEAD, np.int64), np.zeros(AHEAD, np.int64),
                )  # fmt: skip
            waiting.result()
        return Frozen(panel, words, seeds, places, self._starts, counts, self._orders, self._count_at[:-1], self._logs)

    def _index(
        self,
        panel: NDArray[np.uint8],
        words: NDArray[np.uint64],
        bits: int,
        seeds: NDArray[np.uint32],
        places: NDArray[np.uint32],
    ) -> None:
        tables.pack_words(panel, words)
        tables.seed_index(panel, self.settings.seed, bits, seeds, places, np.zeros(AHEAD, np.int64))

    def _own_tables(self) -> Frozen:
        """Counts of the slice's own where there is no panel."""
        none = np.zeros(0, np.uint8)
        counts = np.zeros(int(self._count_at[-1]) + 16, np.uint16)
        return Frozen(
            none, np.zeros(3, np.uint64), np.zeros(2, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.int64), counts,
            self._orders, self._count_at[:-1], self._logs,
        )  # fmt: skip

    def _slice(
        self, length: int, mix: Mixing, low: NDArray[np.uint16], outside: NDArray[np.int32]
    ) -> tuple[Frozen, Local, NDArray[np.int32], Work]:
        if len(self._panel) + length > MAX_PLACES:
            raise FormatError(f"a slice of {length:,} bases is more than this version can index; use smaller parts")
        frozen = self._frozen or self._own_tables()
        bits = min(24, max(12, (length // max(self.settings.sampled, 1)).bit_length()))
        blocks = (len(self._panel) >> BLOCK_BITS) + (length >> BLOCK_BITS) + 4
        registers = np.zeros(6, np.uint64)
        registers[WIDTH] = _ALL
        frames_at = len(self._low_orders)
        local = Local(
            np.zeros(length, np.uint8), np.zeros(length // 32 + 3, np.uint64), np.zeros(1 << bits, np.int32),
            np.zeros(length + 1, np.int32), np.zeros(blocks, np.int32), low, self._low_orders, self._low_at[:frames_at],
            self._frame_orders, self._low_at[frames_at:-1], np.zeros(FRAMES, np.int64),
            outside, registers, np.zeros(NUMBERS, np.int64),
        )  # fmt: skip
        bank = make_copies()
        work = make_work(inputs_of(self.settings.heads, self.settings.contexts))
        loop.begin(self._cfg, frozen, local, bank, mix, work)
        return frozen, local, bank, work

    def slice_(
        self,
        length: int,
        symbols: NDArray[np.uint8],
        data: bytes | None = None,
        mix: Mixing | None = None,
        low: NDArray[np.uint16] | None = None,
        outside: NDArray[np.int32] | None = None,
    ) -> "Slice":
        """A slice of ``length`` bases to be encoded from ``symbols``, or decoded into them if there is ``data``.

        ``mix`` and ``low`` are changed by the slice; copies of what the experts start from if not given. ``outside``
        [4 * bases], where settings have a network, is to hold what it says of a base before the slice comes there.
        """
        if outside is None:
            outside = np.zeros(4 * len(symbols) if self.settings.network else 0, np.int32)
        mix, low = mix or self.start.copy(), self.low.copy() if low is None else low
        frozen, local, bank, work = self._slice(length, mix, low, outside)
        if data is None:
            return Slice(
                self._cfg, frozen, local, bank, mix, work, symbols, np.zeros(3 * length + _END_BYTES, np.uint8)
            )
        local.registers[CODE] = int.from_bytes(data[:8].ljust(8, b"\0"), "big")
        local.numbers[AT] = 8
        stream = np.frombuffer(bytearray(data + b"\0"), np.uint8)
        return Slice(self._cfg, frozen, local, bank, mix, work, symbols, stream, len(data), True)

    def run_slices(self, slices: Sequence["Slice"], book: NDArray[np.int64], stop: int) -> None:
        """Run all ``slices``, whose `lockstep.address_book` is ``book``, to ``stop`` or their ends."""
        from geneformer_codec.predict.lockstep import run_slices

        stops = np.array([min(stop, len(slice_.symbols)) for slice_ in slices], np.int64)
        run_slices(self._cfg, slices[0].frozen, book, stops, slices[0].decoding)

    def encode(self, bases: NDArray[np.uint8], report: Callable[[int], None] | None = None) -> bytes:
        """One slice's stream. ``bases`` uint8 [n], values 0..3; ``report`` is told of bases done now and then."""
        return self.adapt(bases, None, None, report)

    def adapt(
        self,
        bases: NDArray[np.uint8],
        mix: Mixing | None,
        low: NDArray[np.uint16] | None,
        report: Callable[[int], None] | None = None,
        outside: NDArray[np.int32] | None = None,
    ) -> bytes:
        """Encode a slice that starts from ``mix`` and ``low`` and leaves there what it learned: this is training.

        ``outside`` [4 * n] is what the network says of the slice, where settings have one (`lockstep.log_frequencies`).
        """
        if self.settings.network and outside is None:
            raise ValueError("the settings have a network, so what it says is needed")
        slice_ = self.slice_(len(bases), bases, None, mix, low, outside)
        slice_.run(len(bases), report)
        return slice_.finish()

    def decode(
        self,
        data: bytes,
        length: int,
        report: Callable[[int], None] | None = None,
        stop: int | None = None,
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """The first ``stop`` bases of a slice of ``length``, all if not said, in ``out`` if that is given.

        Any bytes decode to something; a checksum must say whether it is right.
        """
        wanted = length if stop is None else min(stop, length)
        slice_ = self.slice_(length, np.zeros(wanted, np.uint8) if out is None else out, data)
        slice_.run(wanted, report)
        return slice_.symbols


@dataclass(frozen=True, eq=False)
class Slice:
    """A slice at work: run on, from where it is, as often as wanted."""

    cfg: Settings
    frozen: Frozen
    local: Local
    bank: NDArray[np.int32]
    mix: Mixing
    work: Work
    symbols: NDArray[np.uint8]
    stream: NDArray[np.uint8]
    end: int = 0
    decoding: bool = False

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """In the order of `lockstep.run_slices`."""
        return self.symbols, self.stream, *self.local, self.bank, *self.mix, *self.work

    def run(self, stop: int, report: Callable[[int], None] | None = None) -> None:
        """Code on to base ``stop``."""
        while (done := int(self.local.numbers[DONE])) < stop:
            to = min(done + CHUNK, stop)
            loop.run(
                self.cfg, self.frozen, self.local, self.bank, self.mix, self.work, self.symbols, to, self.stream,
                self.end, self.decoding,
            )  # fmt: skip
            if report:
                report(to - done)

    def finish(self) -> bytes:
        """The stream, of a slice that was encoded to its end."""
        return self.stream[: loop.finish(self.local, self.stream)].tobytes()
