"""The experts made ready: tables of the panel, initial state, and the coding of one slice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import count_log
from geneformer_codec.coding.range_coder import END_BYTES, WHOLE, finish, first_code
from geneformer_codec.errors import FormatError
from geneformer_codec.predict.panel_strands import count_hits
from geneformer_codec.predict.panel_tables import COUNTS_PAD, MAX_BASES, PackedPanel, SeedIndex, count_places
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
    REGISTERS,
    ROOM,
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

CHUNK = 1 << 15
"""Bases between two reports of progress, which are also the moments when work can be stopped."""
MAX_PLACES = (1 << 31) - (1 << 20)
"""Bases of a slice."""
_MAX_BASE_BYTES = 3
"""A base has at least 4 of 2**22, so it takes at most 20 bits. One that ends a match run takes at most 28:
17 of them for the place, as a miss has at least 64 of 2**22, and 11 which. The next base is never another such."""


NO_INDEX = SeedIndex(np.zeros(2, np.uint32), np.zeros(0, np.uint8), np.zeros(0, np.uint32), np.zeros(0, np.uint8))


class Predictor:
    """Codes slices with a panel that has trained the counts, or without one.

    ``mixer`` and ``low``, the probabilities of short contexts, are the state a slice starts from, untrained if not
    given; ``tables`` are the panel's, if they were made for such settings before. A predictor is shared by threads:
    `encode` and `decode` make what they change.
    """

    def __init__(
        self,
        settings: ExpertSettings,
        panel: PackedPanel | None = None,
        mixer: MixerState | None = None,
        low: NDArray[np.uint16] | None = None,
        tables: PanelTables | None = None,
    ) -> None:
        self.settings = settings
        self._panel = panel or PackedPanel.of(np.zeros(0, np.uint8))
        self.has_panel = self._panel.length > 0
        if self._panel.length > MAX_BASES:
            raise FormatError(f"a panel of {self._panel.length:,} bases is more than this version can index")
        self._kernel_settings = settings.kernel(not self.has_panel)
        self._low_at = low_places(settings.low_orders, settings.frame_orders)
        self.mixer = mixer or untrained_mixer(self._kernel_settings, settings.contexts)
        self.low = untrained_low(settings.low_orders, settings.frame_orders) if low is None else low
        self._tables = tables or (self._panel_tables() if self.has_panel else None)

    def at(self, settings: ExpertSettings) -> "Predictor":
        """The same tables for settings that differ in how they are used only, such as another level's.

        The state is the same, too, if it is one for such settings, else untrained.
        """
        kept = settings.kinds == self.settings.kinds
        mixer, low = (self.mixer, self.low) if kept else (None, None)
        return Predictor(settings, self._panel, mixer, low, self._tables)

    @property
    def tables(self) -> PanelTables | None:
        """The panel's; None without a panel."""
        return self._tables

    def _panel_tables(self) -> PanelTables:
        """Tables of the panel, or of a slice's own counts without one, that have seen nothing."""
        settings, panel = self.settings, self._panel
        places = count_places(settings.count_orders, settings.table_bits)
        if self.has_panel:
            index = panel.seed_index(settings.panel_seed_length, settings.panel_sampling)
            counts = panel.counts(settings.count_orders, settings.table_bits, settings.both_strands)
        else:
            index, counts = NO_INDEX, np.zeros(places[-1] + COUNTS_PAD, np.uint16)
        logs = [count_log(count, prior) for prior in settings.count_priors for count in range(16)]
        return PanelTables(
            words=panel.words,
            **index._asdict(),
            starts=panel.starts,
            counts=counts,
            count_orders=np.array(settings.count_orders, np.int64),
            count_at=np.array(places[:-1], np.int64),
            count_logs=np.array(logs, np.int32),
            length=panel.length,
            row_bits=index.row_bits,
            history_offset=-(-panel.length >> BLOCK_BITS) << BLOCK_BITS,
        )

    def _new_state(self, length: int, low: NDArray[np.uint16], network_logs: NDArray[np.int32]) -> SliceState:
        if length > MAX_PLACES:
            raise FormatError(f"a slice of {length:,} bases is more than this version can index; use smaller parts")
        settings = self.settings
        bits = index_bits(length // max(settings.history_sampling, 1))
        registers = np.zeros(REGISTERS, np.uint64)
        registers[WIDTH] = WHOLE
        frames_at = len(settings.low_orders)
        return SliceState(
            bases=np.zeros(length, np.uint8),
            words=np.zeros(length // 32 + 3, np.uint64),
            chain_heads=np.zeros(1 << bits, np.int32),
            chain_previous=np.zeros(length + 1, np.int32),
            chain_bits=bits,
            slice_length=length,
            scores=np.zeros((self._panel.length >> BLOCK_BITS) + (length >> BLOCK_BITS) + 4, np.int32),
            low=low,
            low_orders=np.array(settings.low_orders, np.int64),
            low_at=self._low_at[:frames_at],
            frame_orders=np.array(settings.frame_orders, np.int64),
            frame_at=self._low_at[frames_at:-1],
            frame_scores=np.zeros(FRAMES, np.int64),
            network_logs=network_logs,
            registers=registers,
            numbers=np.zeros(NUMBERS, np.int64),
            copy_places=np.zeros(ROOM, np.int64),
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
        tables = self._tables or self._panel_tables()
        scratch = new_scratch(padded_inputs(self.settings.heads, self.settings.contexts))
        slice_ = Slice(self._kernel_settings, tables, state, mixer or self.mixer.copy(), scratch)
        begin(slice_)
        if data is None:
            return SliceCoder(slice_, symbols, np.zeros(_MAX_BASE_BYTES * length + END_BYTES, np.uint8))
        state.registers[LOW], state.numbers[POSITION] = first_code(data), 8
        return SliceCoder(slice_, symbols, np.frombuffer(bytearray(data + b"\0"), np.uint8), len(data), True)

    def strand_hits(self, bases: NDArray[np.uint8]) -> tuple[int, int]:
        """How many seeds of ``bases`` the panel has, with 32 equal bases, on this strand and on the other."""
        hits = np.zeros(2, np.int64)
        if self._tables:
            count_hits(self._kernel_settings, self._tables, bases, hits)
        return int(hits[0]), int(hits[1])

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

        Any bytes decode to something; a checksum must detect errors.
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
