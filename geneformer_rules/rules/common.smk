# Everything that rules ask for: the checked sheets, which model a sample takes, what a job needs.

import functools
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import flag
from snakemake.path_modifier import PATH_MODIFIER_FLAG

from geneformer_rules import models as model_files
from geneformer_rules import archiving, batching, placement, planning, sheets

# `snakemake` is often run by its path, from an environment that is not activated; the commands of the same environment
# are then found here, after anything on the PATH.
COMMANDS = str(Path(sys.executable).parent)
SEARCHED = os.environ.get("PATH", os.defpath)
if COMMANDS not in SEARCHED.split(os.pathsep):
    os.environ.update(PATH=os.pathsep.join([SEARCHED, COMMANDS]))


def moved(path):
    """Where a path of ours is: a module may have a prefix, which Snakemake puts before all paths of its rules.

    The prefix is that of the module being read, so only while this one is.
    """
    return workflow.modifier.path_modifier.replace_prefix(workflow.pathvars.apply(path))


RESULTS = moved("<results>")
BENCHMARKS = moved("<benchmarks>")
IS_MOVED = RESULTS != workflow.pathvars.apply("<results>")


def placed(paths_of):
    """An input function whose paths are as they should be; a prefix is not for samples, and not for `RESULTS` again."""

    @functools.wraps(paths_of)
    def paths(wildcards):
        return flag(paths_of(wildcards), PATH_MODIFIER_FLAG) if IS_MOVED else paths_of(wildcards)

    return paths


def is_available(path):
    """Whether a file is there, or a rule that is defined already writes it."""
    return Path(path).is_file() or any(rule.is_producer(path) for rule in workflow.rules)


def is_archived(sample):
    return Path(RESULTS, "archives", f"{sample}.gfz").is_file()


def load_sheets():
    """The checked configuration; jobs trust the check of the process that started them."""
    try:
        return sheets.load(config, is_available if workflow.is_main_process else None, is_archived)
    except sheets.SheetError as error:
        raise WorkflowError(f"Please correct:\n{error}") from None


SHEETS = load_sheets()
SETTINGS = SHEETS.config
NEEDS = planning.Needs(SETTINGS)
LARGEST_PART = planning.largest(SETTINGS["part_bases"])

# Only the process that a user starts knows whether jobs go to a cluster; those that it starts must plan alike.
ON_CLUSTER = "GENEFORMER_ON_CLUSTER"
if workflow.is_main_process:
    os.environ[ON_CLUSTER] = "" if workflow.resource_settings.nodes is None else "1"
IS_CLUSTER = bool(os.environ.get(ON_CLUSTER))
JOB_BASES = NEEDS.job_bases(IS_CLUSTER)  # None: each part has a job
BATCH_BASES = JOB_BASES or SETTINGS["part_bases"]
LARGEST_WHOLE = planning.largest(BATCH_BASES)

# On a cluster a job runs two more Snakemakes, one within the other. Were they to try again, too, a job that lacks memory
# would fail six times before it is given more.
RETRIES = SETTINGS["retries"] if workflow.is_main_process else 0


def are_made_here(files):
    """Whether rules of the including pipeline write some of these files, or may do so."""
    if not SETTINGS["check_inputs"]:
        return bool(files)
    return any(rule.is_producer(path) for path in files for rule in workflow.rules)


def present_bytes(files):
    """About how much text these files hold; None as long as that is not known."""
    there = bool(files) and all(Path(path).is_file() for path in files)
    return planning.text_bytes(files) if there and not are_made_here(files) else None


def is_done(sample):
    """Whether the archive of files that nobody makes is as new as they are."""
    archive, report = Path(RESULTS, "archives", f"{sample.name}.gfz"), Path(RESULTS, "verified", f"{sample.name}.json")
    if not (archive.is_file() and report.is_file()) or are_made_here(sample.files):
        return False
    files = [path for path in map(Path, sample.files) if path.is_file()]
    return all(path.stat().st_mtime_ns <= archive.stat().st_mtime_ns for path in files)


def size_if_whole(sample):
    """The size of a sample that is to be archived whole, with others; None for one that is cut into parts."""
    if split_plan(sample.name).is_file():
        return None
    if are_made_here(sample.files):  # until then its size is not known; and it must not be another one afterwards
        return SETTINGS["planning"]["sample_bases"]
    size = present_bytes(sample.files)
    return size if size is not None and size <= LARGEST_WHOLE else None


def is_trained_here(species):
    """Whether a model is trained where Snakemake runs: on a cluster, if it would be a job of less than a minute."""
    if not IS_CLUSTER or species.model is not None or not species.trains_experts:
        return False
    size = present_bytes(species.panel)
    return size is not None and planning.training_seconds(size) < 60


def is_split_here(sample):
    """Whether a sample is split where Snakemake runs: on a cluster, if it would be a job of less than a minute."""
    size = present_bytes(sample.files)
    return IS_CLUSTER and size is not None and size < planning.MINUTE_OF_SPLITTING


