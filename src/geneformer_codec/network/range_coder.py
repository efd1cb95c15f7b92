"""A range coder over 16-bit frequencies: one byte stream a slice, many slices in lockstep.

The interval is ``[low, low + range)`` with 64-bit ``low`` and ``range`` (after Martin 1979, with carries propagated
into the bytes already written). A symbol with frequencies ``[start, start + size)`` of 2**16 narrows it by

    step = range >> 16;  low += step * start;  range = step * size

and whole bytes leave from the top while ``range < 2**48``. As ``step`` has at least 32 bits, cutting off its fraction
costs less than 2**-32 of a bit a symbol. The end is marked by the shortest byte string inside the final interval; the
decoder reads zeros beyond it. ``docs/format/network.md`` describes the same for implementers.
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import apart, kernels

kernel = kernels(__file__)

TOTAL_BITS = 16
TOTAL = 1 << TOTAL_BITS

_TOP = np.uint64(56)
_BYTE = np.uint64(8)
_BITS = np.uint64(TOTAL_BITS)
_FLOOR = np.uint64(1 << 48)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)

MAX_BYTES_PER_SYMBOL = 2
"""A symbol has at least 1 of 2**16, so it takes at most 16 bits (and the end at most 8 bytes)."""
_END_BYTES = 16


@apart
def _carry(out: NDArray[np.uint8], end: int) -> None:
    at = end - 1
    while out[at] == 255:
        out[at] = 0
        at -= 1
    out[at] += 1


@kernel
def encode_slices(
    symbols: NDArray[np.uint8],
    frequencies: NDArray[np.uint16],
    lengths: NDArray[np.int64],
    low: NDArray[np.uint64],
    width: NDArray[np.uint64],
    out: NDArray[np.uint8],
    written: NDArray[np.int64],
) -> None:
    """Append ``symbols[slice, :lengths[slice]]`` to each slice's stream.

    ``symbols`` [slices, positions]; ``frequencies`` [slices, positions, 4], each row summing to 2**16; ``low``,
    ``width`` and ``written`` [slices] are the coder's state, ``out`` [slices, capacity] its bytes.
    """
    for slice_ in range(symbols.shape[0]):
        lo, wide, end = low[slice_], width[slice_], written[slice_]
        for position in range(lengths[slice_]):
            symbol = symbols[slice_, position]
            start = _ZERO
            for other in range(symbol):
                start += np.uint64(frequencies[slice_, position, other])
            step = wide >> _BITS
            moved = lo + step * start
            if moved < lo:
                _carry(out[slice_], end)
            lo = moved
            wide = step * np.uint64(frequencies[slice_, position, symbol])
            while wide < _FLOOR:
                out[slice_, end] = np.uint8(lo >> _TOP)
                end += 1
                lo <<= _BYTE
                wide <<= _BYTE
        low[slice_], width[slice_], written[slice_] = lo, wide, end


@kernel
def finish_slices(
    low: NDArray[np.uint64], width: NDArray[np.uint64], out: NDArray[np.uint8], written: NDArray[np.int64]
) -> None:
    """End each slice's stream with the fewest bytes that stay inside the interval when zeros follow them."""
    for slice_ in range(low.shape[0]):
        lo, end = low[slice_], written[slice_]
        keep = 0
        mask = _ALL  # the bits after the first `keep` bytes
        ahead = (_ZERO - lo) & mask  # from low to the next number whose masked bits are zero
        while ahead >= width[slice_]:
            keep += 1
            mask >>= _BYTE
            ahead = (_ZERO - lo) & mask
        value = lo + ahead
        if value < lo:
            _carry(out[slice_], end)
        for _ in range(keep):
            out[slice_, end] = np.uint8(value >> _TOP)
            value <<= _BYTE
            end += 1
        while end > 0 and out[slice_, end - 1] == 0:
            end -= 1
        written[slice_] = end


@kernel
def start_decoding(
    data: NDArray[np.uint8], ends: NDArray[np.int64], at: NDArray[np.int64], code: NDArray[np.uint64]
) -> None:
    """Read the first eight bytes of each slice: ``data[at[slice]:ends[slice]]`` is its stream."""
    for slice_ in range(at.shape[0]):
        value = _ZERO
        for _ in range(8):
            value = (value << _BYTE) | (np.uint64(data[at[slice_]]) if at[slice_] < ends[slice_] else _ZERO)
            at[slice_] += 1
        code[slice_] = value


@kernel
def decode_step(
    frequencies: NDArray[np.uint16],
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    at: NDArray[np.int64],
    code: NDArray[np.uint64],
    width: NDArray[np.uint64],
    symbols: NDArray[np.uint8],
) -> None:
    """Decode one symbol of every slice into ``symbols`` [slices]; ``frequencies`` [slices, 4].

    ``code`` is the stream's value less the encoder's ``low``. Any bytes decode to something; whether it is what was
    encoded, a checksum says.
    """
    for slice_ in range(symbols.shape[0]):
        step = width[slice_] >> _BITS
        rest, symbol = code[slice_], 0
        size = step * np.uint64(frequencies[slice_, 0])
        while symbol < 3 and rest >= size:
            rest -= size
            symbol += 1
            size = step * np.uint64(frequencies[slice_, symbol])
        if rest >= size:
            rest = size - _ONE
        symbols[slice_] = symbol
        while size < _FLOOR:
            rest = (rest << _BYTE) | (np.uint64(data[at[slice_]]) if at[slice_] < ends[slice_] else _ZERO)
            at[slice_] += 1
            size <<= _BYTE
        code[slice_], width[slice_] = rest, size


class SliceEncoder:
    """The range coder's state for slices in lockstep; ``lengths`` bounds the symbols of each slice."""

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        slices = len(lengths)
        capacity = int(lengths.max(initial=0)) * MAX_BYTES_PER_SYMBOL + _END_BYTES
        self._low = np.zeros(slices, np.uint64)
        self._width = np.full(slices, _ALL)
        self._out = np.zeros((slices, capacity), np.uint8)
        self._written = np.zeros(slices, np.int64)

    def encode(self, symbols: NDArray[np.uint8], frequencies: NDArray[np.uint16], lengths: NDArray[np.int64]) -> None:
        """Code the next ``lengths[slice]`` symbols of each slice; shapes as in `encode_slices`."""
        encode_slices(symbols, frequencies, lengths, self._low, self._width, self._out, self._written)

    def finish(self) -> list[bytes]:
        """Every slice's byte stream."""
        finish_slices(self._low, self._width, self._out, self._written)
        return [row[:end].tobytes() for row, end in zip(self._out, self._written, strict=True)]


class SliceDecoder:
    """The range decoder's state for slices in lockstep."""

    def __init__(self, streams: list[bytes]) -> None:
        self._data = np.frombuffer(b"".join(streams) + b"\0", np.uint8)
        self._ends = np.cumsum([len(stream) for stream in streams], dtype=np.int64)
        self._at = self._ends - np.array([len(stream) for stream in streams], np.int64)
        self._code = np.zeros(len(streams), np.uint64)
        self._width = np.full(len(streams), _ALL)
        start_decoding(self._data, self._ends, self._at, self._code)

    @property
    def arrays(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64]]:
        """The state that `decode_step` takes, for compiled loops."""
        return self._data, self._ends, self._at, self._code, self._width

    def decode(self, frequencies: NDArray[np.uint16], symbols: NDArray[np.uint8]) -> None:
        """The next symbol of every slice into ``symbols`` [slices], given ``frequencies`` [slices, 4]."""
        decode_step(frequencies, self._data, self._ends, self._at, self._code, self._width, symbols)
