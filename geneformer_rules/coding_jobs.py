"""What jobs need that encode or decode samples: threads, memory and time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geneformer_codec.archive.settings import SELF_PANEL_BASES
from geneformer_rules.parts import PartSizes, largest
from geneformer_rules.sheets import NO_MODEL

if TYPE_CHECKING:
    from geneformer_rules.planner import Planner

Wildcards = Any


@dataclass(frozen=True, eq=False)
class CodingJobs:
    """The needs of one kind of jobs that code samples, from the parts of each sample of a job."""

    planner: "Planner"
    work: str
    parts: Callable[[Wildcards], list[PartSizes | None]]
    encodes: bool = False
    decodes: bool = False

    @property
    def resources(self) -> dict[str, Any]:
        """The resources of a rule."""
        downloads = self.planner.downloads if self.encodes else None
        return {**self.planner.placement(downloads), "mem_mb": self.memory_mb, "runtime": self.minutes}

    def threads(self, wildcards: Wildcards) -> int:
        """Threads of a job, as many as can be of use."""
        parts = [0 if found is None else len(found.sizes) for found in self.parts(wildcards)]
        with_model = self.planner.model_of_job(wildcards) is not None
        return self.planner.estimates.threads(self.work, max(parts) if all(parts) else None, with_model)

    def memory_mb(self, wildcards: Wildcards, attempt: int, threads: int) -> int:
        """Memory of a job: without a model each thread has a part of its own."""
        estimates = self.planner.estimates
        species = self.planner.samples_of_job(wildcards)[0].species
        at_once = threads if species == NO_MODEL else 1
        part = max(map(estimates.part_bytes, self.parts(wildcards)))
        panel = self.planner.panel_bases(species)
        if self.encodes and self.planner.downloads(wildcards):
            part *= 2  # the qualities of reads take as much as their bases
        elif species == NO_MODEL and any(found is None or len(found.sizes) > 1 for found in self.parts(wildcards)):
            panel = SELF_PANEL_BASES
        return estimates.memory_mb(part, attempt, at_once, panel)

    def minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a job; a run that is fetched has one of its own."""
        planner = self.planner
        if self.encodes and planner.downloads(wildcards):
            return attempt * int(60 * planner.config["sra"]["hours"])
        unknown = largest(planner.batch_bases)
        size = sum(unknown if found is None else found.total for found in self.parts(wildcards))
        works = ["encode"] * self.encodes + ["decode"] * self.decodes
        return sum(planner.estimates.minutes(work, size, attempt) for work in works)
