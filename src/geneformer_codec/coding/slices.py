"""Slices of the data of reads: runs of reads that are each coded by themselves."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Sized
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.threads import work_on_all
from geneformer_codec.errors import FormatError

Bytes = NDArray[np.uint8]


class SliceCodec(ABC):
    """How all slices of a stream are coded."""

    what: ClassVar[str]
    """What they are slices of, for messages."""

    @abstractmethod
    def new_slice(self, some: Any) -> Any:
        """What codes a slice, at its beginning: it has the state of the ``coder``."""

    @abstractmethod
    def most_bytes(self, some: Any) -> int:
        """That encoding a slice may take."""

    @abstractmethod
    def run(self, slice_: Any, some: Any, data: Bytes, decoding: bool) -> None:
        """Encode all of a slice into ``data``, or decode it."""

    def code(self, some: Any, stream: bytes | None) -> bytes:
        """Encode a slice; or decode its ``stream`` into it, and return nothing."""
        from geneformer_codec.coding.mixing import PLACE, finish

        decoding, slice_ = stream is not None, self.new_slice(some)
        # kernels take arrays that can be written to
        data = np.empty(self.most_bytes(some), np.uint8) if stream is None else np.frombuffer(stream, np.uint8).copy()
        self.run(slice_, some, data, decoding)
        if stream is None:
            return finish(slice_.coder, data)
        check_end(int(slice_.coder[PLACE]), stream, self.what)
        return b""


Run = Callable[[SliceCodec, Sequence[Any], "Sequence[bytes] | None"], list[bytes]]
"""Something that does what `code_slices` does."""


def code_slices(
    codec: SliceCodec, slices: Sequence[Any], streams: Sequence[bytes] | None, threads: int = 1
) -> list[bytes]:
    """Encode slices, or decode ``streams`` into them, and return nothing; on so many threads."""
    coded = [b""] * len(slices)

    def work(number: int, _: object) -> None:
        coded[number] = codec.code(slices[number], None if streams is None else streams[number])

    work_on_all(work, range(len(slices)), threads)
    return coded


_LEAST_BITS, _MOST_BITS = 10, 30
"""Smaller slices would take much time to begin."""


def are_slice_bits(bits: int) -> bool:
    """Whether slices may be of at most two to the power of ``bits`` residues, or all one, with 0."""
    return bits == 0 or _LEAST_BITS <= bits <= _MOST_BITS


def bits_for(residues: int, bits: int) -> int:
    """The bits of slices of at most 2**``bits``; 0 where so many residues are one slice, or ``bits`` are 0."""
    return bits if residues > 1 << bits else 0


def read_edges(lengths: NDArray[np.int64], bits: int) -> list[int]:
    """Reads at which slices begin, and the end.

    Each has as many as have at most two to the power of ``bits`` residues together, or one; with 0, all are a slice.
    There is at least one slice, perhaps of no reads.
    """
    if not bits or not len(lengths):
        return [0, len(lengths)]
    ends, edges = np.cumsum(lengths), [0]
    while (first := edges[-1]) < len(lengths):
        begin = int(ends[first - 1]) if first else 0
        edges.append(max(int(np.searchsorted(ends, begin + (1 << bits), "right")), first + 1))
    return edges


def check_end(place: int, stream: Sized, what: str) -> None:
    """Refuse a stream that is read up to a place before its end."""
    if place < len(stream):
        raise FormatError(f"damaged {what}: bytes are left over")
