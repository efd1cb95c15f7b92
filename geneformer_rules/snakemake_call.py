"""Facts about the Snakemake call that the planner needs while the Snakefiles are still being read.

Some of them have no documented interface in Snakemake; no other module uses such internals.
"""

import argparse
import os
import sys
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.api import DAGApi

from geneformer_rules.sheets import Sample

_WHOLE = frozenset({"archive", "publish"})
_IN_PARTS = frozenset({"split", "split_local", "compress", "gather", "publish"})
_TRAINING = frozenset({"train", "train_local"})

_ON_CLUSTER = "GENEFORMER_ON_CLUSTER"
"""The environment variable that passes the first call's facts to the Snakemake processes that jobs start."""


@dataclass(frozen=True)
class Forced:
    """Outputs that the user forces: everything (``-F``), these rules (``-R``) and these files (``-R`` and ``-f``)."""

    everything: bool = False
    rules: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.everything or bool(self.rules or self.files)

    def covers(self, sample: Sample, results: str, *, is_split: bool, is_trained: bool) -> bool:
        """Whether the archive of a sample is forced.

        A sample whose source is gone is kept unless its archive is named: with ``delete_source``, ``-F`` would fail.
        """
        places = (f"{results}/archives/{sample.name}.gfz", f"{results}/reports/{sample.name}.json")
        if any(os.path.normpath(place) in self.files for place in places):
            return True
        rules = (_IN_PARTS if is_split else _WHOLE) | (_TRAINING if is_trained else frozenset())
        if not self.everything and rules.isdisjoint(self.rules):
            return False
        return not sample.files or any(map(os.path.exists, sample.files))


@dataclass(frozen=True, eq=False)
class Call:
    """A call of Snakemake, by its ``workflow`` object."""

    workflow: Any
    _producers: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Whether a rule writes a file, of so many rules: asking each of them takes long."""

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that the user started, and not one that runs a job."""
        return bool(self.workflow.is_main_process)

    def place(self, pathvar: str) -> str:
        """The directory of a pathvar. A module's prefix is known only while the module is read."""
        return str(self.workflow.modifier.path_modifier.replace_prefix(self.workflow.pathvars.apply(f"<{pathvar}>")))

    @cached_property
    def results(self) -> str:
        """The directory of the results."""
        return self.place("results")

    @cached_property
    def has_prefix(self) -> bool:
        """Whether the including pipeline has given this module a prefix for its paths."""
        return self.results != str(self.workflow.pathvars.apply("<results>"))

    @cached_property
    def on_cluster(self) -> bool:
        """Whether jobs go to a cluster: only the main process can tell, and those that it starts must plan alike."""
        if self.is_main_process:
            os.environ[_ON_CLUSTER] = "" if self.workflow.resource_settings.nodes is None else "1"
        return bool(os.environ.get(_ON_CLUSTER))

    @cached_property
    def settings(self) -> Any:
        """Snakemake's DAG settings; None where no graph is wanted, as with ``--lint``.

        Snakemake sets ``workflow.dag_settings`` after all Snakefiles are read. The object that started the reading has
        them before.
        """
        callers = (caller for caller in _in_callers("self") if isinstance(caller, DAGApi))
        return next((caller.dag_settings for caller in callers), None)

    @cached_property
    def makes_report(self) -> bool:
        """Whether Snakemake was called to make a report, and to run nothing."""
        parsed = (args for args in _in_callers("args") if isinstance(args, argparse.Namespace))
        return any(getattr(args, "reporter", None) and not args.report_after_run for args in parsed)

    @cached_property
    def forced(self) -> Forced:
        """Outputs that the user forces."""
        if self.settings is None:
            return Forced()
        names = {*self.settings.forcerun, *(self.settings.targets if self.settings.forcetargets else ())}
        rules = frozenset(rule for rule in _WHOLE | _IN_PARTS | _TRAINING if self.rule_name(rule) in names)
        return Forced(self.settings.forceall, rules, frozenset(map(os.path.normpath, names)))

    @property
    def targeted_samples(self) -> set[str]:
        """The samples of the jobs that this process runs, if it is not the main process."""
        return {job.wildcards_dict.get("sample", "") for job in self.settings.target_jobs}

    def rule_name(self, rule: str) -> str:
        """The name that one of our rules has in the workflow."""
        return str(self.workflow.modifier.modify_rulename(rule))

    def writes(self, path: str) -> bool:
        """Whether a rule that is defined already writes this file."""
        rules = list(self.workflow.rules)
        if self._producers.get(path, (None, False))[0] != len(rules):
            self._producers[path] = len(rules), any(rule.is_producer(path) for rule in rules)
        return self._producers[path][1]

    def force(self, *outputs: str) -> None:
        """Run the jobs of these outputs whatever their time stamps, as ``--forcerun`` does."""
        self.workflow.dag.forcefiles.update(outputs)

    def replace_targets(self, files: Container[str], rule: str) -> list[str]:
        """Ask for ``rule`` in place of the targets that are among ``files``, and return these.

        Snakemake wants a rule for every file that is named, even for one that exists and needs no job.
        """
        if self.settings is None or not self.is_main_process:
            return []
        named = [target for target in self.settings.targets if os.path.normpath(target) in files]
        if named:
            self.settings.targets = frozenset({self.rule_name(rule), *self.settings.targets} - set(named))
        return named

    def limit_resource(self, resource: str, most: int) -> None:
        """Limit a resource of all jobs together, unless the user has."""
        if resource not in self.workflow.global_resources:
            self.workflow.register_resource(resource, most)


def _in_callers(name: str) -> Iterator[Any]:
    """The values of a variable in the functions that are being executed."""
    frame: Any = sys._getframe()
    while frame is not None:
        if name in frame.f_locals:
            yield frame.f_locals[name]
        frame = frame.f_back


def tracked(files: Iterable[str | None]) -> list[str]:
    """The files that Snakemake can follow: in the names of others it would replace braces and angle brackets."""
    return [path for path in files if path and not set("{}<>") & set(path)]


def add_own_commands_to_path() -> None:
    """Let jobs find ``gfz``: Snakemake is often run by its path, from an environment that is not activated."""
    own = str(Path(sys.executable).parent)
    searched = os.environ.get("PATH", os.defpath)
    if own not in searched.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([searched, own])
