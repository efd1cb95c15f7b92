"""Which of the ready jobs may start: fetches while there is room, and publications that will fail after all others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from geneformer_rules import batching
from geneformer_rules.places import Places
from geneformer_rules.scheduling import Job, State

if TYPE_CHECKING:
    from geneformer_rules.planner import Planner

_OF_SAMPLES = ("fetch", "split", "split_local", "compress", "gather", "gather_local", "archive", "publish")
"""The rules through which a sample passes."""


@dataclass(frozen=True, eq=False)
class ReadyJobs:
    """The choice among the ready jobs of a plan."""

    planner: "Planner"

    def choose(self, state: State) -> list[Job]:
        """Those that may begin.

        A publication fails if its sample could not be archived. If it is the last to begin, all other samples have been
        archived before Snakemake stops, with --keep-going or without.
        """
        failing = {job for job in self._of(state.ready, "publish") if self.planner.error_of(self._sample_of(job))}
        ready = [job for job in state.ready if job not in failing]
        chosen = self._with_room(replace(state, ready=ready, failed=[*state.failed, *failing]))
        return chosen or ([] if state.running else list(failing))

    def _with_room(self, state: State) -> list[Job]:
        planner = self.planner
        fetches = {self._sample_of(job): job for job in self._of(state.ready, "fetch")}
        if not fetches or planner.config["sra"]["keep_downloads"]:
            return list(state.ready)
        others = [job for job in state.ready if job not in fetches.values()]
        worked_on, waiting, failed, fetching = (
            set(map(self._sample_of, self._of(jobs, *rules)))
            for jobs, rules in (
                ([*state.running, *others], _OF_SAMPLES),
                (state.unfinished(), _OF_SAMPLES),
                (state.failed, _OF_SAMPLES),
                (state.running, ["fetch"]),
            )
        )
        places = Places(planner.downloads, planner.config["sra"]["max_downloads"], planner.remove_run)
        admitted = places.admit(
            sorted(fetches, key=self._order.__getitem__),
            fetching,
            active=worked_on | (waiting - failed),
            is_idle=not others and not state.running,
        )
        return [*others, *(fetches[sample] for sample in admitted)]

    @cached_property
    def _order(self) -> dict[str, int]:
        """The place of each sample in the order of fetching: large ones first, or their last steps would come last."""
        largest_first = sorted(self.planner.samples.values(), key=lambda sample: -sample.bytes)
        return {sample.name: number for number, sample in enumerate(largest_first)}

    def _of(self, jobs: Iterable[Job], *rules: str) -> list[Job]:
        """The jobs of some of our rules."""
        names = set(map(self.planner.call.rule_name, rules))
        return [job for job in jobs if not job.is_group() and job.rule.name in names]

    def _sample_of(self, job: Job) -> str:
        """The sample of a job, the first one of a batch."""
        wildcards = job.wildcards_dict
        return str(wildcards.get("sample") or wildcards.get("batch", "").partition(batching.SEPARATOR)[0])
