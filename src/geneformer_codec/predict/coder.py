"""Coding lanes with experts: counts, copies and their mixer. Threads work on different lanes.

A lane that the experts would not make smaller is stored plain, 2 bits a base: its length tells.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import cores, work_on_all
from geneformer_codec.predict.two_bit import cut, decode_plain, smaller

if TYPE_CHECKING:
    from geneformer_codec.predict.predictor import Predictor


class ExpertCoder:
    """Codes bases with a `Predictor`, on ``threads`` threads; 0 takes all cores."""

    def __init__(self, predictor: "Predictor", model_id: str, threads: int = 0) -> None:
        self.model_id = model_id
        self._predictor = predictor
        self._threads = threads or cores()

    def encode(
        self, bases: NDArray[np.uint8], lane_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        """One byte string a lane; see `BaseCoder.encode`."""
        lanes = cut(np.require(bases, requirements=["C", "W"]), lane_lengths)
        coded = [b""] * len(lanes)

        def work(number: int, report: Progress) -> None:
            lane = lanes[number]
            coded[number] = smaller(self._predictor.encode(lane, report), lane) if len(lane) else b""

        work_on_all(work, _longest_first(lane_lengths, range(len(lanes))), self._threads, progress)
        return coded

    def decode(
        self,
        lanes: Sequence[bytes],
        lane_lengths: Sequence[int],
        progress: Progress | None = None,
        stops: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        """The lanes' bases, concatenated; see `BaseCoder.decode`."""
        ends = lane_lengths if stops is None else stops
        bases = np.zeros(sum(ends), np.uint8)
        out = cut(bases, ends)
        coded = decode_plain(lanes, lane_lengths, out, progress)

        def work(number: int, report: Progress) -> None:
            self._predictor.decode(lanes[number], lane_lengths[number], report, ends[number], out[number])

        work_on_all(work, _longest_first(ends, coded), self._threads, progress)
        return bases


def _longest_first(lengths: Sequence[int], lanes: Sequence[int]) -> list[int]:
    """So that threads end at about the same time."""
    return sorted(lanes, key=lambda lane: -lengths[lane])
