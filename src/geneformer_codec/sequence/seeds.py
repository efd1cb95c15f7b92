"""Seeds of a text, sampled by their hash: the same ones wherever a passage comes again, on either strand."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import hashed
from geneformer_codec.coding.jit import Int, inline, kernels, prefetch

kernel = kernels()

SEED_LENGTH = 24
SAMPLED_BIT = 20
"""The lowest bit of a hash by which it is sampled."""
_AHEAD = 16
"""Seeds whose places in the table are prefetched."""


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


def numbered(hashes: NDArray[np.uint64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """A number for each of the ``hashes``, equal ones alike, and in how many parts each number is.

    ``ends`` are where the hashes of each part end.
    """
    bits = max(10, (2 * len(hashes)).bit_length())
    numbers, in_parts = np.empty(len(hashes), np.int32), np.zeros(len(hashes), np.int32)
    keys, owners = np.zeros(1 << bits, np.uint64), np.empty(1 << bits, np.int32)
    last_part = np.full(len(hashes), -1, np.int32)
    count = _number(hashes, ends, keys, owners, last_part, numbers, in_parts, bits)
    return numbers, in_parts[:count]


@kernel
def _number(
    hashes: NDArray[np.uint64], ends: NDArray[np.int64], keys: NDArray[np.uint64], owners: NDArray[np.int32],
    last_part: NDArray[np.int32], numbers: NDArray[np.int32], in_parts: NDArray[np.int32], bits: Int,
) -> Int:  # fmt: skip
    """See `numbered`. ``keys`` hold hashes, or 0 where there is none, and ``owners`` their numbers."""
    shift, mask = np.uint64(64 - bits), keys.shape[0] - 1
    count = part = 0
    for k in range(hashes.shape[0]):
        if k + _AHEAD < hashes.shape[0]:
            at = np.int64(hashes[k + _AHEAD] >> shift)
            prefetch(keys, at)
            prefetch(owners, at)
        while k == ends[part]:
            part += 1
        key = hashes[k] | np.uint64(1)
        at = np.int64(key >> shift)
        while keys[at] != key:
            if keys[at] == np.uint64(0):
                keys[at], owners[at] = key, count
                count += 1
                break
            at = (at + 1) & mask
        number = numbers[k] = owners[at]
        if last_part[number] != part:
            last_part[number] = part
            in_parts[number] += 1
    return count


@kernel
def take_stretches(
    seeds: NDArray[np.int32], stretches: NDArray[np.int32], recurs: NDArray[np.bool_], covered: NDArray[np.bool_],
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
