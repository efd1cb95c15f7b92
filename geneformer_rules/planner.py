"""The plan of a run of the workflow: which samples are archived, in which jobs, and from which files.

Rules look up their inputs in `inputs`, their parameters in `options`, and their resources in `needs`; Snakemake calls
these methods with the wildcards of a job.

Samples are archived in one of two ways. Small ones are archived whole by ``archive``, in batches. Large ones are split,
compressed in parts and gathered. Both ways end in a directory below ``unpublished``, which has the archive and its
report, and ``publish`` puts these in their places. Runs are fetched first, and take either way once their size is
known.

An archive that is up to date is made by no rule: wildcard constraints leave it out, so it is a file that exists. So the
graph holds only what is to be done, and batches, which differ from run to run, are no reason to make anything again.
"""

import functools
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from geneformer_codec.cuda.choose import gpu_is_there
from geneformer_rules import batching, parts, provenance, sheets
from geneformer_rules.ending import archives_of, finish_run
from geneformer_rules.estimates import Estimates, trains_in_a_minute
from geneformer_rules.inputs import Inputs
from geneformer_rules.needs import Needs
from geneformer_rules.options import Options
from geneformer_rules.parts import PartSizes, largest, parts_of_archive, read_plan
from geneformer_rules.patterns import NAME, any_of, none_of
from geneformer_rules.publishing import ERROR, remove
from geneformer_rules.ready_jobs import ReadyJobs
from geneformer_rules.records import read_json
from geneformer_rules.run_directory import LOCK
from geneformer_rules.scheduling import extend_scheduler
from geneformer_rules.sheets import NO_MODEL, Sample, SheetError, Sheets, Species
from geneformer_rules.snakemake_call import Call

Wildcards = Any


