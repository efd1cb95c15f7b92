"""The streams ``alignments`` and ``differences``: reads that are mapped to the panel of the archive's model.

The first has the place of each read, and is empty if none is mapped. The bases of the others are the payload, and
behind the panel they are what reads are mapped to, as well. Where mapped reads differ is coded last, given their
qualities.
"""

from __future__ import annotations

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.interface import Coding, PartContent, Stream


class AlignmentsStream(Stream):
    """Places and strands of reads, and what is inserted, deleted or elsewhere in them."""

    id = "alignments"
    counted_as = "payload"
    of_reads = True

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """Of the reads that `PartContent.align` mapped."""
        return part.aligner(coding).encode_places(part.alignment) if part.alignment else b""

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``alignment``."""
        part.alignment = None
        if data:
            if not part.is_reads:
                raise FormatError("damaged alignments: the part has no reads")
            part.alignment = part.aligner(coding).decode_places(
                data, part.fasta.fragment_bases, part.read_counts, part.own_count
            )


class DifferencesStream(Stream):
    """The bases of mapped reads, given those of the panel."""

    id = "differences"
    counted_as = "payload"
    of_reads = True
    concurrent = True

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """Given the qualities."""
        if part.alignment is None:
            return b""
        return part.aligner(coding).encode_differences(part.alignment, part.bases, part.base_qualities())

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``bases`` of a part with an ``alignment``."""
        if part.alignment is not None:
            part.bases = part.aligner(coding).decode_differences(data, part.alignment, part.base_qualities())
        elif data:
            raise FormatError("damaged differences: no read is mapped")
