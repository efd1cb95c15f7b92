"""A device that is none: the kernels' LLVM code run by the CPU, one thread after the other, in the host's memory.

It runs the very code that becomes PTX, but for prefetching, so it tests all but what follows: LLVM's code for GPUs and
the driver.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from geneformer_codec.cuda.assemble import optimised
from geneformer_codec.cuda.device import DeviceError, KernelSource

_llvm: Any = llvm
_THREAD = """
@emulated_thread = global i32 0
define i32 @"emulated.tid.x"() { %1 = load i32, ptr @emulated_thread
 ret i32 %1 }
define i32 @"emulated.ctaid.x"() { ret i32 0 }
define i32 @"emulated.ntid.x"() { ret i32 0 }
"""
_COMPILED: dict[str, "EmulatedKernel"] = {}


class EmulatedDevice:
    """A device with ``memory`` bytes."""

    name = "emulated"

    def __init__(self, memory: int = 1 << 30) -> None:
        self.memory = memory
        self.launches: list[tuple[int, int]] = []
        """Threads and base of each launch."""
        self.layouts: list[Any] = []
        """Of each kernel."""
        self._held: dict[int, NDArray[np.uint8]] = {}

    def free_bytes(self) -> int:
        return self.memory - sum(block.nbytes for block in self._held.values())

    def allocate(self, size: int) -> int:
        if size > self.free_bytes():
            raise DeviceError("the device is full")
        block = np.full(max(size, 1), 0xA5, np.uint8)  # memory that nobody has cleared
        self._held[block.ctypes.data] = block
        return block.ctypes.data

    def release(self, address: int) -> None:
        del self._held[address]

    def bytes_at(self, address: int, size: int) -> NDArray[np.uint8]:
        for start, block in self._held.items():
            if start <= address and address + size <= start + block.nbytes:
                return block[address - start :][:size]
        raise AssertionError(f"{size} bytes at {address} are no memory of the device")

    def host_memory(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, 0xA5, np.uint8)

    def queue(self) -> "EmulatedQueue":
        return EmulatedQueue(self)

    def kernel(self, source: KernelSource) -> Any:
        self.layouts.append(getattr(source, "_layout", None))
        return Launched(self, compiled(source))


class EmulatedQueue:
    """A queue that does nothing before it is waited for."""

    def __init__(self, device: EmulatedDevice) -> None:
        self._device = device
        self._works: list[Callable[[], None]] = []

    def upload(self, address: int, data: NDArray[Any]) -> None:
        self.upload_rows(address, 0, data.reshape(1, -1).view(np.uint8))

    def download(self, address: int, data: NDArray[Any]) -> None:
        self.download_rows(address, 0, data.reshape(1, -1).view(np.uint8))

    def upload_rows(self, address: int, pitch: int, data: NDArray[np.uint8]) -> None:
        assert data.flags.c_contiguous

        def work() -> None:
            for number, row in enumerate(data):
                self._device.bytes_at(address + number * pitch, len(row))[:] = row

        self._works.append(work)

    def download_rows(self, address: int, pitch: int, data: NDArray[np.uint8]) -> None:
        assert data.flags.c_contiguous

        def work() -> None:
            for number, row in enumerate(data):
                row[:] = self._device.bytes_at(address + number * pitch, len(row))

        self._works.append(work)

    def copy(self, source: int, to: int, size: int) -> None:
        self._works.append(lambda: np.copyto(self._device.bytes_at(to, size), self._device.bytes_at(source, size)))

    def wait(self) -> None:
        works, self._works = self._works, []
        for work in works:
            work()


class Launched:
    """A kernel on a device, which counts its launches."""

    stack_bytes = 1 << 10

    def __init__(self, device: EmulatedDevice, compiled: "EmulatedKernel") -> None:
        self._device, self._compiled = device, compiled

    def __call__(self, queue: EmulatedQueue, arena: int, book: int, count: int, upto: int) -> None:
        queue.wait()
        self._device.launches.append((count, upto))
        self._compiled(arena, book, count, upto)


def compiled(source: KernelSource) -> "EmulatedKernel":
    """The kernel of some source, compiled once for all tests of a process."""
    from geneformer_codec.cuda.kernel import ENTRY

    if source.digest not in _COMPILED:
        _COMPILED[source.digest] = EmulatedKernel(source.codes(prefetches=False), ENTRY)
    return _COMPILED[source.digest]


class EmulatedKernel:
    """A kernel of some LLVM code."""

    def __init__(self, codes: list[str], entry: str) -> None:
        _llvm.initialize_native_target()
        _llvm.initialize_native_asmprinter()
        machine = _llvm.Target.from_default_triple().create_target_machine(opt=1, jit=True)
        here = []
        for code in codes:
            lines = code.replace("llvm.nvvm.read.ptx.sreg.", "emulated.").splitlines()
            kept = [line for line in lines if not line.startswith(("!nvvm.annotations", "target "))]
            here.append("\n".join([f'target triple = "{_llvm.get_default_triple()}"', *kept]))
        module = self._module([*here, _THREAD], entry, machine)
        self._engine = _llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self._thread = ctypes.c_int32.from_address(self._engine.get_global_value_address("emulated_thread"))
        address = self._engine.get_function_address(entry)
        self._call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)

    def _module(self, codes: list[str], entry: str, machine: Any) -> Any:
        return optimised(codes, entry, machine)

    def __call__(self, arena: int, book: int, count: int, upto: int) -> None:
        for number in range(count):
            self._thread.value = number
            self._call(arena, book, count, upto)
