"""Batches of samples: small samples of a species that one job archives, as many as fill it.

A batch is named after its first sample and how many follow it among the samples of their species in the sheet:
``a+5`` are five, ``a+5-2-3`` five, and three more behind two that are left out. So a job on another machine gets its
samples from its name, whatever has been archived since.
"""

import itertools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from geneformer_rules.sheets import Sample

SEPARATOR = "+"
"""Separates the name of the first sample from the number of samples; no name contains it."""
_BETWEEN = "-"

_MOST_SAMPLES = 240
"""The most samples in a batch: each takes a quarter of a second, however small, so all take a minute."""

_MOST_STRETCHES = 24
"""The most stretches of samples in a batch, so that its name is short enough for a file."""


@dataclass(frozen=True)
class Batches:
    """All samples of the sheet, and the batch of each that is to be archived in one."""

    samples: Mapping[str, Sample]
    batch_of: Mapping[str, str]

    @cached_property
    def _by_species(self) -> dict[str, list[Sample]]:
        return _by_species(self.samples)

    def members(self, batch: str) -> list[Sample]:
        """The samples of a batch; KeyError if it is unknown."""
        first, counts = batch.split(SEPARATOR)
        alike = self._by_species[self.samples[first].species]
        members: list[Sample] = []
        at = alike.index(self.samples[first])
        for number, count in enumerate(map(int, counts.split(_BETWEEN))):
            members += alike[at : at + count] if number % 2 == 0 else ()
            at += count
        if at > len(alike):
            raise KeyError(batch)
        return members


def plan_batches(
    samples: Mapping[str, Sample],
    done: Container[str],
    size: Callable[[Sample], int | None],
    limit: int,
    needs_gpu: Callable[[Sample, int], bool] = lambda *_: False,
) -> Batches:
    """Put samples that are not ``done`` together until they have ``limit`` bases, a short rest with those before.

    ``size`` is that of a sample, None if it is to be split; those of a size that ``needs_gpu`` are apart from others.
    """
    batch_of: dict[str, str] = {}
    for alike in _by_species(samples).values():
        sizes = [None if sample.name in done else size(sample) for sample in alike]
        whole = [(place, bases) for place, bases in enumerate(sizes) if bases is not None]
        on_gpu = {place for place, bases in whole if needs_gpu(alike[place], bases)}
        others, large = ([one for one in whole if (one[0] in on_gpu) == is_large] for is_large in (False, True))
        for places in itertools.chain(_cut(others, limit), _cut(large, limit)):
            name = f"{alike[places[0]].name}{SEPARATOR}{_BETWEEN.join(map(str, _stretches(places)))}"
            batch_of |= {alike[place].name: name for place in places}
    return Batches(samples, batch_of)


def _cut(some: Iterable[tuple[int, int]], limit: int) -> list[list[int]]:
    """Cut samples, by place among those alike and size, into batches; none but an only one is a short job.

    (Where very many samples between them are left out, some are.)
    """
    batches: list[tuple[int, list[int]]] = []
    for place, bases in some:
        weight = max(bases, limit // _MOST_SAMPLES)
        if (
            not batches
            or batches[-1][0] + weight > limit
            or len(_stretches([*batches[-1][1], place])) > 2 * _MOST_STRETCHES
        ):
            batches.append((0, []))
        batches[-1] = batches[-1][0] + weight, [*batches[-1][1], place]
    joined = batches[:1]
    for weight, places in batches[1:]:
        before, earlier = joined[-1]
        if 2 * min(weight, before) < limit and len(_stretches(earlier + places)) <= 2 * _MOST_STRETCHES:
            joined[-1] = before + weight, earlier + places
        else:
            joined.append((weight, places))
    return [places for _, places in joined]


def _stretches(places: Sequence[int]) -> list[int]:
    """How many of ascending ``places`` follow one another, how many are left out, and so on."""
    counts = [1]
    for before, place in itertools.pairwise(places):
        if place > before + 1:
            counts += [place - before - 1, 0]
        counts[-1] += 1
    return counts


def alone(sample: str) -> str:
    """The batch of a sample that has a job to itself."""
    return f"{sample}{SEPARATOR}1"


def _by_species(samples: Mapping[str, Sample]) -> dict[str, list[Sample]]:
    species: dict[str, list[Sample]] = {}
    for sample in samples.values():
        species.setdefault(sample.species, []).append(sample)
    return species
