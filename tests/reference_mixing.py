"""Context mixing of bits, written from docs/format/qualities.md alone: plain Python, no package code.

It is slow and proves that the description suffices. Names are those of the description.
"""

from math import isqrt

G, K, WORD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, (1 << 64) - 1


def between(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def squash_table() -> dict[int, int]:
    roots = [isqrt(1 << 125)]
    while len(roots) < 8:
        roots.append(isqrt(roots[-1] << 62))
    table = {}
    for f in range(4096):
        p = 1 << 62
        for k in range(8):
            if f >> (7 - k) & 1:
                p = p * roots[k] >> 62
        p <<= f >> 8
        table[f] = min(65535, (p << 16) // (p + (1 << 62)))
    return table | {-f: 65536 - table[f] for f in range(1, 4096)}


SQUASH = squash_table()
STRETCH = []
_f = -4095
for _i in range(4096):
    while _f < 4095 and SQUASH[_f] < 16 * _i + 8:
        _f += 1
    STRETCH.append(_f)


class Stream:
    """The range coder's bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = iter(data)
        self.left = len(data)
        self.width = WORD
        self.value = 0
        for _ in range(8):
            self.value = self.value << 8 | self.byte()

    def byte(self) -> int:
        self.left -= 1
        return next(self.data, 0)

    def bit(self, probability: int) -> int:
        bound = (self.width >> 16) * probability
        one = self.value < bound
        if one:
            self.width = bound
        else:
            self.value -= bound
            self.width -= bound
        while self.width < 1 << 48:
            self.value = self.value << 8 | self.byte()
            self.width <<= 8
        return int(one)


class Predictor:
    """Counters and mixer; all of them are kept where they are not as they were at first."""

    def __init__(self, stream: Stream, symbols: int, most_lines: int, sets: int, checked: bool) -> None:
        self.stream = stream
        self.lines = 1 << 10
        while self.lines < most_lines and self.lines < symbols / 4:
            self.lines *= 2
        self.sets = sets
        self.checked = checked
        self.counters: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.checks: dict[tuple[int, int], int] = {}
        self.weights: dict[tuple[int, object], list[int]] = {}
        self.finals: dict[int, list[int]] = {}

    def line(self, j: int, context: int, part: int) -> list[tuple[int, int]]:
        h = (8 * context + j) * G & WORD
        h ^= h >> 29
        v = (h + part) * K & WORD
        place = j, (v >> 36) % self.lines
        check = v >> 8 & 0xFFFFFFFF
        if place not in self.counters or (self.checked and self.checks[place] != check):
            self.counters[place] = [(1 << 21, 0)] * 16
            self.checks[place] = check
        return self.counters[place]

    def bit(self, contexts: list[int], node: int, part: int, slot: int, rows: list[object], rate: int) -> int:
        lines = [self.line(j, context & WORD, part) for j, context in enumerate(contexts)]
        x = [
            STRETCH[share >> 10] * (256 * (2 * seen + 1) // (2 * seen + 5)) >> 8
            for share, seen in (line[slot] for line in lines)
        ]
        w = [self.weights.setdefault((k, row), [19660] * len(x)) for k, row in enumerate(rows[: self.sets])]
        z = [between(sum((a >> 4) * b for a, b in zip(row, x, strict=True)) >> 12, -4095, 4095) for row in w]
        final = self.finals.setdefault(node, [65536 // self.sets] * self.sets)
        f = z[0] if self.sets == 1 else sum(a * b for a, b in zip(final, z, strict=True)) >> 16
        m = SQUASH[between(f, -4095, 4095)]
        bit = self.stream.bit(between(m, 16, 65520))
        whole = 65536 * bit
        for row, logit in zip(w, z, strict=True):
            force = ((whole - SQUASH[logit]) * rate) >> 8
            row[:] = [
                between(a + ((b * force + (1 << 14)) >> 15), -1 << 18, 1 << 18) for a, b in zip(row, x, strict=True)
            ]
        final[:] = [
            between(a + ((b * (whole - m) + (1 << 17)) >> 18), -1 << 18, 1 << 18) for a, b in zip(final, z, strict=True)
        ]
        for line in lines:
            share, seen = line[slot]
            share += ((((1 << 22) - 1) * bit - share) * (65536 * 5 // (5 * seen + 8))) >> 16
            line[slot] = share, min(seen + 1, 255)
        return bit
