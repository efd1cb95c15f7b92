"""Simulated runs of a sequencing centre, as ENA would have them: files of reads, written quickly and piece by piece."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LENGTH = 150
"""Bases of a short read."""
INSERT = 400
_AT_ONCE = 50_000

_BASES = np.frombuffer(b"ACGT", np.uint8)
_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[_BASES] = _BASES[::-1]
# Four values of quality, as of new machines, and how many of 256 bases of each are wrong.
_QUALITIES = np.repeat(np.frombuffer(b"#,8F", np.uint8), (4, 12, 20, 220))
_WRONG = np.zeros(256, np.uint8)
_WRONG[_QUALITIES[[0, 5, 20]]] = 120, 16, 2

Bytes = NDArray[np.uint8]


@dataclass
class TextFile:
    """A file of reads that is written: compressed, with digests of its text and its bytes."""

    path: Path
    text_bytes: int = 0
    reads: int = 0
    bases: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, pieces: Iterator[tuple[bytes, int, int]]) -> "TextFile":
        """Write pieces of text, each with its number of reads and bases."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(self.path, "wb", compresslevel=1) as out:
            for text, reads, bases in pieces:
                out.write(text)
                self.digest.update(text)
                self.text_bytes += len(text)
                self.reads, self.bases = self.reads + reads, self.bases + bases
        return self


def genome(bases: int, seed: int) -> Bytes:
    """A genome in which nothing recurs."""
    return _BASES[np.random.default_rng(seed).integers(0, 4, bases, np.uint8)]


def short_reads(run: str, source: Bytes, count: int, mate: int, seed: int) -> Iterator[tuple[bytes, int, int]]:
    """FASTQ of the first or the second reads of pairs, with names as of SRA."""
    strand = source if mate == 1 else _COMPLEMENT[source[::-1]]
    windows = np.lib.stride_tricks.sliding_window_view(strand, LENGTH)
    first = 1
    while first <= count:
        # numbers of as many digits, so that all records have one length
        number = min(_AT_ONCE, count - first + 1, 10 ** len(str(first)) - first)
        rng = np.random.default_rng((seed, first))
        places = rng.integers(0, len(source) - INSERT, number)  # the same of both mates
        inserts = INSERT - rng.integers(0, 100, number)
        starts = places if mate == 1 else len(source) - places - inserts
        rng = np.random.default_rng((seed, first, mate))
        qualities = _QUALITIES[rng.integers(0, 256, (number, LENGTH), np.uint8)]
        bases = windows[starts].copy()
        wrong = rng.integers(0, 256, (number, LENGTH), np.uint8) < _WRONG[qualities]
        bases[wrong] = _BASES[rng.integers(0, 4, int(wrong.sum()), np.uint8)]
        names = np.char.mod(f"@{run}.%d/{mate}\n", np.arange(first, first + number))
        yield _records(names.astype("S"), bases, qualities), number, number * LENGTH
        first += number


def _records(names: NDArray[np.bytes_], bases: Bytes, qualities: Bytes) -> bytes:
    """The text of records whose names have one length, and bases too."""
    count, width = len(names), names.dtype.itemsize
    text = np.empty((count, width + 2 * LENGTH + 4), np.uint8)
    text[:, :width] = names.view(np.uint8).reshape(count, width)
    text[:, width : width + LENGTH] = bases
    text[:, width + LENGTH : width + LENGTH + 3] = np.frombuffer(b"\n+\n", np.uint8)
    text[:, width + LENGTH + 3 : -1] = qualities
    text[:, -1] = ord("\n")
    return text.tobytes()


def long_reads(run: str, source: Bytes, bases: int, seed: int) -> Iterator[tuple[bytes, int, int]]:
    """FASTQ of noisy long reads, about so many bases."""
    rng = np.random.default_rng(seed)
    number = 0
    while bases > 0:
        number += 1
        length = int(min(max(rng.lognormal(8, 0.8), 200), len(source) // 2))
        start = int(rng.integers(0, len(source) - length))
        read = source[start : start + length].copy()
        if rng.integers(0, 2):
            read = _COMPLEMENT[read[::-1]]
        phred = np.clip(rng.normal(18, 6, length), 1, 50).astype(np.uint8)
        wrong = rng.random(length) < 0.06
        read[wrong] = _BASES[rng.integers(0, 4, int(wrong.sum()), np.uint8)]
        text = b"@%s.%d %d\n%s\n+\n%s\n" % (run.encode(), number, number, read.tobytes(), (phred + 33).tobytes())
        yield text, 1, length
        bases -= length
