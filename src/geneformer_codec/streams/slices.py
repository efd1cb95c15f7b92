"""The stream ``slices``: the table of slices (`slice_table`)."""

from __future__ import annotations

from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.slice_table import SliceTable


class SlicesStream(Stream):
    """The table of slices."""

    id = "slices"
    counted_as = "index"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """Encoded after the payload, whose sizes it has."""
        return part.slices.pack()

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``slices``."""
        bases = part.own_count
        part.slices = SliceTable.unpack(
            data, part.slice_count, bases, part.payload_bytes, longest=coding.slice_length_of(part.choice) or bases
        )
