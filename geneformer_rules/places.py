"""Limits the number of fetched runs on the disk.

The directory of a run holds a place from when its fetch begins until its archive is published. A run that has failed
keeps its directory, so that it can be resumed, until another run needs the place.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from geneformer_rules.run_directory import LOCK


@dataclass(frozen=True)
class Places:
    """The places for runs below a directory; ``remove`` deletes what is there of a run, by the name of its sample."""

    directory: Path
    most: int
    remove: Callable[[str], None]

    def admit(
        self, waiting: Sequence[str], fetching: Collection[str], active: Collection[str], is_idle: bool
    ) -> list[str]:
        """Choose those of the ``waiting`` runs that may be fetched now, and make room for them.

        ``active`` are the runs that are being worked on, or will be; ``fetching`` those of them whose fetch runs. If
        nothing else ``is_idle``, as where the disk is full of runs that failed, one may always begin.
        """
        there = self._there()
        held = {run for run in there if run in active} | set(fetching)
        free = max(self.most - len(held), 1 if is_idle and not held.intersection(waiting) else 0)
        begun = [run for run in waiting if run in held]
        new = [run for run in waiting if run not in held][:free]
        surplus = len(held.union(there)) + len(new) - self.most
        for run in [run for run in there if run not in held][: max(surplus, 0)] if new else []:
            self.remove(run)
        return begun + new

    def _there(self) -> list[str]:
        """The runs that have a directory, the oldest first."""
        if not self.directory.is_dir():
            return []
        locks = [path / LOCK for path in self.directory.iterdir()]
        return [lock.parent.name for lock in sorted(filter(Path.exists, locks), key=lambda lock: lock.stat().st_mtime)]
