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
from geneformer_rules import archiving, batching, forcing, slurm_resources, planning, provenance, sheets

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


def are_made_here(files, check_inputs):
    """Whether rules of the including pipeline write some of these files, or may do so."""
    if not check_inputs:
        return bool(files)
    return any(rule.is_producer(path) for path in files for rule in workflow.rules)


def split_plan(sample):
    return Path(RESULTS, "plans", f"{sample}.json")


def is_forced(sample, species):
    """Whether the user asks for a new archive of this sample."""
    trained = species.get(sample.species)
    return bool(FORCED) and FORCED.covers(
        sample,
        RESULTS,
        is_split=split_plan(sample.name).is_file(),
        is_trained=trained is not None and trained.model is None,
    )


def find_done(loaded):
    """The samples whose archive holds what stands in the sheet, and is not to be made anew."""
    if not workflow.is_main_process:  # a job only needs the rules of its own sample
        return PUBLISHED.names - {job.wildcards_dict.get("sample") for job in CALL.target_jobs}
    kept = [
        sample
        for sample in loaded.samples.values()
        if sample.name in PUBLISHED.names
        and not are_made_here(sample.files, loaded.config["check_inputs"])
        and not is_forced(sample, loaded.species)
    ]
    trained = {name: entry.model or f"{RESULTS}/models/{name}.gfmodel" for name, entry in loaded.species.items()}
    return provenance.up_to_date(kept, loaded.species, PUBLISHED, loaded.config, trained)


def load_sheets():
    """The checked configuration; jobs trust the check of the process that started them."""
    try:
        return sheets.load(config, is_available if workflow.is_main_process else None, find_done)
    except sheets.SheetError as error:
        raise WorkflowError(f"Please correct:\n{error}") from None


PUBLISHED = provenance.Published(RESULTS)
CALL = forcing.dag_settings()
FORCED = forcing.Forced.by(CALL, workflow.modifier.modify_rulename)
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


def is_made_here(files):
    return are_made_here(files, SETTINGS["check_inputs"])


def present_bytes(files):
    """About how much text these files hold; None as long as that is not known."""
    there = bool(files) and all(Path(path).is_file() for path in files)
    return planning.text_bytes(files) if there and not is_made_here(files) else None


def size_if_whole(sample):
    """The size of a sample that is to be archived whole, with others; None for one that is cut into parts."""
    if split_plan(sample.name).is_file():
        return None
    if is_made_here(sample.files):  # until then its size is not known; and it must not be another one afterwards
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
    if not IS_CLUSTER or sample.name in DONE:
        return False
    size = present_bytes(sample.files)
    return size is not None and size < planning.MINUTE_OF_SPLITTING


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


# What is done is made by no rule, but found as a file that exists. So the graph holds only what is to be done, and a
# batch, which is another one on every run, is no reason to make anything anew.
DONE = SHEETS.done
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


def named_archives():
    """What the user names of that which is done and no rule makes; the rule `published` answers for it."""
    if CALL is None or not workflow.is_main_process:
        return []
    places = [Path(RESULTS, "archives", f"{sample}.gfz") for sample in DONE]
    places += [Path(RESULTS, "verified", f"{sample}.json") for sample in DONE]
    answer = workflow.modifier.modify_rulename("published")
    return forcing.replace_targets(CALL, set(map(os.path.normpath, places)), answer)


NAMED = named_archives()


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


def tracked(files):
    """The files that Snakemake can follow: it would replace braces and angle brackets in the names of others."""
    return [path for path in files if path and not set("{}<>") & set(path)]


def force(*outputs):
    """Let a job run whatever the time stamps say, as --forcerun does, but only where it is asked for."""
    workflow.dag.forcefiles.update(outputs)


def force_archive(sample):
    """What stands in the sheet of a sample that is not done is not what its archive holds, if it has one."""
    if workflow.is_main_process and sample.name in PUBLISHED.names and not is_made_here(sample.files):
        force(f"{RESULTS}/archives/{sample.name}.gfz")


