"""Compiled loops of the quality coder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..experts.compiled import kernel

Bytes = NDArray[np.uint8]
_FLOOR, _TOP, _BYTE, _BITS = np.uint64(1 << 48), np.uint64(56), np.uint64(8), np.uint64(16)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)


@kernel
def code(
    symbols: Bytes, lengths: NDArray[np.int64], residues: Bytes, table: NDArray[np.uint16], data: Bytes, decode: bool
) -> int:
    """Encode ``symbols`` into ``data``, or decode them out of it; the number of bytes written or read."""
    low, width, value, end, place = np.uint64(0), _FULL, np.uint64(0), 0, 0
    if decode:
        for _ in range(8):
            value = (value << _BYTE) | np.uint64(data[end] if end < len(data) else 0)
            end += 1
    for read in range(len(lengths)):
        one = two = 0
        for _ in range(lengths[read]):
            row = ((one * 128 + two) * 8 + ((residues[place] >> 1) & 7)) * 128
            symbol = int(symbols[place])
            node = 1
            for depth in range(6, -1, -1):
                share = int(table[row + node])
                chance = np.uint64(max(min(share, 65536 - 32), 32))
                bound = (width >> _BITS) * chance
                bit = int(value < bound) if decode else (symbol >> depth) & 1
                if bit:
                    width = bound
                else:
                    if decode:
                        value -= bound
                    else:
                        low += bound
                        if low < bound:
                            at = end - 1
                            while data[at] == 255:
                                data[at] = 0
                                at -= 1
                            data[at] += 1
                    width -= bound
                while width < _FLOOR:
                    if decode:
                        value = (value << _BYTE) | np.uint64(data[end] if end < len(data) else 0)
                    else:
                        data[end] = np.uint8(low >> _TOP)
                        low <<= _BYTE
                    end += 1
                    width <<= _BYTE
                table[row + node] = share + (((65535 if bit else 0) - share) >> 4)
                node = 2 * node + bit
            symbol = node & 127
            symbols[place] = symbol
            two = one
            one = symbol
            place += 1
    if not decode:
        for _ in range(8):
            data[end] = np.uint8(low >> _TOP)
            low <<= _BYTE
            end += 1
    return end
