"""The host works while a kernel runs, and what fails leaves nothing behind: on a substitute of NVIDIA's driver."""

import gc
import itertools
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba_cuda")
pytest.importorskip("numba", minversion="0.68")  # earlier ones lack passes of LLVM that kernels are built with

from kinds import predictor_of
from substitute import LASTING, Substitute

from geneformer_codec.cli.main import main
from geneformer_codec.cuda import choose, coder, launch, pipeline, program
from geneformer_codec.cuda.batch import Programs
from geneformer_codec.cuda.device import CudaDevice, DeviceError
from geneformer_codec.cuda.experts import Experts
from geneformer_codec.cuda.layout import Work
from geneformer_codec.predict.coder import ExpertCoder
from geneformer_codec.streams.qualities import coder as qualities

pytestmark = pytest.mark.slow

LENGTHS = [1000, 700, *[200] * 30, *[150] * 32, *[140] * 7]
"""Of slices, in three launches of at most 32."""
SETTINGS = ["--level", "fast", "--access", "400", "--part-bases", "2000", "--strands", "one", "-T", "2", "-q"]


class Sample:
    """Random slices, what a CPU makes of them, and how they are coded on a device."""

    def __init__(self) -> None:
        self.predictor = predictor_of("fast-alone", np.zeros(0, np.uint8), 1000)
        self.cpu, self.family = ExpertCoder(self.predictor, "model", 1), Experts(self.predictor)
        random = np.random.Generator(np.random.PCG64(2))
        self.bases = random.choice(4, sum(LENGTHS), p=[0.04, 0.88, 0.04, 0.04]).astype(np.uint8)
        self.slices = np.split(self.bases, np.cumsum(LENGTHS)[:-1])
        self.streams = self.cpu.encode(self.bases, LENGTHS)
        assert all(4 * len(stream) < length for stream, length in zip(self.streams, LENGTHS, strict=True)), "none plain"

    def works(self, decoding: bool) -> list[Work]:
        return [
            Work(len(slice_), len(slice_), np.zeros_like(slice_) if decoding else slice_, stream if decoding else b"")
            for slice_, stream in zip(self.slices, self.streams, strict=True)
        ]

    def check(self, works: list[Work], decoding: bool) -> None:
        if decoding:
            assert all((work.bases == slice_).all() for work, slice_ in zip(works, self.slices, strict=True))
        else:
            assert [work.stream for work in works] == self.streams


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample()


@pytest.fixture
def device(driver: Substitute, monkeypatch: pytest.MonkeyPatch) -> CudaDevice:
    driver.set_memory(1 << 30)
    driver.emulate(monkeypatch)
    monkeypatch.setattr(program, "MOST_SLICES", 32)
    monkeypatch.setattr(launch, "CHUNK", 300)
    gc.collect()
    return CudaDevice(driver.library)


def nothing(*_: object) -> None:
    """Reports nothing."""


