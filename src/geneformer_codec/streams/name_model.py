"""Names coded byte by byte by a context-mixing model, whose compiled loop is in ``name_model_kernels.py``.

Where there are few names, most of their cost is to learn what names look like at all. So a *primer*, some made-up
accessions, is learned from first; the reader makes it, too.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from geneformer_codec.errors import FormatError
from geneformer_codec.limits import reserve
from geneformer_codec.streams.packing import ByteReader, encode_varint

_PRIMER_LINES = 24


@cache
def primer() -> bytes:
    """Accessions and lengths from a linear congruential generator."""
    lines, value = [], 1
    for number in range(_PRIMER_LINES):
        value = (value * 1103515245 + 12345) % (1 << 31)
        digits = f"{(value >> 8) % 1_000_000:06d}"
        letters = chr(65 + (value >> 4) % 26) + chr(65 + (value >> 12) % 26)
        accession = f"NC_0{digits[:5]}.1"
        lines.append((accession, f"{letters}_\t{digits[:5]}", accession, letters + digits)[number % 4])
    return "".join(f"{line}\n" for line in lines).encode()


def pack_text(text: bytes) -> bytes:
    """A varint, the length of a text of at least one byte, then the coded bytes."""
    from geneformer_codec.streams.name_model_kernels import encode_text

    octets = np.frombuffer(primer() + text, np.uint8)
    return encode_varint(len(text)) + encode_text(octets, len(primer()))


def unpack_text(reader: ByteReader, max_bytes: int) -> bytes:
    """Inverse of :func:`pack_text` for a text of at most ``max_bytes``; ``FormatError`` when bytes are left over."""
    from geneformer_codec.streams.name_model_kernels import decode_text

    size, known = reader.varint(max_bytes), len(primer())
    reserve(5 * size, size)
    octets = np.zeros(known + size, np.uint8)
    octets[:known] = np.frombuffer(primer(), np.uint8)
    whole = decode_text(reader.rest(), octets, known)
    if whole is None:
        raise FormatError("damaged names: bytes are left over")
    return whole[known:].tobytes()
