"""Experts on a GPU, emulated: the bytes are the CPU's, both ways, for any slices, and for parts that come together."""

import functools
import itertools
import threading
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("numba_cuda")
pytest.importorskip("numba", minversion="0.68")  # earlier ones lack passes of LLVM that kernels are built with

from emulated import EmulatedDevice
from kinds import KINDS, LENGTHS, MAPPED_KINDS, QUALITY_KINDS, empty, mapped_of, qualities_of, sample_of, symbols_of

from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.models import without_model
from geneformer_codec.coding.slices import code_slices
from geneformer_codec.cuda import batch, launch, pipeline
from geneformer_codec.cuda.coder import Batches, CudaExpertCoder
from geneformer_codec.cuda.device import DeviceError
from geneformer_codec.cuda.read_slices import code_read_slices
from geneformer_codec.errors import FormatError
from geneformer_codec.predict.coder import ExpertCoder
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.two_bit import TwoBitCoder
from geneformer_codec.streams.interface import UNKNOWN
from geneformer_codec.streams.qualities.coder import decode_qualities, encode_qualities


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_those_of_the_cpu(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoded and decoded, in launches of few bases, in one and in several sets, and to a stop; some are unknown."""
    predictor, given = sample_of(kind)
    given[5100:5110] = given[9200:9230] = UNKNOWN
    cpu = ExpertCoder(predictor, "model", 2)
    assert len(given) == sum(LENGTHS)
    wanted = cpu.encode(given, LENGTHS)
    bases = cpu.decode(wanted, LENGTHS)
    assert (bases == given)[given != UNKNOWN].all()
    plain = sum(4 * len(stream) >= length for stream, length in zip(wanted, LENGTHS, strict=True))
    coded = len(LENGTHS) - plain
    assert coded > 32, "more than a warp has"

    device = EmulatedDevice()
    coder = CudaExpertCoder(cpu, Batches(device))
    monkeypatch.setattr(launch, "CHUNK", 61)
    done: list[int] = []
    assert coder.encode(given, LENGTHS, done.append) == wanted
    assert (sum(done), len(list(filter(None, done)))) == (len(bases), -(-1000 // 61))
    assert device.launches == [(len(LENGTHS) - 1, upto) for upto in range(61, 1001 + 60, 61)]

    monkeypatch.setattr(launch, "CHUNK", 1 << 15)
    done.clear()
    assert (coder.decode(wanted, LENGTHS, done.append) == bases).all()
    assert sum(done) == len(bases)
    stops = [min(length, 300) for length in LENGTHS]
    assert (coder.decode(wanted, LENGTHS, stops=stops) == cpu.decode(wanted, LENGTHS, stops=stops)).all()

    group = coder._batches._programs._programs[coder._family, 1024, True].layout.group_bytes
    held = device.memory - device.free_bytes()
    device.memory = held + int(1.2 * group / pipeline.MEMORY_SHARE) + 2048
    device.launches.clear()
    assert (coder.decode(wanted, LENGTHS) == bases).all()
    assert [count for count, _ in device.launches] == [32, coded - 32]

    device.memory = held + group // 2
    with pytest.raises(DeviceError, match=r"32 slices of 1,024 bases take .*; try device='cpu'"):
        coder.decode(wanted, LENGTHS)


@pytest.mark.parametrize(
    "kind",
    ["fast-illumina", *MAPPED_KINDS, *(pytest.param(kind, marks=pytest.mark.nightly) for kind in QUALITY_KINDS[1:])],
)
def test_bytes_of_reads_are_those_of_the_cpu(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qualities, or differences: encoded and decoded, in launches of few of them, in one and in several sets."""
    codec, slices = mapped_of(kind) if kind in MAPPED_KINDS else qualities_of(kind)
    wanted = code_slices(codec, slices, None)
    device = EmulatedDevice()
    batches = Batches(device)
    done: list[int] = []
    monkeypatch.setattr(launch, "CHUNK", 61)
    assert code_read_slices(batches, codec, slices, None, 1, done.append) == wanted
    assert len(done) == -(-1000 // 61) + 2
    assert not any(done), "bases are counted when they are predicted"
    assert device.launches == [(len(LENGTHS) - 1, upto) for upto in range(61, 1001 + 60, 61)]

    monkeypatch.setattr(launch, "CHUNK", 1 << 15)
    back = empty(codec, slices)
    assert code_read_slices(batches, codec, back, wanted, 1, None) == [b""] * len(slices)
    assert all((symbols_of(one) == symbols_of(other)).all() for one, other in zip(back, slices, strict=True))
    with pytest.raises(FormatError, match="left over"):
        code_read_slices(batches, codec, empty(codec, slices), [*wanted[:-1], wanted[-1] + bytes(9)], 1, None)

    def stop(_: int) -> None:
        raise InterruptedError

    device.launches.clear()
    with pytest.raises(InterruptedError):
        code_read_slices(batches, codec, slices, None, 1, stop)
    assert not device.launches

    group = max(program.layout.group_bytes for program in batches._programs._programs.values())
    held = device.memory - device.free_bytes()
    device.memory = held + int(20.5 * group / pipeline.MEMORY_SHARE) + 2048
    device.launches.clear()
    assert code_read_slices(batches, codec, slices, None, 1, None) == wanted
    assert sum(count for count, _ in device.launches) == len(LENGTHS) - 1
    assert max(count for count, _ in device.launches) <= 20


@pytest.mark.parametrize(("least", "launches"), [(47, 0), (46, 0), (45, 1)])
def test_few_slices_of_qualities_are_left_to_the_cpu(least: int, launches: int) -> None:
    """At once, or when no other part has come that brings more; one of them is empty."""
    codec, slices = qualities_of("fast-illumina")
    device, wanted = EmulatedDevice(), code_slices(codec, slices, None)
    coders = Coders("model", lambda _: TwoBitCoder(), threads=3, batches=Batches(device, 1, least))
    with coders.working:
        assert coders.code_slices(codec, slices, None, None) == wanted
    assert [coders.working.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]
    assert len(device.launches) == launches


def test_qualities_of_one_value() -> None:
    """Nothing is coded, nor launched."""
    lengths, residues = np.full(30, 100), np.full(3000, 65, np.uint8)
    device = EmulatedDevice()
    run = functools.partial(code_read_slices, Batches(device), threads=1, progress=None)
    packed = encode_qualities(residues, lengths, residues, "fast", 10, run)
    assert packed == encode_qualities(residues, lengths, residues, "fast", 10)
    assert (decode_qualities(packed, lengths, residues, run) == residues).all()
    assert not device.launches


class PlainPrograms:
    """Instead of a device: notes which slices come together, and gives their lengths as streams."""

    def __init__(self, device: object) -> None:
        self.sets: list[list[int]] = []

    def run(self, family: object, decoding: bool, works: Sequence[batch.Work], report: batch.Report) -> None:
        self.sets.append(sorted(work.length for work in works))
        if 13 in self.sets[-1]:
            raise DeviceError("unlucky")
        for work in works:
            work.stream = b"x" * (work.length // 8)
        report(np.arange(len(works)), np.array([work.length for work in works]))


@pytest.fixture
def coder(monkeypatch: pytest.MonkeyPatch) -> CudaExpertCoder:
    monkeypatch.setattr("geneformer_codec.cuda.coder.Programs", PlainPrograms)
    monkeypatch.setattr("geneformer_codec.cuda.coder.PATIENCE", 0.05)
    cpu = ExpertCoder(Predictor(without_model("fast", 1000)), "model", 1)
    return CudaExpertCoder(cpu, Batches(EmulatedDevice(), at_once=4))


def together(coder: CudaExpertCoder, parts: Sequence[Sequence[int]], stopped: int = -1) -> list[object]:
    """What each part, on a thread of its own, gets; the number ``stopped`` stops when it has coded something."""
    got: list[object] = [None] * len(parts)

    def stop(bases: int) -> None:
        raise InterruptedError

    def encode(number: int) -> None:
        bases = np.zeros(sum(parts[number]), np.uint8)
        try:
            got[number] = coder.encode(bases, parts[number], stop if number == stopped else None)
        except (InterruptedError, DeviceError) as error:
            got[number] = error

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_parts_come_together(coder: CudaExpertCoder) -> None:
    parts = [[800, 80], [160], [80, 80], [240]]
    assert together(coder, parts) == [[b"x" * (length // 8) for length in lengths] for lengths in parts]
    assert coder._batches._programs.sets == [sorted(itertools.chain(*parts))]
    assert together(coder, [[]]) == [[]]


def test_a_part_that_is_late_is_not_waited_for(coder: CudaExpertCoder) -> None:
    together(coder, [[800], [80]])
    together(coder, [[160]])
    assert coder._batches._programs.sets == [[80, 800], [160]]


def test_a_part_that_is_stopped_stops_no_other(coder: CudaExpertCoder) -> None:
    got = together(coder, [[80], [160], [240], [80]], stopped=1)
    assert isinstance(got[1], InterruptedError)
    assert [got[0], *got[2:]] == [[b"x" * 10], [b"x" * 30], [b"x" * 10]]


def test_a_part_that_is_stopped_on_the_cpu_stops_no_other(coder: CudaExpertCoder) -> None:
    coder._batches.least, coder._batches.at_once = 100, 2
    got = together(coder, [[800], [160]], stopped=1)
    assert isinstance(got[1], InterruptedError)
    assert got[0] == coder._coder.encode(np.zeros(800, np.uint8), [800])
    assert coder._batches._programs.sets == []


def test_a_failure_of_the_device_is_that_of_all_parts(coder: CudaExpertCoder) -> None:
    assert [str(error) for error in together(coder, [[80], [13], [80], [80]])] == ["unlucky; try device='cpu'"] * 4
    assert together(coder, [[80]]) == [[b"x" * 10]], "the next ones are done"


def test_few_slices_are_left_to_the_cpu(coder: CudaExpertCoder) -> None:
    bases = np.arange(3000, dtype=np.uint8) & 3
    coder._batches.least = 3
    coder._batches.at_once = 1
    lengths = [1500, 0, 1500]
    wanted = coder._coder.encode(bases, lengths)
    done: list[int] = []
    assert coder.encode(bases, lengths, done.append) == wanted
    assert (coder.decode(wanted, lengths, done.append) == bases).all()
    assert sum(done) == 2 * len(bases)
    assert coder._batches._programs.sets == []
    assert len(coder.encode(bases, [1000] * 3)) == 3
    assert coder._batches._programs.sets == [[1000] * 3]
