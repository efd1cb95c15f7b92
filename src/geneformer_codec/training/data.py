"""Training records of a species: read from FASTA, split by record, cut into crops."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import InputError
from geneformer_codec.inputs.decompress import open_input
from geneformer_codec.network.config import START
from geneformer_codec.sequence.fasta import parse
from geneformer_codec.sequence.parts import split

Bases = NDArray[np.uint8]
READ_BASES = 1 << 24
SLICE_BASES = 1 << 16
SPLIT = (0.7, 0.2)
"""The paper's shares of training and validation records; the rest is for the test."""


def read_records(paths: Sequence[str | Path]) -> list[Bases]:
    """The bases (0..3) of every record with any in the given FASTA files; other letters are left out, as in coding.

    Raises ``InputError`` when a file cannot be read or all are without bases.
    """
    records: list[Bases] = []
    for path in paths:
        pieces: list[Bases] = []
        with open_input(path) as stream:
            for part in split(stream, READ_BASES):
                text, bases = parse(part.text)
                for number, (start, end) in enumerate(itertools.pairwise(text.base_edges)):
                    if number or part.starts_record:
                        if pieces:
                            records.append(np.concatenate(pieces))
                        pieces = []
                    pieces.append(bases[start:end])
        if pieces:
            records.append(np.concatenate(pieces))
    records = [record for record in records if len(record)]
    if not records:
        names = ", ".join(str(path) for path in paths)
        raise InputError(f"there are no bases to train on in {names}; check that these are FASTA files of nucleotides")
    return records


@dataclass(frozen=True)
class Panel:
    """A species' records, split 70/20/10 into training, validation and test."""

    training: list[Bases]
    validation: list[Bases]
    test: list[Bases]

    @classmethod
    def split(cls, records: list[Bases], seed: int) -> "Panel":
        """Split by record, in an order drawn from ``seed``; a few long records are cut so that each share has some."""
        if len(records) < 10:
            piece = max(64, sum(map(len, records)) // 20)
            records = [record[at : at + piece] for record in records for at in range(0, len(record), piece)]
        order = np.random.default_rng(seed).permutation(len(records))
        first = max(1, round(SPLIT[0] * len(records)))
        second = max(first, round((SPLIT[0] + SPLIT[1]) * len(records)))
        shares = (order[:first], order[first:second], order[second:])
        training, validation, test = ([records[i] for i in share] for share in shares)
        return cls(training, validation or training[-1:], test or validation or training[-1:])


class Crops:
    """Random stretches of the training records, with what comes before them."""

    def __init__(self, records: list[Bases], history: int, length: int) -> None:
        start = np.full(history, START, np.uint8)
        pieces = [piece for record in records for piece in (start, record)]
        self._text = np.concatenate([*pieces, np.full(length, START, np.uint8)])
        self._size = history + length
        self.bases = sum(map(len, records))

    def draw(self, count: int, random: np.random.Generator) -> Bases:
        """``count`` crops [count, history + length]; symbols `START` in them are not to be predicted."""
        begin = random.integers(0, len(self._text) - self._size + 1, count)
        crops: Bases = self._text[begin[:, None] + np.arange(self._size)]
        return crops


def choose_slices(records: list[Bases], most: int) -> list[Bases]:
    """Whole records (their first `SLICE_BASES`), evenly over all of them, that hold about ``most`` bases or fewer."""
    slices = [record[:SLICE_BASES] for record in records]
    step = max(1, -(-sum(map(len, slices)) // max(1, most)))
    chosen = slices[::step]
    return [slice_[: max(1, most)] for slice_ in chosen] if len(chosen) == 1 else chosen
