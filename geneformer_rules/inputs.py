"""Inputs of rules, by the plan of a run."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake.io import flag
from snakemake.path_modifier import PATH_MODIFIER_FLAG
from snakemake_interface_common.exceptions import WorkflowError

from geneformer_rules import batching, provenance
from geneformer_rules.parts import largest, read_plan
from geneformer_rules.records import is_made_of, read_json
from geneformer_rules.sheets import Sample
from geneformer_rules.snakemake_call import tracked

if TYPE_CHECKING:
    from geneformer_rules.planner import Planner

Wildcards = Any


def _paths(method: Callable[["Inputs", Wildcards], list[str]]) -> Callable[["Inputs", Wildcards], list[str]]:
    """An input function whose paths are final: the prefix of a module must not be put before them (again)."""

    @functools.wraps(method)
    def input_function(self: "Inputs", wildcards: Wildcards) -> list[str]:
        paths = method(self, wildcards)
        found: list[str] = flag(paths, PATH_MODIFIER_FLAG) if self.planner.call.has_prefix else paths
        return found

    return input_function


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of all jobs of a plan; Snakemake calls the methods with the wildcards of a job."""

    planner: "Planner"
    _begun: set[str] = field(default_factory=set)

    def _force_if_stale(self, output: str, samples: Sequence[Sample]) -> None:
        """Force the first job of samples whose output an earlier run has left, made of other files, or incomplete."""
        if not self.planner.call.is_main_process or output in self._begun:
            return
        self._begun.add(output)  # what a job writes during this run is not stale
        if Path(output).exists() and self._is_stale(Path(output), samples):
            self.planner.call.force(output)

    def _is_stale(self, output: Path, samples: Sequence[Sample]) -> bool:
        """Whether an output of an earlier run is not to be used; what has failed is tried again, once per run."""
        if not self.planner.call.is_main_process or any(
            self.planner.is_made_by_rules(sample.files) for sample in samples
        ):
            return False
        return (
            not is_made_of(output, samples)
            or any(map(self.planner.is_forced, samples))
            or any(map(self._is_lost, samples))
            or any(self.planner.error_of(sample.name) for sample in samples)
        )

    def _is_lost(self, sample: Sample) -> bool:
        """Whether files of a run are gone that are still needed."""
        fetched = self.planner.files_of(sample.name) if sample.accession else []
        return not self.planner.plan_path(sample.name).is_file() and not all(Path(file).is_file() for file in fetched)

    @_paths
    def archive_sources(self, wildcards: Wildcards) -> list[str]:
        """The files of the samples of a batch."""
        members = self.planner.samples_of_job(wildcards)
        self._force_if_stale(f"{self.planner.results}/unpublished/{wildcards.batch}", members)
        return [path for sample in members for path in self._read_files(sample)]

    def _read_files(self, sample: Sample) -> list[str]:
        """The files of a sample, of a run its record, that Snakemake can follow."""
        return [str(self.planner.record(sample.name))] if sample.accession else tracked(sample.files)

    @_paths
    def fetched_model(self, wildcards: Wildcards) -> list[str]:
        """The model that codes a run: without it, there is no use in fetching the run. Also looks what is there."""
        sample = self.planner.sample(wildcards)
        if sample.accession is None:
            raise WorkflowError(f"{self.planner.config['samples']}: sample '{sample.name}' is no run, but has a file")
        self._force_if_stale(str(self.planner.record(sample.name)), [sample])
        return tracked([self.planner.model_of_job(wildcards)])

    @_paths
    def split_sources(self, wildcards: Wildcards) -> list[str]:
        """The files of a sample that is split."""
        sample = self.planner.sample(wildcards)
        self._force_if_stale(str(self.planner.plan_path(sample.name)), [sample])
        return self._read_files(sample)

    @_paths
    def publication(self, wildcards: Wildcards) -> list[str]:
        """What is needed to publish a sample: the directory with its archive, its files, its model.

        One function for all of it, as Snakemake takes its time to call one, for each of thousands of samples.
        """
        sample = self.planner.sample(wildcards)
        if sample.accession:
            self._await_fetch(sample)
        elif (
            self.planner.call.is_main_process
            and sample.name in self.planner.published.names
            and not self.planner.is_made_by_rules(sample.files)
        ):  # an archive that is there already is out of date
            self.planner.call.force(f"{self.planner.results}/archives/{sample.name}.gfz")
        made = self.planner.unpublished(sample) or str(self.planner.record(sample.name))
        return [made, *tracked([*sample.files, self.planner.model_of_job(wildcards)])]

    def _await_fetch(self, run: Sample) -> None:
        """Let Snakemake ask again when a run has been fetched.

        A checkpoint that needs no job is passed by: Snakemake would not look at another one behind it.
        """
        record = self.planner.record(run.name)
        if record.is_file() and (str(record) in self._begun or not self._is_stale(record, [run])):
            self._begun.add(str(record))
        else:
            self.planner.checkpoints.fetch.get(sample=run.name)

    @_paths
    def model(self, wildcards: Wildcards) -> list[str]:
        """The model that codes the samples of a job; none if they are coded without one."""
        return tracked([self.planner.model_of_job(wildcards)])

    @_paths
    def panel(self, wildcards: Wildcards) -> list[str]:
        """The files that a model is trained on."""
        return tracked(self.planner.species_of(wildcards).panel)

    @_paths
    def base_model(self, wildcards: Wildcards) -> list[str]:
        """The network that a training starts from."""
        return tracked([self.planner.base_of(wildcards)])

    @_paths
    def blocks(self, wildcards: Wildcards) -> list[str]:
        """The compressed parts of a sample, known once it has been split."""
        local = re.fullmatch(self.planner.split_locally, wildcards.sample)
        checkpoint = self.planner.checkpoints.split_local if local else self.planner.checkpoints.split
        parts = read_plan(checkpoint.get(sample=wildcards.sample).output.plan)
        jobs = parts.jobs(self.planner.job_count(wildcards.sample, parts))
        return [f"{self.planner.results}/blocks/{wildcards.sample}/{job}.gfz" for job in jobs]

    @_paths
    def archives(self, wildcards: Wildcards) -> list[str]:
        """The archives of all samples, or of the job's."""
        samples = (
            self.planner.samples_of_job(wildcards) if hasattr(wildcards, "batch") else self.planner.samples.values()
        )
        return [f"{self.planner.results}/archives/{sample.name}.gfz" for sample in samples]

    @_paths
    def archive_of_text(self, wildcards: Wildcards) -> list[str]:
        """The archive of a text that is asked for by its name; an error if it is known to have texts of other names."""
        sample = self.planner.sample(wildcards).name
        facts = read_json(Path(self.planner.results, "reports", f"{sample}.json"))
        suffix = "fq" if facts.get("kind") == "FASTQ" else "fa"
        texts = [f"{sample}_{number}.{suffix}" for number in (1, 2)] if facts.get("mate") else [f"{sample}.{suffix}"]
        asked = f"{sample}.{wildcards.suffix}" if hasattr(wildcards, "suffix") else f"{sample}_1.fq"
        if sample in self.planner.sheets.done and "kind" in facts and asked not in texts:
            directory = f"{self.planner.results}/decompressed"
            places = " and ".join(f"{directory}/{text}" for text in texts)
            raise WorkflowError(f"{directory}/{asked}: the archive holds {facts['kind']}; ask for {places}")
        return [f"{self.planner.results}/archives/{sample}.gfz"]

    @_paths
    def reports(self, wildcards: Wildcards) -> list[str]:
        """The reports of all archives."""
        return [f"{self.planner.results}/reports/{sample}.json" for sample in self.planner.samples]

    @_paths
    def deletions(self, wildcards: Wildcards) -> list[str]:
        """The records of deleted sources, if these are to be deleted."""
        samples = [sample for sample in self.planner.samples.values() if sample.is_deleted and sample.files]
        return [f"{self.planner.results}/deleted/{sample.name}.json" for sample in samples]

    @_paths
    def models(self, wildcards: Wildcards) -> list[str]:
        """The models that are trained here."""
        return [self.planner.model_of(species) for species in self._trained_species()]

    @_paths
    def training_reports(self, wildcards: Wildcards) -> list[str]:
        """The reports of all trainings."""
        return [f"{self.planner.results}/training/{species}.html" for species in self._trained_species()]

    def _trained_species(self) -> list[str]:
        return [name for name, species in self.planner.sheets.species.items() if species.model is None]

    @_paths
    def decompressed(self, wildcards: Wildcards) -> list[str]:
        """The end of decompressing what is not decompressed yet; nothing if all is."""
        return self._end_of("decompress")

    @_paths
    def verified(self, wildcards: Wildcards) -> list[str]:
        """The end of verifying all archives, again whenever this is asked for."""
        return self._end_of("verify")

    def _end_of(self, work: str) -> list[str]:
        end = [f"{self.planner.results}/checks/{work}.done"] if self._checks[work] else []
        self.planner.call.force(*end)
        return end

    @_paths
    def decoded(self, wildcards: Wildcards) -> list[str]:
        """The outputs of the jobs that verify or decompress samples."""
        return self._checks[wildcards.work]

    @cached_property
    def _checks(self) -> dict[str, list[str]]:
        """The outputs of the jobs that decode samples, by what they do. Those that an earlier run left do not count."""
        archives, texts = Path(self.planner.results, "archives"), Path(self.planner.results, "decompressed")
        there = {
            name for name in self.planner.sheets.done if provenance.is_decompressed(archives / f"{name}.gfz", texts)
        }
        checks = {}
        for work, done in (("decompress", there), ("verify", set[str]())):
            planner = self.planner
            batch_of = batching.plan_batches(
                planner.samples, done, self._size_if_shared, planner.batch_bases, planner.needs_gpu
            ).batch_of
            apart = {name for name in self.planner.samples if work == "verify" and self._jobs_of_parts(name)}
            names = ((name, batching.alone(name)) for name in self.planner.samples if name not in done)
            batches = (name if name in apart else batch_of.get(name, single) for name, single in names)
            checks[work] = [f"{self.planner.results}/checks/{work}/{batch}.done" for batch in dict.fromkeys(batches)]
            self.planner.call.force(*checks[work])
        return checks

    def _jobs_of_parts(self, sample: str) -> list[str]:
        """The names of the jobs that verify an archive if it takes several; none for one that is not up to date."""
        parts = self.planner.archived_parts(sample) if sample in self.planner.sheets.done else None
        if parts is None or parts.total <= largest(self.planner.batch_bases):
            return []
        jobs = parts.jobs(self.planner.job_count(sample, parts))
        return jobs if len(jobs) > 1 else []

    @_paths
    def verified_parts(self, wildcards: Wildcards) -> list[str]:
        """What the jobs that verify the parts of an archive have found."""
        jobs = self._jobs_of_parts(wildcards.sample)
        found = [f"{self.planner.results}/checks/verify/{wildcards.sample}/{job}.errors" for job in jobs]
        if self.planner.call.is_main_process:
            self.planner.call.force(*found)
        return found

    def _size_if_shared(self, sample: Sample) -> int | None:
        """The size of a sample whose archive is decoded in a job with others; None for one that has its own job."""
        if self.planner.plan_path(sample.name).is_file() or sample.name not in self.planner.sheets.done:
            return self.planner.size_if_whole(sample)
        parts = self.planner.archived_parts(sample.name)
        return parts.total if parts and parts.total <= largest(self.planner.batch_bases) else None