def split_plan(sample):
    return Path(RESULTS, "plans", f"{sample}.json")


def pattern(samples):
    """Matches these samples."""
    return f"(?:{'|'.join(map(re.escape, samples)) or '(?!)'})"


def archived_size(sample):
    """The size of a sample whose archive is decoded in a job with others; None for one that has a job to itself."""
    if split_plan(sample.name).is_file() or sample.name not in DONE:
        return size_if_whole(sample)
    plan = archived_plan(sample)
    return plan.total_bytes if plan and plan.total_bytes <= LARGEST_WHOLE else None


def archived_plan(sample):
    return planning.archived_plan(Path(RESULTS, "verified", f"{sample.name}.json"))


def is_decompressed(sample):
    archive = Path(RESULTS, "archives", f"{sample.name}.gfz")
    return sample.name in DONE and archiving.is_current(archive, Path(RESULTS, "decompressed"))


# What is done is made by no rule, but found as a file that is there. So the graph holds only what is to be done, and a
# batch, which is another one on every run, is no reason to make anything anew.
DONE = {sample.name for sample in SHEETS.samples.values() if is_done(sample)}
BATCHES = batching.plan_batches(SHEETS.samples, DONE, size_if_whole, BATCH_BASES)
BATCH = r"[^/+]+\+[0-9]+(?:-[0-9]+)*(?:\+[0-9]+)?"
WHOLE = pattern(BATCHES.batch_of)
RUNS = [sample.name for sample in SHEETS.samples.values() if sample.accession and sample.name not in DONE]
FETCHED = pattern(RUNS)
# Whether a run has pairs is not always known before it is archived; its texts are asked for by their names.
ONE_TEXT = pattern(sample.name for sample in SHEETS.samples.values() if not sample.is_pair)
TWO_TEXTS = pattern(sample.name for sample in SHEETS.samples.values() if sample.is_pair is not False)
SPLIT = rf"(?!{pattern([*DONE, *BATCHES.batch_of, *RUNS])}\.(?:gfz|json)$)[^/]+"
SPLIT_HERE = pattern(sample.name for sample in SHEETS.samples.values() if is_split_here(sample))
TRAINED_HERE = pattern(species.name for species in SHEETS.species.values() if is_trained_here(species))
TRAINED_THERE = rf"(?!{TRAINED_HERE}(?:\.gfmodel|\.jsonl)$)[^/]+"
SPLIT_THERE = rf"(?!{SPLIT_HERE}(?:\.json)?$)[^/]+"


def sample_of(wildcards):
    try:
        return SHEETS.samples[wildcards.sample]
    except KeyError:
        raise WorkflowError(
            f"{SETTINGS['samples']}: there is no sample '{wildcards.sample}'; add a row for it."
        ) from None


def species_of(wildcards):
    try:
        return SHEETS.species[wildcards.species]
    except KeyError:
        raise WorkflowError(
            f"{SETTINGS['species']}: there is no species '{wildcards.species}'; add a row for it."
        ) from None


# --- files -----------------------------------------------------------------------------------------------------------


@placed
def source(wildcards):
    """The files of a sample, one or a pair."""
    return list(sample_of(wildcards).files)


@placed
def batch(wildcards):
    return f"{RESULTS}/batches/{BATCHES.batch_of[wildcards.sample]}"


def members(wildcards):
    return BATCHES.members(wildcards.batch)


def chosen(wildcards):
    """The samples that a job works on."""
    return members(wildcards) if hasattr(wildcards, "batch") else [sample_of(wildcards)]


def model_file(species):
    """The model of a species: the file that was given, or the one that will be trained."""
    return SHEETS.species[species].model or f"{RESULTS}/models/{species}.gfmodel"


@placed
def model(wildcards):
    """The model that codes a sample, or those of a batch; nothing if they are to be coded without one."""
    species = chosen(wildcards)[0].species
    return [] if species == sheets.NO_MODEL else model_file(species)


@placed
def batch_sources(wildcards):
    return [path for sample in members(wildcards) for path in sample.files]


@placed
def batch_archives(wildcards):
    return [f"{RESULTS}/archives/{sample.name}.gfz" for sample in members(wildcards)]


@placed
def embedded_model(wildcards):
    return model(wildcards) if SETTINGS["embed_model"] else []


@placed
def panel(wildcards):
    return list(species_of(wildcards).panel)


@placed
def base_model(wildcards):
    base = species_of(wildcards).base
    if base is None:
        return []
    return model_file(base) if base in SHEETS.species else base


@placed
def blocks(wildcards):
    here = re.fullmatch(SPLIT_HERE, wildcards.sample)
    split = (checkpoints.split_here if here else checkpoints.split).get(sample=wildcards.sample)
    plan = planning.read_plan(split.output.plan)
    return [f"{RESULTS}/blocks/{wildcards.sample}/{job}.gfz" for job in plan.jobs(JOB_BASES)]


@placed
def archives(wildcards):
    return [f"{RESULTS}/archives/{sample}.gfz" for sample in SHEETS.samples]