@placed
def source(wildcards):
    """The files of a sample, one or a pair, when its archive is published."""
    sample = sample_of(wildcards)
    force_archive(sample)
    return tracked(sample.files)


@placed
def split_source(wildcards):
    """The files of a sample when it is split; an earlier split of other files is done again."""
    sample = sample_of(wildcards)
    begin_anew(f"{RESULTS}/plans/{sample.name}.json", f"{RESULTS}/sources/{sample.name}.json", sample)
    return tracked(sample.files)


@functools.cache  # what a job leaves during this run is no leftover
def begin_anew(output, records, *samples):
    """Force the first job of samples of which an earlier run has left something that was made of other files."""
    if (
        not workflow.is_main_process
        or not Path(output).exists()
        or is_made_here([path for sample in samples for path in sample.files])
    ):
        return
    failed = Path(output).is_dir() and any(Path(output).glob("*.error"))
    current = provenance.are_current(provenance.read_records(Path(records)), samples)
    if failed or not current or any(is_forced(sample, SHEETS.species) for sample in samples):
        force(output)


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


def used_model(wildcards):
    species = chosen(wildcards)[0].species
    return None if species == sheets.NO_MODEL else model_file(species)


@placed
def model(wildcards):
    """The model that codes a sample, or those of a batch; nothing if they are to be coded without one."""
    return tracked([used_model(wildcards)])


@placed
def run_model(wildcards):
    """The model that codes a run."""
    force_archive(sample_of(wildcards))
    return tracked([used_model(wildcards)])


@placed
def batch_sources(wildcards):
    """The files of the samples of a batch; an earlier batch of other files is done again."""
    directory = f"{RESULTS}/batches/{wildcards.batch}"
    begin_anew(directory, f"{directory}/{provenance.BATCH_RECORDS}", *members(wildcards))
    return tracked(path for sample in members(wildcards) for path in sample.files)


@placed
def batch_archives(wildcards):
    return [f"{RESULTS}/archives/{sample.name}.gfz" for sample in members(wildcards)]


@placed
def embedded_model(wildcards):
    return model(wildcards) if SETTINGS["embed_model"] else []


@placed
def panel(wildcards):
    return tracked(species_of(wildcards).panel)


def used_base(wildcards):
    base = species_of(wildcards).base
    return model_file(base) if base in SHEETS.species else base


@placed
def base_model(wildcards):
    return tracked([used_base(wildcards)])


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


# Paths of users reach commands as parameters, quoted; as input files Snakemake would read patterns into them.


def option(name, path):
    return f"{name} {shlex.quote(path)}" if path else ""


def model_option(wildcards):
    return option("--model", used_model(wildcards))


def species_option(wildcards):
    return option("--species", chosen(wildcards)[0].species)


def source_files(wildcards):
    return shlex.join(sample_of(wildcards).files)


def split_files(wildcards):
    first, *mates = sample_of(wildcards).files
    return " ".join([shlex.quote(first), *(option("--mate", mate) for mate in mates)])


def panel_files(wildcards):
    return shlex.join(species_of(wildcards).panel)


def base_file(wildcards):
    return shlex.quote(used_base(wildcards)) if used_base(wildcards) else ""


def batch_samples(wildcards):
    words = [word for sample in members(wildcards) for word in ("--sample", sample.name, *sample.files)]
    return shlex.join(words)


def accession(wildcards):
    return sample_of(wildcards).path


def run_options(wildcards):
    """How a run is fetched."""
    options = ["--tries", str(SETTINGS["sra"]["tries"]), "--at-most", str(SETTINGS["sra"]["downloads"])]
    options += ["--keep"] if SETTINGS["sra"]["keep"] else []
    options += ["--ena", SETTINGS["sra"]["ena_url"]] if SETTINGS["sra"]["source"] == "ena" else []
    return shlex.join(options)


def embed_option(wildcards):
    return option("--embed-model", used_model(wildcards)) if SETTINGS["embed_model"] else ""


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


def base_option(wildcards):
    return option("--base", used_base(wildcards))


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
