"""A large simulated genome with repeats: ``python docs/benchmarks/genome.py MEGABASES GENOME SAMPLE``.

Writes the FASTA files GENOME, of chromosomes of at most 100 Mbases, and SAMPLE, 2 Mbases of a relative of its first
one, for ``panels.py``. As in mammals, two fifths are copies of repeats, on either strand: of 40 families of 300 bases
and 20 of 6,000, a twentieth to a quarter of whose bases have changed since. The rest is random, 41 % of it G and C.
"""

import argparse
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Bases = NDArray[np.uint8]
CHROMOSOME, BLOCK, SAMPLE = 100_000_000, 1_000_000, 2_000_000
FAMILIES = ((300, 40, 0.12), (6000, 20, 0.28))
"""Bases of a copy, families, and their share of the genome."""
SUBSTITUTED, DELETED = 0.001, 0.0001
"""Of the bases of the relative."""
LETTERS = np.frombuffer(b"ACGT", np.uint8)


def drawn(random: np.random.Generator, count: int) -> Bases:
    """Random bases."""
    return random.choice(np.repeat(np.arange(4, dtype=np.uint8), (59, 41, 41, 59)), count)


def changed(random: np.random.Generator, bases: Bases, share: float) -> Bases:
    """So many of the bases replaced by others."""
    return np.where(random.random(len(bases)) < share, bases + random.integers(1, 4, len(bases)), bases) & 3


def block(random: np.random.Generator, families: list[list[Bases]]) -> Bases:
    """A stretch of the genome with its copies of repeats."""
    bases = drawn(random, BLOCK)
    for (length, _, share), repeats in zip(FAMILIES, families, strict=True):
        for start in random.integers(0, BLOCK - length, int(share * BLOCK / length)).tolist():
            copy = changed(random, repeats[random.integers(len(repeats))], random.uniform(0.05, 0.25))
            bases[start : start + length] = copy if random.integers(2) else 3 - copy[::-1]
    return bases


def write(out: BinaryIO, bases: Bases) -> None:
    """In lines of 100 bases."""
    lines = np.full((len(bases) // 100, 101), ord("\n"), np.uint8)
    lines[:, :100] = LETTERS[bases[: len(lines) * 100]].reshape(-1, 100)
    out.write(lines.tobytes())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("megabases", type=int)
    parser.add_argument("genome", type=Path)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--chromosome", type=int, default=CHROMOSOME // BLOCK, help="megabases of each")
    options = parser.parse_args()
    random = np.random.default_rng(options.megabases)
    families = [[drawn(random, length) for _ in range(count)] for length, count, _ in FAMILIES]
    sampled: list[Bases] = []
    with options.genome.open("wb") as out:
        for number in range(options.megabases):
            if number % options.chromosome == 0:
                out.write(b">chr%d simulated\n" % (number // options.chromosome + 1))
            bases = block(random, families)
            write(out, bases)
            if len(sampled) * BLOCK < SAMPLE:
                sampled.append(bases)
    relative = changed(random, np.concatenate(sampled), SUBSTITUTED)
    with options.sample.open("wb") as out:
        out.write(b">relative simulated\n")
        write(out, relative[random.random(len(relative)) >= DELETED])


if __name__ == "__main__":
    main()
