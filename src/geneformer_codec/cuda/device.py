"""A GPU: its memory, and queues of copies and kernels, by the functions of NVIDIA's driver (libcuda).

What codes slices sees a `Device`, so that tests can have one that is none.
"""

import contextlib
import ctypes
import importlib.util
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import GfzError

AHEAD = 2
"""Batches of slices that are worked on at a time: the next one is prepared while the kernel of one runs."""
OLDEST, NEWEST = (8, 0), (9, 0)
"""Compute capabilities that kernels are compiled for; a newer GPU takes the code of the newest."""


class DeviceError(GfzError):
    """The GPU failed, or its memory is not enough."""


class KernelSource(Protocol):
    """The code of a kernel."""

    @property
    def digest(self) -> str:
        """Of all that it is made of but the target."""
        ...

    @property
    def threads(self) -> int:
        """Of a block, each with one slice: a warp, or one alone."""
        ...

    def codes(self, prefetches: bool = True) -> list[str]:
        """LLVM code of its functions."""
        ...

    def ptx(self, processor: str) -> bytes:
        """For a processor such as ``sm_90``."""
        ...


class Kernel(Protocol):
    """A kernel on a device."""

    @property
    def stack_bytes(self) -> int:
        """Memory of the device that its threads take beside what is allocated."""
        ...

    def __call__(self, queue: "Queue", arena: int, book: int, count: int, upto: int) -> None:
        """Run ``count`` threads after all else in the queue, and wait for them."""
        ...


class Queue(Protocol):
    """Copies and kernels that a device does one after the other, beside those of other queues (a stream of CUDA).

    Arrays of the host are read or written at any time until `wait` returns. Rows are ``pitch`` bytes apart on the
    device, and one behind the other in the array [rows, bytes].
    """

    def upload(self, address: int, data: NDArray[Any]) -> None:
        """Copy an array of contiguous elements to the device."""
        ...

    def download(self, address: int, data: NDArray[Any]) -> None:
        """Copy into an array of contiguous elements."""
        ...

    def upload_rows(self, address: int, pitch: int, data: NDArray[np.uint8]) -> None:
        """Copy the rows of an array to the device."""
        ...

    def download_rows(self, address: int, pitch: int, data: NDArray[np.uint8]) -> None:
        """Copy rows into an array."""
        ...

    def copy(self, source: int, to: int, size: int) -> None:
        """Copy within the device."""
        ...

    def wait(self) -> None:
        """Return when all is done; `DeviceError` if something failed."""
        ...


class Device(Protocol):
    """What has memory and runs kernels, for any thread. Addresses are those of the device."""

    @property
    def name(self) -> str:
        """What its maker calls it."""
        ...

    def free_bytes(self) -> int:
        """Memory that can be allocated."""
        ...

    def allocate(self, size: int) -> int:
        """The address of new memory; `DeviceError` if there is not enough."""
        ...

    def release(self, address: int) -> None:
        """Give memory back."""
        ...

    def host_memory(self, size: int) -> NDArray[np.uint8]:
        """Memory of the host, locked to its place if that is possible: copies to and from it need no CPU."""
        ...

    def queue(self) -> Queue:
        """A new queue."""
        ...

    def kernel(self, source: KernelSource) -> Kernel:
        """A kernel made ready."""
        ...


