"""Where a part's bases are cut into lanes, and how a block says so.

A lane that begins where a record begins is small: what usually comes first in a record is known. So a lane is filled
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


def cut_lanes(fragments: NDArray[np.int64], lane_length: int) -> list[int]:
    """Bases in each lane, for a part whose fragments (records mostly) have so many bases each.

    A fragment that does not fit into what is left of a lane begins the next one, and is itself cut when it is longer
    than a lane; after its last piece, others follow in the same lane.

    >>> cut_lanes(np.array([40, 50, 30, 250, 10, 20]), 100)
    [90, 30, 100, 100, 80]
    """
    ends = np.cumsum(fragments)
    bases = int(ends[-1]) if len(ends) else 0
    if lane_length == WHOLE_PART:
        return [bases] if bases else []
    lanes, at = [], 0
    while at < bases:
        fitting = int(np.searchsorted(ends, at + lane_length, "right"))
        end = int(ends[fitting - 1]) if fitting else 0
        lanes.append((end if end > at else at + lane_length) - at)
        at += lanes[-1]
    return lanes


@dataclass(frozen=True)
class LaneTable:
    """Bases in each lane of a block, and bytes of each in its payload."""

    lengths: list[int]
    sizes: list[int]

    def pack(self) -> bytes:
        """Columns of all but the last lane, which has what is left."""
        if len(self.lengths) < 2:
            return b""
        return frame(pack_integers(np.array(column[:-1], np.int64)) for column in (self.lengths, self.sizes))

    @classmethod
    def of(cls, block: Block, table: bytes, longest: int) -> "LaneTable":
        """The lanes of ``block``, each of at most ``longest`` bases, from its stream ``lanes``."""
        payload = block.streams["payload"]
        if block.runs:
            sizes = decode_varints(table, block.lanes).tolist()
            if sum(sizes) != payload:
                raise FormatError(f"its lanes sum to {sum(sizes)} bytes, its payload has {payload}")
            return cls([length for length, count in block.runs for _ in range(count)], sizes)
        if block.lanes < 2:
            if table or (payload and not block.lanes):
                raise FormatError("damaged lanes: more than its bases need")
            return cls([block.bases] * block.lanes, [payload] * block.lanes)
        reader = ByteReader(table, "lanes")
        lengths, sizes = (unpack_integers(reader.framed(), block.lanes - 1) for _ in range(2))
        reader.finish()
        found = cls(_complete(lengths, block.bases, block.lanes), _complete(sizes, payload, block.lanes))
        if min(found.lengths) < 1 or max(found.lengths) > longest:
            raise FormatError(f"damaged lanes: one has no bases, or more than {longest}")
        return found

    def split(self, payload: bytes) -> list[bytes]:
        """The bytes of each lane."""
        ends = np.cumsum(self.sizes, dtype=np.int64).tolist()
        return [payload[end - size : end] for end, size in zip(ends, self.sizes, strict=True)]


def _complete(column: NDArray[np.int64], total: int, lanes: int) -> list[int]:
    """A column with the last lane's number, which makes it sum to ``total``."""
    if len(column) != lanes - 1 or int(column.max(initial=0)) > total:
        raise FormatError("damaged lanes: not as many as there are, or larger than the part")
    rest = total - sum(column.tolist())
    if rest < 0:
        raise FormatError("damaged lanes: they sum to more than the part")
    return [*column.tolist(), rest]


class LanePlaces:
    """Finds the lane of a base."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._ends = list(itertools.accumulate(lengths))
        self._lengths = lengths

    def place(self, base: int) -> tuple[int, int]:
        """Lane, and bases from its start; a base at the end of the block is at the end of its last lane."""
        if not self._ends:
            return 0, 0
        lane = min(bisect.bisect_right(self._ends, base), len(self._ends) - 1)
        return lane, base - self._ends[lane] + self._lengths[lane]
