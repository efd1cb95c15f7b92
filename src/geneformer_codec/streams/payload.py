"""The stream ``payload``: the bases, coded slice by slice."""

from __future__ import annotations

import numpy as np

from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.slice_table import SliceTable, cut_slices


class PayloadStream(Stream):
    """Bases but those of mapped reads, coded by a model, by experts without one, or at two bits each."""

    id = "payload"
    counted_as = "payload"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """Sets ``slices`` and ``choice``, too."""
        assert coding.coders is not None
        fragments = part.own_lengths
        part.choice, lengths, slices = coding.coders.encode(
            part.own_bases, lambda choice: cut_slices(fragments, coding.slice_length_of(choice)), coding.progress
        )
        part.slices, part.slice_count = SliceTable(lengths, [len(slice_) for slice_ in slices]), len(slices)
        return b"".join(slices)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``bases``, or of an ``alignment`` those of reads coded by themselves."""
        assert coding.coders is not None
        bases = np.zeros(0, np.uint8)
        if part.slice_count:
            coder = coding.coders.coder(part.choice)
            bases = coder.decode(part.slices.split(data), part.slices.lengths, coding.progress)
        if part.alignment:
            part.alignment.own = bases
        else:
            part.bases = bases
