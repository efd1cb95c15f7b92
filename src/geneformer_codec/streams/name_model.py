"""Text coded byte by byte by what stands before it (`_name_mixing`): names, and the lengths of records beside them.

Where there is little text, most of its cost is to learn what names look like at all. So a *primer*, some made-up
accessions and lengths, can be learned from first; the reader makes it, too.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.uuids import name_edges

_PRIMER_LINES = 24
_LF, _TAB, _ZERO, _SPACE = 10, 9, 48, 32
_LETTERS = 3
"""So many of a name stand before the length of its record."""


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


def foretell(text: NDArray[np.uint8], known: NDArray[np.bool_], primed: bool) -> bytes:
    """The stream of what is not ``known`` of a text of at least one byte; `_name_mixing` says what may be known."""
    from geneformer_codec.streams.name_model_kernels import mix

    return mix(*_behind_primer(text, known) if primed else (text, known))


def recover(
    stream: bytes, text: NDArray[np.uint8], known: NDArray[np.bool_], primed: bool, what: str
) -> NDArray[np.uint8]:
    """Inverse of :func:`foretell`, given a ``text`` that is right where it is ``known``.

    Raises ``FormatError``, which names ``what``, when bytes of the stream are left over.
    """
    from geneformer_codec.streams.name_model_kernels import unmix

    whole = unmix(stream, *_behind_primer(text, known) if primed else (text, known))
    if whole is None:
        raise FormatError(f"damaged {what}: bytes are left over")
    return whole[len(whole) - len(text) :]


def _behind_primer(text: NDArray[np.uint8], known: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    before = np.frombuffer(primer(), np.uint8)
    return np.concatenate((before, text)), np.concatenate((np.ones(len(before), np.bool_), known))


def pack_lengths(lengths: NDArray[np.int64], names: bytes) -> bytes:
    """Pack the lengths of records, at least one, beside their ``names``, each with its line feed.

    A byte says how many digits each has; the records of a project begin alike and are alike long.
    """
    digits = len(str(int(lengths.max())))
    lines, known = _lines(names, digits)
    for place in range(digits):
        lines[:, _LETTERS + 1 + place] = lengths // 10 ** (digits - 1 - place) % 10 + _ZERO
    return bytes((digits,)) + foretell(lines.reshape(-1), known.reshape(-1), True)


def unpack_lengths(data: bytes, names: bytes) -> NDArray[np.int64]:
    """Inverse of :func:`pack_lengths`: as many as names; ``FormatError`` for damage."""
    digits = data[0] if data else 0
    if not 1 <= digits <= 18:
        raise FormatError("damaged layout: lengths without digits, or with too many")
    lines, known = _lines(names, digits)
    text = recover(data[1:], lines.reshape(-1), known.reshape(-1), True, "layout").reshape(lines.shape)
    figures = text[:, _LETTERS + 1 : -1].astype(np.int64) - _ZERO
    if figures.min(initial=0) < 0 or figures.max(initial=0) > 9:
        raise FormatError("damaged layout: a length is not a number")
    return figures @ 10 ** np.arange(digits - 1, -1, -1, dtype=np.int64)


def _lines(names: bytes, digits: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A line a record, first letters of its name, a tab, room for digits, a line feed; and what of them is known."""
    octets = np.frombuffer(names, np.uint8)
    starts, ends = name_edges(octets)
    lines = np.full((len(ends), _LETTERS + digits + 2), _SPACE, np.uint8)
    for place in range(_LETTERS):
        there = starts + place < ends - 1
        lines[there, place] = octets[starts[there] + place]
    lines[:, _LETTERS], lines[:, -1] = _TAB, _LF
    known = np.ones(lines.shape, np.bool_)
    known[:, _LETTERS + 1 : -1] = False
    return lines, known
