"""Qualities of reads, coded by mixed contexts; ``docs/QUALITIES.md`` describes the coder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError

LEAST, MOST = 33, 126


def encode_qualities(
    values: NDArray[np.uint8], lengths: NDArray[np.int64], residues: NDArray[np.uint8], level: str
) -> bytes:
    """Code the qualities of reads, as they stand in the file (33 to 126), given the reads' lengths and residues."""
    if not len(values):
        return b""
    if len(values) != len(residues) or len(values) != int(lengths.sum()):
        raise ValueError("reads must have as many qualities as residues")
    if int(values.min()) < LEAST or int(values.max()) > MOST:
        raise ValueError("qualities are bytes 33 to 126")
    from .kernels import code

    symbols = values - np.uint8(LEAST)
    out = np.zeros(2 * len(values) + 16, np.uint8)
    return out[: code(symbols, lengths, residues, _table(), out, False)].tobytes()


def decode_qualities(data: bytes, lengths: NDArray[np.int64], residues: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Inverse of :func:`encode_qualities`; FormatError where ``data`` cannot be its result."""
    symbols = np.zeros(len(residues), np.uint8)
    if not len(residues):
        if data:
            raise FormatError("damaged qualities: there are some, and no residues")
        return symbols
    from .kernels import code

    code(symbols, lengths, residues, _table(), np.frombuffer(data, np.uint8).copy(), True)
    if int(symbols.max()) > MOST - LEAST:
        raise FormatError("damaged qualities: a value that no file has")
    return symbols + np.uint8(LEAST)


def _table() -> NDArray[np.uint16]:
    return np.full(128 * 128 * 8 * 128, 1 << 15, np.uint16)
