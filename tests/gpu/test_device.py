"""The device, by the functions of NVIDIA's driver; the test builds a small driver in C."""

import ctypes
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from geneformer_codec.cuda import device as devices
from geneformer_codec.cuda.choose import batches_for
from geneformer_codec.cuda.device import CudaDevice, DeviceError, open_device
from geneformer_codec.errors import UsageError

pytest.importorskip("numba_cuda")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    made = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    source = Path(__file__).with_name("libcuda.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", source, "-o", made], check=True)
    return made


@pytest.fixture
def driver(library: Path) -> ctypes.CDLL:
    driver = ctypes.CDLL(str(library))
    ctypes.c_int.in_dll(driver, "fake_major").value = 9
    return driver


class Source:
    """Instead of a kernel's code."""

    digest = ""

    def __init__(self, good: bool = True) -> None:
        self._good = good

    def codes(self, prefetches: bool = True) -> list[str]:
        return []

    def ptx(self, processor: str) -> bytes:
        return f".target {processor}".encode() if self._good else b"?"


def test_memory(driver: ctypes.CDLL) -> None:
    device = CudaDevice(driver)
    assert (device.name, device.capability, device.processor) == ("Fake 7", (9, 0), "sm_90")
    free = device.free_bytes()
    first, second = device.allocate(1000), device.allocate(800)
    assert device.free_bytes() == free - 1800
    data = np.arange(100)
    device.upload(first, data)
    device.copy(first, second, 800)
    back = np.zeros(98, np.int64)
    device.download(second + 16, back)
    assert (back == data[2:]).all()
    with pytest.raises(ValueError, match="contiguous"):
        device.upload(first, data[::2])
    device.release(first)
    device.release(second)
    assert device.free_bytes() == free
    with pytest.raises(DeviceError, match=r"the GPU failed: cuMemAlloc_v2: out of memory \(2\)"):
        device.allocate(free + 1)


def test_kernels_run_on_any_thread(driver: ctypes.CDLL) -> None:
    device = CudaDevice(driver)
    unloaded = ctypes.c_int.in_dll(driver, "fake_unloaded")
    before = unloaded.value
    arena = device.allocate(40)
    seen = np.zeros(5, np.int64)

    def run() -> None:
        kernel = device.kernel(Source())
        assert kernel.stack_bytes == 1000 * 132 * 2048
        kernel(arena, 1 << 40, 65, 1 << 33)
        device.download(arena, seen)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen.tolist() == [1 << 40, 65, 1 << 33, 3, 32]
    assert unloaded.value == before + 1
    device.release(arena)
    with pytest.raises(DeviceError, match=r"the GPU's driver refuses a kernel: ptxas error: line 1"):
        device.kernel(Source(good=False))


@pytest.mark.parametrize(("major", "processor"), [(8, "sm_80"), (10, "sm_90"), (7, None)])
def test_processors(driver: ctypes.CDLL, major: int, processor: str | None) -> None:
    """A GPU newer than the newest that kernels are compiled for takes code of that; older ones are refused."""
    ctypes.c_int.in_dll(driver, "fake_major").value = major
    if processor is None:
        with pytest.raises(DeviceError, match=r"Fake 7 has compute capability 7\.0, and experts need 8\.0"):
            CudaDevice(driver)
    else:
        assert CudaDevice(driver).processor == processor


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(devices.ctypes, "CDLL", missing)
    with pytest.raises(DeviceError, match=r"no GPU here: NVIDIA's driver, libcuda\.so\.1, is not found"):
        open_device()


def test_what_runs_where(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` takes the GPU from 100 slices a thread, ``cuda`` always; how many parts follows from their size."""
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda _: driver)
    for device, slice_length, slices in (("cpu", 1000, None), ("auto", 0, None), ("auto", 1000, 399)):
        assert batches_for(device, slice_length, 1 << 20, 4, slices) is None, device
    with pytest.raises(UsageError, match="there is no device 'gpu'; choose auto, cpu or cuda"):
        batches_for("gpu", 1000, 1 << 20, 4)
    with pytest.raises(UsageError, match="each part is one slice; compress with access='fine', or give device='cpu'"):
        batches_for("cuda", 0, 1 << 20, 4)
    for device, least in (("auto", 400), ("cuda", 0)):
        for part_bases, parts in ((1 << 24, 64), (1 << 28, 4), (1 << 30, 1), (1000, 64)):
            batches = batches_for(device, 1 << 16, part_bases, 4, 400)
            assert batches is not None
            assert (batches.least, batches.at_once) == (least, parts)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda _: None)
    assert batches_for("auto", 1000, 1 << 20, 4) is None
    with pytest.raises(UsageError, match=r"geneformer-rules\[gpu\]'; give device='cpu', or leave it out"):
        batches_for("cuda", 1000, 1 << 20, 4)
