"""Range coding of many slices in lockstep, with frequencies of 2**16: one byte stream per slice."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import kernels
from geneformer_codec.coding.range_coder import (
    END_BYTES,
    WHOLE,
    RangeCoder,
    decode_base,
    encode_base,
    finish,
    first_code,
)

kernel = kernels()

TOTAL_BITS = 16
TOTAL = 1 << TOTAL_BITS
MAX_BYTES_PER_SYMBOL = 2
"""A symbol has at least 1 of 2**16, so it takes at most 16 bits."""


@kernel
def encode_slices(
    symbols: NDArray[np.uint8],
    frequencies: NDArray[np.uint16],
    lengths: NDArray[np.int64],
    state: NDArray[np.uint64],
    out: NDArray[np.uint8],
) -> None:
    """Append ``symbols[slice, :lengths[slice]]`` to each slice's stream.

    ``symbols`` [slices, positions]; ``frequencies`` [slices, positions, 4], each row summing to 2**16; ``state``
    [slices, 3] is that of each `RangeCoder`, ``out`` [slices, capacity] its bytes.
    """
    for slice_ in range(symbols.shape[0]):
        coder = RangeCoder(state[slice_, 0], state[slice_, 1], np.int64(state[slice_, 2]))
        for position in range(lengths[slice_]):
            base = np.int64(symbols[slice_, position])
            coder = encode_base(coder, out[slice_], frequencies[slice_, position], base, TOTAL_BITS)
        state[slice_, 0], state[slice_, 1], state[slice_, 2] = coder.low, coder.width, coder.position


@kernel
def decode_step(
    frequencies: NDArray[np.uint16],
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    state: NDArray[np.uint64],
    symbols: NDArray[np.uint8],
) -> None:
    """Decode one symbol of every slice into ``symbols`` [slices]; ``frequencies`` [slices, 4].

    ``data`` has all streams, of which ``ends`` are the ends; ``state`` is as in `encode_slices`.
    """
    for slice_ in range(symbols.shape[0]):
        coder = RangeCoder(state[slice_, 0], state[slice_, 1], np.int64(state[slice_, 2]))
        coder, symbols[slice_] = decode_base(coder, data, ends[slice_], frequencies[slice_], TOTAL_BITS)
        state[slice_, 0], state[slice_, 1], state[slice_, 2] = coder.low, coder.width, coder.position


class SliceEncoder:
    """The range coder's state for slices in lockstep; ``lengths`` bounds the symbols of each slice."""

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        capacity = int(lengths.max(initial=0)) * MAX_BYTES_PER_SYMBOL + END_BYTES
        self._state = np.array([[0, WHOLE, 0]] * len(lengths), np.uint64).reshape(-1, 3)
        self._out = np.zeros((len(lengths), capacity), np.uint8)

    def encode(self, symbols: NDArray[np.uint8], frequencies: NDArray[np.uint16], lengths: NDArray[np.int64]) -> None:
        """Code the next ``lengths[slice]`` symbols of each slice; shapes as in `encode_slices`."""
        encode_slices(symbols, frequencies, lengths, self._state, self._out)

    def finish(self) -> list[bytes]:
        """Every slice's byte stream."""
        states = self._state.tolist()
        return [finish(low, width, end, row) for (low, width, end), row in zip(states, self._out, strict=True)]


class SliceDecoder:
    """The range decoder's state for slices in lockstep."""

    def __init__(self, streams: list[bytes]) -> None:
        self._data = np.frombuffer(b"".join(streams) + b"\0", np.uint8)
        self._ends = np.cumsum([len(stream) for stream in streams], dtype=np.int64)
        starts = [int(end) - len(stream) + 8 for end, stream in zip(self._ends, streams, strict=True)]
        codes = [(first_code(stream), WHOLE, start) for stream, start in zip(streams, starts, strict=True)]
        self._state = np.array(codes, np.uint64).reshape(-1, 3)

    @property
    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint64]]:
        """The state that `decode_step` takes, for compiled loops."""
        return self._data, self._ends, self._state

    def decode(self, frequencies: NDArray[np.uint16], symbols: NDArray[np.uint8]) -> None:
        """The next symbol of every slice into ``symbols`` [slices], given ``frequencies`` [slices, 4]."""
        decode_step(frequencies, *self.arrays, symbols)
