"""Two bits a base: lanes that nothing predicts, and lanes that prediction would not make smaller."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError


class UniformCoder:
    """Every base has probability 1/4: four bases a byte, first base in the low bits."""

    model_id = "uniform"

    def encode(
        self, bases: NDArray[np.uint8], lane_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        coded = []
        for lane in cut(bases, lane_lengths):
            padded = np.zeros(plain_bytes(len(lane)) * 4, np.uint8)
            padded[: len(lane)] = lane
            coded.append((padded.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(1, dtype=np.uint8).tobytes())
            if progress:
                progress(len(lane))
        return coded

    def decode(
        self,
        lanes: Sequence[bytes],
        lane_lengths: Sequence[int],
        progress: Progress | None = None,
        stops: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        out = []
        ends = lane_lengths if stops is None else stops
        for number, (lane, length, stop) in enumerate(zip(lanes, lane_lengths, ends, strict=True)):
            if len(lane) != plain_bytes(length):
                raise FormatError(
                    f"lane {number} has {len(lane)} bytes, {length} bases at 2 bits need {plain_bytes(length)}"
                )
            codes = np.frombuffer(lane, np.uint8)[: plain_bytes(stop), None] >> np.array([0, 2, 4, 6], np.uint8) & 3
            out.append(codes.reshape(-1)[:stop])
            if progress:
                progress(stop)
        return np.concatenate(out) if out else np.zeros(0, np.uint8)


def plain_bytes(bases: int) -> int:
    """Bytes of a lane of ``bases`` bases at 2 bits each."""
    return -(-bases // 4)


def cut(bases: NDArray[np.uint8], lane_lengths: Sequence[int]) -> list[NDArray[np.uint8]]:
    """The lanes of ``bases``."""
    ends = np.cumsum(lane_lengths, dtype=np.int64).tolist()
    return [bases[end - length : end] for end, length in zip(ends, lane_lengths, strict=True)]


def smaller(coded: bytes, lane: NDArray[np.uint8]) -> bytes:
    """What is stored of a lane: ``coded``, or 2 bits a base where that is no larger. The length tells which it is."""
    return coded if len(coded) < plain_bytes(len(lane)) else UniformCoder().encode(lane, [len(lane)])[0]


def decode_plain(
    lanes: Sequence[bytes], lane_lengths: Sequence[int], out: list[NDArray[np.uint8]], progress: Progress | None = None
) -> list[int]:
    """Decode the lanes that are stored plain, as far as their arrays of ``out`` go; gives the numbers of the others."""
    coded = []
    for number, (lane, length) in enumerate(zip(lanes, lane_lengths, strict=True)):
        if len(lane) > plain_bytes(length):
            raise FormatError(f"lane {number} has {len(lane)} bytes, more than its {length} bases can take")
        if len(lane) == plain_bytes(length):
            out[number][:] = UniformCoder().decode([lane], [length], progress, [len(out[number])])
        else:
            coded.append(number)
    return coded
