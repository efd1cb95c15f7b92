# What jobs need, and where they run.


def plan_of(sample):
    """The plan of a sample, if it has been split."""
    path = split_plan(sample)
    return planning.read_plan(path) if path.is_file() else None


def panel_bases(species):
    """About how large the panel is that the model of a species holds."""
    if SHEETS.species[species].model is None:
        return planning.text_bytes(SHEETS.species[species].panel)
    return model_files.panel_bases(SHEETS.species[species].model)


def panel_of_samples(wildcards):
    species = chosen(wildcards)[0].species
    return 0 if species == sheets.NO_MODEL else panel_bases(species)


def parts_at_once(wildcards, threads):
    """Without a model each thread has a part of its own."""
    return threads if used_model(wildcards) is None else 1


def job_plan(wildcards):
    """The parts that a job compresses; None if that is not known."""
    plan = plan_of(wildcards.sample)
    return plan and plan.of_job(wildcards.parts)


def part_memory_mb(wildcards, attempt, threads):
    return NEEDS.memory_mb(
        NEEDS.part_bytes(job_plan(wildcards)),
        attempt,
        parts_at_once(wildcards, threads),
        panel_of_samples(wildcards),
    )


def batch_plans(wildcards):
    """How the samples of a batch are cut, about, or will be when they are made."""
    sizes = [max(planning.text_bytes(sample.files), size_if_whole(sample) or 0) for sample in members(wildcards)]
    return [planning.whole_plan(size, SETTINGS["part_bases"]) for size in sizes]


def batch_threads(wildcards):
    most = max(len(plan.part_bytes) for plan in batch_plans(wildcards))
    return NEEDS.threads("compress", most, used_model(wildcards) is not None)


def batch_memory_mb(wildcards, attempt, threads):
    return NEEDS.memory_mb(
        max(map(NEEDS.part_bytes, batch_plans(wildcards))),
        attempt,
        parts_at_once(wildcards, threads),
        panel_of_samples(wildcards),
    )


def batch_minutes(wildcards, attempt):
    """Encoding and decoding."""
    size = sum(plan.total_bytes for plan in batch_plans(wildcards))
    return NEEDS.encode_minutes(size, attempt) + NEEDS.decode_minutes(size, attempt)


def run_memory_mb(wildcards, attempt, threads):
    """Qualities take as much as bases."""
    return NEEDS.memory_mb(2 * LARGEST_PART, attempt, parts_at_once(wildcards, threads), panel_of_samples(wildcards))


def run_minutes(wildcards, attempt):
    return attempt * int(60 * SETTINGS["sra"]["hours"])


def part_minutes(wildcards, attempt):
    plan = job_plan(wildcards)
    return NEEDS.encode_minutes(plan.total_bytes if plan else LARGEST_WHOLE, attempt)


def part_threads(wildcards):
    plan = job_plan(wildcards)
    return NEEDS.threads("compress", plan and len(plan.part_bytes), used_model(wildcards) is not None)


def text_plan(sample):
    """The sizes of the parts of a sample, as it was split, or about what they are; None if nothing is known yet."""
    plan = plan_of(sample.name)
    size = size_if_whole(sample) if plan is None and sample.name not in DONE else None
    return plan or (archived_plan(sample) if size is None else planning.whole_plan(size, SETTINGS["part_bases"]))


def decode_threads(wildcards):
    plans = [text_plan(sample) for sample in chosen(wildcards)]
    parts = max(len(plan.part_bytes) for plan in plans) if all(plans) else None
    return NEEDS.threads("decode", parts, used_model(wildcards) is not None)


def decode_memory_mb(wildcards, attempt, threads):
    part = max(NEEDS.part_bytes(text_plan(sample)) for sample in chosen(wildcards))
    return NEEDS.memory_mb(part, attempt, parts_at_once(wildcards, threads), panel_of_samples(wildcards))


def decode_minutes(wildcards, attempt):
    plans = [text_plan(sample) for sample in chosen(wildcards)]
    return NEEDS.decode_minutes(sum(plan.total_bytes if plan else LARGEST_WHOLE for plan in plans), attempt)


def split_memory_mb(wildcards, attempt):
    return attempt * (500 + 4 * SETTINGS["part_bases"] // 1_000_000)


def split_minutes(wildcards, attempt):
    """Ten megabytes a second of compressed text is slow; reading may be from a busy network disk."""
    size = sum(Path(path).stat().st_size for path in sample_of(wildcards).files if Path(path).is_file())
    return attempt * (5 + size // 600_000_000)


def training_memory_mb(wildcards, attempt):
    return NEEDS.training_memory_mb(species_of(wildcards), panel_bases(wildcards.species), attempt)


def training_minutes(wildcards, attempt):
    return NEEDS.training_minutes(species_of(wildcards), panel_bases(wildcards.species), attempt)


# --- where jobs run --------------------------------------------------------------------------------------------------


def runs_network(species):
    """Whether the jobs of a species run a network, which a GPU is for; of a file that is not there yet it is assumed."""
    entry = SHEETS.species[species]
    if entry.model is None:
        return not entry.trains_experts
    return model_files.runs_network(entry.model, SETTINGS["level"]) is not False


def device(wildcards):
    """Where a job runs its model, or trains it: experts have no use for a GPU."""
    if hasattr(wildcards, "species"):
        species = wildcards.species
    else:
        species = chosen(wildcards)[0].species
    return SETTINGS["device"] if species != sheets.NO_MODEL and runs_network(species) else "cpu"


def uses_gpu(wildcards):
    return device(wildcards) == "cuda"


CPU_JOB = slurm_resources.resources(SETTINGS)
GPU_JOB = slurm_resources.resources(SETTINGS, uses_gpu)
