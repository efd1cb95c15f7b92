"""The plan of a run: which samples are to be archived, in which jobs, from what, and what each job needs.

Rules look up their inputs, parameters and resources here; Snakemake calls the methods with the wildcards of a job.

Samples are archived in one of two ways. Small ones, and runs that are downloaded, are archived whole by ``archive``, in
batches. Large ones are split, compressed in parts and gathered. Both ways end in a directory below ``unpublished``,
which has the archive and its report, and ``publish`` puts these in their places.

An archive that is up to date is made by no rule: wildcard constraints leave it out, so it is a file that exists. So the
graph holds only what is to be done, and batches, which differ from run to run, are no reason to make anything again.
"""

import functools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.io import flag
from snakemake.path_modifier import PATH_MODIFIER_FLAG
from snakemake_interface_common.exceptions import WorkflowError

from geneformer_rules import batching, models, provenance, sheets
from geneformer_rules.coding_jobs import CodingJobs
from geneformer_rules.estimates import Estimates, trains_in_a_minute
from geneformer_rules.parts import PartSizes, largest, parts_of_archive, parts_of_text, read_plan, text_bytes
from geneformer_rules.patterns import any_of, none_of
from geneformer_rules.records import is_made_of
from geneformer_rules.sheets import NO_MODEL, Sample, SheetError, Sheets, Species
from geneformer_rules.slurm_resources import slurm_resources
from geneformer_rules.snakemake_call import Call, tracked

Wildcards = Any
Output = Any


def _paths(method: Callable[["Planner", Wildcards], list[str]]) -> Callable[["Planner", Wildcards], list[str]]:
    """An input function whose paths are final: the prefix of a module must not be put before them (again)."""

    @functools.wraps(method)
    def input_function(self: "Planner", wildcards: Wildcards) -> list[str]:
        paths = method(self, wildcards)
        found: list[str] = flag(paths, PATH_MODIFIER_FLAG) if self.call.has_prefix else paths
        return found

    return input_function


