"""Slices on a device: which launches code them, by kernels that are made when they are first needed."""

import contextlib
import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import work_on_all
from geneformer_codec.cuda.device import AHEAD, Device, DeviceError
from geneformer_codec.cuda.launch import Launch
from geneformer_codec.cuda.layout import Family, Work
from geneformer_codec.cuda.pipeline import Pipeline
from geneformer_codec.cuda.program import Program, uploaded

Report = Callable[[NDArray[np.int64], NDArray[np.int64]], None]
"""Called with the numbers of the slices that are run, and how many bases each did since the last call, or qualities."""


class Programs:
    """Kernels, and tables of panels, on a device. Any thread may use them."""

    def __init__(self, device: Device) -> None:
        self._pipeline, self._making = Pipeline(device), threading.Lock()
        self._programs: dict[tuple[Family, Hashable, bool], Program] = {}
        self._tables: dict[int, tuple[NDArray[Any], int]] = {}
        self._addresses: list[int] = []
        weakref.finalize(self, _release, device, self._addresses).atexit = False

    def run(self, family: Family, decoding: bool, works: Sequence[Work], report: Report) -> None:
        """Code slices of a family: sets the ``stream`` of each or, decoding, fills its ``bases``."""
        with self._making:
            program = self._program(family, family.capacity(works), decoding)
        # a launch takes as long as its longest slice, and so does a warp
        order = np.argsort([-work.stop for work in works], kind="stable")
        sets = -(-len(works) // program.fitting())
        lanes = program.layout.lanes
        each = -(-len(works) // (sets * lanes)) * lanes

        def launch(numbers: NDArray[np.int64], stopping: Progress) -> None:
            def report_bases(bases: NDArray[np.int64]) -> None:
                stopping(0)
                report(numbers, bases)

            Launch(self._pipeline, program, [works[number] for number in numbers], decoding).run(report_bases)

        work_on_all(launch, [order[first : first + each] for first in range(0, len(works), each)], AHEAD)

    def _program(self, family: Family, capacity: Hashable, decoding: bool) -> Program:
        key = family, capacity, decoding
        if key not in self._programs:
            layout = family.layout(capacity, decoding)
            self._programs[key] = Program(self._pipeline, layout, decoding, self._address)
            self._addresses.append(self._programs[key].book)
        return self._programs[key]

    def _address(self, array: NDArray[Any]) -> int:
        """Where an array of a panel is on the device; it is kept there, and here, as it is known by its identity."""
        if id(array) not in self._tables:
            address = uploaded(self._pipeline, array)
            self._addresses.append(address)
            self._tables[id(array)] = array, address
        return self._tables[id(array)][1]


def _release(device: Device, addresses: Sequence[int]) -> None:
    for address in addresses:
        with contextlib.suppress(DeviceError):  # after a failure the driver refuses this, too
            device.release(address)
