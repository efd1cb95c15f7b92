"""Code slices with a model's network, alone or as one more expert: batches of slices in lockstep, threads over batches.

A slice depends on the model and its own history only, so batches and threads decide the time and never the bytes.

In the paper's form a slice stores its first 64 bases with 2 bits each and the network takes over from there (the
paper's fixed-length grouping); a stream slice starts from a learned state and stores nothing. A slice that the network
would not make smaller is stored plain, 2 bits per base, which its length shows.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import cores, work_on_all
from geneformer_codec.errors import FormatError
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.config import Network
from geneformer_codec.network.device import check_device
from geneformer_codec.network.integer_network import CompiledDecoder, IntegerNetwork
from geneformer_codec.network.pytorch import torch
from geneformer_codec.network.slice_coder import SliceDecoder, SliceEncoder
from geneformer_codec.predict.lockstep import address_book, log_frequencies
from geneformer_codec.predict.two_bit import TwoBitCoder, cut, decode_plain, smaller

if TYPE_CHECKING:
    from geneformer_codec.predict.predictor import Predictor

CPU_BATCH = 64
"""Most slices that one thread decodes in lockstep: more would not fit its cache."""
GPU_BATCH = 1 << 12
"""Most slices in lockstep on a GPU: enough to fill it, and to fit its memory."""
MIXED_GPU_BATCH = 256
"""The same where experts code as well: those of each slice take about 2 MB."""


class NetworkCoder:
    """Codes bases with a network on ``device`` (``auto``, ``cpu``, ``cuda``); 0 ``threads`` are all cores."""

    def __init__(self, model_id: str, network: Network, device: str = "auto", threads: int = 0) -> None:
        self.model_id = model_id
        self._device = check_device(device)
        self._threads = threads or cores() if self._device == "cpu" else 1
        self._net = IntegerNetwork(network.config, network.tensors, make_backend(self._device))
        self._raw = 0 if network.config.causal else network.config.window
        compiled = self._device == "cpu" and network.config.causal
        self._compiled = CompiledDecoder(network.config, network.tensors) if compiled else None

    def encode(
        self, bases: NDArray[np.uint8], slice_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        """One byte string per slice; see `BaseCoder.encode`."""
        slices = cut(bases, slice_lengths)
        coded: list[bytes] = [b""] * len(slices)

        def work(batch: list[int], report: Progress) -> None:
            for number, data in zip(batch, self._encode_batch([slices[i] for i in batch], report), strict=True):
                coded[number] = smaller(data, slices[number])

        # one slice of a stream is enough for a CPU's products; a window is one row per slice, and a GPU needs many
        size = 1 if self._raw == 0 and self._device == "cpu" else self._share(len(slices))
        self._run(work, self._batches(slice_lengths, size), progress)
        return coded

    def decode(
        self,
        slices: Sequence[bytes],
        slice_lengths: Sequence[int],
        progress: Progress | None = None,
        stops: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        """The slices' bases, concatenated; see `BaseCoder.decode`."""
        ends = slice_lengths if stops is None else stops
        bases = np.empty(sum(ends), np.uint8)
        out = cut(bases, ends)
        coded = decode_plain(slices, slice_lengths, out, progress)

        def work(batch: list[int], report: Progress) -> None:
            decoded = self._decode_batch(
                [slices[i] for i in batch], [slice_lengths[i] for i in batch], [ends[i] for i in batch], report
            )
            for number, symbols in zip(batch, decoded, strict=True):
                out[number][:] = symbols

        self._run(work, self._batches(ends, self._share(len(coded)), coded), progress)
        return bases

    def _share(self, slices: int) -> int:
        """Slices in lockstep: on a CPU every thread's share, within its cache."""
        return max(1, min(-(-slices // self._threads), CPU_BATCH)) if self._device == "cpu" else GPU_BATCH

    def _batches(self, lengths: Sequence[int], size: int, slices: Sequence[int] | None = None) -> list[list[int]]:
        """Slices of like length together, longest first: a batch takes as long as its longest slice."""
        order = sorted(range(len(lengths)) if slices is None else slices, key=lambda slice_: -lengths[slice_])
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _run(
        self, work: Callable[[list[int], Progress], None], batches: list[list[int]], progress: Progress | None
    ) -> None:
        # torch's own threads would compete with those over batches
        alone = len(batches) <= 1 or self._threads == 1
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads if alone else before)
        try:
            work_on_all(work, batches, self._threads, progress, lambda: torch.set_num_threads(1))
        finally:
            torch.set_num_threads(before)

    def _encode_batch(self, slices: list[NDArray[np.uint8]], report: Progress) -> list[bytes]:
        lengths = np.array([len(slice_) for slice_ in slices], np.int64)
        symbols = np.zeros((len(slices), int(lengths.max())), np.uint8)
        for row, slice_ in zip(symbols, slices, strict=True):
            row[: len(slice_)] = slice_
        encoder = SliceEncoder(np.maximum(lengths - self._raw, 0))
        at = 0
        for frequencies in self._net.encode(symbols):
            size = min(frequencies.shape[1], symbols.shape[1] - at)
            skip = min(max(self._raw - at, 0), size)
            left = np.clip(lengths - at - skip, 0, size - skip)
            encoder.encode(symbols[:, at + skip : at + size], frequencies[:, skip:size], left)
            report(int(np.clip(lengths - at, 0, size).sum()))
            at += size
        streams = encoder.finish()
        if self._raw:
            heads = [slice_[: self._raw] for slice_ in slices]
            raw = TwoBitCoder().encode(np.concatenate(heads), [len(head) for head in heads])
            streams = [head + stream for head, stream in zip(raw, streams, strict=True)]
        return streams

    def _decode_batch(
        self, streams: list[bytes], whole: list[int], lengths: list[int], report: Progress
    ) -> list[NDArray[np.uint8]]:
        """The first ``lengths`` bases of slices of ``whole`` bases, which a network does not need."""
        longest, done = max(lengths), 0

        def report_to(position: int) -> None:
            nonlocal done
            before, done = done, sum(min(length, position) for length in lengths)
            report(done - before)

        if self._compiled:
            rows = self._compiled.decode(streams, longest, report_to)
            return [row[:length] for row, length in zip(rows, lengths, strict=True)]
        symbols = np.zeros((len(streams), longest), np.uint8)
        raw = [min(length, self._raw) for length in lengths]
        if self._raw:
            sizes = [-(-count // 4) for count in raw]
            if any(len(stream) < size for stream, size in zip(streams, sizes, strict=True)):
                raise FormatError("a slice is too short to hold its first bases")
            for row, stream, count, size in zip(symbols, streams, raw, sizes, strict=True):
                row[:count] = TwoBitCoder().decode([stream[:size]], [count])
            streams = [stream[size:] for stream, size in zip(streams, sizes, strict=True)]
        state, decoder = self._net.decoder(len(streams)), SliceDecoder(streams)
        column = np.zeros(len(streams), np.uint8)
        for position in range(longest):
            frequencies = state.predict()
            if position >= self._raw:
                decoder.decode(frequencies, column)
                symbols[:, position] = column
            state.push(symbols[:, position])
            report_to(position + 1)
        return [row[:length] for row, length in zip(symbols, lengths, strict=True)]


class MixedCoder(NetworkCoder):
    """Codes bases with a model's experts, of which its network is one: it predicts a batch, they mix and code.

    Every thread has a batch of its own. On a GPU the other threads' batches keep it busy while the experts of one work.
    """

    def __init__(
        self, predictor: "Predictor", model_id: str, network: Network, device: str = "auto", threads: int = 0
    ) -> None:
        super().__init__(model_id, network, device, threads)
        self._predictor = predictor
        if self._device != "cpu":
            self._threads = threads or cores()

    def _share(self, slices: int) -> int:
        share = max(1, -(-slices // self._threads))
        return min(share, CPU_BATCH if self._device == "cpu" else MIXED_GPU_BATCH)

    def _encode_batch(self, slices: list[NDArray[np.uint8]], report: Progress) -> list[bytes]:
        begun = [self._predictor.slice_coder(len(slice_), np.ascontiguousarray(slice_)) for slice_ in slices]
        symbols = np.zeros((len(slices), max(map(len, slices))), np.uint8)
        for row, bases in zip(symbols, slices, strict=True):
            row[: len(bases)] = bases
        at = 0
        for frequencies in self._net.encode(symbols):
            for slice_, row in zip(begun, frequencies, strict=True):
                stop = min(at + len(row), len(slice_.symbols))
                if at < stop:
                    log_frequencies(row[: stop - at].reshape(-1), slice_.slice_.state.network_logs[4 * at : 4 * stop])
                    slice_.run(stop, report)
            at += frequencies.shape[1]
        return [slice_.finish() for slice_ in begun]

    def _decode_batch(
        self, streams: list[bytes], whole: list[int], lengths: list[int], report: Progress
    ) -> list[NDArray[np.uint8]]:
        longest = max(lengths)
        symbols, network_logs = (
            np.zeros((len(streams), longest), np.uint8),
            np.zeros((len(streams), 4 * longest), np.int32),
        )
        begun = [
            self._predictor.slice_coder(size, row[:length], data, network_logs=logs[: 4 * length])
            for size, row, length, data, logs in zip(whole, symbols, lengths, streams, network_logs, strict=True)
        ]
        book, state = address_book([slice_.parts for slice_ in begun]), self._net.decoder(len(begun))
        now = np.empty(4 * len(begun), np.int32)
        for position in range(longest):
            log_frequencies(state.predict().reshape(-1), now)
            network_logs[:, 4 * position : 4 * position + 4] = now.reshape(-1, 4)
            self._predictor.run_slices(begun, book, position + 1)
            state.push(symbols[:, position])
            report(sum(position < length for length in lengths))
        return [row[:length] for row, length in zip(symbols, lengths, strict=True)]
