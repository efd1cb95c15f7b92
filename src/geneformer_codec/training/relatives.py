"""The stretches of a large panel that matter for some records: those that share most seeds with them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import hashed
from geneformer_codec.coding.jit import Int, kernels
from geneformer_codec.sequence.seeds import next_seed
from geneformer_codec.training.data import Bases

kernel = kernels()

STRETCH = 1 << 16
SEED_LENGTH = 20
SAMPLING = 8
"""One seed in so many is looked at."""
_BITS = 26


def relatives_of(held: Sequence[Bases], records: Sequence[Bases], most: int) -> list[Bases]:
    """About ``most`` bases of ``records``, in order: the stretches of them with most seeds of ``held``, on any strand.

    All of them if they have no more.
    """
    if sum(map(len, records)) <= most:
        return list(records)
    seen = np.zeros(1 << _BITS, np.bool_)
    for record in held:
        find_seeds(record, seen, True)
    stretches = [record[at : at + STRETCH] for record in records for at in range(0, len(record), STRETCH)]
    shares = np.array([find_seeds(stretch, seen, False) / max(len(stretch), 1) for stretch in stretches])
    order = np.argsort(-shares, kind="stable")
    bases = np.cumsum([len(stretches[number]) for number in order])
    return [stretches[number] for number in sorted(order[: int(np.searchsorted(bases, most)) + 1])]


@kernel
def find_seeds(bases: NDArray[np.uint8], seen: NDArray[np.bool_], marking: bool) -> Int:
    """How many sampled seeds of ``bases`` are ``seen``, or, when ``marking``, there are: then they are from now on."""
    history, reverse_complement, count = np.uint64(0), np.uint64(0), 0
    for k in range(bases.shape[0]):
        history, reverse_complement = next_seed(history, reverse_complement, bases[k], SEED_LENGTH)
        mixed = hashed(min(history, reverse_complement))
        if k + 1 < SEED_LENGTH or (mixed & np.uint64(0xFFFF)) * np.uint64(SAMPLING) >= np.uint64(0x10000):
            continue
        row = np.int64(mixed >> np.uint64(64 - _BITS))
        if marking:
            seen[row] = True
        count += seen[row]
    return count
