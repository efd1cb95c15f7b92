"""The streams ``alignments`` and ``differences``: reads that are mapped to the panel of the archive's model.

The first has the place of each read, and is empty if none is mapped. The bases of the others are the payload, and
behind the panel they are what reads are mapped to, as well. Where mapped reads differ is coded last, given their
qualities, and in the same slices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.slices import are_slice_bits, bits_for, read_edges
from geneformer_codec.errors import FormatError
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.packing import ByteReader, frame_slices


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
        bits = bits_for(part.residue_count, coding.slice_bits)
        edges = read_edges(part.layout.residues, bits) if bits else None
        coded = part.aligner(coding).code_differences(
            part.alignment, part.bases, part.base_qualities(), edges, None, coding.run
        )
        return bytes((bits,)) + frame_slices(coded)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``bases`` of a part with an ``alignment``."""
        if part.alignment is not None:
            aligner, coded = part.aligner(coding), CodedDifferences.read(data, part.layout.residues)
            part.bases = aligner.expected(part.alignment)
            aligner.code_differences(
                part.alignment, part.bases, part.base_qualities(), coded.reads, coded.streams, coding.run
            )
        elif data:
            raise FormatError("damaged differences: no read is mapped")


class CodedDifferences(NamedTuple):
    """Slices of differences that can be decoded each by itself."""

    reads: list[int] | None
    """Where slices begin, and the last one ends; None if all reads are one."""
    streams: list[bytes]

    @classmethod
    def read(cls, data: bytes, residues: NDArray[np.int64]) -> CodedDifferences:
        """Those of reads with so many ``residues``."""
        reader = ByteReader(data, "differences")
        if not are_slice_bits(bits := reader.take(1)[0]):
            raise FormatError("damaged differences: coded in an unknown way")
        reads = read_edges(residues, bits)
        return cls(reads if bits else None, reader.slices(len(reads) - 1))
