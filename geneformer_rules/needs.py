"""Resources of jobs: threads, memory, time, and where they run. Both memory and time grow with every retry."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geneformer_codec.archive.settings import READ_PANEL_BASES
from geneformer_rules import models
from geneformer_rules.parts import PartSizes, in_slices, largest, parts_of_text, text_bytes
from geneformer_rules.sheets import NO_MODEL, Sample
from geneformer_rules.slurm_resources import slurm_resources

if TYPE_CHECKING:
    from geneformer_rules.planner import Planner

Wildcards = Any


@dataclass(frozen=True, eq=False)
class Needs:
    """The needs of all jobs of a plan; Snakemake calls the methods with the wildcards of a job."""

    planner: "Planner"

    # --- resources of rules ------------------------------------------------------------------------------------------

    @cached_property
    def archiving(self) -> "CodingJobs":
        """Of jobs that archive whole samples, which encode and decode."""
        return CodingJobs(self, "compress", self.archive_parts, works=("encode", "decode"))

    @cached_property
    def compressing(self) -> "CodingJobs":
        """Of jobs that compress parts, and decode them."""
        return CodingJobs(self, "compress", self.compress_parts, works=("encode", "decode"))

    @cached_property
    def decoding(self) -> "CodingJobs":
        """Of jobs that decode archives."""
        return CodingJobs(self, "decode", self.decode_parts, works=("decode",))

    @property
    def training(self) -> dict[str, Any]:
        """Of jobs that train a model."""
        return {
            **self.placement(self.training_device),
            "mem_mb": self.training_memory_mb,
            "runtime": self.training_minutes,
        }

    @property
    def splitting(self) -> dict[str, Any]:
        """Of jobs that split a sample."""
        return {**slurm_resources(self._config), "mem_mb": self.split_memory_mb, "runtime": self.split_minutes}

    @property
    def gathering(self) -> dict[str, Any]:
        """Of jobs that gather parts."""
        return {**slurm_resources(self._config), "mem_mb": self.gather_memory_mb, "runtime": self.gather_minutes}

    @property
    def fetching(self) -> dict[str, Any]:
        """Of jobs that fetch a run."""
        placed = slurm_resources(self._config, downloads=True)
        return {**placed, "mem_mb": self.fetch_memory_mb, "runtime": self.fetch_minutes, "sra_downloads": 1}

    @property
    def fetch_threads(self) -> int:
        """Threads of jobs that fetch a run: extracting reads uses several."""
        is_download = self._config["sra"]["source"] == "ena"
        return 1 if is_download else int(self._config["threads"]["compress"])

    def placement(self, device: Callable[[Wildcards], str]) -> dict[str, Any]:
        """Where the jobs of a rule run that run or train a model on a device."""
        placed = slurm_resources(self._config, lambda wildcards: device(wildcards) == "cuda")
        return {**placed, "device": device}

    def training_device(self, wildcards: Wildcards) -> str:
        """Where a job trains a model: experts are trained on the CPU."""
        return str(self._config["device"]) if self.runs_network(wildcards.species) else "cpu"

    def runs_network(self, species: str) -> bool:
        """Whether the jobs of a species run a network; of a file that does not exist yet it is assumed."""
        if species == NO_MODEL:
            return False
        entry = self.planner.sheets.species[species]
        if entry.model is None:
            return not entry.trains_experts
        return models.runs_network(entry.model, self._config["level"]) is not False

    @property
    def _config(self) -> Any:
        return self.planner.config

    # --- what a job works on -----------------------------------------------------------------------------------------

    def archive_parts(self, wildcards: Wildcards) -> list[PartSizes | None]:
        """The parts of each sample of a batch, about, as they are or will be when they are made."""
        return [
            self.parts_of_sample(sample, self._bytes_to_archive(sample))
            for sample in self.planner.samples_of_job(wildcards)
        ]

    def _bytes_to_archive(self, sample: Sample) -> int:
        size = self.planner.text_bytes(sample.files)
        if size is None:  # it is made by a rule, or is a run
            size = max(text_bytes(sample.files), self.planner.size_if_whole(sample) or 0)
        return size

    def compress_parts(self, wildcards: Wildcards) -> list[PartSizes | None]:
        """The parts that a job compresses."""
        plan = self.planner.parts(wildcards.sample)
        return [plan and plan.of_job(wildcards.parts)]

    def decode_parts(self, wildcards: Wildcards) -> list[PartSizes | None]:
        """The parts of each sample that a job decodes, by its plan or report, or about; None if nothing is known."""
        if hasattr(wildcards, "parts"):
            archived = self.planner.archived_parts(wildcards.sample)
            return [archived and archived.of_job(wildcards.parts)]
        return [self._parts_to_decode(sample) for sample in self.planner.samples_of_job(wildcards)]

    def _parts_to_decode(self, sample: Sample) -> PartSizes | None:
        planner = self.planner
        if plan := planner.parts(sample.name):
            return plan
        size = planner.size_if_whole(sample) if sample.name not in planner.sheets.done else None
        if size is None:
            return planner.archived_parts(sample.name)
        return self.parts_of_sample(sample, size)

    def parts_of_sample(self, sample: Sample, size: int) -> PartSizes:
        """About how a sample of this size is cut into parts, before it is read."""
        is_reads = sample.accession or any(fnmatch(Path(file).name.lower(), "*.f*q*") for file in sample.files)
        share = in_slices(bool(is_reads), sample.species != NO_MODEL)
        return parts_of_text(size, self._config["part_bases"], share)

    def panel_bases(self, species: str) -> int:
        """About how large the panel is that the model of a species holds."""
        if species == NO_MODEL:
            return 0
        entry = self.planner.sheets.species[species]
        return text_bytes(entry.panel) if entry.model is None else models.panel_bases(entry.model)

    # --- memory and time ---------------------------------------------------------------------------------------------

    def fetch_memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory of a job that fetches a run."""
        return self.planner.estimates.fetch_memory_mb(attempt)

    def fetch_minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a job that fetches a run."""
        return attempt * int(60 * self._config["sra"]["hours"])

    def split_memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory of a job that splits a sample."""
        text = text_bytes(map(str, self._files_there(wildcards)))
        return self.planner.estimates.split_memory_mb(attempt, text if self._seeks_self_panel(wildcards) else None)

    def split_minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a job that splits a sample."""
        there = self._files_there(wildcards)
        size, text = sum(path.stat().st_size for path in there), text_bytes(map(str, there))
        return self.planner.estimates.split_minutes(size, text, attempt, self._seeks_self_panel(wildcards))

    def _files_there(self, wildcards: Wildcards) -> list[Path]:
        return [path for path in map(Path, self.planner.files_of(wildcards.sample)) if path.is_file()]

    def _seeks_self_panel(self, wildcards: Wildcards) -> bool:
        return self.planner.sample(wildcards).seeks_self_panel

    def gather_memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory of a job that gathers parts, and holds one of them at a time."""
        part = self.planner.estimates.part_bytes(self.planner.parts(wildcards.sample))
        panel = self.panel_bases(self.planner.sample(wildcards).species) if self._config["embed_model"] else 0
        return self.planner.estimates.memory_mb(part, attempt, panel_bases=panel)

    def gather_minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a job that gathers parts, and reads their texts."""
        plan = self.planner.parts(wildcards.sample)
        return self.planner.estimates.split_minutes(0 if plan is None else plan.total, 0, attempt)

    def training_memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory of a training."""
        species = self.planner.species_of(wildcards)
        return self.planner.estimates.training_memory_mb(species, self.panel_bases(species.name), attempt)

    def training_minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a training."""
        species = self.planner.species_of(wildcards)
        return self.planner.estimates.training_minutes(species, self.panel_bases(species.name), attempt)


@dataclass(frozen=True, eq=False)
class CodingJobs:
    """The needs of one kind of jobs that code samples, from the parts of each sample of a job.

    ``threads_of`` is the key of their threads in the configuration, ``works`` what they do: ``encode``, ``decode``.
    """

    needs: Needs
    threads_of: str
    parts: Callable[[Wildcards], list[PartSizes | None]]
    works: tuple[str, ...]

    @property
    def resources(self) -> dict[str, Any]:
        """The resources of a rule."""
        return {**self.needs.placement(self.device), "mem_mb": self.memory_mb, "runtime": self.minutes}

    def device(self, wildcards: Wildcards) -> str:
        """Where a job codes: experts on a GPU, if it may have one and all of its samples are large enough."""
        config = self.needs.planner.config
        is_network = self.needs.runs_network(self.needs.planner.samples_of_job(wildcards)[0].species)
        return str(config["device"]) if is_network or self._gpu_pays(wildcards) else "cpu"

    def _gpu_pays(self, wildcards: Wildcards) -> bool:
        return self.needs.planner.gpu_pays(self.parts(wildcards))

    def threads(self, wildcards: Wildcards) -> int:
        """Threads of a job, as many as can be of use."""
        planner = self.needs.planner
        parts = [0 if found is None else len(found.sizes) for found in self.parts(wildcards)]
        with_model = planner.model_of_job(wildcards) is not None
        return planner.estimates.threads(self.threads_of, max(parts) if all(parts) else None, with_model)

    def memory_mb(self, wildcards: Wildcards, attempt: int, threads: int) -> int:
        """Memory of a job: without a model each thread has a part of its own, and a GPU codes many together."""
        planner = self.needs.planner
        species = planner.samples_of_job(wildcards)[0].species
        at_once = threads if species == NO_MODEL else 1
        part, waiting = max(map(planner.estimates.part_bytes, self.parts(wildcards))), 0
        if self._gpu_pays(wildcards) and not self.needs.runs_network(species):
            parts = max(0 if found is None else len(found.sizes) for found in self.parts(wildcards))
            at_once, waiting = threads, planner.estimates.gpu_memory_mb(part, parts, attempt)
        panel = self.needs.panel_bases(species)
        if species == NO_MODEL and any(found is None or len(found.sizes) > 1 for found in self.parts(wildcards)):
            panel = READ_PANEL_BASES
        return planner.estimates.memory_mb(part, attempt, at_once, panel) + waiting

    def minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a job."""
        planner = self.needs.planner
        unknown = largest(planner.batch_bases)
        size = sum(unknown if found is None else found.total for found in self.parts(wildcards))
        return sum(planner.estimates.minutes(work, size, attempt) for work in self.works)
