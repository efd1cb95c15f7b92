"""Arguments of the commands of jobs.

Paths of users reach commands as parameters, quoted; as input files Snakemake would read patterns into them.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geneformer_rules.planner import Planner

Wildcards = Any
Output = Any


@dataclass(frozen=True, eq=False)
class Options:
    """The arguments of all jobs of a plan; Snakemake calls the methods with the wildcards of a job."""

    planner: "Planner"

    # --- samples -----------------------------------------------------------------------------------------------------

    def files(self, wildcards: Wildcards) -> str:
        """The files of a sample; none of a run."""
        return shlex.join(self.planner.sample(wildcards).files)

    def source(self, wildcards: Wildcards) -> str:
        """What the sheet gives: the files of a sample, or the accession of a run."""
        sample = self.planner.sample(wildcards)
        return shlex.join(sample.files or [sample.path])

    def samples(self, wildcards: Wildcards) -> str:
        """The samples of a batch, with what the sheet gives."""
        samples = self.planner.samples_of_job(wildcards)
        return shlex.join(w for s in samples for w in ("--sample", s.name, *(s.files or [s.path])))

    def fetched(self, wildcards: Wildcards) -> str:
        """Where the record of a run is, for jobs that work on one."""
        runs = any(sample.accession for sample in self.planner.samples_of_job(wildcards))
        return option("--fetched", str(self.planner.record("").parent)) if runs else ""

    def species(self, wildcards: Wildcards) -> str:
        """The species of the samples of a job."""
        return option("--species", self.planner.samples_of_job(wildcards)[0].species)

    def run(self, wildcards: Wildcards) -> str:
        """The accession of a run, with the name and the species of its sample."""
        sample = self.planner.sample(wildcards)
        return shlex.join([sample.path, "--name", sample.name, "--species", sample.species])

    @property
    def download(self) -> str:
        """How runs are fetched."""
        sra = self.planner.config["sra"]
        options = ["--downloads", str(self.planner.downloads), "--tries", str(sra["tries"])]
        options += ["--ena", sra["ena_url"]] if sra["source"] == "ena" else []
        options += [f"--host={host}" for host in sra["hosts"]]
        options += ["--ngc", sra["ngc"]] if sra["ngc"] else []
        return shlex.join(options)

    @property
    def environment(self) -> str | None:
        """The conda environment of jobs that fetch a run, by the SRA toolkit."""
        return "../envs/sra.yaml" if self.planner.config["sra"]["source"] != "ena" else None

    # --- models ------------------------------------------------------------------------------------------------------

    def model(self, wildcards: Wildcards) -> str:
        """The model that codes the samples of a job."""
        return option("--model", self.planner.model_of_job(wildcards))

    @property
    def embed(self) -> str:
        """Whether models are put into the archives."""
        return "--embed" if self.planner.config["embed_model"] else ""

    @property
    def order(self) -> str:
        """The order of reads: that of the file, or any."""
        return "any" if self.planner.config["any_order"] else "file"

    def panel(self, wildcards: Wildcards) -> str:
        """The files that a model is trained on."""
        return shlex.join(self.planner.species_of(wildcards).panel)

    def base_file(self, wildcards: Wildcards) -> str:
        """The model that a training starts from."""
        base = self.planner.base_of(wildcards)
        return shlex.quote(base) if base else ""

    def base(self, wildcards: Wildcards) -> str:
        """The same, as an option."""
        return option("--base", self.planner.base_of(wildcards))

    def training(self, wildcards: Wildcards) -> str:
        """The settings of a training that decide what model comes out."""
        species = self.planner.species_of(wildcards)
        options = [] if species.base else [f"--preset {species.preset}"]
        options += ["--recurring"] if species.from_samples else []
        if not species.trains_experts:
            budget = f"--minutes {species.minutes:g}" if species.epochs is None else f"--epochs {species.epochs:g}"
            options += [f"--recipe {species.recipe}", budget]
        return " ".join([*options, f"--seed {self.planner.config['training']['seed']}"])

    def checkpoint(self, wildcards: Wildcards, output: Output) -> str:
        """Where the training of a network saves its state; experts are trained too quickly for that."""
        if self.planner.species_of(wildcards).trains_experts:
            return ""
        return f"--checkpoint {shlex.quote(output.progress)}.$run.checkpoint"

    # --- parts -------------------------------------------------------------------------------------------------------

    def plan(self, wildcards: Wildcards) -> str:
        """The plan of a sample that is split."""
        return str(self.planner.plan_path(wildcards.sample))

    def blocks(self, wildcards: Wildcards) -> str:
        """The directory of the compressed parts of a sample."""
        return f"{self.planner.results}/blocks/{wildcards.sample}"

    def block_count(self, wildcards: Wildcards, input: Any) -> int:
        """How many jobs have compressed the parts of a sample."""
        return len(input.blocks)

    def first_and_last_part(self, wildcards: Wildcards) -> str:
        """The numbers of the parts of a job."""
        return " ".join(str(int(number)) for number in wildcards.parts.split("-"))

    def leftovers(self, wildcards: Wildcards, output: Output) -> str:
        """Temporary files that a killed attempt may have left beside its output, as a pattern for the shell."""
        path = Path(output[0])
        return f"{shlex.quote(str(path.parent))}/.{shlex.quote(path.name)}.*.tmp"

    # --- archives ----------------------------------------------------------------------------------------------------

    def publication(self, wildcards: Wildcards) -> str:
        """What is published: an archive and its model, or why there is none of a run; and what is deleted then."""
        planner, sample = self.planner, self.planner.sample(wildcards)
        made, model = planner.unpublished(sample), planner.model_of_job(wildcards)
        words = [made] if made else []
        words += ["--record", str(planner.record(sample.name))] if sample.accession else []
        words += ["--model", model] if model else []
        words += [word for path in planner.work_on(sample.name) for word in ("--leftover", str(path))]
        return shlex.join([*words, "--source", *sample.files])

    @property
    def checks(self) -> str:
        """The table of checks."""
        return f"{self.planner.results}/checks.tsv"

    def decompressed(self, wildcards: Wildcards) -> str:
        """Where texts go, of a job that decompresses; nothing of one that verifies."""
        return option("--output", f"{self.planner.results}/decompressed") if wildcards.work == "decompress" else ""

    @property
    def model_path(self) -> str:
        """Where the models of archives are searched for: beside them, then in the user's directories."""
        return shlex.quote(f"{self.planner.results}/archives/models") + '"${GFZ_MODEL_PATH:+:$GFZ_MODEL_PATH}"'

    @property
    def emptied(self) -> str:
        """The directories of work in progress, which are empty when all has been done."""
        return shlex.join(f"{self.planner.results}/{place}" for place in ("fetched", "downloads", "parts", "blocks"))

    @property
    def unpublished(self) -> str:
        """The directory of archives that are not published yet."""
        return f"{self.planner.results}/unpublished"


def option(name: str, value: str | None) -> str:
    """An option with its value quoted for the shell; nothing without a value."""
    return f"{name} {shlex.quote(value)}" if value else ""