@pytest.mark.parametrize("decoding", [False, True])
@pytest.mark.parametrize("arenas", [1, 2])
def test_launches_are_prepared_while_a_kernel_runs(
    decoding: bool, arenas: int, sample: Sample, driver: Substitute, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is, and no other; its memory is allocated if there is room."""
    programs, prepared, taken = Programs(device), list[int](), list[int]()
    programs.run(sample.family, decoding, sample.works(decoding)[:1], nothing)  # makes the program
    (made,) = programs._programs.values()
    size, prepare = made.layout.group_bytes, launch.Launch._prepare
    room = int((arenas * size + size // 2 + made.kernel.stack_bytes) / pipeline.MEMORY_SHARE)
    driver.set_memory((1 << 30) - device.free_bytes() + room)

    def noted(self: launch.Launch, slot: pipeline.Slot) -> list[pipeline.Bytes]:
        pieces = prepare(self, slot)
        prepared.append(len(pieces))
        return pieces

    def patient(count: int, upto: int) -> None:
        """The first kernel runs until the second launch is as far as it can be."""
        if not taken:
            end = time.monotonic() + 100
            while time.monotonic() < end and (len(prepared) < 2 or room - device.free_bytes() < arenas * size):
                time.sleep(0.01)
            time.sleep(0.2)
            assert prepared == [1, 1], "not the third"
        taken.append(room - device.free_bytes())

    driver.emulate(monkeypatch, patient)
    monkeypatch.setattr(launch.Launch, "_prepare", noted)
    works = sample.works(decoding)
    programs.run(sample.family, decoding, works, nothing)
    sample.check(works, decoding)
    assert (taken[0], max(taken)) == (arenas * size, arenas * size)
    assert prepared == [1, 1, 1]
    assert device.free_bytes() == room, "all is given back"


@pytest.mark.parametrize(
    ("function", "call"),
    [("cuMemAlloc_v2", 1), ("cuMemcpyHtoDAsync_v2", 5), ("cuLaunchKernel", 2), ("cuStreamSynchronize", 4),
     ("cuMemcpy2DAsync_v2", 2)],
)  # fmt: skip
@pytest.mark.parametrize("status", [2, LASTING])
def test_what_fails_in_a_launch_ends_all(
    function: str, call: int, status: int, sample: Sample, driver: Substitute, device: CudaDevice
) -> None:
    """The memory of either side is given back, and after what does not last all works again."""
    programs = Programs(device)
    programs.run(sample.family, False, sample.works(False)[:1], nothing)
    before = device.free_bytes()
    driver.fail(function, call, status)
    # if it lasts, another launch may be the one that says so
    said = rf"{function}: out of memory" if status == 2 else r"\w+: an illegal memory access"
    with pytest.raises(DeviceError, match=f"the GPU failed: {said}"):
        programs.run(sample.family, False, sample.works(False), nothing)
    if status == LASTING:
        return
    driver.recover()
    assert device.free_bytes() == before
    works = sample.works(False)
    programs.run(sample.family, False, works, nothing)
    sample.check(works, False)


def test_memory_that_another_takes_is_waited_for(sample: Sample, driver: Substitute, device: CudaDevice) -> None:
    """An arena for which there is no room is allocated when that before is released."""
    programs = Programs(device)
    programs.run(sample.family, False, sample.works(False)[:1], nothing)
    driver.fail("cuMemAlloc_v2", 2, 2)
    works = sample.works(False)
    programs.run(sample.family, False, works, nothing)
    sample.check(works, False)


# --- whole commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, device: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a file of 30 parts, in batches of four."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(choose, "open_device", lambda: device)
    monkeypatch.setattr(choose, "FILLING", 20)
    monkeypatch.setattr(coder, "PATIENCE", 0.05)
    random = np.random.Generator(np.random.PCG64(3))
    lines = np.frombuffer(b"ACGT", np.uint8)[random.integers(0, 4, (1000, 60), np.uint8)]
    lines[:, ::2] = ord("C")
    Path("in").write_bytes(b">a\n" + b"\n".join(line.tobytes() for line in lines) + b"\n")
    return tmp_path


def test_a_file_of_many_batches(folder: Path, device: CudaDevice) -> None:
    before = device.free_bytes()
    assert main(["compress", "in", "-o", "cpu.gfz", *SETTINGS, "--device", "cpu", "--no-self-panel"]) == 0
    assert main(["compress", "in", "-o", "cuda.gfz", *SETTINGS, "--device", "cuda", "--no-self-panel"]) == 0
    assert Path("cuda.gfz").read_bytes() == Path("cpu.gfz").read_bytes()
    assert main(["decompress", "cuda.gfz", "-o", "out", "--device", "cuda", "-q"]) == 0
    assert Path("out").read_bytes() == Path("in").read_bytes()
    gc.collect()
    assert device.free_bytes() == before


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_qualities_are_coded_while_a_kernel_runs(
    command: str, folder: Path, driver: Substitute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On as many threads as there are to be; those that wait for the GPU do not count."""
    random = np.random.Generator(np.random.PCG64(4))
    bases = random.choice(np.frombuffer(b"ACGT", np.uint8), (300, 100), p=[0.04, 0.88, 0.04, 0.04])
    reads = [b"@%d\n%s\n+\n%s\n" % (number, read.tobytes(), b"I" * 100) for number, read in enumerate(bases)]
    Path("reads").write_bytes(b"".join(reads))
    how = [*SETTINGS, "--no-self-panel"]
    assert main(["compress", "reads", "-o", "cpu.gfz", *how, "--device", "cpu"]) == 0
    assert main(["decompress", "cpu.gfz", "-o", "compiled", "-q", "--device", "cpu"]) == 0  # no batch waits for it
    lock, launches, now, done, most = threading.Lock(), itertools.count(), 0, 0, 0
    name = "encode_qualities" if command == "compress" else "decode_qualities"
    code = getattr(qualities, name)

    def noted(*arguments: Any) -> Any:
        nonlocal now, done, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        result = code(*arguments)
        with lock:
            now, done = now - 1, done + 1
        return result

    def patient(count: int, upto: int) -> None:
        """Runs until the qualities of a batch are coded: the next one, or when decompressing that before."""
        end = time.monotonic() + 300
        is_late = command == "compress" or next(launches) >= 2
        while is_late and done < 4 and time.monotonic() < end:
            time.sleep(0.01)
        assert done >= 4 or not is_late

    monkeypatch.setattr(qualities, name, noted)
    monkeypatch.setattr(coder, "PATIENCE", 20)  # so that all batches are of four parts
    driver.emulate(monkeypatch, patient)
    if command == "compress":
        assert main(["compress", "reads", "-o", "cuda.gfz", *how, "--device", "cuda"]) == 0
        assert Path("cuda.gfz").read_bytes() == Path("cpu.gfz").read_bytes()
    else:
        assert main(["decompress", "cpu.gfz", "-o", "out", "--device", "cuda", "-q", "-T", "2"]) == 0
        assert Path("out").read_bytes() == Path("reads").read_bytes()
    assert most == 2
    assert done == 16


@pytest.mark.parametrize(
    ("function", "status", "said"),
    [
        ("cuMemAlloc_v2", 2, "out of memory (2)"),
        ("cuLaunchKernel", LASTING, "an illegal memory access was encountered"),
    ],
)
@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_a_failure_in_the_middle(
    command: str,
    function: str,
    status: int,
    said: str,
    folder: Path,
    driver: Substitute,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its message says what failed and what to do; no file appears, and one that was there stays."""
    assert main(["compress", "in", "-o", "a.gfz", *SETTINGS, "--device", "cpu", "--no-self-panel"]) == 0
    Path("out").write_bytes(b"old")
    capsys.readouterr()
    # the panel-free program takes one allocation; the first batch must have succeeded
    driver.fail(function, 3, status)
    how = ["in", *SETTINGS, "--no-self-panel"] if command == "compress" else ["a.gfz", "-q"]
    assert main([command, *how, "-o", "out", "-f", "--device", "cuda"]) == 1
    told = capsys.readouterr().err
    # if it lasts, the batch before may say so, by what it calls next
    assert re.search(rf"the GPU failed: {function if status == 2 else '.*'}: {re.escape(said)}", told)
    assert "; try --device cpu" in told
    assert "Traceback" not in told
    assert Path("out").read_bytes() == b"old"
    assert sorted(path.name for path in Path().iterdir()) == ["a.gfz", "in", "out"]
    driver.recover()
    gc.collect()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted(
    number: signal.Signals, folder: Path, driver: Substitute, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels that run are waited for, and no others are begun."""
    before, launches, after = device.free_bytes(), itertools.count(), list[int]()

    def interrupted(count: int, upto: int) -> None:
        if (at := next(launches)) == 2:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            time.sleep(0.5)
        elif at > 2:
            after.append(at)

    driver.emulate(monkeypatch, interrupted)
    # which is ignored in what a shell runs in its background
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = main(["compress", "in", "-o", "a.gfz", *SETTINGS, "--device", "cuda", "--no-self-panel"])
    finally:
        signal.signal(signal.SIGINT, usual)
    assert status == 128 + number
    assert not after
    assert [path.name for path in Path().iterdir()] == ["in"]
    gc.collect()
    assert device.free_bytes() == before
