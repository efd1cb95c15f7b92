"""What reads cost in slices: ``python docs/benchmarks/read_slices.py [--level LEVEL] [--panel FASTA] FASTQ [MATE]``.

Prints the bytes of the streams of one part, coded as one sequence and in slices of fewer bases that know nothing of
each other: of its qualities, as ``--access fine`` cuts them, and, given a panel, of the differences of mapped reads
from it. Slices end between reads; those of differences have no headers.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align import aligner as aligners
from geneformer_codec.align.aligner import Aligner
from geneformer_codec.align.differences import MOST_QUALITY, code_differences, new_difference_model
from geneformer_codec.archive.models import coders_of
from geneformer_codec.archive.read import Archive
from geneformer_codec.coding.mixing import coder_state, finish
from geneformer_codec.streams.interface import PartContent
from geneformer_codec.streams.qualities.coder import encode_qualities

GFZ = (sys.executable, "-m", "geneformer_codec")
SIZES = [1 << 18, 1 << 19, 1 << 20, 1 << 21]


def cut(lengths: NDArray[np.int64], size: int) -> list[slice]:
    """Reads in runs of at least one, and of at most ``size`` bases."""
    runs, first, bases = [], 0, 0
    for number, length in enumerate(lengths.tolist()):
        if bases + length > size and number > first:
            runs.append(slice(first, number))
            first, bases = number, 0
        bases += length
    return [*runs, slice(first, len(lengths))]


def quality_bytes(content: PartContent, residues: NDArray[np.uint8], level: str, size: int) -> int:
    """Of all qualities in slices."""
    bits = size.bit_length() - 1
    return len(encode_qualities(content.qualities, content.layout.residues, residues, level, bits))


def difference_bytes(aligner: Aligner, content: PartContent, size: int) -> int:
    """Of the differences of all mapped reads in slices."""
    alignment, total = content.alignment, 0
    assert isinstance(alignment, aligners.Alignment)
    reads, quality = alignment.reads, np.minimum(content.base_qualities() - np.uint8(33), np.uint8(MOST_QUALITY))
    places = aligner._tables.length + alignment.own_count
    for run in cut(alignment.lengths[reads.order], size):
        some = reads._replace(order=reads.order[run], paired=max(min(reads.paired - run.start, len(reads.order)), 0))
        state, data = coder_state(), np.empty(64 + 4 * len(content.bases), np.uint8)
        reference, model = aligner._reference(alignment), new_difference_model(places)
        code_differences(reference, some, alignment.found, model, quality, content.bases, state, data, False)
        total += len(finish(state, data))
    return total


def row(what: str, bases: int, sizes: list[int]) -> None:
    """Bytes as one sequence, and how much more slices take."""
    more = [f"{100 * (size / sizes[0] - 1):+.2f} %" for size in sizes[1:]]
    print(f"{what:28} {bases:12,} {sizes[0]:12,} " + " ".join(f"{one:>10}" for one in more), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reads", nargs="+", type=Path, help="a FASTQ file, or a pair")
    parser.add_argument("--panel", type=Path)
    parser.add_argument("--level", default="balanced")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model, out = f"{scratch}/m.gfmodel", f"{scratch}/a.gfz"
        how = [
            "--level",
            options.level,
            "-q",
            "--part-bases",
            "32M",
            *(["--mate", options.reads[1]] if options.reads[1:] else []),
        ]
        if options.panel:
            subprocess.run([*GFZ, "train", options.panel, "-o", model, "--name", "m", "-q"], check=True)
            how += ["--model", model, "--embed"]
        else:
            how += ["--no-self-panel"]
        subprocess.run([*GFZ, "compress", options.reads[0], "-o", out, *how], check=True)
        with Archive(out) as archive:
            coders = coders_of(archive)
            content = archive.decode(archive.blocks[0], coders)
            name, aligner = options.reads[0].name.split(".")[0][:22], coders.aligner()
            residues, sizes = content.residues, [1 << 40, *SIZES]
            if content.alignment and isinstance(aligner, Aligner):
                residues = content.fasta.all_residues(aligner.expected(content.alignment))
                row(f"{name} diff", len(content.bases), [difference_bytes(aligner, content, size) for size in sizes])
            row(
                f"{name} qual", len(residues), [quality_bytes(content, residues, options.level, size) for size in sizes]
            )


if __name__ == "__main__":
    main()