@dataclass(frozen=True, eq=False)
class Planner:
    """The plan of a run, from its configuration and sheets and the files on the disk."""

    call: Call
    sheets: Sheets
    published: provenance.Published
    checkpoints: Any = None
    _begun: set[str] = field(default_factory=set)

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
        kept = [
            sample
            for sample in self.samples.values()
            if sample.name in self.published.names
            and not self._is_made_by_rules(sample.files)
            and not self._is_forced(sample)
        ]
        model_of = {name: self._model_of(name) for name in self.sheets.species}
        return provenance.up_to_date(kept, self.sheets.species, self.published, self.config, model_of)

    def _is_made_by_rules(self, files: Iterable[str]) -> bool:
        """Whether rules of the including pipeline write some of these files, or may do so."""
        if not self.config["check_inputs"]:
            return bool(files)
        return any(map(self.call.writes, files))

    def _is_forced(self, sample: Sample) -> bool:
        """Whether the user asks for a new archive of this sample."""
        if not self.call.forced:
            return False
        trained = self.sheets.species.get(sample.species)
        return self.call.forced.covers(
            sample,
            self.results,
            is_split=self._plan_path(sample.name).is_file(),
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
    def _job_bases(self) -> int | None:
        return self.estimates.job_bases(self.call.on_cluster)

    @cached_property
    def batch_bases(self) -> int:
        """About how many bases are archived in one batch."""
        return self._job_bases or int(self.config["part_bases"])

    @cached_property
    def batches(self) -> batching.Batches:
        """The batches in which samples are archived whole. A run has one to itself: its size is not known."""
        batches = batching.plan_batches(self.samples, self.sheets.done, self._size_if_whole, self.batch_bases)
        runs = [name for name, sample in self.samples.items() if sample.accession and name not in self.sheets.done]
        return batching.Batches(self.samples, {**batches.batch_of, **{run: batching.alone(run) for run in runs}})

    def _size_if_whole(self, sample: Sample) -> int | None:
        """The size of a sample that is to be archived whole; None for one that is split, or is a run."""
        if self._plan_path(sample.name).is_file():
            return None
        if self._is_made_by_rules(sample.files):  # the same before it is made and after
            expected: int | None = self.config["planning"]["sample_bases"]
            return expected
        size = self._text_bytes(sample.files)
        return size if size is not None and size <= largest(self.batch_bases) else None

    def _text_bytes(self, files: Iterable[str]) -> int | None:
        """About how much text these files hold; None if that is not known yet."""
        files = list(files)
        there = bool(files) and all(Path(path).is_file() for path in files)
        return text_bytes(files) if there and not self._is_made_by_rules(files) else None

    @cached_property
    def split_locally(self) -> str:
        """Matches the samples that are split where Snakemake runs: on a cluster, those that take less than a minute."""
        waiting = [sample for sample in self.samples.values() if sample.name not in self.sheets.done]
        sizes = [(sample, self._text_bytes(sample.files)) for sample in waiting if self.call.on_cluster]
        return any_of(
            sample.name
            for sample, size in sizes
            if size is not None and self.estimates.splits_in_a_minute(size, sample.seeks_self_panel)
        )

    @cached_property
    def trained_locally(self) -> str:
        """Matches the species that are trained where Snakemake runs."""
        species = [entry for entry in self.sheets.species.values() if entry.model is None and entry.trains_experts]
        sizes = {entry.name: self._text_bytes(entry.panel) for entry in species if self.call.on_cluster}
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
    def one_text(self) -> str:
        """Matches samples that may have one text: of a run it is not always known before it is archived."""
        return any_of(sample.name for sample in self.samples.values() if not sample.is_pair)

    @cached_property
    def two_texts(self) -> str:
        """Matches samples that may be a pair."""
        return any_of(sample.name for sample in self.samples.values() if sample.is_pair is not False)

    # --- what a job works on -----------------------------------------------------------------------------------------

    def _sample(self, wildcards: Wildcards) -> Sample:
        if wildcards.sample not in self.samples:
            sheet = self.config["samples"]
            raise WorkflowError(f"{sheet}: unknown sample '{wildcards.sample}'; add a row for it.")
        return self.samples[wildcards.sample]

    def samples_of_job(self, wildcards: Wildcards) -> list[Sample]:
        """The samples of a batch, or the one of a job."""
        if hasattr(wildcards, "batch"):
            return self.batches.members(wildcards.batch)
        return [self._sample(wildcards)]

    def _species(self, wildcards: Wildcards) -> Species:
        if wildcards.species not in self.sheets.species:
            sheet = self.config["species"]
            raise WorkflowError(f"{sheet}: unknown species '{wildcards.species}'; add a row for it.")
        return self.sheets.species[wildcards.species]

    def _model_of(self, species: str) -> str:
        """The model of a species: the file that was given, or the one that will be trained."""
        return self.sheets.species[species].model or f"{self.results}/models/{species}.gfmodel"

    def model_of_job(self, wildcards: Wildcards) -> str | None:
        """The model that codes the samples of a job; None if they are coded without one."""
        species = self.samples_of_job(wildcards)[0].species
        return None if species == NO_MODEL else self._model_of(species)

    def _base(self, wildcards: Wildcards) -> str | None:
        base = self._species(wildcards).base
        return self._model_of(base) if base is not None and base in self.sheets.species else base

    def _plan_path(self, sample: str) -> Path:
        return Path(self.results, "plans", f"{sample}.json")

    def _plan(self, sample: str) -> PartSizes | None:
        """The parts of a sample that has been split."""
        path = self._plan_path(sample)
        return read_plan(path) if path.is_file() else None

    # --- inputs ------------------------------------------------------------------------------------------------------

    def _force_if_stale(self, output: str, samples: Iterable[Sample]) -> None:
        """Force the first job of samples whose output an earlier run has left, made of other files, or incomplete."""
        if not self.call.is_main_process or output in self._begun:
            return
        self._begun.add(output)  # what a job writes during this run is not stale
        if not Path(output).exists() or any(self._is_made_by_rules(sample.files) for sample in samples):
            return
        if not is_made_of(Path(output), samples) or any(map(self._is_forced, samples)):
            self.call.force(output)

    @_paths
    def archive_sources(self, wildcards: Wildcards) -> list[str]:
        """The files of the samples of a batch."""
        members = self.samples_of_job(wildcards)
        self._force_if_stale(f"{self.results}/unpublished/{wildcards.batch}", members)
        return tracked(path for sample in members for path in sample.files)

    @_paths
    def split_sources(self, wildcards: Wildcards) -> list[str]:
        """The files of a sample that is split."""
        sample = self._sample(wildcards)
        self._force_if_stale(str(self._plan_path(sample.name)), [sample])
        return tracked(sample.files)

    @_paths
    def sources(self, wildcards: Wildcards) -> list[str]:
        """The files of a sample when its archive is published. An archive that is there already is out of date."""
        sample = self._sample(wildcards)
        if (
            self.call.is_main_process
            and sample.name in self.published.names
            and not self._is_made_by_rules(sample.files)
        ):
            self.call.force(f"{self.results}/archives/{sample.name}.gfz")
        return tracked(sample.files)

    @_paths
    def unpublished(self, wildcards: Wildcards) -> list[str]:
        """The directory with the archive of a sample before it is published."""
        sample = self._sample(wildcards).name
        return [f"{self.results}/unpublished/{self.batches.batch_of.get(sample, sample)}"]

    @_paths
    def model(self, wildcards: Wildcards) -> list[str]:
        """The model that codes the samples of a job; none if they are coded without one."""
        return tracked([self.model_of_job(wildcards)])

    @_paths
    def panel(self, wildcards: Wildcards) -> list[str]:
        """The files that a model is trained on."""
        return tracked(self._species(wildcards).panel)

    @_paths
    def base_model(self, wildcards: Wildcards) -> list[str]:
        """The network that a training starts from."""
        return tracked([self._base(wildcards)])

    @_paths
    def blocks(self, wildcards: Wildcards) -> list[str]:
        """The compressed parts of a sample, known once it has been split."""
        local = re.fullmatch(self.split_locally, wildcards.sample)
        checkpoint = self.checkpoints.split_local if local else self.checkpoints.split
        parts = read_plan(checkpoint.get(sample=wildcards.sample).output.plan)
        jobs = parts.jobs(parts.job_count(self._job_bases))
        return [f"{self.results}/blocks/{wildcards.sample}/{job}.gfz" for job in jobs]

    @_paths
    def archives(self, wildcards: Wildcards) -> list[str]:
        """The archives of all samples, or of the job's."""
        samples = self.samples_of_job(wildcards) if hasattr(wildcards, "batch") else self.samples.values()
        return [f"{self.results}/archives/{sample.name}.gfz" for sample in samples]

    @_paths
    def reports(self, wildcards: Wildcards) -> list[str]:
        """The reports of all archives."""
        return [f"{self.results}/reports/{sample}.json" for sample in self.samples]

    @_paths
    def deletions(self, wildcards: Wildcards) -> list[str]:
        """The records of deleted sources, if these are to be deleted."""
        samples = self.samples.values() if self.config["delete_source"] else ()
        return [f"{self.results}/deleted/{sample.name}.json" for sample in samples if sample.files]

    @_paths
    def models(self, wildcards: Wildcards) -> list[str]:
        """The models that are trained here."""
        return [self._model_of(species) for species in self._trained_species()]

    @_paths
    def training_reports(self, wildcards: Wildcards) -> list[str]:
        """The reports of all trainings."""
        return [f"{self.results}/training/{species}.html" for species in self._trained_species()]

    def _trained_species(self) -> list[str]:
        return [name for name, species in self.sheets.species.items() if species.model is None]

    @_paths
    def decompressed(self, wildcards: Wildcards) -> list[str]:
        """The checks of the jobs that decompress what is not decompressed yet."""
        return self._checks["decompress"]

    @_paths
    def verified(self, wildcards: Wildcards) -> list[str]:
        """The checks of the jobs that verify all archives, again whenever this is asked for."""
        return self._checks["verify"]

    @cached_property
    def _checks(self) -> dict[str, list[str]]:
        """The outputs of the jobs that decode samples, by what they do. Those that an earlier run left do not count."""
        archives, texts = Path(self.results, "archives"), Path(self.results, "decompressed")
        there = {name for name in self.sheets.done if provenance.is_decompressed(archives / f"{name}.gfz", texts)}
        checks = {}
        for work, done in (("decompress", there), ("verify", set[str]())):
            batch_of = batching.plan_batches(self.samples, done, self._size_if_shared, self.batch_bases).batch_of
            batches = (batch_of.get(name, batching.alone(name)) for name in self.samples if name not in done)
            checks[work] = [f"{self.results}/checks/{work}/{batch}.ok" for batch in dict.fromkeys(batches)]
            self.call.force(*checks[work])
        return checks

    def _size_if_shared(self, sample: Sample) -> int | None:
        """The size of a sample whose archive is decoded in a job with others; None for one that has its own job."""
        if self._plan_path(sample.name).is_file() or sample.name not in self.sheets.done:
            return self._size_if_whole(sample)
        parts = self._archived_parts(sample.name)
        return parts.total if parts and parts.total <= largest(self.batch_bases) else None

    def _archived_parts(self, sample: str) -> PartSizes | None:
        return parts_of_archive(Path(self.results, "reports", f"{sample}.json"))

    # --- parameters --------------------------------------------------------------------------------------------------

    # Paths of users reach commands as parameters, quoted; as input files Snakemake would read patterns into them.

    def source_files(self, wildcards: Wildcards) -> str:
        """The files of a sample; none for a run."""
        return shlex.join(self._sample(wildcards).files)

    def sample_options(self, wildcards: Wildcards) -> str:
        """The samples of a batch, with their files or the accession of the run."""
        samples = self.samples_of_job(wildcards)
        return shlex.join(w for s in samples for w in ("--sample", s.name, *(s.files or [s.path])))

    def fetch_options(self, wildcards: Wildcards) -> str:
        """How the run of a batch is fetched."""
        if not self.downloads(wildcards):
            return ""
        sra = self.config["sra"]
        options = ["--downloads", sra["directory"] or f"{self.results}/downloads"]
        options += ["--tries", str(sra["tries"]), "--max-downloads", str(sra["max_downloads"])]
        options += ["--keep"] if sra["keep_downloads"] else []
        options += ["--ena", sra["ena_url"]] if sra["source"] == "ena" else []
        options += [f"--host={host}" for host in sra["hosts"]]
        options += ["--ngc", sra["ngc"]] if sra["ngc"] else []
        return shlex.join(options)

    def species_option(self, wildcards: Wildcards) -> str:
        """The species of the samples of a job."""
        return option("--species", self.samples_of_job(wildcards)[0].species)

    def model_option(self, wildcards: Wildcards) -> str:
        """The model that codes the samples of a job."""
        return option("--model", self.model_of_job(wildcards))

    @property
    def embed_option(self) -> str:
        """Whether models are put into the archives."""
        return "--embed" if self.config["embed_model"] else ""

    def panel_files(self, wildcards: Wildcards) -> str:
        """The files that a model is trained on."""
        return shlex.join(self._species(wildcards).panel)

    def base_file(self, wildcards: Wildcards) -> str:
        """The network that a training starts from."""
        base = self._base(wildcards)
        return shlex.quote(base) if base else ""

    def base_option(self, wildcards: Wildcards) -> str:
        """The same, as an option."""
        return option("--base", self._base(wildcards))

    def training_options(self, wildcards: Wildcards) -> str:
        """The settings of a training that decide what model comes out."""
        species = self._species(wildcards)
        options = [] if species.base else [f"--preset {species.preset}"]
        options += ["--recurring"] if species.from_samples else []
        if not species.trains_experts:
            budget = f"--minutes {species.minutes:g}" if species.epochs is None else f"--epochs {species.epochs:g}"
            options += [f"--recipe {species.recipe}", budget]
        return " ".join([*options, f"--seed {self.config['training']['seed']}"])

    def checkpoint_option(self, wildcards: Wildcards, output: Output) -> str:
        """Where the training of a network saves its state; experts are trained too quickly for that."""
        if self._species(wildcards).trains_experts:
            return ""
        return f"--checkpoint {shlex.quote(output.progress)}.$run.checkpoint"

    def leftovers(self, wildcards: Wildcards, output: Output) -> str:
        """Temporary files that a killed attempt may have left beside its output, as a pattern for the shell."""
        path = Path(output[0])
        return f"{shlex.quote(str(path.parent))}/.{shlex.quote(path.name)}.*.tmp"

    @property
    def model_path(self) -> str:
        """Where the models of archives are looked for: beside them, then where the user says."""
        return shlex.quote(f"{self.results}/archives/models") + '"${GFZ_MODEL_PATH:+:$GFZ_MODEL_PATH}"'

    def environment(self, wildcards: Wildcards) -> str | None:
        """The conda environment of a job: one that fetches a run needs the SRA toolkit."""
        return "../envs/sra.yaml" if self.downloads(wildcards) and self.config["sra"]["source"] != "ena" else None

    def plan_file(self, wildcards: Wildcards) -> str:
        """The plan of a sample that is split."""
        return str(self._plan_path(wildcards.sample))

    def blocks_directory(self, wildcards: Wildcards) -> str:
        """The directory of the compressed parts of a sample."""
        return f"{self.results}/blocks/{wildcards.sample}"

    def block_count(self, wildcards: Wildcards, input: Any) -> int:
        """How many jobs have compressed the parts of a sample."""
        return len(input.blocks)

    def unpublished_directory(self, wildcards: Wildcards) -> str:
        """The directory of archives that are not published yet."""
        return f"{self.results}/unpublished"

    def first_and_last_part(self, wildcards: Wildcards) -> str:
        """The numbers of the parts of a job."""
        return " ".join(str(int(number)) for number in wildcards.parts.split("-"))

    def text_option(self, wildcards: Wildcards) -> str:
        """Where texts go, of a job that decompresses and does not only verify."""
        return option("--output", f"{self.results}/decompressed") if wildcards.work == "decompress" else ""

    # --- resources ---------------------------------------------------------------------------------------------------

    def archive_parts(self, wildcards: Wildcards) -> list[PartSizes | None]:
        """The parts of each sample of a batch, about, as they are or will be when they are made."""
        part_bases = self.config["part_bases"]
        sizes = [
            None if sample.accession else max(text_bytes(sample.files), self._size_if_whole(sample) or 0)
            for sample in self.samples_of_job(wildcards)
        ]
        return [None if size is None else parts_of_text(size, part_bases) for size in sizes]

    def compress_parts(self, wildcards: Wildcards) -> list[PartSizes | None]:
        """The parts that a job compresses."""
        plan = self._plan(wildcards.sample)
        return [plan and plan.of_job(wildcards.parts)]

    def decode_parts(self, wildcards: Wildcards) -> list[PartSizes | None]:
        """The parts of each sample that a job decodes, by its plan or report, or about; None if nothing is known."""
        return [self._parts_to_decode(sample) for sample in self.samples_of_job(wildcards)]

    def _parts_to_decode(self, sample: Sample) -> PartSizes | None:
        if plan := self._plan(sample.name):
            return plan
        size = self._size_if_whole(sample) if sample.name not in self.sheets.done else None
        return self._archived_parts(sample.name) if size is None else parts_of_text(size, self.config["part_bases"])

    @cached_property
    def archiving(self) -> CodingJobs:
        """The needs of jobs that archive whole samples, which encode and decode."""
        return CodingJobs(self, "compress", self.archive_parts, encodes=True, decodes=True)

    @cached_property
    def compressing(self) -> CodingJobs:
        """The needs of jobs that compress parts."""
        return CodingJobs(self, "compress", self.compress_parts, encodes=True)

    @cached_property
    def decoding(self) -> CodingJobs:
        """The needs of jobs that decode archives."""
        return CodingJobs(self, "decode", self.decode_parts, decodes=True)

    @property
    def training(self) -> dict[str, Any]:
        """The resources of jobs that train a model."""
        return {**self.placement(), "mem_mb": self.training_memory_mb, "runtime": self.training_minutes}

    @property
    def splitting(self) -> dict[str, Any]:
        """The resources of jobs that split a sample."""
        placed = slurm_resources(self.config)
        return {**placed, "mem_mb": self.split_memory_mb, "runtime": self.split_minutes}

    def placement(self, downloads: Callable[[Wildcards], int] | None = None) -> dict[str, Any]:
        """Where the jobs of a rule run; ``downloads`` says how many runs a job downloads."""
        placed = slurm_resources(self.config, lambda wildcards: self.device(wildcards) == "cuda", downloads)
        return {**placed, "device": self.device}

    def device(self, wildcards: Wildcards) -> str:
        """Where a job runs its model, or trains it: experts have no use for a GPU."""
        is_training = hasattr(wildcards, "species")
        species = wildcards.species if is_training else self.samples_of_job(wildcards)[0].species
        return str(self.config["device"]) if species != NO_MODEL and self._runs_network(species) else "cpu"

    def _runs_network(self, species: str) -> bool:
        """Whether the jobs of a species run a network; of a file that does not exist yet it is assumed."""
        entry = self.sheets.species[species]
        if entry.model is None:
            return not entry.trains_experts
        return models.runs_network(entry.model, self.config["level"]) is not False

    def downloads(self, wildcards: Wildcards) -> int:
        """How many runs a job fetches."""
        return sum(sample.accession is not None for sample in self.samples_of_job(wildcards))

    def panel_bases(self, species: str) -> int:
        """About how large the panel is that the model of a species holds."""
        if species == NO_MODEL:
            return 0
        entry = self.sheets.species[species]
        return text_bytes(entry.panel) if entry.model is None else models.panel_bases(entry.model)

    def split_memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory of a job that splits a sample."""
        return self.estimates.split_memory_mb(attempt, self._sample(wildcards).seeks_self_panel)

    def split_minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a job that splits a sample."""
        sample = self._sample(wildcards)
        there = [path for path in map(Path, sample.files) if path.is_file()]
        size, text = sum(path.stat().st_size for path in there), text_bytes(map(str, there))
        return self.estimates.split_minutes(size, text, attempt, sample.seeks_self_panel)

    def training_memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory of a training."""
        species = self._species(wildcards)
        return self.estimates.training_memory_mb(species, self.panel_bases(species.name), attempt)

    def training_minutes(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a training."""
        species = self._species(wildcards)
        return self.estimates.training_minutes(species, self.panel_bases(species.name), attempt)


def option(name: str, value: str | None) -> str:
    """An option with its value quoted for the shell; nothing without a value."""
    return f"{name} {shlex.quote(value)}" if value else ""
