"""A GPU: its memory, copies and launches, by the functions of NVIDIA's driver (libcuda).

What codes slices sees a `Device`, so that tests can have one that is none.
"""

import contextlib
import ctypes
import importlib.util
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from geneformer_codec.errors import GfzError

THREADS = 32
"""Of a block, each with one slice: a warp."""
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

    def __call__(self, arena: int, book: int, count: int, upto: int) -> None:
        """Run ``count`` threads, and wait for them."""
        ...


class Device(Protocol):
    """What has memory and runs kernels. Addresses are those of the device."""

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

    def upload(self, address: int, data: NDArray[Any]) -> None:
        """Copy an array of contiguous elements to the device."""
        ...

    def download(self, address: int, data: NDArray[Any]) -> None:
        """Copy into an array of contiguous elements."""
        ...

    def copy(self, source: int, to: int, size: int) -> None:
        """Copy within the device."""
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


_MULTIPROCESSORS, _THREADS_EACH, _MAJOR, _MINOR = 16, 39, 75, 76
"""Attributes of a device (``CUdevice_attribute``)."""
_LOCAL_BYTES = 3
"""An attribute of a function (``CUfunction_attribute``)."""
_ERROR_LOG, _ERROR_LOG_BYTES = 5, 6
"""Options of compiling (``CUjit_option``)."""
_LOG_BYTES = 4096
_Address, _Int, _Size = ctypes.c_uint64, ctypes.c_int, ctypes.c_size_t


class CudaDevice:
    """The first GPU of a ``driver``, libcuda. May be used by one thread at a time."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        device, context, name = _Int(), ctypes.c_void_p(), ctypes.create_string_buffer(256)
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), _Int(0))
        self._call("cuDeviceGetName", name, _Int(len(name)), device)
        self._device, self.name = device, name.value.decode(errors="replace")
        self.capability = self._attribute(_MAJOR), self._attribute(_MINOR)
        if self.capability < OLDEST:
            raise DeviceError(
                f"{self.name} has compute capability {_dotted(self.capability)}, and experts need {_dotted(OLDEST)}"
            )
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._driver, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(_Int(status), ctypes.byref(text))
            said = (text.value or b"unknown error").decode(errors="replace")
            raise DeviceError(f"the GPU failed: {name}: {said} ({status})")

    def _current(self) -> None:
        """A context belongs to a thread, and any thread may come here."""
        self._call("cuCtxSetCurrent", self._context)

    def _attribute(self, which: int) -> int:
        value = _Int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), _Int(which), self._device)
        return value.value

    @property
    def processor(self) -> str:
        """What kernels are compiled for."""
        major, minor = NEWEST if self.capability >= NEWEST else OLDEST
        return f"sm_{major}{minor}"

    def free_bytes(self) -> int:
        """Memory that can be allocated."""
        free, total = _Size(), _Size()
        self._current()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def allocate(self, size: int) -> int:
        """The address of new memory."""
        address = _Address()
        self._current()
        self._call("cuMemAlloc_v2", ctypes.byref(address), _Size(max(size, 1)))
        return address.value

    def release(self, address: int) -> None:
        """Give memory back."""
        self._current()
        self._call("cuMemFree_v2", _Address(address))

    def upload(self, address: int, data: NDArray[Any]) -> None:
        """Copy an array to the device."""
        self._current()
        if data.nbytes:
            self._call("cuMemcpyHtoD_v2", _Address(address), ctypes.c_void_p(_host(data)), _Size(data.nbytes))

    def download(self, address: int, data: NDArray[Any]) -> None:
        """Copy into an array."""
        self._current()
        if data.nbytes:
            self._call("cuMemcpyDtoH_v2", ctypes.c_void_p(_host(data)), _Address(address), _Size(data.nbytes))

    def copy(self, source: int, to: int, size: int) -> None:
        """Copy within the device."""
        self._current()
        self._call("cuMemcpyDtoD_v2", _Address(to), _Address(source), _Size(size))

    def kernel(self, source: KernelSource) -> "CudaKernel":
        """A kernel, which the driver compiles from PTX, and keeps in a cache of its own."""
        from geneformer_codec.cuda.kernel import ENTRY

        self._current()
        module, function, local = ctypes.c_void_p(), ctypes.c_void_p(), _Int()
        log = ctypes.create_string_buffer(_LOG_BYTES)
        options = (_Int * 2)(_ERROR_LOG, _ERROR_LOG_BYTES)
        values = (ctypes.c_void_p * 2)(ctypes.addressof(log), _LOG_BYTES)
        ptx = ctypes.create_string_buffer(source.ptx(self.processor))
        try:
            self._call("cuModuleLoadDataEx", ctypes.byref(module), ptx, ctypes.c_uint(2), options, values)
        except DeviceError as error:
            said = log.value.decode(errors="replace").strip() or str(error)
            raise DeviceError(f"the GPU's driver refuses a kernel: {said}") from error
        self._call("cuModuleGetFunction", ctypes.byref(function), module, ENTRY.encode())
        self._call("cuFuncGetAttribute", ctypes.byref(local), _Int(_LOCAL_BYTES), function)
        threads = self._attribute(_MULTIPROCESSORS) * self._attribute(_THREADS_EACH)
        kernel = CudaKernel(self, function, local.value * threads)
        weakref.finalize(kernel, self._unload, module).atexit = False
        return kernel

    def _unload(self, module: ctypes.c_void_p) -> None:
        with contextlib.suppress(DeviceError):  # after a failure the driver refuses this, too
            self._current()
            self._call("cuModuleUnload", module)

    def launch(self, function: ctypes.c_void_p, arguments: Sequence[int], count: int) -> None:
        """Run a function in ``count`` threads, and wait for them."""
        self._current()
        held = [ctypes.c_int64(argument) for argument in arguments]
        places = (ctypes.c_void_p * len(held))(*map(ctypes.addressof, held))
        size = [ctypes.c_uint(number) for number in (-(-count // THREADS), 1, 1, THREADS, 1, 1, 0)]
        self._call("cuLaunchKernel", function, *size, None, places, None)
        self._call("cuCtxSynchronize")


class CudaKernel:
    """A kernel on a `CudaDevice`."""

    def __init__(self, device: CudaDevice, function: ctypes.c_void_p, stack_bytes: int) -> None:
        self._device, self._function, self.stack_bytes = device, function, stack_bytes

    def __call__(self, arena: int, book: int, count: int, upto: int) -> None:
        """Run ``count`` threads, and wait for them."""
        self._device.launch(self._function, (arena, book, count, upto), count)


def _host(data: NDArray[Any]) -> int:
    if not data.flags.c_contiguous:
        raise ValueError("only contiguous arrays can be copied")
    return int(data.ctypes.data)


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))
