"""Slices of mapped reads, whose differences are coded each by themselves, from what has been seen in the slice."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.differences import DifferenceSlice, new_difference_model, run
from geneformer_codec.align.places import Alignments, Reads
from geneformer_codec.align.reference import Reference
from geneformer_codec.coding.mixing import coder_state
from geneformer_codec.coding.slices import SliceCodec

Bytes = NDArray[np.uint8]
MOST_BYTES = 4
"""That encoding a base may take, about, and as many as `ROOM` more."""
ROOM = 64


class ReadSlice(NamedTuple):
    """Reads, their qualities of at most `differences.MOST_QUALITY`, and bases, which are encoded or filled in."""

    reads: Reads
    found: Alignments
    qualities: Bytes
    bases: Bytes


@dataclass(frozen=True)
class DifferenceCodec(SliceCodec):
    """How all slices of the differences of a part are coded."""

    what: ClassVar[str] = "differences"
    reference: Reference

    def new_slice(self, some: ReadSlice) -> DifferenceSlice:
        """What codes a slice, at its beginning."""
        reference = self.reference
        model = new_difference_model(reference.panel.length + len(reference.bases))
        return DifferenceSlice(
            reference, some.reads, some.found, some.qualities, model, coder_state(), np.zeros(1, np.int64)
        )

    def most_bytes(self, some: ReadSlice) -> int:
        """That encoding it may take."""
        return ROOM + MOST_BYTES * len(some.bases)

    def run(self, slice_: DifferenceSlice, some: ReadSlice, data: Bytes, decoding: bool) -> None:
        """Encode all of a slice into ``data``, or decode it into its bases, which have those that are inserted."""
        run(slice_, some.bases, data, decoding)
