"""Simulated reads of a genome, as FASTQ, for examples and tests; a seed gives the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.sequence.simulate import make_ancestor

Codes = NDArray[np.uint8]

_LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_QUALITIES = np.frombuffer(b"F:,#", np.uint8)
_ERRORS = np.array([2, 30, 120, 1024])  # of 1,024, for each quality; N is an error of the lowest
_INSERT = 350
_AT_ONCE = 1 << 14


def write_fastq(
    targets: Sequence[BinaryIO], reads: int, length: int = 150, genome: int = 50_000, seed: int = 0
) -> None:
    """Write so many reads of ``length`` bases as FASTQ, or to two targets pairs of them, from both strands of a genome.

    Their names mark them as simulated. ValueError on impossible settings.
    """
    if min(reads, seed) < 0 or length < 1 or genome < length + _INSERT or len(targets) not in (1, 2):
        raise ValueError(
            "one or two targets, reads of at least one base, and a genome longer than fragments are needed"
        )
    random = np.random.Generator(np.random.PCG64(seed))
    source = make_ancestor(random, genome)
    for begin in range(0, reads, _AT_ONCE):
        count = min(_AT_ONCE, reads - begin)
        starts = random.integers(genome - length - _INSERT + 1, size=count)
        reverse = random.integers(2, size=count).astype(bool)
        tiles = np.sort(random.integers(1 << 24, size=count))
        ends = starts + _INSERT + random.integers(length + 1, size=count)
        for mate, target in enumerate(targets, 1):
            first = np.where(reverse == (mate == 1), ends - length, starts)
            bases = source[first[:, None] + np.arange(length)]
            backward = reverse == (mate == 1)
            bases[backward] = 3 - bases[backward, ::-1]
            letters, qualities = _sequenced(random, bases)
            for row, (tile, residues, values) in enumerate(zip(tiles.tolist(), letters, qualities, strict=True)):
                place = b"%d:%d:%d" % (1101 + tile // (1 << 20), tile % (1 << 20) // 32, begin + row)
                lines = b"@sim%d:simulated:1:%b %d:N:0:ACGT" % (seed, place, mate), residues.tobytes(), b"+"
                target.write(b"\n".join([*lines, values.tobytes(), b""]))


def _sequenced(random: np.random.Generator, bases: Codes) -> tuple[Codes, Codes]:
    """What a sequencer makes of rows of bases: letters with errors and N, and qualities, which fall along the read."""
    count, length = bases.shape
    worse = random.integers(1024, size=bases.shape) < 4 + 60 * np.arange(length) // length
    grade = np.minimum(worse * (1 + random.integers(2, size=bases.shape)), 2)
    tail = length - random.integers(1, length + 1, size=count) * (random.integers(8, size=count) == 0)
    grade[np.arange(length) >= tail[:, None]] = 2
    grade[random.integers(1 << 12, size=bases.shape) == 0] = 3
    wrong = random.integers(1024, size=bases.shape) < _ERRORS[grade]
    called = (bases + wrong * random.integers(4, size=bases.shape)) % 4
    return _LETTERS[np.where(grade == 3, 4, called)], _QUALITIES[grade]
