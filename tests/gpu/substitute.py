"""NVIDIA's driver, a substitute of it: `libcuda.c`, built for a test, with kernels that the CPU runs (`emulated`)."""

import ctypes
import gc
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emulated import compiled

from geneformer_codec.cuda.device import KernelSource

_Kernel = ctypes.CFUNCTYPE(None, ctypes.c_char_p, *[ctypes.c_int64] * 4)
LASTING = 700
"""From this status on a failure is for good."""


class Substitute:
    """The driver, as `library`, and what tests tell it."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("there is no C compiler")
        self.path = folder / "libcuda.so.1"
        source = Path(__file__).with_name("libcuda.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", source, "-o", self.path], check=True)
        self.library = ctypes.CDLL(str(self.path))
        self._kernel = _Kernel()
        self._kernels: dict[str, Any] = {}
        self._errors = list[BaseException]()

    def reset(self) -> None:
        """A GPU in order, with a megabyte, whose kernel writes down what it was given."""
        self.library.fake_recover()
        self._set("major", 9)
        self.set_memory(1 << 20)
        self._run(_Kernel())
        while self._errors:
            raise self._errors.pop()

    def _set(self, name: str, value: int) -> None:
        ctypes.c_int.in_dll(self.library, f"fake_{name}").value = value

    def _run(self, kernel: Any) -> None:
        self._kernel = kernel
        ctypes.c_void_p.in_dll(self.library, "fake_kernel").value = ctypes.cast(kernel, ctypes.c_void_p).value

    def set_major(self, major: int) -> None:
        """The GPU's compute capability."""
        self._set("major", major)

    def set_memory(self, size: int) -> None:
        """Of the device."""
        ctypes.c_int64.in_dll(self.library, "fake_memory").value = size

    def count(self, what: str) -> int:
        """How many modules, streams or pieces of locked memory (``pinned``) there are."""
        gc.collect()
        return ctypes.c_int.in_dll(self.library, f"fake_{what}").value

    def fail(self, function: str, call: int = 1, status: int = 1) -> None:
        """Have a call of a function fail: the next one is number 1. If for good, all calls fail from then on."""
        self._set("calls", call)
        self._set("status", status)
        (ctypes.c_char * 64).in_dll(self.library, "fake_failing").value = function.encode()

    def recover(self) -> None:
        """Let nothing fail any more."""
        self.library.fake_recover()

    def emulate(self, monkeypatch: pytest.MonkeyPatch, before: Callable[[int, int], None] = lambda *_: None) -> None:
        """Run real kernels, on the CPU; ``before`` is called first, with the number of threads, and up to where."""

        def ptx(source: KernelSource, processor: str) -> bytes:
            self._kernels[source.digest] = compiled(source)
            return f".target {processor} {source.digest}".encode()

        def run(ptx: bytes, arena: int, book: int, count: int, upto: int) -> None:
            try:
                before(count, upto)
                self._kernels[ptx.decode().split()[2]](arena, book, count, upto)
            except BaseException as error:  # which C code would not notice
                self._errors.append(error)

        monkeypatch.setattr("geneformer_codec.cuda.kernel.Source.ptx", ptx)
        self._run(_Kernel(run))
