"""Memory and time that jobs need, from the size of their parts and panel; both grow with every retry."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from geneformer_codec.archive.settings import FINE, FINE_SLICE_LENGTH, READ_PANEL_BASES
from geneformer_codec.cuda.choose import FILLING, parts_held
from geneformer_rules.parts import PartSizes, largest
from geneformer_rules.sheets import Species

_START_MINUTES = 10
"""Starting Python, reading a model and compiling, which many jobs may do at once: the least that any job gets."""

_TABLES_MB = 300
"""Memory of experts without a model for each part, whatever its size."""

_TRAINING_MINUTES = 30
"""Time of a training outside its budget: reading the panel, quantisation, the last validation."""

_EXPERTS_BASES_PER_SECOND = 50_000
"""How much of a panel experts learn in a second; they are five times as fast on an idle machine."""

_BASES_PER_MINUTE = {"fast": 256 << 20, "balanced": 96 << 20, "max": 32 << 20}
"""Bases that keep a thread busy for a minute or more, by level."""

_GPU_BASES = 1 << 28
"""Bases, of a sample or a job, from which a GPU is requested for experts: 4,096 slices."""

_WAITING_BYTES = 8
"""Memory, for each byte of text, of a part whose bases wait for a GPU, or are on it."""

_FETCH_MB = 2000
"""Memory of fetching a run: extracting its reads with the SRA toolkit."""

_SPLIT_BYTES_PER_MINUTE = 4 << 30
"""Bytes of text that take a minute or more to split."""

_SELF_PANEL_MB = 1200
"""Memory of making a sample's own panel: its seeds, and what coding takes."""

_KMERS_MB = 2400
"""Memory of the k-mers of reads, and of what is made of them, at most: a megabyte for each of text."""

_SELF_PANEL_BASES_PER_SECOND = {"fast": 1_200_000, "balanced": 600_000, "max": 120_000}
"""How much of it is coded in a second, by level."""

_SKETCHED_BYTES_PER_SECOND = 5_000_000
"""How much text is searched in a second for what recurs."""


