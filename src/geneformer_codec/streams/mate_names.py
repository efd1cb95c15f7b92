"""Names of mates: those of the second file mostly follow from those of the first by a rule, such as 1 to 2.

Packed are the rules, which of them each mate follows, and the names of mates that follow none. The names of the first
file, or those of both where no rule helps, are stored behind that, packed as those of one file are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.packing import (
    ByteReader,
    encode_varint,
    frame,
    pack,
    pack_integers,
    unpack,
    unpack_integers,
    unzigzag,
    zigzag,
)

SAME, FROM_END, FROM_BLANK = 1, 2, 3
MOST_RULES = 3
_FEW = 16
"""A rule is for at least one of so many mates; where more follow none, their names are stored."""

Integers = NDArray[np.int64]


def pack_mates(names: bytes, first: int) -> tuple[bytes, bytes]:
    """The rules by which names of mates follow from those of ``first`` reads, packed; and the names to be stored.

    ``names`` are those of both files, each followed by a line feed.
    """
    octets = np.frombuffer(names, np.uint8)
    ends = np.flatnonzero(octets == 10)
    if not first or len(ends) != 2 * first:
        return b"\0", names
    split = int(ends[first - 1]) + 1
    rules, which = _find_rules(octets, split, first)
    odd = np.flatnonzero(which == 0)
    if len(odd) * _FEW > first:
        return b"\0", names
    starts = np.append(split, ends[first:] + 1)
    listed = b"".join(names[starts[number] : starts[number + 1]] for number in odd.tolist())
    head = b"".join(bytes((rule,)) + encode_varint(int(zigzag(np.array([far]))[0])) for rule, far in rules)
    columns = frame((pack_integers(which) if np.any(which != 1) else b"", pack(listed)))
    return bytes((len(rules),)) + head + columns, names[:split]


def _find_rules(octets: NDArray[np.uint8], split: int, first: int) -> tuple[list[tuple[int, int]], Integers]:
    """The rules that mates follow, and of each mate the number of its own, from 1; 0: it follows none."""
    from geneformer_codec.sequence.read_kernels import find_changes

    changes, from_end, from_blank = (np.empty(first, np.int64) for _ in range(3))
    find_changes(octets, split, changes, from_end, from_blank)
    rules: list[tuple[int, int]] = []
    which = np.zeros(first, np.int64)
    while len(rules) < MOST_RULES:
        choices = [(SAME, 0, (which == 0) & (changes == 0))]
        one = (which == 0) & (changes == 1)
        for rule, distances in ((FROM_END, from_end), (FROM_BLANK, from_blank)):
            values, counts = np.unique(distances[one], return_counts=True)
            if len(values):
                distance = int(values[np.argmax(counts)])
                choices.append((rule, distance, one & (distances == distance)))
        rule, distance, follows = max(choices, key=lambda choice: int(choice[2].sum()))
        if int(follows.sum()) * _FEW < first:
            break
        rules.append((rule, distance))
        which[follows] = len(rules)
    return rules, which


@dataclass(frozen=True)
class MateRules:
    """The rule that each mate follows (0: none), the names of those, how many names are ``stored``, in ``rest``."""

    which: Integers
    from_blank: Integers
    distances: Integers
    listed: bytes
    stored: int
    rest: bytes

    def join(self, names: bytes) -> bytes:
        """The names of both files, of those that are stored."""
        if not len(self.distances):
            return names
        mates = _apply_rules(names, self.which, self.from_blank, self.distances)
        return names + _replace(mates, np.flatnonzero(self.which == 0), self.listed)


def unpack_mates(data: bytes, first: int, second: int, max_bytes: int) -> MateRules:
    """Inverse of :func:`pack_mates`, of ``first`` and ``second`` reads, for names of at most ``max_bytes`` in all."""
    reader = ByteReader(data, "names of mates")
    count = reader.take(1)[0]
    kinds, distances = np.zeros(count, np.int64), np.zeros(count, np.int64)
    if not count:
        return MateRules(kinds, kinds, kinds, b"", first + second, reader.rest())
    for number in range(count):
        kinds[number] = reader.take(1)[0]
        distances[number] = unzigzag(np.array([reader.varint(2 * max_bytes + 1)]))[0]
    distances[kinds == SAME] = 0
    which, listed = unpack_integers(reader.framed(), first), unpack(reader.framed(), max_bytes)
    which = which if len(which) else np.ones(first, np.int64)
    known = bool(np.isin(kinds, (SAME, FROM_END, FROM_BLANK)).all()) and count <= MOST_RULES
    if not known or first != second or len(which) != first or int(which.max(initial=0)) > count:
        raise FormatError("damaged names: unknown rules for mates")
    return MateRules(which, (kinds == FROM_BLANK).astype(np.int64), distances, listed, first, reader.rest())


def _apply_rules(names: bytes, which: Integers, from_blank: Integers, distances: Integers) -> bytes:
    from geneformer_codec.sequence.read_kernels import apply_changes

    octets = np.frombuffer(names, np.uint8)
    out = np.empty(len(octets), np.uint8)
    apply_changes(octets, which, from_blank, distances, out)
    return out.tobytes()


def _replace(mates: bytes, odd: Integers, listed: bytes) -> bytes:
    """Names with those at ``odd`` replaced by ``listed``."""
    others = listed.split(b"\n")
    if len(others) != len(odd) + 1 or others[-1]:
        raise FormatError("damaged names: not as many mates without a rule as stated")
    if not len(odd):
        return mates
    texts = mates.split(b"\n")
    for number, name in zip(odd.tolist(), others, strict=False):
        texts[number] = name
    return b"\n".join(texts)
