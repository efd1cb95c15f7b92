"""Two extensions of Snakemake's scheduler, for which it has no setting; no other module touches the scheduler.

Snakemake holds a resource while a job runs; but a fetched run stays on the disk until its archive is published.
So fetches are held back until there is room. And Snakemake's handlers of the end of a run do not work in modules.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_interface_common.exceptions import WorkflowError

Job = Any


@dataclass(frozen=True)
class State:
    """The jobs of a workflow at one time, each a job of Snakemake, or a group of jobs."""

    ready: Sequence[Job]
    running: Sequence[Job]
    failed: Sequence[Job]
    needed: Callable[[], Iterable[Job]]
    """All that are not superfluous, done or not."""
    is_finished: Callable[[Job], bool]

    def unfinished(self) -> list[Job]:
        """The jobs that have not been done, failed ones among them."""
        return [job for job in self.needed() if not self.is_finished(job)]


def extend_scheduler(workflow: Any, choose: Callable[[State], Sequence[Job]], at_end: Callable[[State], None]) -> None:
    """Let ``choose`` decide which of the ready jobs of a workflow may start, and call ``at_end`` when no more will.

    Neither is called if nothing is executed, as in a dry run; ``choose`` is not if a failure stops the workflow.
    """
    jobs, schedule = JobScheduler.__dict__.get("open_jobs"), JobScheduler.__dict__.get("schedule")
    if not isinstance(jobs, property) or jobs.fget is None or schedule is None:
        raise WorkflowError("This version of Snakemake is not supported yet; install the one that the package names.")
    ready_jobs = jobs.fget

    def is_ours(scheduler: Any) -> bool:
        return scheduler.workflow is workflow and not (scheduler.dryrun or scheduler.touch)

    def open_jobs(scheduler: Any) -> Sequence[Job]:
        ready: list[Job] = ready_jobs(scheduler)
        stops = scheduler.failed and not scheduler.keepgoing
        return choose(_state(scheduler, ready)) if is_ours(scheduler) and not stops else ready

    def schedule_and_end(scheduler: Any) -> bool:
        try:
            return bool(schedule(scheduler))
        finally:
            if is_ours(scheduler):
                at_end(_state(scheduler, []))

    JobScheduler.open_jobs = property(open_jobs)  # type: ignore[method-assign, assignment]
    JobScheduler.schedule = schedule_and_end  # type: ignore[method-assign]


def _state(scheduler: Any, ready: Sequence[Job]) -> State:
    dag = scheduler.workflow.dag
    needed = functools.partial(dag.needrun_jobs, exclude_finished=False)
    return State(ready, list(scheduler.running), list(scheduler.failed), needed, dag.finished)
