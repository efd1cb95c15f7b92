"""Simulated related genomes for examples and tests.

An ancestor with the composition of real DNA (periods of three, repeats, tandem repeats) evolves along a random tree by
substitutions, insertions and deletions; tips get runs of N and soft-masked (lower-case) stretches. Only integers drawn
from PCG64 and integer arithmetic are used, so that a seed gives the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]

_LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_WIDTH = 70
_SCALE = 1 << 20  # probabilities are compared as integers out of this many
_TRANSITIONS = 3  # of four substitutions, so many swap A with G or C with T


def simulate(
    genomes: int, length: int = 16_000, divergence: float = 0.01, seed: int = 0
) -> Iterator[tuple[str, bytes]]:
    """Yield ``genomes`` pairs of name and sequence of about ``length`` bases, related by a random tree.

    ``divergence`` is about the share of bases in which a genome differs from their ancestor. There are lower-case
    stretches and runs of N. Names mark the data as simulated. ValueError on impossible settings.
    """
    if genomes < 0 or length < 0 or not 0 <= divergence <= 0.5 or seed < 0:
        raise ValueError("genomes, length and seed must not be negative, divergence must be from 0 to 0.5")
    random = np.random.Generator(np.random.PCG64(seed))
    ancestor = make_ancestor(random, length)
    # Lineages that tips descend from: half of the divergence is shared with others, half is a tip's own.
    lineages = [ancestor]
    for number in range(genomes):
        parent = lineages[_draw(random, len(lineages))]
        if len(lineages) < 2 + genomes // 8:
            parent = _evolve(random, parent, divergence / 2)
            lineages.append(parent)
        genome = _evolve(random, parent, divergence / 2)
        sequence = _with_mask(random, _LETTERS[_with_unknown(random, genome)])
        name = f"sim{seed}_{number:03d} simulated genome {number + 1} of {genomes}, seed {seed}, no real organism"
        yield name, sequence.tobytes()


def write_fasta(
    target: str | Path | BinaryIO, genomes: int, length: int = 16_000, divergence: float = 0.01, seed: int = 0
) -> None:
    """Write what :func:`simulate` yields as FASTA, in lines of 70, to a path or a binary stream."""
    if isinstance(target, str | Path):
        with Path(target).open("wb") as stream:
            write_fasta(stream, genomes, length, divergence, seed)
        return
    for name, sequence in simulate(genomes, length, divergence, seed):
        lines = [sequence[start : start + _WIDTH] for start in range(0, len(sequence), _WIDTH)]
        target.write(b"\n".join([b">" + name.encode(), *lines, b""]))


def _draw(random: np.random.Generator, choices: int) -> int:
    return int(random.integers(max(choices, 1)))


def make_ancestor(random: np.random.Generator, length: int) -> Codes:
    """Random bases with a period of three and local changes of GC content, one repeat a kilobase, and a few tandems."""
    draws = random.integers(_SCALE, size=length)
    isochores = np.repeat(random.integers(-8, 9, size=length // 1000 + 1), 1000)[:length]
    # Per mille of A, C, G for the three places in a codon; T is the rest.
    shares = np.array([[290, 220, 280], [310, 230, 170], [270, 250, 200]])[np.arange(length) % 3]
    shares[:, 0] -= 8 * isochores
    shares[:, 1:] += 4 * isochores[:, None]
    edges = np.cumsum(shares, axis=1) * (_SCALE // 1000)
    codes: Codes = (draws[:, None] >= edges).sum(axis=1).astype(np.uint8)
    for _ in range(length // 1000):
        size = min(40 + _draw(random, 400), length)
        source, goal = _draw(random, length - size + 1), _draw(random, length - size + 1)
        copy = codes[source : source + size].copy()
        codes[goal : goal + size] = 3 - copy[::-1] if _draw(random, 2) else copy
        period, tandem = 2 + _draw(random, 5), _draw(random, length - size + 1)
        if _draw(random, 4) == 0:
            codes[tandem : tandem + size // 4] = np.resize(codes[tandem : tandem + period], size // 4)
    return codes


def _evolve(random: np.random.Generator, genome: Codes, divergence: float) -> Codes:
    """Substitute a share of the bases; one change in twenty is an insertion or deletion of 1 to 12 bases instead."""
    evolved = genome.copy()
    hit = np.flatnonzero(random.integers(_SCALE, size=len(genome)) < int(divergence * _SCALE))
    kinds = random.integers(4, size=len(hit))
    # A, C, G, T are 0..3: exclusive or with 2 is the transition, with 1 and 3 are the transversions.
    others = 1 + 2 * random.integers(2, size=len(hit))
    evolved[hit] ^= np.where(kinds < _TRANSITIONS, 2, others).astype(np.uint8)
    pieces, done = [], 0
    for place in hit[random.integers(20, size=len(hit)) == 0].tolist():
        if place < done:
            continue
        size = 1 + _draw(random, 3) * _draw(random, 5) + _draw(random, 4)
        pieces.append(evolved[done:place])
        if _draw(random, 2):
            pieces.append(random.integers(4, size=size).astype(np.uint8))
            done = place
        else:
            done = min(place + size, len(evolved))
    return np.concatenate([*pieces, evolved[done:]])


def _with_unknown(random: np.random.Generator, genome: Codes) -> Codes:
    """Replace up to two stretches of up to 1 % of the genome by N (4), in one genome of three."""
    out = genome.copy()
    for _ in range(_draw(random, 3) if _draw(random, 3) == 0 else 0):
        start = _draw(random, len(out))
        out[start : start + 1 + _draw(random, len(out) // 100)] = 4
    return out


def _with_mask(random: np.random.Generator, letters: Codes) -> Codes:
    """Lower-case about one stretch of up to 200 bases in 2,000."""
    out = letters.copy()
    for _ in range(len(out) // 2000):
        start = _draw(random, len(out))
        out[start : start + 10 + _draw(random, 190)] |= 32
    return out