def open_device() -> Device:
    """The first GPU that the driver shows; `DeviceError` says why there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise DeviceError("there is no GPU here: NVIDIA's driver, libcuda.so.1, is not found") from error
    if importlib.util.find_spec("numba_cuda") is None:
        raise DeviceError("experts need numba-cuda on a GPU: pip install 'geneformer-rules[gpu]'")
    return CudaDevice(driver)


def gpu_count() -> int:
    """How many GPUs the driver shows."""
    count = _Int()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    failed = driver.cuInit(ctypes.c_uint(0)) or driver.cuDeviceGetCount(ctypes.byref(count))
    return 0 if failed else count.value


_MULTIPROCESSORS, _THREADS_EACH, _MAJOR, _MINOR = 16, 39, 75, 76
"""Attributes of a device (``CUdevice_attribute``)."""
_LOCAL_BYTES = 3
"""An attribute of a function (``CUfunction_attribute``)."""
_ERROR_LOG, _ERROR_LOG_BYTES = 5, 6
"""Options of compiling (``CUjit_option``)."""
_LOG_BYTES = 4096
_NON_BLOCKING = 1
"""A kind of stream (``CUstream_flags``): one that waits for no other."""
_PORTABLE = 1
"""A kind of host memory (``cuMemHostAlloc``): locked for all threads."""
_HOST, _DEVICE = 1, 2
"""Where memory is (``CUmemorytype``)."""
_MOST_PITCH = (1 << 31) - 1
"""The most bytes between rows that are copied at once."""
_Address, _Int, _Size = ctypes.c_uint64, ctypes.c_int, ctypes.c_size_t


class _Rows(ctypes.Structure):
    """``CUDA_MEMCPY2D``."""

    _fields_ = [
        (f"{side}_{name}", kind)
        for side in ("source", "to")
        for name, kind in (
            ("x", _Size), ("y", _Size), ("kind", _Int), ("host", ctypes.c_void_p), ("device", _Address),
            ("array", ctypes.c_void_p), ("pitch", _Size),
        )
    ] + [("width", _Size), ("height", _Size)]  # fmt: skip


class CudaDevice:
    """The first GPU of a ``driver``, libcuda."""

    def __init__(self, driver: Any) -> None:
        self._driver, self._context = driver, None
        device, context, name = _Int(), ctypes.c_void_p(), ctypes.create_string_buffer(256)
        self.call("cuInit", ctypes.c_uint(0))
        self.call("cuDeviceGet", ctypes.byref(device), _Int(0))
        self.call("cuDeviceGetName", name, _Int(len(name)), device)
        self._device, self.name = device, name.value.decode(errors="replace")
        self.capability = self._attribute(_MAJOR), self._attribute(_MINOR)
        if self.capability < OLDEST:
            raise DeviceError(
                f"{self.name} has compute capability {_dotted(self.capability)}, and experts need {_dotted(OLDEST)}"
            )
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver, on any thread; `DeviceError` if it fails."""
        if self._context is not None:
            self._check("cuCtxSetCurrent", self._context)  # a context belongs to a thread
        self._check(name, *arguments)

    def quietly(self, name: str, *arguments: Any) -> None:
        """Call what gives something back: after a failure the driver refuses this, too."""
        with contextlib.suppress(DeviceError):
            self.call(name, *arguments)

    def _check(self, name: str, *arguments: Any) -> None:
        status = getattr(self._driver, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(_Int(status), ctypes.byref(text))
            said = (text.value or b"unknown error").decode(errors="replace")
            raise DeviceError(f"the GPU failed: {name}: {said} ({status})")

    def _attribute(self, which: int) -> int:
        value = _Int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), _Int(which), self._device)
        return value.value

    @property
    def processor(self) -> str:
        """What kernels are compiled for."""
        major, minor = NEWEST if self.capability >= NEWEST else OLDEST
        return f"sm_{major}{minor}"

    def free_bytes(self) -> int:
        """Memory that can be allocated."""
        free, total = _Size(), _Size()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def allocate(self, size: int) -> int:
        """The address of new memory."""
        address = _Address()
        self.call("cuMemAlloc_v2", ctypes.byref(address), _Size(max(size, 1)))
        return address.value

    def release(self, address: int) -> None:
        """Give memory back."""
        self.call("cuMemFree_v2", _Address(address))

    def host_memory(self, size: int) -> NDArray[np.uint8]:
        """Memory of the host, locked to its place if the driver can do so."""
        address = ctypes.c_void_p()
        try:
            self.call("cuMemHostAlloc", ctypes.byref(address), _Size(max(size, 1)), ctypes.c_uint(_PORTABLE))
        except DeviceError:
            return np.empty(size, np.uint8)  # copies take longer
        assert address.value is not None
        data = (ctypes.c_uint8 * max(size, 1)).from_address(address.value)
        weakref.finalize(data, self.quietly, "cuMemFreeHost", address).atexit = False
        return np.ctypeslib.as_array(data)[:size]

    def queue(self) -> "CudaQueue":
        """A new queue."""
        return CudaQueue(self)

    def kernel(self, source: KernelSource) -> "CudaKernel":
        """A kernel, which the driver compiles from PTX, and keeps in a cache of its own."""
        from geneformer_codec.cuda.kernel import ENTRY

        module, function, local = ctypes.c_void_p(), ctypes.c_void_p(), _Int()
        log = ctypes.create_string_buffer(_LOG_BYTES)
        options = (_Int * 2)(_ERROR_LOG, _ERROR_LOG_BYTES)
        values = (ctypes.c_void_p * 2)(ctypes.addressof(log), _LOG_BYTES)
        ptx = ctypes.create_string_buffer(source.ptx(self.processor))
        try:
            self.call("cuModuleLoadDataEx", ctypes.byref(module), ptx, ctypes.c_uint(2), options, values)
        except DeviceError as error:
            said = log.value.decode(errors="replace").strip() or str(error)
            raise DeviceError(f"the GPU's driver refuses a kernel: {said}") from error
        self.call("cuModuleGetFunction", ctypes.byref(function), module, ENTRY.encode())
        self.call("cuFuncGetAttribute", ctypes.byref(local), _Int(_LOCAL_BYTES), function)
        threads = self._attribute(_MULTIPROCESSORS) * self._attribute(_THREADS_EACH)
        kernel = CudaKernel(self, function, local.value * threads, source.threads)
        weakref.finalize(kernel, self.quietly, "cuModuleUnload", module).atexit = False
        return kernel


