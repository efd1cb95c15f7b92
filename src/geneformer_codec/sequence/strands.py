"""Whether one strand of a part predicts the other, as in double-stranded genomes and in reads."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import kernels

kernel = kernels()

WORD = 12
STRETCHES, STRETCH = 4, 1 << 20
"""A longer part is judged by so many stretches of so many bases: with more, words would match at random."""
ENOUGH = 2, 7
"""How many words must occur on the other strand too for each that occurs forward on one, as a fraction.

It lies between what was measured where one strand gave the smaller archive (mitochondria, viruses and ribosomal RNA: at
most 0.21, and both strands took up to 0.5 % more) and where both did (bacteria, nuclear chromosomes and reads: at least
0.36, and one strand took up to 18 % more). In sequence without repeats as many are expected on either.
"""

_REPEATED, _REVERSE = 2, 4


def both_strands(bases: NDArray[np.uint8]) -> bool:
    """``bases`` uint8 [n] of 0..3."""
    forward, reverse = word_pairs(stretches(bases, STRETCHES, STRETCH))
    return reverse * ENOUGH[1] >= forward * ENOUGH[0]


def stretches(bases: NDArray[np.uint8], count: int, length: int) -> NDArray[np.uint8]:
    """All of a short part, ``count`` evenly spaced stretches of ``length`` bases of a long one."""
    if len(bases) <= count * length:
        return bases
    starts = [number * (len(bases) - length) // (count - 1) for number in range(count)]
    return np.concatenate([bases[start : start + length] for start in starts])


def word_pairs(bases: NDArray[np.uint8]) -> tuple[int, int]:
    """How many words of `WORD` bases occur more than once, and how many occur as well as their reverse complement."""
    forward, reverse = _count(np.require(bases, requirements=["C", "W"]), np.zeros(1 << (2 * WORD), np.uint8))
    return int(forward), int(reverse)


@kernel
def _count(bases: NDArray[np.uint8], seen: NDArray[np.uint8]) -> tuple[int, int]:
    mask, top = (1 << (2 * WORD)) - 1, 2 * WORD - 2
    word = other = forward = reverse = 0
    for place in range(bases.shape[0]):
        word = (word << 2 | bases[place]) & mask
        other = other >> 2 | (3 - bases[place]) << top
        if place < WORD - 1:
            continue
        if seen[word] == 0:
            seen[word] = 1
        elif not seen[word] & _REPEATED:
            seen[word] |= _REPEATED
            forward += 1
        if seen[other] and not seen[word] & _REVERSE:
            seen[word] |= _REVERSE
            seen[other] |= _REVERSE
            reverse += 1
    return forward, reverse
