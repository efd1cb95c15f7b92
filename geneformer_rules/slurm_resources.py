"""Slurm's account, partition and GPU of jobs, from the configuration."""

from collections.abc import Callable, Mapping
from typing import Any

Resource = int | str | Callable[[Any], int | str]


def slurm_resources(
    config: Mapping[str, Any],
    needs_gpu: Callable[[Any], bool] | None = None,
    downloads: bool = False,
) -> dict[str, Resource]:
    """Return the resources of a rule that choose the account, the partition and the GPU of its jobs.

    ``needs_gpu`` decides by a job's wildcards whether it needs a GPU; without it none does. ``downloads``: all of them
    need the internet. Unset keys fall back to Snakemake's ``--default-resources``, then to Slurm's defaults.
    """
    slurm = config["slurm"]

    def partition(wildcards: Any) -> str:
        special = slurm["download_partition"] if downloads else ""
        if needs_gpu is not None and needs_gpu(wildcards):
            special = slurm["gpu_partition"]
        return str(special or slurm["partition"])

    def with_gpu(value: int | str, without: int | str) -> Resource:
        return lambda wildcards: value if needs_gpu is not None and needs_gpu(wildcards) else without

    named: dict[str, Resource] = {}
    if slurm["account"]:
        named["slurm_account"] = slurm["account"]
    if slurm["partition"]:
        named["slurm_partition"] = partition
    if needs_gpu is None:
        return named
    model, count = slurm["gpu_model"], slurm["gpu_count"]
    if slurm["gpu_request"] == "gres":
        return named | {"gres": with_gpu(f"gpu:{model}:{count}" if model else f"gpu:{count}", "")}
    return named | {"gpu": with_gpu(count, 0)} | ({"gpu_model": with_gpu(model, "")} if model else {})
