"""Coding slices on a GPU, those of several parts together, as it takes thousands at once to pay.

Each part's thread comes with the slices of its part and waits. One of them gathers what others bring, and codes all of
this batch, while another gathers the next batch and prepares it (`launch`). Bytes of bases are those of
`predict.coder.ExpertCoder`; `qualities` codes qualities in the same way.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.cuda.batch import Programs
from geneformer_codec.cuda.device import AHEAD, Device, DeviceError
from geneformer_codec.cuda.experts import Experts
from geneformer_codec.cuda.layout import Family, Work
from geneformer_codec.cuda.program import MOST_SLICES
from geneformer_codec.errors import option
from geneformer_codec.predict.coder import ExpertCoder
from geneformer_codec.predict.two_bit import cut, decode_plain, smaller

PATIENCE = 0.5
"""Seconds that the slices of one more part are waited for."""


@dataclass(eq=False)
class Job:
    """The slices of one part."""

    family: Family
    decoding: bool
    works: Sequence[Work]
    on_cpu: Callable[[], None]
    """Does the same without a device."""
    progress: Progress | None = None
    error: BaseException | None = None
    done: bool = False

    @property
    def kind(self) -> tuple[Family, bool]:
        """Jobs of one kind can be done together."""
        return self.family, self.decoding

    def report(self, bases: int) -> None:
        """Count bases, perhaps none; what the progress raises stops the job, and no other."""
        if self.progress is not None and self.error is None:
            try:
                self.progress(bases)
            except BaseException as error:
                self.error = error


@dataclass(eq=False)
class Batches:
    """Does jobs on a device: those that are waiting together are a batch.

    ``at_once`` is how many parts are a batch, and ``held`` how many are worked on at a time, so that there are jobs for
    the next batch while one is on the device. Fewer than ``least`` slices are left to the CPU. ``working`` is held by
    the threads that come here, as they compute, and is released while they wait.
    """

    device: Device
    at_once: int = 1
    least: int = 0
    working: threading.Semaphore | None = None

    def __post_init__(self) -> None:
        self.held = AHEAD * self.at_once
        self._programs = Programs(self.device)
        self._changed, self._cpu = threading.Condition(), threading.Lock()
        self._waiting, self._is_gathering, self._batches = list[Job](), False, 0

    def hold(self, parts: int) -> None:
        """Work on at most so many parts at a time."""
        self.at_once, self.held = min(self.at_once, parts), min(self.held, parts)

    def takes(self, slices: int) -> bool:
        """Whether parts of so many slices can be enough together; one slice is left to the CPU."""
        return slices > 1 and slices * self.at_once >= self.least

    def do(self, job: Job) -> None:
        """Do a job; ``works`` have what comes of it."""
        if self.working is None:
            self._do(job)
        else:
            self.working.release()
            try:
                self._do(job)
            finally:
                self.working.acquire()
        if job.error is not None:
            raise job.error

    def _do(self, job: Job) -> None:
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()
            try:
                while job in self._waiting and (self._is_gathering or self._batches == AHEAD):
                    self._changed.wait()
                jobs = self._gathered(job) if job in self._waiting else []
                while not jobs and not job.done:
                    self._changed.wait()
            finally:
                if job in self._waiting:
                    self._waiting.remove(job)
        if jobs:
            self._lead(jobs)

    def _gathered(self, job: Job) -> list[Job]:
        """A batch of jobs of the kind of ``job``, which are taken from those that wait.

        They are enough to fill it; or no other has come for a while, and the device has nothing to do.
        """
        self._is_gathering = True
        try:
            while not self._is_full(self._alike(job)):
                found, is_busy = len(self._waiting), self._batches > 0
                self._changed.wait_for(
                    lambda: len(self._waiting) != found or (is_busy and not self._batches),  # noqa: B023
                    PATIENCE,
                )
                if len(self._waiting) == found and not self._batches:
                    break
            alike = self._alike(job)
            slices = np.cumsum([len(one.works) for one in alike])
            jobs = [one for one, total in zip(alike, slices, strict=True) if one is job or total <= MOST_SLICES]
            for one in jobs:
                self._waiting.remove(one)
            self._batches += 1
            return jobs
        finally:
            self._is_gathering = False
            self._changed.notify_all()

    def _is_full(self, jobs: list[Job]) -> bool:
        return len(jobs) >= self.at_once or sum(len(job.works) for job in jobs) >= MOST_SLICES

    def _alike(self, job: Job) -> list[Job]:
        return [job, *(one for one in self._waiting if one.kind == job.kind and one is not job)]

    def _lead(self, jobs: list[Job]) -> None:
        """Do a batch."""
        try:
            if sum(len(one.works) for one in jobs) < self.least:
                for one in jobs:
                    try:
                        with self._cpu:
                            one.on_cpu()
                    except Exception as error:
                        one.error = error
            else:
                self._run(jobs)
        except BaseException as error:
            for one in jobs:
                one.error = one.error or error
        finally:
            with self._changed:
                for one in jobs:
                    one.done = True
                self._batches -= 1
                self._changed.notify_all()

    def _run(self, jobs: list[Job]) -> None:
        owners = np.repeat(np.arange(len(jobs)), [len(job.works) for job in jobs])

        def report(numbers: NDArray[np.int64], bases: NDArray[np.int64]) -> None:
            for job, done in zip(jobs, np.bincount(owners[numbers], bases, len(jobs)).tolist(), strict=True):
                job.report(int(done))
            if all(job.error for job in jobs):
                raise RuntimeError("all jobs were stopped")

        works = [work for job in jobs for work in job.works]
        try:
            self._programs.run(jobs[0].family, jobs[0].decoding, works, report)
        except DeviceError as error:
            raise DeviceError(f"{error}; try {option('device', 'cpu')}") from error


class CudaExpertCoder:
    """Codes bases as an `ExpertCoder` does, on a device."""

    def __init__(self, coder: ExpertCoder, batches: Batches) -> None:
        self.model_id = coder.model_id
        self._coder, self._batches, self._family = coder, batches, Experts(coder.predictor)

    def encode(
        self, bases: NDArray[np.uint8], slice_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        """One byte string a slice; see `BaseCoder.encode`."""
        slices = cut(bases, slice_lengths)
        works = {number: Work(len(slice_), len(slice_), slice_) for number, slice_ in enumerate(slices) if len(slice_)}
        coded = [b""] * len(slices)

        def on_cpu() -> None:
            coded[:] = self._coder.encode(bases, slice_lengths, progress)
            works.clear()

        self._do(False, list(works.values()), on_cpu, progress)
        for number, work in works.items():
            coded[number] = smaller(work.stream, work.bases)
        return coded

    def decode(
        self,
        slices: Sequence[bytes],
        slice_lengths: Sequence[int],
        progress: Progress | None = None,
        stops: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        """The slices' bases, concatenated; see `BaseCoder.decode`."""
        ends = slice_lengths if stops is None else stops
        bases = np.zeros(sum(ends), np.uint8)
        out = cut(bases, ends)
        coded = decode_plain(slices, slice_lengths, out, progress)
        works = [Work(slice_lengths[number], ends[number], out[number], slices[number]) for number in coded]

        def on_cpu() -> None:
            lengths, some = [slice_lengths[number] for number in coded], [ends[number] for number in coded]
            decoded = self._coder.decode([slices[number] for number in coded], lengths, progress, some)
            for number, slice_ in zip(coded, cut(decoded, some), strict=True):
                out[number][:] = slice_

        self._do(True, works, on_cpu, progress)
        return bases

    def _do(self, decoding: bool, works: list[Work], on_cpu: Callable[[], None], progress: Progress | None) -> None:
        if works:
            self._batches.do(Job(self._family, decoding, works, on_cpu, progress))
