"""What a call of Snakemake asks to make anew, while its Snakefiles are still being read."""

import os
import sys
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from snakemake.api import DAGApi

from geneformer_rules.sheets import Sample

_FETCHING = frozenset({"archive_run"})
_WHOLE = frozenset({"archive_batch", "publish"})
_OF_PARTS = frozenset({"split", "split_here", "compress", "gather", "verify"})
_TRAINING = frozenset({"train", "train_here"})
RULES = _FETCHING | _WHOLE | _OF_PARTS | _TRAINING
"""The rules that archives depend on."""


@dataclass(frozen=True)
class Forced:
    """What the user wants made anew: ``-F``, the rules of ``-R``, the files of ``-R`` and ``-f``."""

    everything: bool
    rules: frozenset[str]
    files: frozenset[str]

    @classmethod
    def by(cls, settings: Any, name_of: Callable[[str], str]) -> "Forced":
        """From the settings of a call (`dag_settings`); ``name_of`` maps a rule's name to that in the workflow."""
        if settings is None:
            return cls(False, frozenset(), frozenset())
        names = {*settings.forcerun, *(settings.targets if settings.forcetargets else ())}
        rules = frozenset(rule for rule in RULES if name_of(rule) in names)
        return cls(settings.forceall, rules, frozenset(map(os.path.normpath, names)))

    def __bool__(self) -> bool:
        return self.everything or bool(self.rules or self.files)

    def covers(self, sample: Sample, results: str, *, is_split: bool, is_trained: bool) -> bool:
        """Whether the archive of a sample is to be made anew.

        One whose source is gone is not, unless it is named itself: deleting sources would make ``-F`` impossible.
        """
        places = (f"{results}/archives/{sample.name}.gfz", f"{results}/verified/{sample.name}.json")
        if any(os.path.normpath(place) in self.files for place in places):
            return True
        rules = _FETCHING if sample.accession else _OF_PARTS if is_split else _WHOLE
        if not self.everything and (rules | (_TRAINING if is_trained else set())).isdisjoint(self.rules):
            return False
        return not sample.files or any(map(os.path.exists, sample.files))


def dag_settings() -> Any:
    """The settings of the call; None where none is to build a graph, as with ``--lint``.

    Snakemake sets ``workflow.dag_settings`` after all Snakefiles are read; the rules here need them before, as their
    wildcard constraints leave out what is done. The object that starts the reading has them.
    """
    frame: Any = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, DAGApi):
            return caller.dag_settings
        frame = frame.f_back
    return None


def replace_targets(settings: Any, files: Container[str], rule: str) -> list[str]:
    """Ask for ``rule`` in place of the targets that are among ``files``, and return these.

    Snakemake wants a rule for every file that is named, also for one that exists and that no rule is to make.
    """
    named = [target for target in settings.targets if os.path.normpath(target) in files]
    if named:
        settings.targets = frozenset({rule, *settings.targets} - set(named))
    return named