@dataclass(frozen=True, eq=False)
class Planner:
    """The plan of a run, from its configuration and sheets and the files on the disk."""

    call: Call
    sheets: Sheets
    published: provenance.Published
    checkpoints: Any = None
    _sizes: dict[tuple[str, ...], int] = field(default_factory=dict)

    @classmethod
    def of(cls, workflow: Any, config: Mapping[str, Any], checkpoints: Any) -> "Planner":
        """Check the configuration and the sheets, and plan. Jobs trust the check of the process that started them."""
        call = Call(workflow)
        published = provenance.Published(call.results)

        def is_available(path: str) -> bool:
            return Path(path).is_file() or call.writes(path)

        try:
            loaded = sheets.load(
                config,
                is_available if call.is_main_process else None,
                lambda checked: cls(call, checked, published).find_done(),
            )
        except SheetError as error:
            raise WorkflowError(f"Please correct:\n{error}") from None
        planner = cls(call, loaded, published, checkpoints)
        call.limit_resource("sra_downloads", planner.config["sra"]["max_downloads"])
        if call.is_main_process:
            extend_scheduler(
                workflow, ReadyJobs(planner).choose, functools.partial(finish_run, planner, archives_of(planner))
            )
        return planner

    @property
    def config(self) -> Mapping[str, Any]:
        """The checked configuration."""
        return self.sheets.config

    @property
    def samples(self) -> Mapping[str, Sample]:
        """The rows of the sample sheet."""
        return self.sheets.samples

    @property
    def results(self) -> str:
        """The directory of the results."""
        return self.call.results

    @cached_property
    def benchmarks(self) -> str:
        """The directory of the benchmarks."""
        return self.call.place("benchmarks")

    @cached_property
    def logs(self) -> str:
        """The directory of the logs."""
        return self.call.place("logs")

    @cached_property
    def inputs(self) -> Inputs:
        """What jobs read."""
        return Inputs(self)

    @cached_property
    def options(self) -> Options:
        """Arguments of commands."""
        return Options(self)

    @cached_property
    def needs(self) -> Needs:
        """What jobs need."""
        return Needs(self)

    @cached_property
    def estimates(self) -> Estimates:
        """Memory and time that jobs need."""
        return Estimates(self.config)

    @cached_property
    def retries(self) -> int:
        """How often a failed job is tried again.

        On a cluster a job runs two more Snakemakes, one inside the other. If they tried again as well, a job that lacks
        memory would fail six times before it gets more.
        """
        return int(self.config["retries"]) if self.call.is_main_process else 0

    # --- which samples are done --------------------------------------------------------------------------------------

    def find_done(self) -> set[str]:
        """The samples whose archive agrees with their row of the sheet, and is not forced."""
        if not self.call.is_main_process:  # a job only needs the rules of its own sample
            return self.published.names - self.call.targeted_samples
        if self.call.makes_report:  # whose graph shows by which rules archives were made, if that can still be drawn
            return {name for name in self.published.names & self.samples.keys() if not self._has_inputs(name)}
        kept = [
            sample
            for sample in self.samples.values()
            if sample.name in self.published.names
            and not self.is_made_by_rules(sample.files)
            and not self.is_forced(sample)
        ]
        model_of = {name: self.model_of(name) for name in self.sheets.species}
        return provenance.up_to_date(kept, self.sheets.species, self.published, self.config, model_of)

    def _has_inputs(self, sample: str) -> bool:
        """Whether all files are there that an archive was made from."""
        one = self.samples[sample]
        species = self.sheets.species.get(one.species)
        of_model = [] if species is None else [species.model] if species.model else [*species.panel, species.base]
        return all(Path(file).is_file() for file in (*one.files, *of_model) if file)

    def is_made_by_rules(self, files: Iterable[str]) -> bool:
        """Whether rules of the including pipeline write some of these files, or may do so."""
        if not self.config["check_inputs"]:
            return bool(files)
        return any(map(self.call.writes, files))

    def is_forced(self, sample: Sample) -> bool:
        """Whether the user requests a new archive of this sample."""
        if not self.call.forced:
            return False
        trained = self.sheets.species.get(sample.species)
        return self.call.forced.covers(
            sample,
            self.results,
            is_split=self.plan_path(sample.name).is_file(),
            is_trained=trained is not None and trained.model is None,
        )

    @cached_property
    def named_archives(self) -> list[str]:
        """The archives and reports that the user names as targets and that no rule makes."""
        places = [f"{self.results}/archives/{sample}.gfz" for sample in self.sheets.done]
        places += [f"{self.results}/reports/{sample}.json" for sample in self.sheets.done]
        return self.call.replace_targets(set(map(os.path.normpath, places)), "published")

    # --- which jobs there are ----------------------------------------------------------------------------------------

    @cached_property
    def job_bases(self) -> int | None:
        """How many bases a job works on; None: as many as make up a part."""
        return self.estimates.job_bases(self.call.on_cluster)

    def job_count(self, sample: str, sizes: PartSizes) -> int:
        """How many jobs work on the parts of a sample."""
        job_bases = self.job_bases
        if not self.needs.runs_network(self.samples[sample].species) and self.gpu_pays([sizes]):
            job_bases = int(self.estimates.gpu_job_bases(job_bases) / sizes.in_slices)
        return sizes.job_count(job_bases)

    def gpu_pays(self, samples: Iterable[PartSizes | None]) -> bool:
        """Whether experts are to code samples of these parts, or some parts of one, on a GPU."""
        return self.estimates.gpu_pays(samples) and self.may_have_gpu

    @cached_property
    def may_have_gpu(self) -> bool:
        """Whether jobs of experts may find a GPU: they request one, or there is one where Snakemake runs them.

        A cluster shows a job no GPU that it has not requested.
        """
        return self.config["device"] == "cuda" or (not self.call.on_cluster and gpu_is_there())

    @cached_property
    def batch_bases(self) -> int:
        """About how many bases are archived in one batch."""
        return self.job_bases or int(self.config["part_bases"])

    @cached_property
    def batches(self) -> batching.Batches:
        """The batches in which samples are archived whole. A run, whose size is known late, has one to itself."""
        done, limit = self.sheets.done, self.batch_bases
        return batching.plan_batches(self.samples, done, self._size_if_batched, limit, self.needs_gpu)

    def needs_gpu(self, sample: Sample, size: int) -> bool:
        """Whether experts are to code a sample of this size, or decode its archive, on a GPU."""
        archived = self.archived_parts(sample.name) if sample.name in self.sheets.done else None
        return self.gpu_pays([archived or self.needs.parts_of_sample(sample, size)])

    def _size_if_batched(self, sample: Sample) -> int | None:
        return None if sample.accession else self.size_if_whole(sample)

    def size_if_whole(self, sample: Sample) -> int | None:
        """The size of a sample that is to be archived whole; None for one that is split, or a run not fetched yet."""
        if self.plan_path(sample.name).is_file():
            return None
        if sample.accession:
            fetched: int | None = read_json(self.record(sample.name)).get("text_bytes")
            return fetched if fetched is not None and fetched <= largest(self.batch_bases) else None
        if self.is_made_by_rules(sample.files):  # the same before it is made and after
            expected: int | None = self.config["planning"]["sample_bases"]
            return expected
        size = self.text_bytes(sample.files)
        return size if size is not None and size <= largest(self.batch_bases) else None

    def text_bytes(self, files: Iterable[str]) -> int | None:
        """About how much text these files hold; None if that is not known yet. Looked at once, as it takes its time."""
        key = tuple(files)
        if key not in self._sizes:
            there = bool(key) and all(Path(path).is_file() for path in key)
            if not there or self.is_made_by_rules(key):
                return None
            self._sizes[key] = parts.text_bytes(key)
        return self._sizes[key]

    @cached_property
    def split_locally(self) -> str:
        """Matches the samples that are split where Snakemake runs: on a cluster, those that take less than a minute."""
        waiting = [sample for sample in self.samples.values() if sample.name not in self.sheets.done]
        sizes = [(sample, self.text_bytes(sample.files)) for sample in waiting if self.call.on_cluster]
        return any_of(
            sample.name
            for sample, size in sizes
            if size is not None and self.estimates.splits_in_a_minute(size, sample.seeks_self_panel)
        )

    @property
    def gathered_in_jobs(self) -> str:
        """Matches the samples whose parts are not gathered where Snakemake runs."""
        return rf"(?!{self.split_locally}$){NAME}"

    @cached_property
    def trained_locally(self) -> str:
        """Matches the species that are trained where Snakemake runs."""
        species = [entry for entry in self.sheets.species.values() if entry.model is None and entry.trains_experts]
        sizes = {entry.name: self.text_bytes(entry.panel) for entry in species if self.call.on_cluster}
        return any_of(name for name, size in sizes.items() if size is not None and trains_in_a_minute(size))

    @property
    def split_in_jobs(self) -> str:
        """Matches the other samples."""
        return none_of(self.split_locally, "", ".json")

    @property
    def trained_in_jobs(self) -> str:
        """Matches the other species."""
        return none_of(self.trained_locally, ".gfmodel", ".jsonl")

    @cached_property
    def to_publish(self) -> str:
        """Matches every sample that is not done."""
        return none_of(any_of(self.sheets.done), ".gfz", ".json")

    @cached_property
    def runs(self) -> str:
        """Matches the runs that are fetched."""
        return any_of((sample.name for sample in self.samples.values() if sample.accession), self.samples)

    @cached_property
    def one_text(self) -> str:
        """Matches samples that may have one text: of a run it is not always known before it is archived."""
        return any_of((sample.name for sample in self.samples.values() if not sample.is_pair), self.samples)

    @cached_property
    def two_texts(self) -> str:
        """Matches samples that may be a pair."""
        return any_of((sample.name for sample in self.samples.values() if sample.is_pair is not False), self.samples)

    # --- what a job works on -----------------------------------------------------------------------------------------

    def sample(self, wildcards: Wildcards) -> Sample:
        """The sample of a job."""
        if wildcards.sample not in self.samples:
            sheet = self.config["samples"]
            raise WorkflowError(f"{sheet}: unknown sample '{wildcards.sample}'; add a row for it.")
        return self.samples[wildcards.sample]

    def samples_of_job(self, wildcards: Wildcards) -> list[Sample]:
        """The samples of a batch, or the one of a job."""
        if hasattr(wildcards, "batch"):
            return self.batches.members(wildcards.batch)
        return [self.sample(wildcards)]

    def species_of(self, wildcards: Wildcards) -> Species:
        """The species of a job that trains its model."""
        if wildcards.species not in self.sheets.species:
            sheet = self.config["species"]
            raise WorkflowError(f"{sheet}: unknown species '{wildcards.species}'; add a row for it.")
        return self.sheets.species[wildcards.species]

    def model_of(self, species: str) -> str:
        """The model of a species: the file that was given, or the one that will be trained."""
        return self.sheets.species[species].model or f"{self.results}/models/{species}.gfmodel"

    def model_of_job(self, wildcards: Wildcards) -> str | None:
        """The model that codes the samples of a job; None if they are coded without one."""
        species = self.samples_of_job(wildcards)[0].species
        return None if species == NO_MODEL else self.model_of(species)

    def base_of(self, wildcards: Wildcards) -> str | None:
        """The model that a training starts from."""
        base = self.species_of(wildcards).base
        return self.model_of(base) if base is not None and base in self.sheets.species else base

    def plan_path(self, sample: str) -> Path:
        """Where the plan of a sample is, once that was split."""
        return Path(self.results, "plans", f"{sample}.json")

    def record(self, sample: str) -> Path:
        """Where the record of a run is, once that was fetched."""
        return self._records / f"{sample}.json"

    @cached_property
    def _records(self) -> Path:
        return Path(self.results, "fetched")

    @cached_property
    def downloads(self) -> Path:
        """The directory to which runs are downloaded."""
        return Path(self.config["sra"]["directory"] or f"{self.results}/downloads")

    def parts(self, sample: str) -> PartSizes | None:
        """The parts of a sample that has been split."""
        path = self.plan_path(sample)
        return read_plan(path, self.samples[sample].species != NO_MODEL) if path.is_file() else None

    def archived_parts(self, sample: str) -> PartSizes | None:
        """About how the text of an archive was cut."""
        return parts_of_archive(Path(self.results, "reports", f"{sample}.json"))

    def files_of(self, sample: str) -> list[str]:
        """The files of a sample, or of a run that was fetched."""
        given = self.samples[sample]
        files: list[str] = read_json(self.record(sample)).get("files", []) if given.accession else list(given.files)
        return files

    def unpublished(self, sample: Sample) -> str | None:
        """The directory with the archive of a sample before it is published; None for a run that could not be had."""
        made_in = self.batches.batch_of.get(sample.name, sample.name)
        if sample.accession:
            if "error" in read_json(self.record(sample.name)):
                return None
            made_in = sample.name if self.size_if_whole(sample) is None else batching.alone(sample.name)
        return f"{self.results}/unpublished/{made_in}"

    def error_of(self, sample: str) -> str | None:
        """Why there will be no archive of a sample, if that is known before its publication fails."""
        if self.samples[sample].accession and (failure := read_json(self.record(sample)).get("error")):
            return str(failure)
        is_run = self.samples[sample].accession is not None
        for made_in in (batching.alone(sample), sample) if is_run else (self.batches.batch_of.get(sample, sample),):
            error = Path(self.results, "unpublished", made_in, f"{sample}{ERROR}")
            if error.is_file():
                return error.read_text(encoding="utf-8").strip()
        return read_json(self.plan_path(sample)).get("error")

    def work_on(self, sample: str) -> list[Path]:
        """Intermediate files of a sample, which are deleted once its archive is published.

        They may be larger than the sample, and Snakemake would keep temporary ones until all samples have been split.
        """
        left = [Path(self.results, place, sample) for place in ("parts", "blocks")]
        if self.samples[sample].accession:
            kept = self.config["sra"]["keep_downloads"]
            left += [self.downloads / sample / LOCK] if kept else [self.record(sample), self.downloads / sample]
        return left

    def remove_run(self, sample: str) -> None:
        """Remove a run that failed, or is no longer in the sheet."""
        print(f"{self.downloads / sample}: removed, as other runs need the room", file=sys.stderr)
        for path in (self.record(sample), self.downloads / sample):
            remove(path)
        for place in ("parts", "blocks"):
            remove(Path(self.results, place, sample))
