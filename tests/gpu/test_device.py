"""The device, by the functions of a substitute of NVIDIA's driver."""

import threading

import numpy as np
import pytest

from geneformer_codec.cuda import device as devices
from geneformer_codec.cuda.choose import batches_for
from geneformer_codec.cuda.device import CudaDevice, DeviceError, open_device
from geneformer_codec.errors import UsageError

pytest.importorskip("numba_cuda")

from substitute import LASTING, Substitute


class Source:
    """Instead of a kernel's code."""

    digest = ""

    def __init__(self, good: bool = True, threads: int = 32) -> None:
        self._good, self.threads = good, threads

    def codes(self, prefetches: bool = True) -> list[str]:
        return []

    def ptx(self, processor: str) -> bytes:
        return f".target {processor}".encode() if self._good else b"?"


def test_memory(driver: Substitute) -> None:
    device = CudaDevice(driver.library)
    assert (device.name, device.capability, device.processor) == ("Fake 7", (9, 0), "sm_90")
    free, queue = device.free_bytes(), device.queue()
    first, second = device.allocate(1000), device.allocate(800)
    assert device.free_bytes() == free - 1800
    data = np.arange(100)
    queue.upload(first, data)
    queue.copy(first, second, 800)
    back = np.zeros(98, np.int64)
    queue.download(second + 16, back)
    queue.wait()
    assert (back == data[2:]).all()
    with pytest.raises(ValueError, match="contiguous"):
        queue.upload(first, data[::2])
    device.release(first)
    device.release(second)
    assert device.free_bytes() == free
    with pytest.raises(DeviceError, match=r"the GPU failed: cuMemAlloc_v2: out of memory \(2\)"):
        device.allocate(free + 1)


@pytest.mark.parametrize("most_pitch", [1 << 20, 10])
def test_queues(driver: Substitute, monkeypatch: pytest.MonkeyPatch, most_pitch: int) -> None:
    """Work is done in order, when it is waited for; rows are apart on the device, and locked memory is not copied."""
    monkeypatch.setattr(devices, "_MOST_PITCH", most_pitch)
    device, pinned = CudaDevice(driver.library), driver.count("pinned")
    queue, other, streams = device.queue(), device.queue(), driver.count("streams")
    arena, data = device.allocate(100), device.host_memory(60)
    assert driver.count("pinned") == pinned + 1
    data[:] = np.arange(60)
    queue.upload(arena, data)
    queue.upload_rows(arena, 40, data[:24].reshape(2, 12))
    back = device.host_memory(100)
    back[:] = 0
    queue.download(arena, back)
    rows = np.zeros((2, 12), np.uint8)
    data[:] += 100
    other.wait()
    assert not back.any(), "nothing is done yet"
    queue.wait()
    assert back[:12].tolist() == list(range(100, 112))
    assert back[12:40].tolist() == list(range(112, 140)), "between rows all is as it was"
    assert back[40:52].tolist() == list(range(112, 124))
    queue.download_rows(arena, 40, rows)
    queue.download_rows(arena, 40, rows[:0])
    queue.wait()
    assert rows.tolist() == [list(range(100, 112)), list(range(112, 124))]
    queue.upload(arena, data)
    del data
    assert driver.count("pinned") == pinned + 2, "in use"
    queue.wait()
    assert driver.count("pinned") == pinned + 1
    del back, queue, other
    assert (driver.count("pinned"), driver.count("streams")) == (pinned, streams - 2)
    device.release(arena)


def test_memory_that_cannot_be_locked(driver: Substitute) -> None:
    """Any memory will do."""
    device = CudaDevice(driver.library)
    driver.fail("cuMemHostAlloc")
    data, queue, arena = device.host_memory(8), device.queue(), device.allocate(8)
    data[:] = 7
    queue.upload(arena, data)
    data[:] = 0
    queue.download(arena, data)
    queue.wait()
    assert data.tolist() == [7] * 8
    device.release(arena)


@pytest.mark.parametrize(("threads", "blocks"), [(32, 3), (1, 65)])
def test_kernels_run_on_any_thread(threads: int, blocks: int, driver: Substitute) -> None:
    device = CudaDevice(driver.library)
    arena = device.allocate(40)
    seen = np.zeros(5, np.int64)

    def run() -> None:
        kernel, queue = device.kernel(Source(threads=threads)), device.queue()
        assert driver.count("modules") == 1
        assert kernel.stack_bytes == 1000 * 132 * 2048
        kernel(queue, arena, 1 << 40, 65, 1 << 33)
        queue.download(arena, seen)
        queue.wait()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen.tolist() == [1 << 40, 65, 1 << 33, blocks, threads]
    assert driver.count("modules") == 0
    device.release(arena)
    with pytest.raises(DeviceError, match=r"the GPU's driver refuses a kernel: ptxas error: line 1"):
        device.kernel(Source(good=False))


@pytest.mark.parametrize("function", ["cuLaunchKernel", "cuStreamSynchronize"])
def test_a_kernel_that_fails(driver: Substitute, function: str) -> None:
    """After that the driver refuses everything; what is given back then is quiet."""
    device, pinned = CudaDevice(driver.library), driver.count("pinned")
    kernel, queue, data = device.kernel(Source()), device.queue(), device.host_memory(10)
    arena = device.allocate(40)
    driver.fail(function, status=LASTING)
    with pytest.raises(DeviceError, match=rf"{function}: an illegal memory access was encountered \(700\)"):
        kernel(queue, arena, 0, 1, 1)
    with pytest.raises(DeviceError, match=r"cuMemFree_v2: an illegal memory access"):
        device.release(arena)
    del kernel, queue, data
    assert driver.count("pinned") == pinned + 1, "it is lost"
    driver.recover()
    device.release(arena)


@pytest.mark.parametrize(("major", "processor"), [(8, "sm_80"), (10, "sm_90"), (7, None)])
def test_processors(driver: Substitute, major: int, processor: str | None) -> None:
    """A GPU newer than the newest that kernels are compiled for takes code of that; older ones are refused."""
    driver.set_major(major)
    if processor is None:
        with pytest.raises(DeviceError, match=r"Fake 7 has compute capability 7\.0, and experts need 8\.0"):
            CudaDevice(driver.library)
    else:
        assert CudaDevice(driver.library).processor == processor


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(devices.ctypes, "CDLL", missing)
    with pytest.raises(DeviceError, match=r"no GPU here: NVIDIA's driver, libcuda\.so\.1, is not found"):
        open_device()


def test_what_runs_where(driver: Substitute, monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` takes the GPU from 100 slices a thread, ``cuda`` always; how many parts follows from their size."""
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda _: driver.library)
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
