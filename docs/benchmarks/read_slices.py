"""What reads cost in slices: ``python docs/benchmarks/read_slices.py [--level LEVEL] FASTQ [MATE]``.

Prints the bytes of the qualities of one part, and of the differences of its mapped reads, coded as one sequence and in
slices of fewer residues that know nothing of each other, as ``--access fine`` cuts them.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.aligner import Aligner, Alignment
from geneformer_codec.archive.models import coders_of
from geneformer_codec.archive.read import Archive
from geneformer_codec.coding.slices import code_slices, read_edges
from geneformer_codec.streams.interface import PartContent
from geneformer_codec.streams.qualities.coder import encode_qualities

BITS = [0, 18, 19, 20, 21]
"""Of the residues of a slice; 0: all."""
RUN = partial(code_slices, threads=2)


def quality_bytes(content: PartContent, residues: NDArray[np.uint8], level: str, bits: int) -> int:
    """Of all qualities."""
    return len(encode_qualities(content.qualities, content.layout.residues, residues, level, bits, RUN))


def difference_bytes(aligner: Aligner, content: PartContent, bits: int) -> int:
    """Of the differences of all mapped reads."""
    assert isinstance(content.alignment, Alignment)
    edges = read_edges(content.layout.residues, bits) if bits else None
    coded = aligner.code_differences(content.alignment, content.bases, content.base_qualities(), edges, None, RUN)
    return sum(map(len, coded))


def row(what: str, count: int, sizes: list[int]) -> None:
    """Bytes as one sequence, and how much more slices take."""
    more = [f"{100 * (size / sizes[0] - 1):+.2f} %" for size in sizes[1:]]
    print(f"{what:28} {count:12,} {sizes[0]:12,} " + " ".join(f"{one:>10}" for one in more), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reads", nargs="+", type=Path, help="a FASTQ file, or a pair")
    parser.add_argument("--level", default="balanced")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = f"{scratch}/a.gfz"
        how = ["--level", options.level, "-q", "--part-bases", "32M"]
        how += ["--mate", options.reads[1]] if options.reads[1:] else []
        command = [sys.executable, "-m", "geneformer_codec", "compress", options.reads[0], "-o", out, *how]
        subprocess.run(command, check=True)
        with Archive(out) as archive:
            coders = coders_of(archive)
            content = archive.decode(archive.blocks[0], coders)
            name, aligner = options.reads[0].name.split(".")[0][:22], coders.aligner()
            residues = content.residues
            if content.alignment and isinstance(aligner, Aligner):
                residues = content.fasta.all_residues(aligner.expected(content.alignment))
                row(f"{name} diff", len(content.bases), [difference_bytes(aligner, content, bits) for bits in BITS])
            row(f"{name} qual", len(residues), [quality_bytes(content, residues, options.level, bits) for bits in BITS])


if __name__ == "__main__":
    main()
