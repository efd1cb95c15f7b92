"""Where jobs run on a cluster, and how they ask for a GPU there."""

from collections.abc import Callable, Mapping
from typing import Any

Resource = int | str | Callable[[Any], int | str]


def resources(config: Mapping[str, Any], needs_gpu: Callable[[Any], bool] | None = None) -> dict[str, Resource]:
    """Return the resources of a rule that say where its jobs run, for the executor of a cluster.

    ``needs_gpu`` says of a job, by its wildcards, whether it needs a GPU; without it none does. What the checked
    configuration leaves open is left out, so that Snakemake's own ``--default-resources`` hold.
    """
    slurm = config["slurm"]

    def where(with_gpu: int | str, without: int | str) -> Resource:
        if needs_gpu is None:
            return without
        return lambda wildcards: with_gpu if needs_gpu(wildcards) else without

    named: dict[str, Resource] = {}
    if slurm["account"]:
        named["slurm_account"] = slurm["account"]
    if slurm["partition"]:
        named["slurm_partition"] = where(slurm["gpu_partition"] or slurm["partition"], slurm["partition"])
    if needs_gpu is None:
        return named
    model, count = slurm["gpu_model"], slurm["gpu_count"]
    if slurm["gpu_request"] == "gres":
        named["gres"] = where(f"gpu:{model}:{count}" if model else f"gpu:{count}", "")
        return named
    named["gpu"] = where(count, 0)
    if model:
        named["gpu_model"] = where(model, "")
    return named
