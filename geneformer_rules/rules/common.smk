# Everything that rules ask for: the checked sheets, which model a sample takes, what a job needs.

import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from geneformer_rules import models as model_files
from geneformer_rules import batching, placement, planning, sheets

# `snakemake` is often run by its path, from an environment that is not activated; the commands of the same environment
# are then found here, after anything on the PATH.
COMMANDS = str(Path(sys.executable).parent)
SEARCHED = os.environ.get("PATH", os.defpath)
if COMMANDS not in SEARCHED.split(os.pathsep):
    os.environ.update(PATH=os.pathsep.join([SEARCHED, COMMANDS]))

RESULTS = workflow.pathvars.apply("<results>")
BENCHMARKS = workflow.pathvars.apply("<benchmarks>")


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

# On a cluster a job runs two more Snakemakes, one within the other. Were they to try again, too, a job that lacks memory
# would fail six times before it is given more.
RETRIES = SETTINGS["retries"] if workflow.is_main_process else 0


def is_made_here(path):
    """Whether a rule of the including pipeline writes it, or may do so."""
    return not SETTINGS["check_inputs"] or any(rule.is_producer(path) for rule in workflow.rules)


def is_done(sample):
    """Whether the archive of a file that nobody makes is as new as the file."""
    archive, report = Path(RESULTS, "archives", f"{sample.name}.gfz"), Path(RESULTS, "verified", f"{sample.name}.json")
    if not (archive.is_file() and report.is_file()) or is_made_here(sample.path):
        return False
    path = Path(sample.path)
    return not path.is_file() or path.stat().st_mtime_ns <= archive.stat().st_mtime_ns


def size_if_whole(sample):
    """The size of a sample that is to be archived whole, with others; None for one that is cut into parts."""
    if split_plan(sample.name).is_file() or not Path(sample.path).is_file() or is_made_here(sample.path):
        return None
    size = planning.text_bytes([sample.path])
    return size if size <= SETTINGS["part_bases"] else None


def split_plan(sample):
    return Path(RESULTS, "plans", f"{sample}.json")


def pattern(samples):
    """Matches these samples."""
    return f"(?:{'|'.join(map(re.escape, samples)) or '(?!)'})"


# What is done is made by no rule, but found as a file that is there. So the graph holds only what is to be done, and a
# batch, which is another one on every run, is no reason to make anything anew.
DONE = {sample.name for sample in SHEETS.samples.values() if is_done(sample)}
BATCHES = batching.plan_batches(SHEETS.samples, DONE, size_if_whole, SETTINGS["part_bases"])
WHOLE = pattern(BATCHES.batch_of)
SPLIT = rf"(?!{pattern([*DONE, *BATCHES.batch_of])}\.(?:gfz|json)$)[^/]+"


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


def source(wildcards):
    return sample_of(wildcards).path


def model_file(species):
    """The model of a species: the file that was given, or the one that will be trained."""
    return SHEETS.species[species].model or f"{RESULTS}/models/{species}.gfmodel"


def model(wildcards):
    """The model that codes a sample; nothing if it is to be coded without one."""
    species = sample_of(wildcards).species
    return [] if species == sheets.NO_MODEL else model_file(species)


def batch(wildcards):
    return f"{RESULTS}/batches/{BATCHES.batch_of[wildcards.sample]}"


def members(wildcards):
    return BATCHES.members(wildcards.batch)


def batch_sources(wildcards):
    return [sample.path for sample in members(wildcards)]


def batch_model(wildcards):
    species = members(wildcards)[0].species
    return [] if species == sheets.NO_MODEL else model_file(species)


def embedded_model(wildcards):
    return model(wildcards) if SETTINGS["embed_model"] else []


def panel(wildcards):
    return list(species_of(wildcards).panel)


def base_model(wildcards):
    base = species_of(wildcards).base
    if base is None:
        return []
    return model_file(base) if base in SHEETS.species else base


def blocks(wildcards):
    plan = planning.read_plan(checkpoints.split.get(sample=wildcards.sample).output.plan)
    return [f"{RESULTS}/blocks/{wildcards.sample}/{part}.gfz" for part in plan.parts]


def archives(wildcards):
    return [f"{RESULTS}/archives/{sample}.gfz" for sample in SHEETS.samples]


def decompressed(wildcards):
    return [f"{RESULTS}/decompressed/{sample}.fa" for sample in SHEETS.samples]


def rechecks(wildcards):
    return [f"{RESULTS}/rechecked/{sample}.ok" for sample in SHEETS.samples]


def reports(wildcards):
    return [f"{RESULTS}/verified/{sample}.json" for sample in SHEETS.samples]


def deletions(wildcards):
    """The proof that a source was deleted is wanted only if it is to be deleted."""
    if not SETTINGS["delete_source"]:
        return []
    return [f"{RESULTS}/deleted/{sample}.json" for sample in SHEETS.samples]


def trained_species():
    """Species whose model is trained here, and not given as a file."""
    return [name for name, species in SHEETS.species.items() if species.model is None]


