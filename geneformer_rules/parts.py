"""The parts of samples: how large they are, by a plan, a report or an estimate, and which job compresses which."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from geneformer_codec.inputs.decompress import detect_compression

_COMPRESSED_TO = 0.2
"""Assumed ratio of compressed to plain text; the true one is smaller for similar records, so a retry may be needed."""

_OF_READS = 0.5
"""Bases for each byte of FASTQ, at most: each has a quality, too."""


@dataclass(frozen=True)
class PartSizes:
    """The size of every part of a sample, in bytes of text."""

    sizes: tuple[int, ...]
    in_slices: float = 1.0
    """Bases that experts code in slices, for each byte of text: about half of reads, none of those that are mapped."""

    def jobs(self, count: int) -> list[str]:
        """The names of ``count`` jobs that compress the parts, as equal as can be: ``FIRST-LAST`` of their parts."""
        ends = [len(self.sizes) * job // max(count, 1) for job in range(count + 1)]
        return [f"{first:08d}-{end - 1:08d}" for first, end in itertools.pairwise(ends)]

    def job_count(self, job_bases: int | None) -> int:
        """How many jobs of at least ``job_bases`` there are; None: a job for each part."""
        parts = len(self.sizes)
        return parts if job_bases is None else min(parts, max(1, self.total // job_bases))

    def of_job(self, job: str) -> PartSizes:
        """The parts of a job, by its name."""
        first, last = map(int, job.split("-"))
        return replace(self, sizes=self.sizes[first : last + 1])

    @property
    def total(self) -> int:
        """Size of the sample's text."""
        return sum(self.sizes)

    @property
    def bases_in_slices(self) -> int:
        """About how many bases experts code in slices."""
        return int(self.total * self.in_slices)


def read_plan(path: str | Path, has_model: bool = False) -> PartSizes:
    """The parts in a plan that ``gfz split`` has written, of a sample whose species has a model or not."""
    status = Path(path).stat()
    return _read_plan(str(path), has_model, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4096)
def _read_plan(path: str, has_model: bool, modified: int, size: int) -> PartSizes:
    """Read a plan once, however many jobs ask for it; ``modified`` and ``size`` detect a plan that was replaced."""
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    share = in_slices(bool(plan.get("is_reads")), has_model or plan.get("panel") is not None)
    return PartSizes(tuple(int(part["text_bytes"]) for part in plan["parts"]), share)


def in_slices(is_reads: bool, has_panel: bool) -> float:
    """Bases that experts code in slices, for each byte of text. Reads are mapped to a panel, if it is one of theirs."""
    return (0.0 if has_panel else _OF_READS) if is_reads else 1.0


def parts_of_text(size: int, part_bases: int, in_slices: float = 1.0) -> PartSizes:
    """About how a text of this size is cut into parts."""
    others = [part_bases] * (max(1, (size + part_bases // 2) // part_bases) - 1)
    return PartSizes((*others, size - sum(others)), in_slices)


def parts_of_archive(report: Path) -> PartSizes | None:
    """About how the text of an archive was cut, by the report of the archive; None without one."""
    try:
        facts = json.loads(report.read_text(encoding="utf-8"))
        size, parts = int(facts["input_bytes"]), int(facts["parts"])
    except (OSError, ValueError, KeyError):
        return None
    others = [size // parts] * (parts - 1)
    if others:
        others[0] -= min(others[0], largest(size // parts) - size // parts)
    share = facts.get("bases", size) / size if size else 1.0
    if not facts.get("slice_length", 1) or "alignments" in facts.get("streams", {}):
        share = 0.0
    return PartSizes((*others, size - sum(others)), share)


def largest(bases: int) -> int:
    """The most that a part or job gets where ``bases`` are aimed at: less than half of one is joined to another."""
    return bases * 3 // 2


def text_bytes(files: Iterable[str]) -> int:
    """About how much text these files hold, compressed or not; those that do not exist yet count nothing."""
    total = 0.0
    for path in map(Path, files):
        if path.is_file():
            with path.open("rb") as file:
                compressed = detect_compression(file.read(10))
            total += path.stat().st_size / (_COMPRESSED_TO if compressed else 1)
    return int(total)
