"""Which samples one job archives: those that fit into a part, as many of a species as make up one.

A batch is named after its first sample and the number of its samples, which follow one another among the samples of
their species in the sheet. So a job on another machine knows its samples from its name, whatever has happened since. A
third word tells it from an earlier one of the same samples that has left its proof behind.
"""

import itertools
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import cached_property

from geneformer_rules.sheets import Sample

SEPARATOR = "+"
"""Between the name of the first sample, which cannot have it, and the number of samples."""

_MOST_SAMPLES = 200
"""In a batch, however small they are: each has a file of its own, which takes a quarter of a second or so."""


@dataclass(frozen=True)
class Batches:
    """All samples of the sheet, and the batch of each that is to be archived in one."""

    samples: Mapping[str, Sample]
    batch_of: Mapping[str, str]

    @cached_property
    def _by_species(self) -> dict[str, list[Sample]]:
        return _by_species(self.samples)

    def members(self, batch: str) -> list[Sample]:
        """The samples of a batch; KeyError if there is no such batch."""
        first, count = batch.split(SEPARATOR)[:2]
        alike = self._by_species[self.samples[first].species]
        start = alike.index(self.samples[first])
        members = alike[start : start + int(count)]
        if len(members) < int(count):
            raise KeyError(batch)
        return members


def plan_batches(
    samples: Mapping[str, Sample], done: Container[str], size: Callable[[Sample], int | None], limit: int
) -> Batches:
    """Put samples that are not ``done`` together until they have ``limit`` bases.

    ``size`` is that of a sample, None if it is to be split. What follows one another is cut by what is left out.
    """
    batch_of: dict[str, str] = {}
    for alike in _by_species(samples).values():
        members: list[str] = []
        room = 0
        for sample in [*alike, None]:
            bases = None if sample is None or sample.name in done else size(sample)
            weight = max(bases or 0, limit // _MOST_SAMPLES)
            if members and (bases is None or weight > room):
                batch_of |= dict.fromkeys(members, f"{members[0]}{SEPARATOR}{len(members)}")
                members = []
            if sample is None or bases is None:
                continue
            room = (room if members else limit) - weight
            members.append(sample.name)
    return Batches(samples, batch_of)


def fresh(batch: str, is_there: Callable[[str], bool]) -> str:
    """A name of this batch under which nothing is there from an earlier run."""
    names = itertools.chain([batch], (f"{batch}{SEPARATOR}{number}" for number in itertools.count(2)))
    return next(name for name in names if not is_there(name))


def _by_species(samples: Mapping[str, Sample]) -> dict[str, list[Sample]]:
    species: dict[str, list[Sample]] = {}
    for sample in samples.values():
        species.setdefault(sample.species, []).append(sample)
    return species
