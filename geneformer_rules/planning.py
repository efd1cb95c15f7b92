"""What a job will need: memory and time from the size of its part, growing with every retry."""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneformer_codec.inputs.decompress import detect_compression
from geneformer_rules.sheets import Species

_START_MINUTES = 10
"""Starting Python, reading a model and compiling, which many jobs may do at once: what even an empty part may take."""

_TABLES_MB = 300
"""What experts without a model keep in memory for a part, whatever its size."""

_TRAINING_MINUTES = 30
"""What a training does outside its time budget: reading the panel, quantisation, the last validation."""

_EXPERTS_BASES_PER_SECOND = 50_000
"""How much of a panel experts learn in a second; they are five times as fast on an idle machine."""

_COMPRESSED_TO = 0.2
"""What compression leaves of a panel's text: less where its records are much alike, so that a retry may be needed."""

_MINUTE = {"fast": 256 << 20, "balanced": 96 << 20, "max": 32 << 20}
"""Bases that keep a thread busy for a minute, at least, by level."""

MINUTE_OF_SPLITTING = 4 << 30
"""Bytes of text that take a minute to split, at least."""


@dataclass(frozen=True)
class Plan:
    """How ``gfz split`` has cut a sample: the size of every part, in bytes of text."""

    part_bytes: tuple[int, ...]

    def jobs(self, job_bases: int | None) -> list[str]:
        """The jobs that compress the parts, by the first and the last of each; as equal as may be, of ``job_bases``.

        None: each part has a job.
        """
        parts = len(self.part_bytes)
        jobs = parts if job_bases is None else min(parts, max(1, self.total_bytes // job_bases))
        ends = [parts * job // jobs for job in range(jobs + 1)]
        return [f"{first:08d}-{end - 1:08d}" for first, end in itertools.pairwise(ends)]

    def of_job(self, job: str) -> Plan:
        """The parts of a job."""
        first, last = map(int, job.split("-"))
        return Plan(self.part_bytes[first : last + 1])

    @property
    def total_bytes(self) -> int:
        """Size of the sample's text."""
        return sum(self.part_bytes)


def read_plan(path: str | Path) -> Plan:
    """Return the plan that ``gfz split`` has written to ``path``."""
    status = Path(path).stat()
    return _read_plan(str(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4096)
def _read_plan(path: str, modified: int, size: int) -> Plan:
    """Read a plan once, however many jobs ask for it; ``modified`` and ``size`` tell a plan that was replaced."""
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    return Plan(tuple(int(part["text_bytes"]) for part in plan["parts"]))


def text_bytes(files: Iterable[str]) -> int:
    """About how much text these files hold, compressed or not; those that are not there yet count nothing."""
    total = 0.0
    for path in map(Path, files):
        if path.is_file():
            with path.open("rb") as file:
                compressed = detect_compression(file.read(10))
            total += path.stat().st_size / (_COMPRESSED_TO if compressed else 1)
    return int(total)


def training_seconds(panel_bases: int) -> float:
    """How long experts learn a panel, about."""
    return panel_bases / _EXPERTS_BASES_PER_SECOND


def largest(bases: int) -> int:
    """How large a part, or a job, may get where so many bases are aimed at: less than half of one is joined to one."""
    return bases * 3 // 2


def whole_plan(size: int, part_bases: int) -> Plan:
    """About how a text of this size is cut into parts."""
    others = [part_bases] * (max(1, (size + part_bases // 2) // part_bases) - 1)
    return Plan((*others, size - sum(others)))


def archived_plan(report: Path) -> Plan | None:
    """How the text of an archive was cut, about, by the report of its publication; None without one."""
    try:
        facts = json.loads(report.read_text(encoding="utf-8"))
        size, parts = int(facts["input_bytes"]), int(facts["parts"])
    except (OSError, ValueError, KeyError):
        return None
    others = [size // parts] * (parts - 1)
    if others:
        others[0] -= min(others[0], largest(size // parts) - size // parts)
    return Plan((*others, size - sum(others)))


@dataclass(frozen=True)
class Needs:
    """The needs of every kind of job, from the checked configuration."""

    config: Mapping[str, Any]

    def job_bases(self, on_cluster: bool) -> int | None:
        """How many bases a job works on, where there are so many; None: as many as make up a part.

        On a cluster, where a job waits its turn, all of its threads are to work for a minute.
        """
        given: int | None = self.config["planning"]["job_bases"]
        if given is not None or not on_cluster:
            return given
        parts: int = self.config["part_bases"]
        return max(_MINUTE[self.config["level"]] * int(self.config["threads"]["compress"]), parts)

    def part_bytes(self, plan: Plan | None) -> int:
        """Size of the largest part; before the split has run, the largest that it may make."""
        return largest(self.config["part_bases"]) if plan is None else max(plan.part_bytes, default=0)

    def memory_mb(self, part_bytes: int, attempt: int = 1, parts: int = 1, panel_bases: int = 0) -> int:
        """Memory of a job that holds a model, with a panel of so many bases, and so many parts at a time."""
        planning = self.config["planning"]
        part: float = planning["memory_per_base"] * part_bytes / 1e6
        panel: float = planning["memory_per_panel_base"] * panel_bases / 1e6
        needed: float = planning["memory_mb"] + panel + parts * part + (parts - 1) * _TABLES_MB
        return math.ceil(needed * attempt)

    def threads(self, work: str, parts: int | None, with_model: bool) -> int:
        """Threads of a job: without a model each of them works on a part, so that one part needs one."""
        threads: int = self.config["threads"][work]
        return threads if with_model or parts is None else min(threads, max(parts, 1))

    def encode_minutes(self, text_bytes: int, attempt: int = 1) -> int:
        """Time limit of compressing ``text_bytes``."""
        return self._minutes(text_bytes, self.config["planning"]["encode_bases_per_second"], attempt)

    def decode_minutes(self, text_bytes: int, attempt: int = 1) -> int:
        """Time limit of decoding ``text_bytes``."""
        return self._minutes(text_bytes, self.config["planning"]["decode_bases_per_second"], attempt)

    def training_memory_mb(self, species: Species, panel_bases: int, attempt: int = 1) -> int:
        """Memory of a training job."""
        if species.trains_experts:
            return self.memory_mb(0, attempt, panel_bases=panel_bases)
        return int(self.config["planning"]["training_memory_mb"]) * attempt

    def training_minutes(self, species: Species, panel_bases: int, attempt: int = 1) -> int:
        """Time limit of a training job, more than the budget of the training itself."""
        if species.trains_experts:
            return (_START_MINUTES + math.ceil(training_seconds(panel_bases) / 60)) * attempt
        if species.minutes is None:
            hours: float = self.config["planning"]["training_hours"]
            return math.ceil(hours * 60) * attempt
        return (math.ceil(1.5 * species.minutes) + _TRAINING_MINUTES) * attempt

    @staticmethod
    def _minutes(text_bytes: int, bases_per_second: float, attempt: int) -> int:
        return (_START_MINUTES + math.ceil(text_bytes / bases_per_second / 60)) * attempt
