"""The values that occur, and the tree of binary decisions that leads to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError

LEAST, MOST = 33, 126
_BITMAP = 12
_NODES = 128
_MANTISSA_BITS = 3
_PIECE = 1 << 16


def _counts(values: NDArray[np.uint8], kinds: int) -> NDArray[np.int64]:
    """How often each of the values below ``kinds`` occurs; by pieces, as NumPy widens what it counts to 64 bits."""
    counts = np.zeros(kinds, np.int64)
    for begin in range(0, len(values), _PIECE):
        counts += np.bincount(values[begin : begin + _PIECE], minlength=kinds)
    return counts


def _weight(code: int) -> int:
    """The approximate frequency of a value, with three binary digits, from its byte in the header."""
    return (8 | code & 7) << (code >> _MANTISSA_BITS)


@dataclass(frozen=True)
class Alphabet:
    """``values`` that occur, ascending, and a code of each one's frequency."""

    values: NDArray[np.uint8]
    codes: bytes

    @classmethod
    def of(cls, values: NDArray[np.uint8]) -> Alphabet:
        """The alphabet of qualities, at least one."""
        counts = _counts(values, 256)
        present = np.flatnonzero(counts)
        codes = []
        for count in counts[present].tolist():
            shift = count.bit_length() - 1
            codes.append(min(255, shift << _MANTISSA_BITS | (count << _MANTISSA_BITS >> shift) & 7))
        return cls(present.astype(np.uint8), bytes(codes))

    @classmethod
    def read(cls, data: bytes) -> tuple[Alphabet, int]:
        """The alphabet at the head of ``data``, and how many bytes it takes."""
        bitmap = np.unpackbits(np.frombuffer(data[:_BITMAP], np.uint8), bitorder="little")
        present = np.flatnonzero(bitmap)
        taken = _BITMAP + len(present)
        if not len(present) or int(present[-1]) > MOST - LEAST or len(data) < taken:
            raise FormatError("damaged qualities: impossible values")
        return cls((present + LEAST).astype(np.uint8), data[_BITMAP:taken]), taken

    def packed(self) -> bytes:
        """The head that :meth:`read` reads."""
        bitmap = np.zeros(8 * _BITMAP, np.uint8)
        bitmap[self.values - LEAST] = 1
        return np.packbits(bitmap, bitorder="little").tobytes() + self.codes

    @property
    def ranks(self) -> NDArray[np.uint8]:
        """The rank of each value among those that occur."""
        ranks = np.zeros(256, np.uint8)
        ranks[self.values] = np.arange(len(self.values))
        return ranks

    @property
    def tree(self) -> NDArray[np.int64]:
        """int64[4, 128]: where the upper half of each node begins, what follows either half, and the highest rank.

        The heaviest range of ranks that is not yet divided is divided next, where its halves differ least in weight.
        """
        weights = [_weight(code) for code in self.codes]
        tree = np.full((4, _NODES), -1, np.int64)
        tree[3, 0] = len(weights) - 1
        ranges = [(sum(weights), 0, len(weights), -1, 0)] if len(weights) > 1 else []
        node = 0
        while ranges:
            chosen = max(ranges, key=lambda one: (one[0], -one[1]))
            ranges.remove(chosen)
            total, low, high, parent, side = chosen
            lower, best = 0, (total + 1, low, 0)
            for split in range(low + 1, high):
                lower += weights[split - 1]
                best = min(best, (abs(total - 2 * lower), split, lower))
            _, split, lower = best
            if parent >= 0:
                tree[1 + side, parent] = node
            tree[0, node] = split
            for half, (begin, end, weight) in enumerate(((low, split, lower), (split, high, total - lower))):
                if end - begin == 1:
                    tree[1 + half, node] = -1 - begin
                else:
                    ranges.append((weight, begin, end, node, half))
            node += 1
        return tree

    def bits(self, symbols: NDArray[np.uint8]) -> int:
        """How many binary decisions it takes to code ``symbols``."""
        tree, depths = self.tree, np.zeros(len(self.codes), np.int64)
        stack = [(0, 1)] if len(depths) > 1 else []
        while stack:
            node, depth = stack.pop()
            for child in tree[1:3, node].tolist():
                if child >= 0:
                    stack.append((child, depth + 1))
                else:
                    depths[-1 - child] = depth
        return int(_counts(symbols, len(depths)) @ depths)
