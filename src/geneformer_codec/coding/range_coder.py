"""The range coder of every stream: symbols of known probability to bytes, and back.

The interval is ``[low, low + width)`` with 64-bit ``low`` and ``width`` (after Martin 1979, with carries propagated
into the bytes already written). A symbol with frequencies ``[start, start + size)`` of 2**bits narrows it by

    step = width >> bits;  low += step * start;  width = step * size

and whole bytes leave from the top while ``width < 2**48``. As ``step`` keeps 48 - ``bits`` bits or more, cutting off
its fraction costs next to nothing. The end is marked by the shortest byte string inside the final interval; the decoder
reads zeros beyond it. ``bits`` is a constant where these parts are called: 22 for the experts, 16 elsewhere.
``docs/format/network.md`` describes the same for implementers.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import u
from geneformer_codec.coding.jit import Int, apart, inline

WHOLE = (1 << 64) - 1
"""The width of the interval at the start."""
END_BYTES = 8
"""What the end of a stream takes at most."""
_FLOOR, _TOP, _BYTE, _ZERO, _ONE = np.uint64(1 << 48), np.uint64(56), np.uint64(8), np.uint64(0), np.uint64(1)


class RangeCoder(NamedTuple):
    """The coder's state; parts take it and give the next one."""

    low: Int  # uint64: the low end of the interval; decoding: the stream's value less that
    width: Int  # uint64
    position: Int  # int64: bytes written or read


@apart
def _carry(stream: NDArray[np.uint8], end: Int) -> None:
    at = end - 1
    while stream[at] == 255:
        stream[at] = 0
        at -= 1
    stream[at] += 1


@inline
def narrow(coder: RangeCoder, stream: NDArray[np.uint8], offset: Int, width: Int) -> RangeCoder:
    """Encode by taking the part of the interval that begins at ``offset``."""
    low, position = coder.low + offset, coder.position
    if low < offset:
        _carry(stream, position)
    while width < _FLOOR:
        stream[u(position)] = np.uint8(low >> _TOP)
        position += 1
        low <<= _BYTE
        width <<= _BYTE
    return RangeCoder(low, width, position)


@inline
def refill(coder: RangeCoder, stream: NDArray[np.uint8], end: Int) -> RangeCoder:
    """Read bytes until the interval is wide again; ``stream`` ends at ``end``."""
    code, width, position = coder.low, coder.width, coder.position
    while width < _FLOOR:
        code = (code << _BYTE) | (np.uint64(stream[u(position)]) if position < end else _ZERO)
        position += 1
        width <<= _BYTE
    return RangeCoder(code, width, position)


@inline
def begin_decoding(stream: NDArray[np.uint8]) -> RangeCoder:
    """A decoder that has read the first eight bytes."""
    code = _ZERO
    for position in range(8):
        code = (code << _BYTE) | (np.uint64(stream[u(position)]) if position < len(stream) else _ZERO)
    return RangeCoder(code, np.uint64(WHOLE), np.int64(8))


@inline
def encode_base(coder: RangeCoder, stream: NDArray[np.uint8], frequencies: Any, base: Int, bits: Int) -> RangeCoder:
    """Encode one of four symbols, whose ``frequencies`` sum to 2**bits and are not 0."""
    step = coder.width >> np.uint64(bits)
    start = _ZERO
    for other in range(base):
        start += np.uint64(frequencies[u(other)])
    return narrow(coder, stream, step * start, step * np.uint64(frequencies[u(base)]))


@inline
def decode_base(
    coder: RangeCoder, stream: NDArray[np.uint8], end: Int, frequencies: Any, bits: Int
) -> tuple[RangeCoder, Int]:
    """Decode one of four symbols. Any bytes decode to something; damage is detected by checksums elsewhere."""
    step = coder.width >> np.uint64(bits)
    code, base = coder.low, 0
    size = step * np.uint64(frequencies[0])
    while base < 3 and code >= size:
        code -= size
        base += 1
        size = step * np.uint64(frequencies[u(base)])
    if code >= size:
        code = size - _ONE  # no encoder writes this
    return refill(RangeCoder(code, size, coder.position), stream, end), base


def first_code(stream: bytes) -> int:
    """``low`` of a decoder that has read the first eight bytes."""
    return int.from_bytes(stream[:8].ljust(8, b"\0"), "big")


def finish(low: int, width: int, position: int, stream: NDArray[np.uint8]) -> bytes:
    """The whole stream: what was written, and the fewest bytes that stay inside the interval when zeros follow."""
    written = int.from_bytes(stream[:position].tobytes(), "big")
    for keep in range(END_BYTES + 1):
        unit = 1 << (64 - 8 * keep)
        end = -(-low // unit) * unit
        if end < low + width:
            break
    return ((written << 64) + end).to_bytes(position + 8, "big").rstrip(b"\0")
