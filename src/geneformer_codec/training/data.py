"""Read the training records of a species from FASTA files."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import InputError, option
from geneformer_codec.inputs.indexed_fasta import name_of
from geneformer_codec.inputs.sources import open_source
from geneformer_codec.model.panel_references import Origin
from geneformer_codec.sequence.digests import MD5_BYTES, RecordDigest
from geneformer_codec.sequence.fasta import parse
from geneformer_codec.streams.interface import PartContent

Bases = NDArray[np.uint8]
READ_BASES = 1 << 24
SLICE_BASES = 1 << 16
READ_ERRORS = 0.005
"""The share of wrong bases in reads that are drawn."""


def read_sample(path: str | Path, most: int) -> list[Bases]:
    """The bases of the first records of a FASTA or FASTQ file, of about ``most`` bases together.

    Raises ``InputError`` as `read_records`.
    """
    records: list[Bases] = []
    with open_source(path) as source:
        for part in source.parts(most, digests=False):
            content = PartContent.parse(part)
            records = [record for record in np.split(content.bases, content.fasta.base_edges[1:-1]) if len(record)]
            break
    if not records:
        raise InputError(f"there are no bases in {path}; check that it is FASTA or FASTQ of nucleotides")
    return records


def draw_reads(records: Sequence[Bases], length: int, most: int, seed: int) -> list[Bases]:
    """Reads of ``length`` bases from both strands of records, of about ``most`` bases together, with few errors."""
    random = np.random.default_rng(seed)
    long = [record for record in records if len(record) >= length] or list(records)
    sizes = np.array([len(record) for record in long], np.float64)
    reads = []
    for number in random.choice(len(long), max(1, most // length), p=sizes / sizes.sum()):
        start = int(random.integers(0, max(1, len(long[number]) - length)))
        read = long[number][start : start + length].copy()
        wrong = random.random(len(read)) < READ_ERRORS
        read[wrong] = random.integers(0, 4, int(wrong.sum()))
        reads.append(np.ascontiguousarray(3 - read[::-1]) if random.integers(2) else read)
    return reads


def recurring_records(paths: Sequence[str | Path]) -> list[Bases]:
    """Stretches of the given FASTA files that are in several of them, once; raises ``InputError`` if there are none."""
    from geneformer_codec.archive.self_panel import Sketch, seeds_of

    with Sketch("the panel") as sketch:
        for path in paths:
            bases = np.concatenate(read_records([path]))
            sketch.add(bases, *seeds_of(bases))
        found = sketch.chosen()
    if not found:
        names = ", ".join(str(path) for path in paths[:3]) + (" ..." if len(paths) > 3 else "")
        raise InputError(
            f"nothing that is worth a panel recurs in {names}; leave {option('recurring')} out, or use no model"
        )
    return found


def read_records(paths: Sequence[str | Path], origins: list[Origin] | None = None) -> list[Bases]:
    """The bases (0..3) of every record with any in the given FASTA files; other letters are left out, as in coding.

    ``origins`` takes what is known of each. Raises ``InputError`` when a file is unreadable, has reads, or all are
    without bases.
    """
    records: list[Bases] = []
    for path in paths:
        pieces: list[Bases] = []
        name, digest = "", RecordDigest()

        def end(pieces: list[Bases], name: str, digest: RecordDigest) -> None:
            if any(map(len, pieces)):
                records.append(np.concatenate(pieces))
                if origins is not None:
                    origins.append(Origin(name, digest.residues, digest.stored()[:MD5_BYTES]))

        with open_source(path) as source:
            if source.is_reads:
                raise InputError(
                    f"{path}: is FASTQ, and a panel is made of genomes; give their FASTA files, and the reads "
                    f"with {option('tune')}"
                )
            for part in source.parts(READ_BASES, digests=False):
                text, bases = parse(part.text)
                residues = text.all_residues(bases)
                ends = np.cumsum(text.layout.residues).tolist()
                headers = [*[b""] * text.layout.has_preamble, *text.headers()]
                for number, (start, stop) in enumerate(itertools.pairwise(text.base_edges)):
                    if number or part.starts_record:
                        end(pieces, name, digest)
                        pieces, name, digest = [], name_of(headers[number]), RecordDigest()
                    pieces.append(bases[start:stop])
                    if origins is not None:
                        digest.update(residues[ends[number - 1] if number else 0 : ends[number]].tobytes())
        end(pieces, name, digest)
    if not records:
        names = ", ".join(str(path) for path in paths)
        raise InputError(f"there are no bases to train on in {names}; check that these are FASTA files of nucleotides")
    return records
