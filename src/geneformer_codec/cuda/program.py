"""A kernel on a device, and what its slices share there."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.cuda.device import DeviceError
from geneformer_codec.cuda.layout import Layout
from geneformer_codec.cuda.pipeline import Pipeline

MOST_SLICES = 1 << 15
"""Of a launch: with more a GPU is no faster."""


class Program:
    """A kernel on a device for slices of a layout."""

    def __init__(
        self, pipeline: Pipeline, layout: Layout, decoding: bool, address: Callable[[NDArray[Any]], int]
    ) -> None:
        from geneformer_codec.cuda.kernel import Source

        self._pipeline, self.layout = pipeline, layout
        self.kernel = pipeline.device.kernel(Source(layout, decoding))
        self.group = layout.group()
        book = layout.book({part.name: address(part.value) for part in layout.shared})
        self.book = uploaded(pipeline, book)

    def fitting(self) -> int:
        """How many slices the device has memory for, at most `MOST_SLICES`."""
        free, lanes = self._pipeline.most_bytes(self.kernel.stack_bytes), self.layout.lanes
        slices = min(free // self.layout.group_bytes * lanes, MOST_SLICES)
        if slices <= 0:
            taking = f"{lanes} slices" if lanes > 1 else "a slice"
            raise DeviceError(
                f"the GPU has {max(free, 0):,} bytes of memory free, and {taking} of "
                f"{self.layout.capacity:,} {self.layout.unit} take {self.layout.group_bytes:,}"
            )
        return slices


def uploaded(pipeline: Pipeline, array: NDArray[Any]) -> int:
    """The address of new memory with what an array has."""
    address, queue = pipeline.allocate(array.nbytes), pipeline.device.queue()
    queue.upload(address, np.ascontiguousarray(array))
    queue.wait()
    return address
