"""Slurm's account, partition and GPU of jobs, from the configuration."""

from collections.abc import Callable, Mapping
from typing import Any

Resource = int | str | Callable[[Any], int | str]


def slurm_resources(config: Mapping[str, Any], needs_gpu: Callable[[Any], bool] | None = None) -> dict[str, Resource]:
    """Return the resources of a rule that choose the account, the partition and the GPU of its jobs.

    ``needs_gpu`` tells by a job's wildcards whether it needs a GPU; without it none does. Unset keys of the checked
    configuration fall back to Snakemake's ``--default-resources``, then to Slurm's defaults.
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
