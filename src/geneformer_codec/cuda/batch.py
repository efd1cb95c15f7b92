"""A batch of slices on a device: laid out, run by a kernel, and read back."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.range_coder import END_BYTES, finish
from geneformer_codec.cuda.device import Device, DeviceError
from geneformer_codec.cuda.layout import (
    CHAIN_BITS,
    FINAL_LOW,
    FINAL_POSITION,
    FINAL_WIDTH,
    LANES,
    LENGTH,
    RESULT,
    STOP,
    STREAM_END,
    Layout,
)
from geneformer_codec.predict.predictor import CHUNK, Predictor
from geneformer_codec.predict.settings import index_bits

MOST_SLICES = 1 << 15
"""Of a launch: with more a GPU is no faster."""
MEMORY_SHARE = 0.9
"""Of what is free, that is taken."""

Report = Callable[[NDArray[np.int64], NDArray[np.int64]], None]
"""Called with the numbers of the slices that are run, and how many bases each did since the last call."""


@dataclass
class Work:
    """A slice of ``length`` bases, coded up to ``stop``: its ``bases`` are encoded, or filled from its stream."""

    length: int
    stop: int
    bases: NDArray[np.uint8]
    stream: bytes = b""


class Programs:
    """Kernels, and tables of panels, on a device. For one thread at a time."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._programs: dict[tuple[int, int, bool], Program] = {}
        self._tables: dict[int, tuple[NDArray[Any], int]] = {}
        self._addresses: list[int] = []
        weakref.finalize(self, _release, device, self._addresses).atexit = False

    def run(self, predictor: Predictor, decoding: bool, works: Sequence[Work], report: Report | None = None) -> None:
        """Code slices: sets the ``stream`` of each or, decoding, fills its ``bases``."""
        program = self._program(predictor, _capacity(max(work.length for work in works)), decoding)
        # a launch takes as long as its longest slice, and so does a warp
        order = np.argsort([-work.stop for work in works], kind="stable")
        fitting = program.fitting()
        sets = -(-len(works) // fitting)
        each = -(-len(works) // (sets * LANES)) * LANES
        for first in range(0, len(works), each):
            numbers = order[first : first + each]
            launch = _Launch(self.device, program, [works[number] for number in numbers], decoding)
            launch.run(functools.partial(report, numbers) if report else None)

    def _program(self, predictor: Predictor, capacity: int, decoding: bool) -> "Program":
        key = id(predictor), capacity, decoding
        if key not in self._programs:
            self._programs[key] = Program(self.device, predictor, capacity, decoding, self._address)
            self._addresses.append(self._programs[key].book)
        return self._programs[key]

    def _address(self, array: NDArray[Any]) -> int:
        """Where an array of a panel is on the device; it is kept there, and here, as it is known by its identity."""
        if id(array) not in self._tables:
            address = self.device.allocate(array.nbytes)
            self._addresses.append(address)
            self.device.upload(address, np.ascontiguousarray(array))
            self._tables[id(array)] = array, address
        return self._tables[id(array)][1]


def _release(device: Device, addresses: Sequence[int]) -> None:
    for address in addresses:
        with contextlib.suppress(DeviceError):  # after a failure the driver refuses this, too
            device.release(address)


class Program:
    """A kernel on a device for slices of at most ``capacity`` bases of a predictor, and how they are laid out."""

    def __init__(
        self,
        device: Device,
        predictor: Predictor,
        capacity: int,
        decoding: bool,
        address: Callable[[NDArray[Any]], int],
    ) -> None:
        from geneformer_codec.cuda.kernel import Source

        self._device, self._predictor = device, predictor  # kept, as its identity is what programs are known by
        self.layout = Layout(predictor, capacity, decoding)
        self.kernel = device.kernel(Source(self.layout, decoding))
        self.group = self.layout.group()
        book = self.layout.book({part.name: address(part.value) for part in self.layout.shared})
        self.book = device.allocate(book.nbytes)
        device.upload(self.book, book)

    def fitting(self) -> int:
        """How many slices the device has memory for, at most `MOST_SLICES`."""
        free = int(MEMORY_SHARE * self._device.free_bytes()) - self.kernel.stack_bytes
        slices = min(free // self.layout.group_bytes * LANES, MOST_SLICES)
        if slices <= 0:
            raise DeviceError(
                f"the GPU has {max(free, 0):,} bytes of memory free, and {LANES} slices of {self.layout.capacity:,} "
                f"bases take {self.layout.group_bytes:,}"
            )
        return slices

    def chain_bits(self, length: int) -> int:
        """Of a slice of that length."""
        return index_bits(length // max(self._predictor.settings.history_sampling, 1))


def _capacity(longest: int) -> int:
    """The longest slice that a program is made for: of few sizes, so that few kernels are compiled."""
    return max(1 << 10, 1 << (longest - 1).bit_length())


class _Launch:
    """Slices that are run together."""

    def __init__(self, device: Device, program: Program, works: Sequence[Work], decoding: bool) -> None:
        self._device, self._program, self._works, self._decoding = device, program, works, decoding
        self._layout = program.layout
        self._groups = range(-(-len(works) // LANES))

    def run(self, report: Callable[[NDArray[np.int64]], None] | None) -> None:
        """Code them."""
        self._arena = self._device.allocate(len(self._groups) * self._layout.group_bytes)
        try:
            self._begin()
            stops, done = np.array([work.stop for work in self._works], np.int64), 0
            while done < stops.max():
                self._program.kernel(self._arena, self._program.book, len(self._works), done + CHUNK)
                if report is not None:
                    report(np.clip(stops - done, 0, CHUNK))
                done += CHUNK
            self._end()
        finally:
            _release(self._device, [self._arena])

    def _group(self, group: int) -> int:
        return self._arena + group * self._layout.group_bytes

    def _lanes(self, group: int) -> Sequence[Work]:
        return self._works[group * LANES : (group + 1) * LANES]

    def _stream(self, group: int, lane: int) -> int:
        return self._group(group) + self._layout.lane_at + lane * self._layout.lane_bytes + self._layout.at("stream")

    def _begin(self) -> None:
        self._device.upload(self._arena, self._program.group)
        for group in self._groups[1:]:
            self._device.copy(self._arena, self._group(group), self._layout.group_bytes)
        for group in self._groups:
            works = self._lanes(group)
            result = np.zeros((RESULT, LANES), np.uint64)
            for lane, work in enumerate(works):
                result[STOP, lane], result[STREAM_END, lane] = work.stop, len(work.stream)
                result[CHAIN_BITS, lane], result[LENGTH, lane] = self._program.chain_bits(work.length), work.length
                if self._decoding:
                    stream = np.frombuffer(work.stream.ljust(END_BYTES, b"\0"), np.uint8)
                    self._device.upload(self._stream(group, lane), stream)
            self._device.upload(self._group(group) + self._layout.at("result"), result)
            if not self._decoding:
                symbols = np.zeros((LANES, works[0].stop), np.uint8)
                for lane, work in enumerate(works):
                    symbols[lane, : work.stop] = work.bases
                turned = np.stack(list(symbols), axis=1)  # a third of the time that a transposed copy takes
                self._device.upload(self._group(group) + self._layout.at("symbols"), turned)

    def _end(self) -> None:
        for group in self._groups:
            works = self._lanes(group)
            if self._decoding:
                symbols = np.zeros((works[0].stop, LANES), np.uint8)
                self._device.download(self._group(group) + self._layout.at("symbols"), symbols)
                turned = np.ascontiguousarray(symbols.T)
                for lane, work in enumerate(works):
                    work.bases[:] = turned[lane, : work.stop]
                continue
            result = np.zeros((RESULT, LANES), np.uint64)
            self._device.download(self._group(group) + self._layout.at("result"), result)
            for lane, work in enumerate(works):
                low, width, position = (int(result[at, lane]) for at in (FINAL_LOW, FINAL_WIDTH, FINAL_POSITION))
                stream = np.zeros(position, np.uint8)
                self._device.download(self._stream(group, lane), stream)
                work.stream = finish(low, width, position, stream)
