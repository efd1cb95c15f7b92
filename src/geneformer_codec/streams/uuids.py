"""UUIDs that names begin with (RFC 9562), as Nanopore's do: bits that differ, in place of digits."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.limits import reserve
from geneformer_codec.streams.packing import ByteReader

UUID_BYTES = 16
UUID_LETTERS = 36
"""Of a UUID written out."""
_FORM = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HYPHENS = np.array([8, 13, 18, 23])
_DIGITS = np.delete(np.arange(UUID_LETTERS), _HYPHENS)
_LINE_FEED = 10
_WRITTEN = np.frombuffer(b"0123456789abcdef", np.uint8)
_AGAIN = b"\x03"
"""Stands for a name's UUID where that comes again in the name."""
_NO_DIGIT = 16
_VALUES = np.full(256, _NO_DIGIT, np.uint8)
_VALUES[_WRITTEN] = np.arange(16)


def begins_with_uuid(names: bytes) -> bool:
    """Whether the first name does."""
    return _FORM.match(names) is not None


def split_uuids(names: bytes) -> tuple[bytes, bytes]:
    """The UUIDs of names, packed, and what follows them in each; no bytes unless all names begin with one.

    Every name is followed by a line feed. Where a UUID recurs in its name, one byte replaces it.
    """
    if not begins_with_uuid(names) or _AGAIN in names:
        return b"", names
    text = np.frombuffer(names, np.uint8)
    starts, ends = name_edges(text)
    if int((ends - starts).min()) <= UUID_LETTERS:
        return b"", names
    written = np.lib.stride_tricks.sliding_window_view(text, UUID_LETTERS)[starts]
    digits: NDArray[np.uint8] = _VALUES[written[:, _DIGITS]]
    if (written[:, _HYPHENS] != ord("-")).any() or (digits == _NO_DIGIT).any():
        return b"", names
    bits = np.unpackbits((digits[:, ::2] << 4 | digits[:, 1::2]).astype(np.uint8), axis=1)
    differ = (bits != bits[0]).any(axis=0)
    packed = np.packbits(differ).tobytes() + np.packbits(bits[0]).tobytes() + np.packbits(bits[1:, differ]).tobytes()
    rests = text[~_covered(starts, len(text))].tobytes()
    if written[0].tobytes() in rests or written[-1].tobytes() in rests:
        lines = zip(rests.split(b"\n"), written, strict=False)
        rests = b"".join(line.replace(uuid.tobytes(), _AGAIN) + b"\n" for line, uuid in lines)
    return packed, rests


def read_uuids(reader: ByteReader, count: int) -> NDArray[np.uint8]:
    """The UUIDs of ``count`` names, at least one, written out: uint8 [count, 36]."""
    reserve(4 * 8 * UUID_BYTES * count, 2 * UUID_LETTERS * count)
    differ = np.unpackbits(np.frombuffer(reader.take(UUID_BYTES), np.uint8)).astype(bool)
    first = np.unpackbits(np.frombuffer(reader.take(UUID_BYTES), np.uint8))
    shape = count - 1, int(differ.sum())
    size = shape[0] * shape[1]
    data = np.frombuffer(reader.take((size + 7) // 8), np.uint8)
    bits = np.tile(first, (count, 1))
    bits[1:, differ] = np.unpackbits(data, count=size).reshape(shape)
    octets = np.packbits(bits, axis=1)
    written = np.full((count, UUID_LETTERS), ord("-"), np.uint8)
    written[:, _DIGITS[::2]], written[:, _DIGITS[1::2]] = _WRITTEN[octets >> 4], _WRITTEN[octets & 15]
    return written


def name_edges(text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each name begins, and where the next one would, behind its line feed."""
    ends = np.flatnonzero(text == _LINE_FEED) + 1
    return np.concatenate([np.zeros(1, np.int64), ends])[: len(ends)], ends


def _covered(starts: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Which bytes of a text belong to UUIDs, given where they begin; none ends where another begins."""
    edges = np.zeros(size, np.int8)
    edges[starts] = 1
    edges[starts + UUID_LETTERS] = -1
    return np.cumsum(edges, dtype=np.int8).astype(bool)


def put_before(uuids: NDArray[np.uint8], rests: bytes, max_bytes: int) -> bytes:
    """Names of their UUIDs and what follows those; FormatError unless there are as many, of at most ``max_bytes``."""
    if again := rests.count(_AGAIN):
        if len(rests) + again * (UUID_LETTERS - 1) > max_bytes:
            raise FormatError("damaged names: they are longer than the text")
        lines = rests.split(b"\n")[: len(uuids)]
        if len(lines) == len(uuids):
            pairs = zip(lines, uuids, strict=True)
            rests = b"".join(line.replace(_AGAIN, uuid.tobytes()) + b"\n" for line, uuid in pairs)
    text = np.frombuffer(rests, np.uint8)
    starts, _ = name_edges(text)
    if len(starts) != len(uuids):
        raise FormatError("damaged names: not every name has its UUID")
    names = np.empty(len(text) + uuids.size, np.uint8)
    covered = _covered(starts + UUID_LETTERS * np.arange(len(uuids)), len(names))
    names[covered] = uuids.reshape(-1)
    names[~covered] = text
    return names.tobytes()
