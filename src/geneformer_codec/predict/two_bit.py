"""Two bits per base: slices that nothing predicts, and slices that prediction would not make smaller."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError


class TwoBitCoder:
    """Every base has probability 1/4: four bases per byte, first base in the low bits."""

    model_id = "uniform"

    def encode(
        self, bases: NDArray[np.uint8], slice_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        coded = []
        for slice_ in cut(bases, slice_lengths):
            padded = np.zeros(plain_bytes(len(slice_)) * 4, np.uint8)
            padded[: len(slice_)] = slice_
            coded.append((padded.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(1, dtype=np.uint8).tobytes())
            if progress:
                progress(len(slice_))
        return coded

    def decode(
        self,
        slices: Sequence[bytes],
        slice_lengths: Sequence[int],
        progress: Progress | None = None,
        stops: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        out = []
        ends = slice_lengths if stops is None else stops
        for number, (slice_, length, stop) in enumerate(zip(slices, slice_lengths, ends, strict=True)):
            if len(slice_) != plain_bytes(length):
                raise FormatError(
                    f"slice {number} has {len(slice_)} bytes, {length} bases at 2 bits need {plain_bytes(length)}"
                )
            codes = np.frombuffer(slice_, np.uint8)[: plain_bytes(stop), None] >> np.array([0, 2, 4, 6], np.uint8) & 3
            out.append(codes.reshape(-1)[:stop])
            if progress:
                progress(stop)
        return np.concatenate(out) if out else np.zeros(0, np.uint8)


def plain_bytes(bases: int) -> int:
    """Bytes of a slice of ``bases`` bases at 2 bits each."""
    return -(-bases // 4)


def cut(bases: NDArray[np.uint8], slice_lengths: Sequence[int]) -> list[NDArray[np.uint8]]:
    """The slices of ``bases``."""
    ends = np.cumsum(slice_lengths, dtype=np.int64).tolist()
    return [bases[end - length : end] for end, length in zip(ends, slice_lengths, strict=True)]


def smaller(coded: bytes, slice_: NDArray[np.uint8]) -> bytes:
    """What is stored of a slice: ``coded``, or 2 bits per base where that is no larger. The length shows which.

    Unknown bases of ``slice_`` (4), which may be any, are 0 there.
    """
    if len(coded) < plain_bytes(len(slice_)):
        return coded
    return TwoBitCoder().encode(slice_ & np.uint8(3), [len(slice_)])[0]


def decode_plain(
    slices: Sequence[bytes],
    slice_lengths: Sequence[int],
    out: list[NDArray[np.uint8]],
    progress: Progress | None = None,
) -> list[int]:
    """Decode the slices that are stored plain, as far as their arrays of ``out`` go; gives the others."""
    coded = []
    for number, (slice_, length) in enumerate(zip(slices, slice_lengths, strict=True)):
        if len(slice_) > plain_bytes(length):
            raise FormatError(f"slice {number} has {len(slice_)} bytes, more than its {length} bases can take")
        if len(slice_) == plain_bytes(length):
            out[number][:] = TwoBitCoder().decode([slice_], [length], progress, [len(out[number])])
        else:
            coded.append(number)
    return coded
