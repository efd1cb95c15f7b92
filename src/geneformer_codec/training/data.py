"""Read the training records of a species from FASTA files."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import InputError
from geneformer_codec.inputs.decompress import open_input
from geneformer_codec.sequence.fasta import parse
from geneformer_codec.sequence.parts import split

Bases = NDArray[np.uint8]
READ_BASES = 1 << 24
SLICE_BASES = 1 << 16


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
