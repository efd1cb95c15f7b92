"""Launches of a kernel, and how the host works while a kernel runs.

A launch codes some slices, in five phases:

1. *prepare*, on the host: bases are interleaved, or streams are set in rows, in memory that is locked to its place;
2. *send*: an arena, the memory of all slices, is allocated on the device, and filled;
3. *run* the kernel, `CHUNK` bases at a time;
4. *fetch* what came of it into the same memory of the host, and release the arena;
5. *unpack* it there: ends of streams are written, or bases turned back.

At most `AHEAD` launches are in these phases at a time, each with a queue of its own, and one of them runs its kernel.
Meanwhile the launch before is fetched and unpacked, and the next one prepared and sent; if the device has no memory for
a second arena, the next one is only prepared. What is held is bounded: two arenas, and two buffers of the host of about
a byte a base.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.range_coder import END_BYTES, finish
from geneformer_codec.cuda.device import Queue
from geneformer_codec.cuda.layout import (
    FINAL_LOW,
    FINAL_POSITION,
    FINAL_WIDTH,
    RESULT,
    STOP,
    STREAM_END,
    Work,
)
from geneformer_codec.cuda.pipeline import Pipeline, Slot
from geneformer_codec.cuda.program import Program
from geneformer_codec.predict.predictor import CHUNK

Bytes = NDArray[np.uint8]


class Launch:
    """Slices that are run together, the longest first."""

    def __init__(self, pipeline: Pipeline, program: Program, works: Sequence[Work], decoding: bool) -> None:
        self._pipeline, self._program, self._works, self._decoding = pipeline, program, works, decoding
        self._layout, self._kernel = program.layout, program.kernel
        self._lanes = self._layout.lanes
        self._result_bytes = 8 * RESULT * self._lanes  # of a group
        self._groups = [works[first : first + self._lanes] for first in range(0, len(works), self._lanes)]

    def run(self, report: Callable[[NDArray[np.int64]], None]) -> None:
        """Code the slices.

        Calls ``report`` before work begins, and now and then, with how many bases each slice did since the last call:
        what it raises ends the launch.
        """
        stops = np.array([work.stop for work in self._works], np.int64)
        report(np.zeros_like(stops))
        with self._pipeline.slot() as slot:
            slot.memory(sum(self._result_bytes + self._lanes * group[0].stop for group in self._groups))
            prepared = self._prepare(slot)
            size = len(self._groups) * self._layout.group_bytes
            with self._pipeline.arena(slot, size, self._kernel.stack_bytes) as arena:
                self._send(slot.queue, arena, prepared)
                del prepared
                with self._pipeline.running:
                    report(np.zeros_like(stops))
                    for done in range(0, int(stops.max()), CHUNK):
                        self._kernel(slot.queue, arena, self._program.book, len(self._works), done + CHUNK)
                        report(np.clip(stops - done, 0, CHUNK))
                results, rows = self._fetch(slot, arena)
            self._unpack(results, rows)

    # --- before the kernel ------------------------------------------------------------------------------------------

    def _prepare(self, slot: Slot) -> list[Bytes]:
        """What each group is given: results with numbers of its slices, and interleaved bases or rows of streams."""
        heights = [self._stream_bytes(group) if self._decoding else group[0].stop for group in self._groups]
        lanes, begin = self._lanes, self._result_bytes
        prepared = _pieces(slot, [begin + lanes * height for height in heights])
        for piece, group, height in zip(prepared, self._groups, heights, strict=True):
            result = piece[:begin].view(np.uint64).reshape(RESULT, lanes)
            result[:] = 0
            for lane, work in enumerate(group):
                result[STOP, lane], result[STREAM_END, lane] = work.stop, len(work.stream)
                for place, number in self._layout.own(work).items():
                    result[place, lane] = number
            if self._decoding:
                rows = piece[begin:].reshape(lanes, height)
                rows[:] = 0
                for lane, work in enumerate(group):
                    rows[lane, : len(work.stream)] = np.frombuffer(work.stream, np.uint8)
            else:
                symbols = np.zeros((lanes, height), np.uint8)
                for lane, work in enumerate(group):
                    symbols[lane, : work.stop] = work.bases
                # a third of the time that a transposed copy takes
                np.stack(list(symbols), axis=1, out=piece[begin:].reshape(height, lanes))
        return prepared

    def _stream_bytes(self, group: Sequence[Work]) -> int:
        return max(END_BYTES, *(len(work.stream) for work in group))

    def _send(self, queue: Queue, arena: int, prepared: Sequence[Bytes]) -> None:
        """Fill the arena: all groups begin alike."""
        layout, begin = self._layout, self._result_bytes
        queue.upload(arena, self._program.group)
        for number in range(1, len(prepared)):
            queue.copy(arena, arena + number * layout.group_bytes, layout.group_bytes)
        for number, (works, piece) in enumerate(zip(self._groups, prepared, strict=True)):
            group = arena + number * layout.group_bytes
            queue.upload(group + layout.place(".result"), piece[:begin])
            for name, array in layout.inputs(works[0]).items():
                queue.upload(group + layout.place(name), array)
            if self._decoding:
                rows = piece[begin:].reshape(self._lanes, -1)
                queue.upload_rows(group + layout.place(".stream"), layout.lane_bytes, rows)
            else:
                queue.upload(group + layout.place(".symbols"), piece[begin:])
        queue.wait()

    # --- after the kernel -------------------------------------------------------------------------------------------

    def _fetch(self, slot: Slot, arena: int) -> tuple[NDArray[np.uint64], list[Bytes]]:
        """Results [groups, RESULT, LANES]; and for each group rows of streams, or interleaved bases."""
        queue, layout = slot.queue, self._layout
        starts = range(arena, arena + len(self._groups) * layout.group_bytes, layout.group_bytes)
        results = np.zeros((len(self._groups), RESULT, self._lanes), np.uint64)
        for start, result in zip(starts, results, strict=True):
            queue.download(start + layout.place(".result"), result)
        if self._decoding:
            fetched = _pieces(slot, [self._lanes * group[0].stop for group in self._groups])
            for start, piece in zip(starts, fetched, strict=True):
                queue.download(start + layout.place(".symbols"), piece)
        else:
            queue.wait()
            sizes = results[:, FINAL_POSITION].astype(np.int64)
            fetched = _pieces(slot, (self._lanes * sizes.max(axis=1)).tolist())
            for start, piece in zip(starts, fetched, strict=True):
                rows = piece.reshape(self._lanes, -1)
                queue.download_rows(start + layout.place(".stream"), layout.lane_bytes, rows)
        queue.wait()
        return results, fetched

    def _unpack(self, results: NDArray[np.uint64], fetched: Sequence[Bytes]) -> None:
        """Set the streams of slices, or their bases."""
        for group, result, piece in zip(self._groups, results, fetched, strict=True):
            if self._decoding:
                turned = np.ascontiguousarray(piece.reshape(-1, self._lanes).T)
                for lane, work in enumerate(group):
                    work.bases[:] = turned[lane, : work.stop]
                    work.place = int(result[FINAL_POSITION, lane])
            else:
                rows = piece.reshape(self._lanes, -1)
                for lane, work in enumerate(group):
                    low, width, position = (int(result[at, lane]) for at in (FINAL_LOW, FINAL_WIDTH, FINAL_POSITION))
                    work.stream = finish(low, width, position, rows[lane])


def _pieces(slot: Slot, sizes: Sequence[int]) -> list[Bytes]:
    """Pieces of the slot's memory, which begin at multiples of 8 bytes."""
    starts = np.cumsum([0, *(-(-size // 8) * 8 for size in sizes)]).tolist()
    memory = slot.memory(starts[-1])
    return [memory[start : start + size] for start, size in zip(starts, sizes, strict=False)]
