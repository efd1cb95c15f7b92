"""Varints, integer columns and byte streams packed by whichever library makes them smallest.

Everything read here is bounded by what the caller allows and ends in :class:`FormatError` when damaged.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.limits import reserve

STORED: Final = 0
BZ2: Final = 3
ZSTD: Final = 4
# LZMA2 method number -> literal context bits, literal position bits, position bits. Side streams are text (context of
# the previous letter helps) or small numbers (it does not).
LZMA_PROPERTIES: Final = {1: (3, 0, 0), 2: (0, 0, 0)}

# Fewest bytes on which a method is tried.
_LEAST_BYTES: Final = {1: 8, 2: 64, BZ2: 2048, ZSTD: 512}

MAX_INTEGER: Final = (1 << 63) - 1
_MAX_VARINT_BYTES: Final = 9
_MAX_DICTIONARY: Final = 1 << 26
_TRIAL_BYTES: Final = 1 << 16
_QUICK_TRIAL_BYTES: Final = 1 << 14
_THOROUGH_BYTES: Final = 1 << 22
_HASTY_BYTES: Final = 1 << 24


# --- varints ----------------------------------------------------------------------------------------------------


def encode_varint(value: int) -> bytes:
    """LEB128 of one integer 0 <= value < 2**63: seven bits per byte, lowest first, high bit set on all but the last."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_varints(values: NDArray[np.int64]) -> bytes:
    """LEB128 of every value of a 1-D int64 array (all >= 0), one after the other."""
    left = values.astype(np.uint64)
    widths = np.ones(len(left), np.int64)
    for bits in range(7, 63, 7):
        more = left >= np.uint64(1 << bits)
        if not more.any():
            break
        widths += more
    ends = np.cumsum(widths)
    starts = ends - widths
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    rest = np.arange(len(left))
    digit = 0
    while len(rest):
        last = widths[rest] == digit + 1
        out[starts[rest] + digit] = (left[rest] & np.uint64(0x7F)).astype(np.uint8) | np.where(last, 0, 0x80).astype(
            np.uint8
        )
        rest = rest[~last]
        left[rest] >>= np.uint64(7)
        digit += 1
    return out.tobytes()


def decode_varints(data: bytes, count: int) -> NDArray[np.int64]:
    """Inverse of :func:`encode_varints`: exactly ``count`` values, int64. FormatError unless ``data`` is just that."""
    octets = np.frombuffer(data, np.uint8)
    if len(octets) == count and int(octets.max(initial=0)) < 0x80:  # a byte each
        reserve(32 * count, 24 * count)
        return octets.astype(np.int64)
    found = int(np.count_nonzero(octets < 0x80))
    if found != count or (count and octets[-1] >= 0x80) or (not count and len(octets)):
        raise FormatError(f"damaged integer column: {found} values instead of {count}")
    reserve(64 * count, 24 * count)
    ends = np.flatnonzero(octets < 0x80) + 1
    starts = np.concatenate((np.zeros(min(count, 1), np.int64), ends[:-1]))
    widths = ends - starts
    if count and int(widths.max()) > _MAX_VARINT_BYTES:
        raise FormatError("damaged integer column: an integer is longer than nine bytes")
    values = np.zeros(count, np.int64)
    rest = np.arange(count)
    digit = 0
    while len(rest):
        values[rest] |= (octets[starts[rest] + digit].astype(np.int64) & 0x7F) << (7 * digit)
        digit += 1
        rest = rest[widths[rest] > digit]
    return values


