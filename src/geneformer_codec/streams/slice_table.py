"""Where a part's bases are cut into slices, and the table of these: bases and bytes of each.

A slice that begins where a record begins is smaller, as records of a species begin alike. So a slice is filled
with whole records as long as they fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.packing import ByteReader, frame, pack_integers, unpack_integers


def cut_slices(fragments: NDArray[np.int64], slice_length: int) -> list[int]:
    """Bases in each slice, for a part whose fragments (records mostly) have so many bases each.

    A fragment that does not fit into what is left of a slice begins the next one, and is itself cut when it is longer
    than a slice; after its last piece, others follow in the same slice. A slice length of 0 makes one slice of all.

    >>> cut_slices(np.array([40, 50, 30, 250, 10, 20]), 100)
    [90, 30, 100, 100, 80]
    """
    ends = np.cumsum(fragments)
    bases = int(ends[-1]) if len(ends) else 0
    if not slice_length:
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
    def unpack(cls, table: bytes, slices: int, bases: int, payload: int, longest: int) -> SliceTable:
        """The ``slices`` of a part, of at most ``longest`` bases each, from its bases and the bytes of its payload."""
        if slices < 2:
            if table or (payload and not slices):
                raise FormatError("damaged slices: more than its bases need")
            return cls([bases] * slices, [payload] * slices)
        reader = ByteReader(table, "slices")
        lengths, sizes = (unpack_integers(reader.framed(), slices - 1) for _ in range(2))
        reader.finish()
        found = cls(_complete(lengths, bases, slices), _complete(sizes, payload, slices))
        if min(found.lengths) < 1 or max(found.lengths) > longest:
            raise FormatError(f"damaged slices: one has no bases, or more than {longest}")
        return found

    def split(self, payload: bytes) -> list[bytes]:
        """The bytes of each slice."""
        ends = np.cumsum(self.sizes, dtype=np.int64).tolist()
        return [payload[end - size : end] for end, size in zip(ends, self.sizes, strict=True)]

    def places(self, bases: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The slice of each base, and the bases before it there; the end of the part is that of its last slice."""
        if not self.lengths:
            return np.zeros_like(bases), np.zeros_like(bases)
        ends = np.cumsum(self.lengths, dtype=np.int64)
        slices = np.minimum(np.searchsorted(ends, bases, "right"), len(ends) - 1)
        return slices, bases - (ends - self.lengths)[slices]


def _complete(column: NDArray[np.int64], total: int, slices: int) -> list[int]:
    """A column with the last slice's number, which makes it sum to ``total``."""
    if len(column) != slices - 1 or int(column.max(initial=0)) > total:
        raise FormatError("damaged slices: not as many as there are, or larger than the part")
    rest = total - sum(column.tolist())
    if rest < 0:
        raise FormatError("damaged slices: they sum to more than the part")
    return [*column.tolist(), rest]
