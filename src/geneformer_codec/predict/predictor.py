"""The experts made ready: tables of the panel, initial state, and the coding of one slice."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import count_log
from geneformer_codec.coding.range_coder import END_BYTES, WHOLE, finish, first_code
from geneformer_codec.errors import FormatError
from geneformer_codec.predict.panel_tables import count_all, pack_words, seed_index
from geneformer_codec.predict.settings import ExpertSettings, index_bits
from geneformer_codec.predict.slice import begin, run
from geneformer_codec.predict.state import (
    BANK,
    BLOCK_BITS,
    DONE,
    FRAMES,
    LOW,
    NUMBERS,
    POSITION,
    WIDTH,
    MixerState,
    PanelTables,
    Slice,
    SliceState,
    low_places,
    new_scratch,
    padded_inputs,
    untrained_low,
    untrained_mixer,
)

AHEAD = 16
CHUNK = 1 << 15
"""Bases between two reports of progress, which are also the moments when work can be stopped."""
MAX_PLACES = (1 << 31) - (1 << 20)
"""Bases of panel and part together."""
_MAX_BASE_BYTES = 3
"""A base has at least 4 of 2**22, so it takes at most 20 bits."""


class Predictor:
    """Codes slices with a panel that has trained the counts, or without one.

    ``bases`` and ``starts`` are the panel's records end to end and where each begins; ``mixer`` and ``low``, the
    probabilities of short contexts, are the state a slice starts from, untrained if not given. A predictor is shared by
    threads: `encode` and `decode` make what they change.
    """

    def __init__(
        self,
        settings: ExpertSettings,
        bases: NDArray[np.uint8] | None = None,
        starts: NDArray[np.int64] | None = None,
        mixer: MixerState | None = None,
        low: NDArray[np.uint16] | None = None,
    ) -> None:
        self.settings = settings
        self.has_panel = bases is not None and len(bases) > 0
        self._kernel_settings = settings.kernel(not self.has_panel)
        self._panel = np.zeros(0, np.uint8) if bases is None else bases
        if len(self._panel) > MAX_PLACES:
            raise FormatError(f"a panel of {len(self._panel):,} bases is more than this version can index")
        sizes = [1 << min(2 * order, settings.table_bits) for order in settings.count_orders]
        self._count_at = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._low_at = low_places(settings.low_orders, settings.frame_orders)
        self.mixer = mixer or untrained_mixer(self._kernel_settings, settings.contexts)
        self.low = untrained_low(settings.low_orders, settings.frame_orders) if low is None else low
        starts = np.zeros(0, np.int64) if starts is None else starts
        self._starts = starts[starts < len(self._panel)]  # the last record may be empty
        self._tables = self._learn_panel() if self.has_panel else None

    def at(self, settings: ExpertSettings) -> "Predictor":
        """The same tables for settings that differ in how they are used only, such as another level's."""
        other = copy.copy(self)
        other.settings, other._kernel_settings = settings, settings.kernel(not self.has_panel)
        return other

    def _new_tables(self, seed_bits: int) -> PanelTables:
        """Tables of the panel, or of a slice's own counts without one, that have seen nothing."""
        settings, bases = self.settings, len(self._panel)
        logs = [count_log(count, prior) for prior in settings.count_priors for count in range(16)]
        return PanelTables(
            bases=self._panel,
            words=np.zeros(bases // 32 + 3, np.uint64),
            seeds=np.zeros((1 << seed_bits) + 1, np.uint32),
            places=np.zeros(bases, np.uint32),
            starts=self._starts,
            counts=np.zeros(int(self._count_at[-1]) + 16, np.uint16),
            count_orders=np.array(settings.count_orders, np.int64),
            count_at=self._count_at[:-1],
            count_logs=np.array(logs, np.int32),
            seed_bits=seed_bits,
            history_offset=-(-bases >> BLOCK_BITS) << BLOCK_BITS,
        )

    def _learn_panel(self) -> PanelTables:
        settings, tables = self.settings, self._new_tables(index_bits(len(self._panel)))

        def index() -> None:
            pack_words(tables.bases, tables.words)
            seed_index(tables, settings.panel_seed_length, np.zeros(AHEAD, np.int64))

        with ThreadPoolExecutor(1) as pool:  # beside the counts, both being bound by memory
            waiting = pool.submit(index)
            for number in range(len(settings.count_orders)):
                ahead = np.zeros(AHEAD, np.int64), np.zeros(AHEAD, np.int64)
                count_all(tables, number, settings.table_bits, settings.both_strands, *ahead)
            waiting.result()
        return tables

    def _new_state(self, length: int, low: NDArray[np.uint16], network_logs: NDArray[np.int32]) -> SliceState:
        if len(self._panel) + length > MAX_PLACES:
            raise FormatError(f"a slice of {length:,} bases is more than this version can index; use smaller parts")
        settings = self.settings
        bits = index_bits(length // max(settings.history_sampling, 1))
        registers = np.zeros(WIDTH + 1, np.uint64)
        registers[WIDTH] = WHOLE
        frames_at = len(settings.low_orders)
        return SliceState(
            bases=np.zeros(length, np.uint8),
            words=np.zeros(length // 32 + 3, np.uint64),
            chain_heads=np.zeros(1 << bits, np.int32),
            chain_previous=np.zeros(length + 1, np.int32),
            chain_bits=bits,
            scores=np.zeros((len(self._panel) >> BLOCK_BITS) + (length >> BLOCK_BITS) + 4, np.int32),
            low=low,
            low_orders=np.array(settings.low_orders, np.int64),
            low_at=self._low_at[:frames_at],
            frame_orders=np.array(settings.frame_orders, np.int64),
            frame_at=self._low_at[frames_at:-1],
            frame_scores=np.zeros(FRAMES, np.int64),
            network_logs=network_logs,
            registers=registers,
            numbers=np.zeros(NUMBERS, np.int64),
            bank=np.zeros(BANK, np.int32),
        )

    def slice_coder(
        self,
        length: int,
        symbols: NDArray[np.uint8],
        data: bytes | None = None,
        mixer: MixerState | None = None,
        low: NDArray[np.uint16] | None = None,
        network_logs: NDArray[np.int32] | None = None,
    ) -> "SliceCoder":
        """A slice of ``length`` bases to be encoded from ``symbols``, or decoded into them if there is ``data``.

        ``mixer`` and ``low`` are changed by the slice; copies of the initial state if not given. ``network_logs`` [4 *
        bases], where settings have a network, must hold its prediction of a base before the slice comes there.
        """
        if network_logs is None:
            network_logs = np.zeros(4 * len(symbols) if self.settings.network else 0, np.int32)
        state = self._new_state(length, self.low.copy() if low is None else low, network_logs)
        tables = self._tables or self._new_tables(0)
        scratch = new_scratch(padded_inputs(self.settings.heads, self.settings.contexts))
        slice_ = Slice(self._kernel_settings, tables, state, mixer or self.mixer.copy(), scratch)
        begin(slice_)
        if data is None:
            return SliceCoder(slice_, symbols, np.zeros(_MAX_BASE_BYTES * length + END_BYTES, np.uint8))
        state.registers[LOW], state.numbers[POSITION] = first_code(data), 8
        return SliceCoder(slice_, symbols, np.frombuffer(bytearray(data + b"\0"), np.uint8), len(data), True)

    def run_slices(self, slices: Sequence["SliceCoder"], book: NDArray[np.int64], stop: int) -> None:
        """Run all ``slices``, whose `lockstep.address_book` is ``book``, to ``stop`` or their ends."""
        from geneformer_codec.predict.lockstep import run_slices

        stops = np.array([min(stop, len(slice_.symbols)) for slice_ in slices], np.int64)
        run_slices(slices[0].parts, book, stops, slices[0].decoding)

    def encode(self, bases: NDArray[np.uint8], report: Callable[[int], None] | None = None) -> bytes:
        """One slice's stream. ``bases`` uint8 [n], values 0..3; ``report`` is called with numbers of bases done."""
        return self.adapt(bases, None, None, report)

    def adapt(
        self,
        bases: NDArray[np.uint8],
        mixer: MixerState | None,
        low: NDArray[np.uint16] | None,
        report: Callable[[int], None] | None = None,
        network_logs: NDArray[np.int32] | None = None,
    ) -> bytes:
        """Encode a slice that starts from ``mixer`` and ``low`` and leaves there what it learned: this is training.

        ``network_logs`` [4 * n] is the network's prediction, where settings have one (`lockstep.log_frequencies`).
        """
        if self.settings.network and network_logs is None:
            raise ValueError("the settings have a network, so its prediction is needed")
        slice_ = self.slice_coder(len(bases), bases, None, mixer, low, network_logs)
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
        """The first ``stop`` bases of a slice of ``length``, all by default, in ``out`` if that is given.

        Any bytes decode to something; a checksum must say whether it is right.
        """
        wanted = length if stop is None else min(stop, length)
        slice_ = self.slice_coder(length, np.zeros(wanted, np.uint8) if out is None else out, data)
        slice_.run(wanted, report)
        return slice_.symbols


@dataclass(frozen=True, eq=False)
class SliceCoder:
    """A slice at work: run on, from where it is, as often as wanted."""

    slice_: Slice
    symbols: NDArray[np.uint8]
    stream: NDArray[np.uint8]
    end: int = 0
    decoding: bool = False

    @property
    def parts(self) -> tuple[Any, ...]:
        """What `lockstep.run_slices` takes."""
        return self.slice_, self.symbols, self.stream, self.end

    def run(self, stop: int, report: Callable[[int], None] | None = None) -> None:
        """Code on to base ``stop``."""
        while (done := int(self.slice_.state.numbers[DONE])) < stop:
            to = min(done + CHUNK, stop)
            run(self.slice_, self.symbols, to, self.stream, self.end, self.decoding)
            if report:
                report(to - done)

    def finish(self) -> bytes:
        """The stream, of a slice that was encoded to its end."""
        state = self.slice_.state
        low, width = (int(state.registers[at]) for at in (LOW, WIDTH))
        return finish(low, width, int(state.numbers[POSITION]), self.stream)
