"""Names of mates: those of the second file mostly follow from those of the first by a rule.

A pair's names are the names of both files, each followed by a line feed. Packed: a byte with the rule, and what it
needs; then the names that are stored, packed as names of other records are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.names import pack_names, unpack_names
from geneformer_codec.sequence.packing import (
    ByteReader,
    encode_varint,
    frame,
    pack,
    pack_integers,
    unpack,
    unzigzag,
    zigzag,
)
from geneformer_codec.sequence.packing import unpack_integers as unpack_column

STORED, SAME, FROM_END, FROM_BLANK = 0, 1, 2, 3
_FEW = 16
"""At most one of so many mates may be named otherwise than a rule says; else their names are stored."""


def pack_pair(names: bytes, first: int) -> bytes:
    """Pack the names of ``first`` reads and of their mates, all followed by line feeds."""
    from geneformer_codec.sequence._read_kernels import find_changes

    octets = np.frombuffer(names, np.uint8)
    ends = np.flatnonzero(octets == 10)
    if not first or len(ends) != 2 * first:
        return bytes((STORED,)) + pack_names(names)
    split = int(ends[first - 1]) + 1
    changes, from_end, from_blank = (np.empty(first, np.int64) for _ in range(3))
    find_changes(octets, split, changes, from_end, from_blank)
    choices = [(SAME, 0, changes == 0)]
    for rule, distances in ((FROM_END, from_end), (FROM_BLANK, from_blank)):
        distance = int(np.median(distances))
        choices.append((rule, distance, (distances == distance) & (changes == 1)))
    rule, distance, follows = max(choices, key=lambda choice: int(choice[2].sum()))
    odd = np.flatnonzero(~follows)
    if len(odd) * _FEW > first:
        return bytes((STORED,)) + pack_names(names)
    starts = np.append(split, ends[first:] + 1)
    listed = b"".join(names[starts[number] : starts[number + 1]] for number in odd.tolist())
    gaps = np.diff(odd, prepend=-1) - 1
    head = (
        bytes((rule,))
        + encode_varint(int(zigzag(np.array([distance]))[0]))
        + frame((pack_integers(gaps), pack(listed)))
    )
    return head + pack_names(names[:split])


def unpack_pair(data: bytes, first: int, second: int, max_bytes: int) -> bytes:
    """Inverse of :func:`pack_pair`, of ``first`` and ``second`` reads, for names of at most ``max_bytes`` in all."""
    if not data:
        raise FormatError("damaged names: a pair without a rule")
    if data[0] == STORED:
        return unpack_names(data[1:], first + second, max_bytes)
    if data[0] > FROM_BLANK or first != second:
        raise FormatError("damaged names: an unknown rule for mates")
    reader = ByteReader(data[1:], "names of mates")
    distance = int(unzigzag(np.array([reader.varint(2 * max_bytes + 1)]))[0])
    gaps, listed = unpack_column(reader.framed(), first), unpack(reader.framed(), max_bytes)
    names = unpack_names(reader.rest(), first, max_bytes)
    mates = _turned(names, distance if data[0] != SAME else 0, data[0] == FROM_BLANK)
    if len(gaps) and int(gaps.max()) >= first:
        raise FormatError("damaged names: a mate beyond the last")
    return names + _replaced(mates, np.cumsum(gaps + 1) - 1, listed, first)


def _turned(names: bytes, distance: int, from_blank: bool) -> bytes:
    from geneformer_codec.sequence._read_kernels import apply_changes

    octets = np.frombuffer(names, np.uint8)
    out = np.empty(len(octets), np.uint8)
    apply_changes(octets, distance, from_blank, out)
    return out.tobytes()


def _replaced(mates: bytes, odd: NDArray[np.int64], listed: bytes, count: int) -> bytes:
    """Names with those at ``odd`` replaced by ``listed``."""
    if not len(odd) and not listed:
        return mates
    texts, others = mates.split(b"\n"), listed.split(b"\n")
    if int(odd[-1] if len(odd) else 0) >= count or len(others) != len(odd) + 1 or others[-1]:
        raise FormatError("damaged names: mates that are named otherwise are not as many as said")
    for number, name in zip(odd.tolist(), others, strict=False):
        texts[number] = name
    return b"\n".join(texts)
