"""The stream ``qualities``: coded by mixed contexts; ``docs/format/qualities.md`` describes the coder to the bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.streams.interface import Coding, PartContent, Stream


class QualitiesStream(Stream):
    """A quality for each residue of reads."""

    id = "qualities"
    of_reads = True
    concurrent = True

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """Predicted from the residues, too."""
        from geneformer_codec.streams.qualities.coder import encode_qualities

        if not part.is_reads:
            return b""
        residues, bits = _residues(part, coding), coding.slice_bits
        return encode_qualities(part.qualities, part.layout.residues, residues, coding.level, bits, coding.run)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``qualities``."""
        from geneformer_codec.streams.qualities.coder import decode_qualities

        part.qualities = np.zeros(0, np.uint8)
        if part.is_reads:
            residues = _residues(part, coding)
            part.qualities = decode_qualities(data, part.layout.residues, residues, coding.run)


def _residues(part: PartContent, coding: Coding) -> NDArray[np.uint8]:
    """All residues; of mapped reads those that are expected, as the others are coded after the qualities."""
    if part.alignment is None:
        return part.residues
    return part.fasta.all_residues(part.aligner(coding).expected(part.alignment))
