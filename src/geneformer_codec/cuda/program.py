"""A kernel on a device, and what its slices share there."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.cuda.device import DeviceError
from geneformer_codec.cuda.layout import LANES, Layout
from geneformer_codec.cuda.pipeline import Pipeline
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import index_bits

MOST_SLICES = 1 << 15
"""Of a launch: with more a GPU is no faster."""


class Program:
    """A kernel on a device for slices of at most ``capacity`` bases of a predictor, and how they are laid out."""

    def __init__(
        self,
        pipeline: Pipeline,
        predictor: Predictor,
        capacity: int,
        decoding: bool,
        address: Callable[[NDArray[Any]], int],
    ) -> None:
        from geneformer_codec.cuda.kernel import Source

        self._pipeline, self._predictor = pipeline, predictor  # kept, as its identity is what programs are known by
        self.layout = Layout(predictor, capacity, decoding)
        self.kernel = pipeline.device.kernel(Source(self.layout, decoding))
        self.group = self.layout.group()
        book = self.layout.book({part.name: address(part.value) for part in self.layout.shared})
        self.book = uploaded(pipeline, book)

    def fitting(self) -> int:
        """How many slices the device has memory for, at most `MOST_SLICES`."""
        free = self._pipeline.most_bytes(self.kernel.stack_bytes)
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


def uploaded(pipeline: Pipeline, array: NDArray[Any]) -> int:
    """The address of new memory with what an array has."""
    address, queue = pipeline.allocate(array.nbytes), pipeline.device.queue()
    queue.upload(address, np.ascontiguousarray(array))
    queue.wait()
    return address