def models(wildcards):
    return [model_file(species) for species in trained_species()]


def training_reports(wildcards):
    return [f"{RESULTS}/training/{species}.html" for species in trained_species()]


# --- options of gfz --------------------------------------------------------------------------------------------------


def model_option(wildcards, input):
    return f"--model {shlex.quote(input.model)}" if input.model else ""


def batch_samples(wildcards):
    words = [word for sample in members(wildcards) for word in ("--sample", sample.name, sample.path)]
    return shlex.join(words)


def embed_option(wildcards, input):
    return f"--embed-model {shlex.quote(input.model)}" if input.model else ""


def leftovers(wildcards, output):
    """What an attempt that was killed outright may have left beside its output, as a pattern for the shell."""
    path = Path(output[0])
    return f"{shlex.quote(str(path.parent))}/.{shlex.quote(path.name)}.*.tmp"


def results_directory(wildcards, output):
    return Path(output.table).parent


def report_directory(wildcards, output):
    return Path(output.numbers).parent


def last_block(wildcards, input):
    return len(input.blocks) - 1


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


# --- what jobs need --------------------------------------------------------------------------------------------------


def plan_of(wildcards):
    """The plan of a sample, if it has been split."""
    path = split_plan(wildcards.sample)
    return planning.read_plan(path) if path.is_file() else None


def panel_bases(species):
    """About how large the panel is that the model of a species holds."""
    if SHEETS.species[species].model is None:
        return planning.text_bytes(SHEETS.species[species].panel)
    return model_files.panel_bases(SHEETS.species[species].model)


def panel_of_sample(wildcards):
    species = sample_of(wildcards).species
    return 0 if species == sheets.NO_MODEL else panel_bases(species)


def part_memory_mb(wildcards, attempt):
    part = NEEDS.part_bytes(plan_of(wildcards), wildcards.part)
    return NEEDS.memory_mb(part, attempt, panel_bases=panel_of_sample(wildcards))


def batch_threads(wildcards):
    return NEEDS.threads("compress", 1, bool(batch_model(wildcards)))


def batch_memory_mb(wildcards, attempt):
    largest = max(planning.text_bytes([sample.path]) for sample in members(wildcards))
    species = members(wildcards)[0].species
    panel = 0 if species == sheets.NO_MODEL else panel_bases(species)
    return NEEDS.memory_mb(min(largest, SETTINGS["part_bases"]), attempt, panel_bases=panel)


def batch_minutes(wildcards, attempt):
    """Encoding and decoding."""
    size = planning.text_bytes(batch_sources(wildcards))
    return NEEDS.encode_minutes(size, attempt) + NEEDS.decode_minutes(size, attempt)


def part_minutes(wildcards, attempt):
    return NEEDS.encode_minutes(NEEDS.part_bytes(plan_of(wildcards), wildcards.part), attempt)


def part_threads(wildcards):
    return NEEDS.threads("compress", 1, bool(model(wildcards)))


def decode_threads(wildcards):
    plan = plan_of(wildcards)
    return NEEDS.threads("decode", len(plan.parts) if plan else None, bool(model(wildcards)))


def decode_memory_mb(wildcards, attempt, threads):
    parts = 1 if model(wildcards) else threads
    part = NEEDS.part_bytes(plan_of(wildcards))
    return NEEDS.memory_mb(part, attempt, parts, panel_of_sample(wildcards))


def decode_minutes(wildcards, attempt):
    plan = plan_of(wildcards)
    return NEEDS.decode_minutes(plan.total_bytes if plan else SETTINGS["part_bases"], attempt)


def split_memory_mb(wildcards, attempt):
    return attempt * (500 + 4 * SETTINGS["part_bases"] // 1_000_000)


def split_minutes(wildcards, input, attempt):
    """Ten megabytes a second of compressed text is slow; reading may be from a busy network disk."""
    return attempt * (5 + int(input.size_mb) // 600)


def training_memory_mb(wildcards, attempt):
    return NEEDS.training_memory_mb(species_of(wildcards), panel_bases(wildcards.species), attempt)


def training_minutes(wildcards, attempt):
    return NEEDS.training_minutes(species_of(wildcards), panel_bases(wildcards.species), attempt)


# --- where jobs run --------------------------------------------------------------------------------------------------


def runs_network(species):
    """Whether the model of a species has a network; of a file that is not there yet it is assumed."""
    entry = SHEETS.species[species]
    if entry.model is None:
        return not entry.trains_experts
    return model_files.has_network(entry.model) is not False


def device(wildcards):
    """Where a job runs its model, or trains it: experts have no use for a GPU."""
    if hasattr(wildcards, "species"):
        species = wildcards.species
    else:
        species = members(wildcards)[0].species if hasattr(wildcards, "batch") else sample_of(wildcards).species
    return SETTINGS["device"] if species != sheets.NO_MODEL and runs_network(species) else "cpu"


def uses_gpu(wildcards):
    return device(wildcards) == "cuda"


CPU_JOB = placement.resources(SETTINGS)
GPU_JOB = placement.resources(SETTINGS, uses_gpu)
