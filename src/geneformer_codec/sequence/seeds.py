"""Seeds of a text, sampled by their hash: the same ones wherever a passage comes again, on either strand."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import hashed
from geneformer_codec.coding.jit import Int, inline, kernels

kernel = kernels()

SEED_LENGTH = 24
SAMPLED_BIT = 20
"""The lowest bit of a hash by which it is sampled."""


def still_sampled(hashes: NDArray[np.uint64], sampling: int) -> NDArray[np.bool_]:
    """Which of ``hashes`` are sampled, if one seed in ``sampling`` is, a power of two."""
    sampled: NDArray[np.bool_] = hashes >> np.uint64(SAMPLED_BIT) & np.uint64(sampling - 1) == 0
    return sampled


@inline
def next_seed(seed: Int, reverse_complement: Int, base: Int, length: Int) -> tuple[Int, Int]:
    """The seed of ``length`` bases that ends in ``base``, and its reverse complement, from the one before."""
    mask, top = (np.uint64(1) << np.uint64(2 * length)) - np.uint64(1), np.uint64(2 * length - 2)
    after = ((seed << np.uint64(2)) | np.uint64(base)) & mask
    return after, (reverse_complement >> np.uint64(2)) | ((np.uint64(3) - np.uint64(base)) << top)


@kernel
def sampled_seeds(bases: NDArray[np.uint8], sampling: Int, hashes: NDArray[np.uint64], ends: NDArray[np.int64]) -> Int:
    """How many of the seeds of ``bases`` are sampled: their ``hashes``, and the places of their last bases.

    No more than the arrays hold.
    """
    history, reverse_complement, count = np.uint64(0), np.uint64(0), 0
    for k in range(bases.shape[0]):
        history, reverse_complement = next_seed(history, reverse_complement, bases[k], SEED_LENGTH)
        mixed = hashed(min(history, reverse_complement))
        sampled = (mixed >> np.uint64(SAMPLED_BIT)) & np.uint64(sampling - 1) == np.uint64(0)
        if sampled and k + 1 >= SEED_LENGTH and count < hashes.shape[0]:
            hashes[count], ends[count] = mixed, k
            count += 1
    return count


@kernel
def take_stretches(
    seeds: NDArray[np.int64], stretches: NDArray[np.int32], recurs: NDArray[np.bool_], covered: NDArray[np.bool_],
    taken: NDArray[np.bool_], percentage: Int, most: Int,
) -> None:  # fmt: skip
    """Take stretches in order, until ``most`` are, if enough of their seeds recur and are in none that is ``taken``.

    ``seeds`` are numbers of seeds, ``stretches`` those that they are in, in order; ``recurs`` and ``covered`` are of
    each seed, ``taken`` of each stretch. ``percentage`` is how many are enough.
    """
    count, begin = 0, 0
    for stretch in range(taken.shape[0]):
        count += taken[stretch]
    while begin < seeds.shape[0] and count < most:
        stretch, end, new = stretches[begin], begin, 0
        while end < seeds.shape[0] and stretches[end] == stretch:
            new += recurs[seeds[end]] and not covered[seeds[end]]
            end += 1
        if not taken[stretch] and new * 100 >= percentage * (end - begin):
            taken[stretch] = True
            count += 1
            covered[seeds[begin:end]] = True
        begin = end