class CudaQueue:
    """A queue of a `CudaDevice`."""

    def __init__(self, device: CudaDevice) -> None:
        self._device, self._stream, self._held = device, ctypes.c_void_p(), list[Any]()
        device.call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(_NON_BLOCKING))
        weakref.finalize(self, device.quietly, "cuStreamDestroy_v2", self._stream).atexit = False

    def _add(self, name: str, *arguments: Any, held: Any = None) -> None:
        """Add work; what is ``held`` must not be freed before it is done."""
        self._held.append(held)
        self._device.call(name, *arguments)

    def upload(self, address: int, data: NDArray[Any]) -> None:
        """Copy an array to the device."""
        if data.nbytes:
            host = ctypes.c_void_p(_host(data))
            self._add("cuMemcpyHtoDAsync_v2", _Address(address), host, _Size(data.nbytes), self._stream, held=data)

    def download(self, address: int, data: NDArray[Any]) -> None:
        """Copy into an array."""
        if data.nbytes:
            host = ctypes.c_void_p(_host(data))
            self._add("cuMemcpyDtoHAsync_v2", host, _Address(address), _Size(data.nbytes), self._stream, held=data)

    def upload_rows(self, address: int, pitch: int, data: NDArray[np.uint8]) -> None:
        """Copy the rows of an array to the device."""
        if pitch > _MOST_PITCH:
            for number, row in enumerate(data):
                self.upload(address + number * pitch, row)
        else:
            self._copy_rows(data, source=(_HOST, _host(data), data.shape[1]), to=(_DEVICE, address, pitch))

    def download_rows(self, address: int, pitch: int, data: NDArray[np.uint8]) -> None:
        """Copy rows into an array."""
        if pitch > _MOST_PITCH:
            for number, row in enumerate(data):
                self.download(address + number * pitch, row)
        else:
            self._copy_rows(data, source=(_DEVICE, address, pitch), to=(_HOST, _host(data), data.shape[1]))

    def _copy_rows(self, data: NDArray[np.uint8], source: tuple[int, int, int], to: tuple[int, int, int]) -> None:
        """Each of the two is a kind of memory, an address and a pitch."""
        if not data.size:
            return
        rows = _Rows(width=data.shape[1], height=data.shape[0])
        for side, (kind, address, pitch) in (("source", source), ("to", to)):
            setattr(rows, f"{side}_kind", kind)
            setattr(rows, f"{side}_{'host' if kind == _HOST else 'device'}", address)
            setattr(rows, f"{side}_pitch", pitch)
        self._add("cuMemcpy2DAsync_v2", ctypes.byref(rows), self._stream, held=data)

    def copy(self, source: int, to: int, size: int) -> None:
        """Copy within the device."""
        self._add("cuMemcpyDtoDAsync_v2", _Address(to), _Address(source), _Size(size), self._stream)

    def launch(self, function: ctypes.c_void_p, arguments: Sequence[int], count: int, threads: int) -> None:
        """Run a function in ``count`` threads, so many to a block."""
        held = [ctypes.c_int64(argument) for argument in arguments]
        places = (ctypes.c_void_p * len(held))(*map(ctypes.addressof, held))
        size = [ctypes.c_uint(number) for number in (-(-count // threads), 1, 1, threads, 1, 1, 0)]
        self._add("cuLaunchKernel", function, *size, self._stream, places, None)

    def wait(self) -> None:
        """Return when all is done; `DeviceError` if something failed."""
        try:
            self._device.call("cuStreamSynchronize", self._stream)
        finally:
            self._held.clear()


class CudaKernel:
    """A kernel on a `CudaDevice`."""

    def __init__(self, device: CudaDevice, function: ctypes.c_void_p, stack_bytes: int, threads: int) -> None:
        self._device, self._function, self.stack_bytes, self._threads = device, function, stack_bytes, threads

    def __call__(self, queue: Queue, arena: int, book: int, count: int, upto: int) -> None:
        """Run ``count`` threads after all else in the queue, and wait for them."""
        assert isinstance(queue, CudaQueue)
        queue.launch(self._function, (arena, book, count, upto), count, self._threads)
        queue.wait()


def _host(data: NDArray[Any]) -> int:
    if not data.flags.c_contiguous:
        raise ValueError("only contiguous arrays can be copied")
    return int(data.ctypes.data)


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))
