"""Where a part's bases are cut into slices, and how a block says so.

A slice that begins where a record begins is small: what usually comes first in a record is known. So a slice is filled
with whole records as long as they fit.
"""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.manifest import WHOLE_PART, Block
from geneformer_codec.errors import FormatError
from geneformer_codec.streams.packing import ByteReader, decode_varints, frame, pack_integers, unpack_integers


def cut_slices(fragments: NDArray[np.int64], slice_length: int) -> list[int]:
    """Bases in each slice, for a part whose fragments (records mostly) have so many bases each.

    A fragment that does not fit into what is left of a slice begins the next one, and is itself cut when it is longer
    than a slice; after its last piece, others follow in the same slice.

    >>> cut_slices(np.array([40, 50, 30, 250, 10, 20]), 100)
    [90, 30, 100, 100, 80]
    """
    ends = np.cumsum(fragments)
    bases = int(ends[-1]) if len(ends) else 0
    if slice_length == WHOLE_PART:
        return [bases] if bases else []
    slices, at = [], 0
    while at < bases:
        fitting = int(np.searchsorted(ends, at + slice_length, "right"))
        end = int(ends[fitting - 1]) if fitting else 0
        slices.append((end if end > at else at + slice_length) - at)
        at += slices[-1]
    return slices


@dataclass(frozen=True)
class SliceTable:
    """Bases in each slice of a block, and bytes of each in its payload."""

    lengths: list[int]
    sizes: list[int]

    def pack(self) -> bytes:
        """Columns of all but the last slice, which has what is left."""
        if len(self.lengths) < 2:
            return b""
        return frame(pack_integers(np.array(column[:-1], np.int64)) for column in (self.lengths, self.sizes))

    @classmethod
    def of(cls, block: Block, table: bytes, longest: int) -> "SliceTable":
        """The slices of ``block``, each of at most ``longest`` bases, from its stream ``slices``."""
        payload = block.streams["payload"]
        if block.runs:
            sizes = decode_varints(table, block.slices).tolist()
            if sum(sizes) != payload:
                raise FormatError(f"its slices sum to {sum(sizes)} bytes, its payload has {payload}")
            return cls([length for length, count in block.runs for _ in range(count)], sizes)
        if block.slices < 2:
            if table or (payload and not block.slices):
                raise FormatError("damaged slices: more than its bases need")
            return cls([block.bases] * block.slices, [payload] * block.slices)
        reader = ByteReader(table, "slices")
        lengths, sizes = (unpack_integers(reader.framed(), block.slices - 1) for _ in range(2))
        reader.finish()
        found = cls(_complete(lengths, block.bases, block.slices), _complete(sizes, payload, block.slices))
        if min(found.lengths) < 1 or max(found.lengths) > longest:
            raise FormatError(f"damaged slices: one has no bases, or more than {longest}")
        return found

    def split(self, payload: bytes) -> list[bytes]:
        """The bytes of each slice."""
        ends = np.cumsum(self.sizes, dtype=np.int64).tolist()
        return [payload[end - size : end] for end, size in zip(ends, self.sizes, strict=True)]


def _complete(column: NDArray[np.int64], total: int, slices: int) -> list[int]:
    """A column with the last slice's number, which makes it sum to ``total``."""
    if len(column) != slices - 1 or int(column.max(initial=0)) > total:
        raise FormatError("damaged slices: not as many as there are, or larger than the part")
    rest = total - sum(column.tolist())
    if rest < 0:
        raise FormatError("damaged slices: they sum to more than the part")
    return [*column.tolist(), rest]


class SlicePlaces:
    """Finds the slice of a base."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._ends = list(itertools.accumulate(lengths))
        self._lengths = lengths

    def place(self, base: int) -> tuple[int, int]:
        """Slice, and bases from its start; a base at the end of the block is at the end of its last slice."""
        if not self._ends:
            return 0, 0
        slice_ = min(bisect.bisect_right(self._ends, base), len(self._ends) - 1)
        return slice_, base - self._ends[slice_] + self._lengths[slice_]
