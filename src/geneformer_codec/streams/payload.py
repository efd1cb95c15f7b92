"""The stream ``payload``: the bases, coded slice by slice."""

from __future__ import annotations

import numpy as np

from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.slice_table import SliceTable, cut_slices


class PayloadStream(Stream):
    """Bases, coded by a model, by experts without one, or at two bits each."""

    id = "payload"
    counted_as = "payload"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """Sets ``slices`` and ``strands``, too."""
        assert coding.coders is not None
        lengths = cut_slices(part.fasta.fragment_bases, coding.slice_length)
        part.strands = coding.coders.choose(part.bases)
        slices = coding.coders.coder(part.strands).encode(part.bases, lengths, coding.progress) if lengths else []
        if len(slices) != len(lengths):
            raise RuntimeError(f"the coder gave {len(slices)} slices for {len(lengths)}")
        part.slices, part.slice_count = SliceTable(lengths, [len(slice_) for slice_ in slices]), len(slices)
        return b"".join(slices)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``bases``."""
        assert coding.coders is not None
        part.bases = np.zeros(0, np.uint8)
        if part.slice_count:
            coder = coding.coders.coder(part.strands)
            part.bases = coder.decode(part.slices.split(data), part.slices.lengths, coding.progress)