class ByteReader:
    """Reads the fields of a packed stream in order; FormatError instead of reading past the end."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._place = 0
        self._what = what

    def varint(self, most: int = MAX_INTEGER) -> int:
        """One LEB128 integer, FormatError above ``most``."""
        value = 0
        for digit in range(_MAX_VARINT_BYTES):
            octet = self.take(1)[0]
            value |= (octet & 0x7F) << (7 * digit)
            if octet < 0x80:
                if value > most:
                    raise FormatError(f"damaged {self._what}: {value}, limit {most}")
                return value
        raise FormatError(f"damaged {self._what}: an integer is longer than nine bytes")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > len(self._data) - self._place:
            raise FormatError(f"damaged {self._what}: it ends too early")
        self._place += count
        return self._data[self._place - count : self._place]

    def framed(self) -> bytes:
        """A varint length and as many bytes, as written by :func:`frame`."""
        return self.take(self.varint())

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._place)

    def slices(self, count: int) -> list[bytes]:
        """All that is left: so many blobs, at least one, as written by :func:`frame_slices`."""
        return [*(self.framed() for _ in range(count - 1)), self.rest()]

    def finish(self) -> None:
        """FormatError unless everything was read."""
        if self._place != len(self._data):
            raise FormatError(f"damaged {self._what}: {len(self._data) - self._place} bytes too many")


def frame(blobs: Iterable[bytes]) -> bytes:
    """Every blob preceded by its length as a varint, one after the other."""
    return b"".join(encode_varint(len(blob)) + blob for blob in blobs)


def frame_slices(blobs: Sequence[bytes]) -> bytes:
    """Every blob as by :func:`frame`, but the last one without its length."""
    return frame(blobs[:-1]) + blobs[-1]


# --- byte streams -----------------------------------------------------------------------------------------------


def pack(data: bytes, quick: bool = False, patient: bool = True) -> bytes:
    """Compress ``data`` with the method that makes it smallest: method byte, varint raw length, payload.

    Nothing packs to nothing. Above 64 KiB the method is chosen on samples, above 4 and 16 MiB the encoders also
    search less deeply, so that time stays in proportion; how hard an encoder searched does not show in the format.
    ``quick``: samples are smaller, and encoders search as above 4 MiB. If not ``patient``, Zstandard is left out, whose
    high levels take seconds a megabyte where nothing repeats.
    """
    if not data:
        return b""
    trial = _QUICK_TRIAL_BYTES if quick else _TRIAL_BYTES
    # What cannot win on so few bytes is not tried: starting an encoder takes longer than using it there.
    methods = [method for method, least in _LEAST_BYTES.items() if len(data) >= least and (patient or method != ZSTD)]
    payloads = {STORED: data}
    if len(data) <= trial:
        payloads |= {method: _compress(method, data, quick) for method in methods}
    else:
        middle = len(data) // 2
        sample = data[: trial // 2] + data[middle : middle + trial // 2]
        best = min(methods, key=lambda method: len(_compress(method, sample, quick)))
        payloads[best] = _compress(best, data, quick)
    method, payload = min(payloads.items(), key=lambda item: (len(item[1]), item[0]))
    return bytes((method,)) + encode_varint(len(data)) + payload


def unpack(blob: bytes, max_bytes: int) -> bytes:
    """Inverse of :func:`pack`. FormatError on damage, on bytes too many, and on more than ``max_bytes`` of content."""
    if not blob:
        return b""
    reader = ByteReader(blob, "packed stream")
    method = reader.take(1)[0]
    length = reader.varint()
    if length > max_bytes:
        raise FormatError(f"damaged packed stream: {length} bytes, limit {max_bytes}")
    payload = blob[1 + len(encode_varint(length)) :]
    reserve(2 * length, length)
    try:
        data = _decompress(method, payload, length)
    except FormatError:
        raise
    # The libraries raise many kinds of errors on damaged data; to a reader they all mean the same.
    except Exception as error:
        raise FormatError(f"damaged packed stream: {error}") from error
    if len(data) != length:
        raise FormatError(f"damaged packed stream: {len(data)} bytes instead of {length}")
    return data


def _compress(method: int, data: bytes, quick: bool = False) -> bytes:
    effort = (len(data) <= _HASTY_BYTES) + (len(data) <= _THOROUGH_BYTES and not quick)
    if method in LZMA_PROPERTIES:
        filters = _lzma_filters(method, len(data))
        filters[0]["mode"] = lzma.MODE_NORMAL if effort else lzma.MODE_FAST
        filters[0]["mf"] = lzma.MF_BT4 if effort else lzma.MF_HC4
        filters[0]["nice_len"] = (128, 64, 273)[effort]
        filters[0]["depth"] = (24, 0, 512)[effort]
        return lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    if method == BZ2:
        return bz2.compress(data, 9)
    import zstandard

    return zstandard.ZstdCompressor(level=(9, 15, 19)[effort], write_content_size=False).compress(data)


def _decompress(method: int, payload: bytes, length: int) -> bytes:
    if method == STORED:
        return payload
    if method in LZMA_PROPERTIES:
        return _drain(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_lzma_filters(method, length)), payload, length)
    if method == BZ2:
        return _drain(bz2.BZ2Decompressor(), payload, length)
    if method == ZSTD:
        import zstandard

        if zstandard.frame_content_size(payload) not in (-1, length):
            raise FormatError("damaged packed stream: two lengths that differ")
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=length, allow_extra_data=False)
    raise FormatError(f"packed stream of unknown method {method}: damaged, or made by a newer version")


def _drain(decompressor: Any, payload: bytes, length: int) -> bytes:
    """Decompress at most one byte more than ``length``, and insist on the end of the stream right there."""
    pieces = [decompressor.decompress(payload, max_length=length + 1)]
    # With the output full the end mark may still be unread; one more call reads it and yields nothing.
    while not decompressor.eof and len(pieces[-1]) and sum(map(len, pieces)) <= length:
        pieces.append(decompressor.decompress(b"", max_length=1))
    if not decompressor.eof:
        raise FormatError("damaged packed stream: no end mark")
    if decompressor.unused_data:
        raise FormatError("damaged packed stream: bytes after its end")
    return b"".join(pieces)


def _lzma_filters(method: int, length: int) -> list[dict[str, Any]]:
    lc, lp, pb = LZMA_PROPERTIES[method]
    dictionary = min(max(4096, 1 << (max(length, 1) - 1).bit_length()), _MAX_DICTIONARY)
    return [{"id": lzma.FILTER_LZMA2, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]


# --- integer columns --------------------------------------------------------------------------------------------


def pack_integers(values: NDArray[np.int64], quick: bool = False) -> bytes:
    """Pack a 1-D int64 array of values >= 0: varint count, transform byte, packed bytes; an empty one to nothing.

    Transform 0 is LEB128; 1 to 8 is that many byte planes (all lowest bytes, then all second bytes, ...).
    """
    if not len(values):
        return b""
    choices = [b"\0" + pack(encode_varints(values), quick)]
    width = max(1, (int(values.max()).bit_length() + 7) // 8)
    if int(values.max()) >= 0x80:
        planes = values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T
        choices.append(bytes((width,)) + pack(planes.tobytes(), quick))
    return encode_varint(len(values)) + min(choices, key=len)


def unpack_integers(blob: bytes, max_count: int) -> NDArray[np.int64]:
    """Inverse of :func:`pack_integers`: int64, at most ``max_count`` values, each 0 <= value < 2**63."""
    if not blob:
        return np.zeros(0, np.int64)
    reader = ByteReader(blob, "integer column")
    count = reader.varint(max_count)
    reserve(32 * count, 0)  # before it is unpacked to that many bytes or more
    transform = reader.take(1)[0]
    packed = blob[len(encode_varint(count)) + 1 :]
    if transform == 0:
        return decode_varints(unpack(packed, count * _MAX_VARINT_BYTES), count)
    if transform > 8:
        raise FormatError(f"damaged integer column: unknown transform {transform}")
    raw = unpack(packed, count * transform)
    if len(raw) != count * transform:
        raise FormatError("damaged integer column: its planes are of the wrong length")
    reserve(40 * count, 24 * count)
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :transform] = np.frombuffer(raw, np.uint8).reshape(transform, count).T
    values = wide.view("<u8").reshape(count)
    if count and int(values.max()) > MAX_INTEGER:
        raise FormatError("damaged integer column: an integer is too large")
    return values.astype(np.int64)


def zigzag(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Signed to unsigned: 0, -1, 1, -2, ... to 0, 1, 2, 3, ...; |value| < 2**62."""
    return (values << 1) ^ (values >> 63)


def unzigzag(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Inverse of :func:`zigzag`."""
    return (values >> 1) ^ -(values & 1)


def add_up(steps: NDArray[np.int64], limit: int, what: str) -> NDArray[np.int64]:
    """Running sum of steps >= 0, all below ``limit``; the check comes first, for the sum might overflow."""
    if len(steps) and (int(steps.max()) > limit or float(np.sum(steps, dtype=np.float64)) > 2.0**62):
        raise FormatError(f"damaged {what}: a run leaves the part")
    places = np.cumsum(steps)
    if len(places) and int(places[-1]) >= limit:
        raise FormatError(f"damaged {what}: a run leaves the part")
    return places
