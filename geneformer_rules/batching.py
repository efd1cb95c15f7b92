"""Which samples one job archives: those that fit into a part, as many of a species as make up one.

A batch is named after its first sample and the number of its samples, which follow one another among the samples of
their species in the sheet. So a job on another machine knows its samples from its name, whatever has happened since. A
third word tells it from an earlier one of the same samples that has left its proof behind.
"""

import itertools
from collections.abc import Callable, Container, Iterable, Mapping
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
    """Put samples that are not ``done`` together until they have ``limit`` bases, a short rest with those before.

    ``size`` is that of a sample, None if it is to be split. What follows one another is cut by what is left out.
    """
    batch_of: dict[str, str] = {}
    for alike in _by_species(samples).values():
        sizes = [(sample.name, None if sample.name in done else size(sample)) for sample in alike]
        for together, run in itertools.groupby(sizes, lambda named: named[1] is not None):
            for names in _cut([(name, bases or 0) for name, bases in run], limit) if together else ():
                batch_of |= dict.fromkeys(names, f"{names[0]}{SEPARATOR}{len(names)}")
    return Batches(samples, batch_of)


def _cut(run: Iterable[tuple[str, int]], limit: int) -> list[list[str]]:
    """Cut samples that follow one another, by name and size, into batches; none but an only one is a short job."""
    batches: list[tuple[int, list[str]]] = []
    for name, bases in run:
        weight = max(bases, limit // _MOST_SAMPLES)
        if not batches or batches[-1][0] + weight > limit:
            batches.append((0, []))
        batches[-1] = batches[-1][0] + weight, [*batches[-1][1], name]
    joined = batches[:1]
    for weight, names in batches[1:]:
        before, earlier = joined[-1]
        if 2 * min(weight, before) < limit:
            joined[-1] = before + weight, earlier + names
        else:
            joined.append((weight, names))
    return [names for _, names in joined]


def fresh(batch: str, is_there: Callable[[str], bool]) -> str:
    """A name of this batch under which nothing is there from an earlier run."""
    names = itertools.chain([batch], (f"{batch}{SEPARATOR}{number}" for number in itertools.count(2)))
    return next(name for name in names if not is_there(name))


def _by_species(samples: Mapping[str, Sample]) -> dict[str, list[Sample]]:
    species: dict[str, list[Sample]] = {}
    for sample in samples.values():
        species.setdefault(sample.species, []).append(sample)
    return species
