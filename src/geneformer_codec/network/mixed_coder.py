"""Coding slices with experts that also hear a network: it predicts a batch of slices, they mix and code.

Every thread has a batch of its own. On a GPU the batches of other threads keep it busy while the experts of one are at
work on the CPU. As always, none of this decides a byte.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import cores
from geneformer_codec.network.coder import CPU_BATCH, NetworkCoder
from geneformer_codec.predict.lockstep import address_book, log_frequencies

if TYPE_CHECKING:
    from geneformer_codec.model.file import Model
    from geneformer_codec.predict.predictor import Predictor

MIXED_BATCH = 256
"""Slices in lockstep on a GPU at most: the experts of each take about 2 MB."""


class MixedCoder(NetworkCoder):
    """Codes bases with a model's experts and network; the arguments are those of `NetworkCoder`."""

    def __init__(
        self,
        predictor: "Predictor",
        model: "Model",
        device: str = "auto",
        threads: int = 0,
        *,
        arithmetic: str = "auto",
        slice_batch: int = 0,
    ) -> None:
        super().__init__(model, device, threads, arithmetic=arithmetic, slice_batch=slice_batch)
        self._predictor = predictor
        if self._device != "cpu":
            self._threads = threads or cores()

    def _share(self, slices: int) -> int:
        share = max(1, -(-slices // self._threads))
        return min(share, CPU_BATCH if self._device == "cpu" else MIXED_BATCH)

    def _encode_batch(self, slices: list[NDArray[np.uint8]], report: Progress) -> list[bytes]:
        begun = [self._predictor.slice_coder(len(slice_), np.ascontiguousarray(slice_)) for slice_ in slices]
        symbols = np.zeros((len(slices), max(map(len, slices))), np.uint8)
        for row, bases in zip(symbols, slices, strict=True):
            row[: len(bases)] = bases
        at = 0
        for frequencies in self._net.encode(symbols):
            for slice_, heard in zip(begun, frequencies, strict=True):
                stop = min(at + len(heard), len(slice_.symbols))
                if at < stop:
                    log_frequencies(heard[: stop - at].reshape(-1), slice_.slice_.state.network_logs[4 * at : 4 * stop])
                    slice_.run(stop, report)
            at += frequencies.shape[1]
        return [slice_.finish() for slice_ in begun]

    def _decode_batch(
        self, streams: list[bytes], whole: list[int], lengths: list[int], report: Progress
    ) -> list[NDArray[np.uint8]]:
        longest = max(lengths)
        symbols, heard = np.zeros((len(streams), longest), np.uint8), np.zeros((len(streams), 4 * longest), np.int32)
        begun = [
            self._predictor.slice_coder(size, row[:length], data, network_logs=logs[: 4 * length])
            for size, row, length, data, logs in zip(whole, symbols, lengths, streams, heard, strict=True)
        ]
        book, state = address_book([slice_.parts for slice_ in begun]), self._net.decoder(len(begun))
        now = np.empty(4 * len(begun), np.int32)
        for position in range(longest):
            log_frequencies(state.predict().reshape(-1), now)
            heard[:, 4 * position : 4 * position + 4] = now.reshape(-1, 4)
            self._predictor.run_slices(begun, book, position + 1)
            state.push(symbols[:, position])
            report(sum(position < length for length in lengths))
        return [row[:length] for row, length in zip(symbols, lengths, strict=True)]