DECOMPRESSED, RECHECKED = "<results>/proofs/decompressed/{batch}.ok", "<results>/proofs/rechecked/{batch}.ok"


@functools.cache
def proofs(proof, again):
    """What jobs leave that decode samples, by names that are new, so that what earlier runs have left does not count.

    Without ``again``, what is decompressed already has no job. It is asked several times in a run, and stays the same.
    """
    done = set() if again else {sample.name for sample in SHEETS.samples.values() if is_decompressed(sample)}
    batch_of = batching.plan_batches(SHEETS.samples, done, archived_size, BATCH_BASES).batch_of
    alone = {sample: f"{sample}{batching.SEPARATOR}1" for sample in SHEETS.samples if sample not in done}

    def path(batch):
        return proof.replace("<results>", RESULTS).replace("{batch}", batch)

    def is_there(batch):
        return Path(path(batch)).exists()

    return [path(batching.fresh(batch, is_there)) for batch in dict.fromkeys(({**alone, **batch_of}).values())]


@placed
def decompressed(wildcards):
    return proofs(DECOMPRESSED, again=False)


@placed
def rechecks(wildcards):
    return proofs(RECHECKED, again=True)


@placed
def reports(wildcards):
    return [f"{RESULTS}/verified/{sample}.json" for sample in SHEETS.samples]


@placed
def deletions(wildcards):
    """The proof that a source was deleted is wanted only if it is to be deleted."""
    if not SETTINGS["delete_source"]:
        return []
    return [f"{RESULTS}/deleted/{sample.name}.json" for sample in SHEETS.samples.values() if sample.files]


def trained_species():
    """Species whose model is trained here, and not given as a file."""
    return [name for name, species in SHEETS.species.items() if species.model is None]


@placed
def models(wildcards):
    return [model_file(species) for species in trained_species()]


@placed
def training_reports(wildcards):
    return [f"{RESULTS}/training/{species}.html" for species in trained_species()]


# --- options of gfz --------------------------------------------------------------------------------------------------


def model_option(wildcards, input):
    return f"--model {shlex.quote(input.model)}" if input.model else ""


def batch_samples(wildcards):
    words = [word for sample in members(wildcards) for word in ("--sample", sample.name, *sample.files)]
    return shlex.join(words)


def mate_option(wildcards, input):
    return f"--mate {shlex.quote(input.sample[1])}" if len(input.sample) == 2 else ""


def accession(wildcards):
    return sample_of(wildcards).path


def run_options(wildcards):
    """How a run is fetched."""
    options = ["--tries", str(SETTINGS["sra"]["tries"]), "--at-most", str(SETTINGS["sra"]["downloads"])]
    options += ["--keep"] if SETTINGS["sra"]["keep"] else []
    options += ["--ena", SETTINGS["sra"]["ena_url"]] if SETTINGS["sra"]["source"] == "ena" else []
    return shlex.join(options)


def embed_option(wildcards, input):
    return f"--embed-model {shlex.quote(input.model)}" if input.model else ""


def leftovers(wildcards, output):
    """What an attempt that was killed outright may have left beside its output, as a pattern for the shell."""
    path = Path(output[0])
    return f"{shlex.quote(str(path.parent))}/.{shlex.quote(path.name)}.*.tmp"


def stale_proofs(wildcards, output):
    """What earlier runs have left of batches that begin with the same sample, as a pattern."""
    path = Path(output[0])
    first = path.name.partition(batching.SEPARATOR)[0]
    return f"{shlex.quote(str(path.parent))}/{shlex.quote(first + batching.SEPARATOR)}*.ok"


def texts_directory(wildcards, output):
    return Path(output[0]).parent


def results_directory(wildcards, output):
    return Path(output.table).parent


def report_directory(wildcards, output):
    return Path(output.numbers).parent


def block_count(wildcards, input):
    return len(input.blocks)


def part_count(wildcards):
    """Before the split nothing that counts."""
    plan = plan_of(wildcards.sample)
    return len(plan.part_bytes) if plan else 0


def part_numbers(wildcards):
    """The first part of a job, and the last."""
    return " ".join(str(int(number)) for number in wildcards.parts.split("-"))


def base_option(wildcards, input):
    return f"--base {shlex.quote(input.base)}" if input.base else ""


def training_options(wildcards):
    """The settings of a training that decide what model comes out."""
    species = species_of(wildcards)
    options = [] if species.base else [f"--preset {species.preset}"]
    if not species.trains_experts:
        budget = f"--minutes {species.minutes:g}" if species.epochs is None else f"--epochs {species.epochs:g}"
        options += [f"--recipe {species.recipe}", budget]
    return " ".join([*options, f"--seed {SETTINGS['training']['seed']}"])


def checkpoint_option(wildcards, output):
    """Where a network's training saves its state; experts are trained too quickly for that."""
    return (
        "" if species_of(wildcards).trains_experts else f"--checkpoint {shlex.quote(output.progress)}.$run.checkpoint"
    )
