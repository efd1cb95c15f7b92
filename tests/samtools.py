"""samtools as pysam brings it along: what regions are compared with."""

import tempfile
from pathlib import Path

import pysam


def faidx(fasta: str | Path, *arguments: str) -> bytes:
    """What ``samtools faidx`` writes; raises ``pysam.SamtoolsError`` when it fails."""
    with tempfile.NamedTemporaryFile() as out:
        pysam.faidx(str(fasta), "-o", out.name, *arguments)
        return Path(out.name).read_bytes()
