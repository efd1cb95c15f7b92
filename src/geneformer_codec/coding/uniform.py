"""Two bits a base: what is coded when no model is given."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from .coder import Progress


class UniformCoder:
    """Every base has probability 1/4: four bases a byte, first base in the low bits."""

    model_id = "uniform"

    def encode(
        self, bases: NDArray[np.uint8], lane_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        lanes, start = [], 0
        for length in lane_lengths:
            padded = np.zeros(-(-length // 4) * 4, np.uint8)
            padded[:length] = bases[start : start + length]
            lanes.append((padded.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(1, dtype=np.uint8).tobytes())
            start += length
            if progress:
                progress(length)
        return lanes

    def decode(
        self, lanes: Sequence[bytes], lane_lengths: Sequence[int], progress: Progress | None = None
    ) -> NDArray[np.uint8]:
        out = []
        for number, (lane, length) in enumerate(zip(lanes, lane_lengths, strict=True)):
            if len(lane) != -(-length // 4):
                raise FormatError(
                    f"lane {number} has {len(lane)} bytes, {length} bases at 2 bits need {-(-length // 4)}"
                )
            codes = np.frombuffer(lane, np.uint8)[:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3
            out.append(codes.reshape(-1)[:length])
            if progress:
                progress(length)
        return np.concatenate(out) if out else np.zeros(0, np.uint8)