@dataclass(frozen=True)
class Estimates:
    """The needs of every kind of job, from the checked configuration."""

    config: Mapping[str, Any]

    def job_bases(self, on_cluster: bool) -> int | None:
        """How many bases a job works on, where there are so many; None: as many as make up a part.

        On a cluster, where a job waits in a queue, its threads should work for a minute.
        """
        given: int | None = self.config["planning"]["job_bases"]
        if given is not None or not on_cluster:
            return given
        parts: int = self.config["part_bases"]
        return max(_BASES_PER_MINUTE[self.config["level"]] * int(self.config["threads"]["compress"]), parts)

    def gpu_pays(self, samples: Iterable[PartSizes | None]) -> bool:
        """Whether experts are to code samples of these parts, or some parts of one, on a GPU: it needs many slices."""
        is_possible = self.config["device"] != "cpu" and self.config["access"] == FINE
        bases = (0 if parts is None else parts.bases_in_slices for parts in samples)
        return is_possible and min(bases, default=0) >= _GPU_BASES

    def gpu_job_bases(self, job_bases: int | None) -> int:
        """How many bases a job works on with a GPU, given how many it would without: enough to fill it."""
        given: int | None = self.config["planning"]["job_bases"]
        return given or max(FILLING * FINE_SLICE_LENGTH, job_bases or 0)

    def gpu_memory_mb(self, part_bytes: int, parts: int, attempt: int) -> int:
        """Memory that a job of so many parts takes with a GPU, beside what it does without: for those that wait."""
        held = min(parts_held(self.config["part_bases"], FINE_SLICE_LENGTH), parts)
        return math.ceil(held * _WAITING_BYTES * part_bytes / 1e6) * attempt

    def part_bytes(self, parts: PartSizes | None) -> int:
        """Size of the largest part; of a sample that is not split yet, the largest that there may be."""
        return largest(self.config["part_bases"]) if parts is None else max(parts.sizes, default=0)

    def memory_mb(self, part_bytes: int, attempt: int = 1, parts: int = 1, panel_bases: int = 0) -> int:
        """Memory of a job that holds a model with a panel of so many bases, and so many parts at a time."""
        planning = self.config["planning"]
        part: float = planning["memory_per_base"] * part_bytes / 1e6
        panel: float = planning["memory_per_panel_base"] * panel_bases / 1e6
        needed: float = planning["memory_mb"] + panel + parts * part + (parts - 1) * _TABLES_MB
        return math.ceil(needed * attempt)

    def threads(self, work: str, parts: int | None, with_model: bool) -> int:
        """Threads of a job: without a model each of them works on a part, so that one part needs one."""
        threads: int = self.config["threads"][work]
        return threads if with_model or parts is None else min(threads, max(parts, 1))

    def minutes(self, work: str, text_bytes: int, attempt: int = 1) -> int:
        """Time limit of work on ``text_bytes``, ``encode`` or ``decode``."""
        bases_per_second: float = self.config["planning"][f"{work}_bases_per_second"]
        return (_START_MINUTES + math.ceil(text_bytes / bases_per_second / 60)) * attempt

    def fetch_memory_mb(self, attempt: int = 1) -> int:
        """Memory of fetching a run."""
        return _FETCH_MB * attempt

    def split_memory_mb(self, attempt: int = 1, text_bytes: int | None = None) -> int:
        """Memory of splitting a sample, which of so many ``text_bytes`` may get a panel of its own."""
        own = 0 if text_bytes is None else _SELF_PANEL_MB + min(text_bytes // 1_000_000, _KMERS_MB)
        return attempt * (500 + own + 4 * int(self.config["part_bases"]) // 1_000_000)

    def split_minutes(self, file_bytes: int, text_bytes: int, attempt: int = 1, self_panel: bool = False) -> int:
        """Time limit of splitting files of this size: 10 MB per second, as from a busy network disk."""
        own = 2 * self._self_panel_seconds(text_bytes) / 60 if self_panel else 0
        return attempt * (5 + file_bytes // 600_000_000 + math.ceil(own))

    def splits_in_a_minute(self, text_bytes: int, self_panel: bool) -> bool:
        """Whether splitting so much text takes less than a minute."""
        own = self._self_panel_seconds(text_bytes) if self_panel else 0
        return text_bytes / _SPLIT_BYTES_PER_MINUTE + own / 60 < 1

    def _self_panel_seconds(self, text_bytes: int) -> float:
        panel = min(text_bytes, READ_PANEL_BASES) / _SELF_PANEL_BASES_PER_SECOND[self.config["level"]]
        return text_bytes / _SKETCHED_BYTES_PER_SECOND + panel

    def training_memory_mb(self, species: Species, panel_bases: int, attempt: int = 1) -> int:
        """Memory of a training job."""
        if species.trains_experts:
            return self.memory_mb(0, attempt, panel_bases=panel_bases)
        return int(self.config["planning"]["training_memory_mb"]) * attempt

    def training_minutes(self, species: Species, panel_bases: int, attempt: int = 1) -> int:
        """Time limit of a training job, more than the time budget of the training itself."""
        if species.trains_experts:
            return (_START_MINUTES + math.ceil(_training_seconds(panel_bases) / 60)) * attempt
        if species.minutes is None:
            hours: float = self.config["planning"]["training_hours"]
            return math.ceil(hours * 60) * attempt
        return (math.ceil(1.5 * species.minutes) + _TRAINING_MINUTES) * attempt


def trains_in_a_minute(panel_bases: int) -> bool:
    """Whether experts learn a panel in less than a minute."""
    return _training_seconds(panel_bases) < 60


def _training_seconds(panel_bases: int) -> float:
    return panel_bases / _EXPERTS_BASES_PER_SECOND
