"""Which launches may be in which phase (`launch`), and the memory that they take on the device and on the host."""

import contextlib
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.cuda.device import AHEAD, Device, DeviceError

MEMORY_SHARE = 0.9
"""Of the device's free memory, that is taken."""

Bytes = NDArray[np.uint8]


class Slot:
    """A queue, and memory of the host, that one launch after the other uses."""

    def __init__(self, device: Device) -> None:
        self._device, self.queue = device, device.queue()
        self._memory = np.zeros(0, np.uint8)

    def memory(self, size: int) -> Bytes:
        """So many bytes; those given before are not used any more."""
        if size > len(self._memory):
            self._memory = np.zeros(0, np.uint8)  # first freed, as there may not be room for both
            self._memory = self._device.host_memory(size)
        return self._memory[:size]


class Pipeline:
    """The memory of a device, and which launches may be in which phase."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._slots, self._idle = threading.BoundedSemaphore(AHEAD), list[Slot]()
        self._released, self._arenas = threading.Condition(), dict[int, int]()
        self.running = threading.Lock()
        """Held while a kernel runs."""

    @contextlib.contextmanager
    def slot(self) -> Iterator[Slot]:
        """A slot for a launch, as soon as there is one."""
        with self._slots:
            slot = self._idle.pop() if self._idle else Slot(self.device)
            try:
                yield slot
            finally:
                _settle(slot)
                self._idle.append(slot)

    @contextlib.contextmanager
    def arena(self, slot: Slot, size: int, stack_bytes: int) -> Iterator[int]:
        """The address of memory for a launch in a slot, whose threads take ``stack_bytes`` beside it."""
        address = self.allocate(size, stack_bytes)
        self._arenas[address] = size
        try:
            yield address
        finally:
            _settle(slot)
            with self._released:
                del self._arenas[address]
                with contextlib.suppress(DeviceError):  # after a failure the driver refuses this, too
                    self.device.release(address)
                self._released.notify_all()

    def allocate(self, size: int, stack_bytes: int | None = None) -> int:
        """The address of new memory, as soon as there is room beside the arenas of launches."""
        with self._released:
            while True:
                if not self._arenas or stack_bytes is None or size <= self._usable(0, stack_bytes):
                    try:
                        return self.device.allocate(size)
                    except DeviceError:
                        if not self._arenas:
                            raise
                self._released.wait()

    def most_bytes(self, stack_bytes: int) -> int:
        """The most that an arena may have when there is no other."""
        with self._released:
            return self._usable(sum(self._arenas.values()), stack_bytes)

    def _usable(self, released: int, stack_bytes: int) -> int:
        return int(MEMORY_SHARE * (self.device.free_bytes() + released)) - stack_bytes


def _settle(slot: Slot) -> None:
    """Wait for what is in the queue, before the memory of either side is used for something else."""
    with contextlib.suppress(DeviceError):
        slot.queue.wait()
