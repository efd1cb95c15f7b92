"""Coding slices with experts: counts, copies and their mixer. Threads work on different slices.

A slice that the experts would not make smaller is stored plain, 2 bits per base, which its length shows.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import cores, with_free, work_on_all
from geneformer_codec.predict.two_bit import cut, decode_plain, smaller

if TYPE_CHECKING:
    from geneformer_codec.predict.predictor import Predictor


class ExpertCoder:
    """Codes bases with a `Predictor`, on ``threads`` threads, of those that ``working`` has; 0 takes all cores."""

    def __init__(
        self, predictor: "Predictor", model_id: str, threads: int = 0, working: "threading.Semaphore | None" = None
    ) -> None:
        self.model_id = model_id
        self.predictor = predictor
        self._threads, self._working = threads or cores(), working

    def for_strands(self, both: bool, working: "threading.Semaphore | None" = None) -> "ExpertCoder":
        """The same, learning from one strand or from both; on threads that ``working`` has."""
        settings = replace(self.predictor.settings, both_strands=both)
        return ExpertCoder(self.predictor.at(settings), self.model_id, self._threads, working)

    def encode(
        self, bases: NDArray[np.uint8], slice_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        """One byte string per slice; see `BaseCoder.encode`. Bases above 3 are chosen here."""
        slices = cut(np.require(bases, requirements=["C", "W"]), slice_lengths)
        coded = [b""] * len(slices)

        def work(number: int, report: Progress) -> None:
            slice_ = slices[number]
            coded[number] = smaller(self.predictor.encode(slice_, report), slice_) if len(slice_) else b""

        self._on_all(work, _longest_first(slice_lengths, range(len(slices))), progress)
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
        bases = np.zeros(sum(ends), np.uint8)
        out = cut(bases, ends)
        coded = decode_plain(slices, slice_lengths, out, progress)

        def work(number: int, report: Progress) -> None:
            self.predictor.decode(slices[number], slice_lengths[number], report, ends[number], out[number])

        self._on_all(work, _longest_first(ends, coded), progress)
        return bases

    def _on_all(self, work: Callable[[int, Progress], None], slices: list[int], progress: Progress | None) -> None:
        with with_free(self._working, min(self._threads, len(slices))) as threads:
            work_on_all(work, slices, threads, progress)


def _longest_first(lengths: Sequence[int], slices: Sequence[int]) -> list[int]:
    """So that threads end at about the same time."""
    return sorted(slices, key=lambda slice_: -lengths[slice_])
