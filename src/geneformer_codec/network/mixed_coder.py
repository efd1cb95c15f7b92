"""Coding lanes with experts that also hear a network: it predicts a batch of lanes, they mix and code.

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
"""Lanes in lockstep on a GPU at most: the experts of each take about 2 MB."""


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
        lane_batch: int = 0,
    ) -> None:
        super().__init__(model, device, threads, arithmetic=arithmetic, lane_batch=lane_batch)
        self._predictor = predictor
        if self._device != "cpu":
            self._threads = threads or cores()

    def _share(self, lanes: int) -> int:
        share = max(1, -(-lanes // self._threads))
        return min(share, CPU_BATCH if self._device == "cpu" else MIXED_BATCH)

    def _encode_batch(self, lanes: list[NDArray[np.uint8]], report: Progress) -> list[bytes]:
        begun = [self._predictor.lane(len(lane), np.ascontiguousarray(lane)) for lane in lanes]
        symbols = np.zeros((len(lanes), max(map(len, lanes))), np.uint8)
        for row, bases in zip(symbols, lanes, strict=True):
            row[: len(bases)] = bases
        at = 0
        for frequencies in self._net.encode(symbols):
            for lane, heard in zip(begun, frequencies, strict=True):
                stop = min(at + len(heard), len(lane.symbols))
                if at < stop:
                    log_frequencies(heard[: stop - at].reshape(-1), lane.local.outside[4 * at : 4 * stop])
                    lane.run(stop, report)
            at += frequencies.shape[1]
        return [lane.finish() for lane in begun]

    def _decode_batch(
        self, streams: list[bytes], whole: list[int], lengths: list[int], report: Progress
    ) -> list[NDArray[np.uint8]]:
        longest = max(lengths)
        symbols, heard = np.zeros((len(streams), longest), np.uint8), np.zeros((len(streams), 4 * longest), np.int32)
        begun = [
            self._predictor.lane(size, row[:length], data, outside=logs[: 4 * length])
            for size, row, length, data, logs in zip(whole, symbols, lengths, streams, heard, strict=True)
        ]
        book, state = address_book([lane.arrays for lane in begun]), self._net.decoder(len(begun))
        now = np.empty(4 * len(begun), np.int32)
        for position in range(longest):
            log_frequencies(state.predict().reshape(-1), now)
            heard[:, 4 * position : 4 * position + 4] = now.reshape(-1, 4)
            self._predictor.run_lanes(begun, book, position + 1)
            state.push(symbols[:, position])
            report(sum(position < length for length in lengths))
        return [row[:length] for row, length in zip(symbols, lengths, strict=True)]
