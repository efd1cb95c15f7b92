"""Packed integers: zigzag, then byte planes, then raw LZMA2.

Raw LZMA2 has no header and no checksum (the model's id is one). lc, lp and pb are 0, a decoder's dictionary is 2**26
bytes.
"""

import lzma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError

_DICTIONARY_BITS = 26
_BEST, _QUICK = 9 | lzma.PRESET_EXTREME, 6


def _filters(preset: int, dictionary_bits: int) -> list[dict[str, Any]]:
    size = 1 << dictionary_bits
    return [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": size, "lc": 0, "lp": 0, "pb": 0}]


def pack(data: bytes, quickly: bool = False) -> bytes:
    """``data`` as raw LZMA2, not as small as can be when done ``quickly``."""
    bits = min(_DICTIONARY_BITS, max(16, len(data).bit_length()))  # all of it: more would take time and change nothing
    return lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(_QUICK if quickly else _BEST, bits))


def unpack(packed: bytes, size: int, what: str) -> bytes:
    """The inverse of `pack`, of ``size`` bytes; ``FormatError``, naming ``what``, for anything else."""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(_BEST, _DICTIONARY_BITS))
    try:
        data = decoder.decompress(packed, size + 1)
        while len(data) <= size and not decoder.eof and not decoder.needs_input:
            data += decoder.decompress(b"", size + 1 - len(data))
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"{what} is damaged: {error}") from error
    if len(data) != size or not decoder.eof or decoder.unused_data:
        raise FormatError(f"{what} does not hold the {size} bytes that it must")
    return data


def fold(values: NDArray[np.int64]) -> NDArray[np.uint32]:
    """0, -1, 1, -2, ... to 0, 1, 2, 3, ..."""
    return ((values << 1) ^ (values >> 63)).astype(np.uint32)


def unfold(values: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Inverse of `fold`."""
    wide = values.astype(np.int64)
    return (wide >> 1) ^ -(wide & 1)


def to_planes(values: NDArray[np.uint32]) -> bytes:
    """The lowest byte of each number, then the second of each, ...: bytes of a kind lie together."""
    return np.ascontiguousarray(values, "<u4").view(np.uint8).reshape(-1, 4).T.tobytes()


def from_planes(data: bytes) -> NDArray[np.uint32]:
    """Inverse of `to_planes`."""
    planes = np.frombuffer(data, np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<u4").ravel().astype(np.uint32)
