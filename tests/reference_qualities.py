"""A decoder of qualities, written from docs/format/qualities.md alone: plain Python, no package code."""

from itertools import islice

from reference_mixing import Predictor, Stream


def fields(first: int, *rest: tuple[int, int]) -> int:
    """[first, value:bits, ...] of the description."""
    for value, bits in rest:
        first = first << bits | value
    return first


def tree_of(weights: list[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """The number of each range of ranks that is divided, and where."""
    tree: dict[tuple[int, int], tuple[int, int]] = {}
    ranges = [(0, len(weights))]
    while any(high - low > 1 for low, high in ranges):
        low, high = min(
            (one for one in ranges if one[1] - one[0] > 1), key=lambda one: (-sum(weights[one[0] : one[1]]), one[0])
        )
        split = min(
            range(low + 1, high),
            key=lambda place: (abs(sum(weights[low:place]) - sum(weights[place:high])), place),
        )
        tree[low, high] = len(tree), split
        ranges.remove((low, high))
        ranges += [(low, split), (split, high)]
    return tree


class Read:
    """What is remembered of a read, and the bases around a place of it."""

    def __init__(self, residues: bytes) -> None:
        self.bases = [
            next((i for i, some in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")) if r in some), 4) for r in residues
        ]
        self.q = [0, 0, 0, 0]
        self.mean4 = self.mean8 = self.mean32 = self.mean128 = 0
        self.run = self.other = self.below = self.top16 = 0
        self.least = 127
        self.near_of: dict[int, int] = {}
        self.wide_of: dict[int, int] = {}
        self.begun = False

    def base(self, place: int) -> int:
        return self.bases[place] if 0 <= place < len(self.bases) else 5

    def equal(self, base: int, place: int, step: int, most: int) -> int:
        count = 0
        while count < most and self.base(place) == base:
            count += 1
            place += step
        return count

    def look(self, at: int) -> None:
        self.at = at
        self.b0, self.b1, self.b2 = self.base(at), self.base(at - 1), self.base(at - 2)
        self.n1 = self.base(at + 1)
        self.before, self.after = self.equal(self.b0, at - 1, -1, 15), self.equal(self.b0, at + 1, 1, 15)
        self.next = 0 if self.n1 in (self.b0, 5) else self.equal(self.n1, at + 2, 1, 7)
        self.near, self.wide = self.k(1, 1), self.k(2, 2)

    def k(self, before: int, after: int) -> int:
        """The k-mer around, in base 4."""
        number = 0
        for place in range(self.at - before, self.at + after + 1):
            base = self.base(place)
            number = 4 * number + (base if base < 4 else 0)
        return number

    def contexts(self, profile: int) -> list[int]:
        q1, q2, q3, _ = self.q
        b0, b1, b2, n1 = self.b0, self.b1, self.b2, self.n1
        h = 16 * self.before + self.after
        near, wide = self.near_of.get(self.near, 0), self.wide_of.get(self.wide, 0)
        if profile == 0:
            at = min(self.at, 1023)
            return [
                fields(q1, (at, 10)),
                fields(self.mean32 >> 4, (at >> 2, 8)),
                fields(q1, (q2, 7), (b0, 3), (b1, 3), (b2, 3)),
                fields(self.mean4 >> 4, (self.mean32 >> 5, 8), (b0, 3)),
                fields(q1, (self.other, 7), (min(self.run, 63), 6)),
                fields(q1 >> 1, (self.k(5, 0), 12)),
                fields(q1, (max(q2, q3), 7), (at >> 3, 7)),
                fields(q1, (self.mean8 >> 4, 7), (self.below, 6)),
            ]
        if profile == 1:
            return [
                fields(q1 >> 1, (self.k(3, 1), 10)),
                fields(q1, (h, 8), (b0, 3)),
                fields(q1 >> 3, (self.k(4, 4), 18)),
                fields(q1, (q2, 7), (q3 >> 2, 5)),
                fields(q1 >> 1, (self.k(4, 1), 12)),
                fields(self.k(2, 3), (h, 8), (self.next, 3)),
                fields(q1 >> 1, (q2 >> 2, 5), (self.near, 6)),
                fields(q1, (max(self.q) >> 1, 6), (min(self.q) >> 1, 6)),
            ]
        return [
            fields(q1, (h, 8), (b0, 3)),
            fields(self.mean128 >> 4, (h, 8), (b0, 3), (n1, 3)),
            fields(self.top16, (min(self.run, 31), 5), (b0, 3), (n1, 3)),
            fields(near, (self.mean32 >> 5, 8), (self.before, 4)),
            fields(q1, (wide, 7)),
            fields(q1, (near, 7)),
            fields(q1, (self.least, 7), (self.mean8 >> 6, 5)),
            fields(self.mean32 >> 8, (h, 8), (self.wide, 10)),
        ]

    def rows(self, profile: int, node: int) -> list[object]:
        last: tuple[int, ...] = (node, self.q[0])
        homopolymer = (node, min(self.before, 3), min(self.after, 3), self.q[0] == self.q[1])
        place = (node, self.near if profile else min(self.at >> 3, 127))
        level = (self.q[0], min(self.mean8 >> 5, 63))
        return [homopolymer, place, level, last] if profile == 2 else [last, place, level, homopolymer]

    def remember(self, q: int, top: int) -> None:
        if self.begun:
            self.mean4 += (16 * q - self.mean4) >> 2
            self.mean8 += (16 * q - self.mean8) >> 3
            self.mean32 += (64 * q - self.mean32) >> 5
            self.mean128 += (64 * q - self.mean128) >> 7
        else:
            self.begun = True
            self.mean4 = self.mean8 = 16 * q
            self.mean32 = self.mean128 = 64 * q
        if q == self.q[0]:
            self.run = min(self.run + 1, 255)
        else:
            self.run, self.other = 0, self.q[0]
        self.below = min(self.below + (q != top), 63)
        self.least = min(self.least, q)
        self.top16 += ((256 if q == top else 0) - self.top16) >> 4
        self.near_of[self.near] = self.wide_of[self.wide] = q
        self.q = [q, *self.q[:3]]


class Walk:
    """A read's qualities on their way."""

    def __init__(self, first: int, residues: bytes) -> None:
        self.read = Read(residues)
        self.rate = 160 + (400 << 15) // ((1 << 15) + first)
        self.first, self.at, self.end = first, 0, len(residues)
        self.begun, self.low, self.high = False, 0, 0
        self.contexts: list[int] = []


def decode(data: bytes, lengths: list[int], residues: bytes) -> bytes:
    """The qualities."""
    profile, effort, bits = data[0], data[1] & 7, data[1] >> 3
    values = [33 + i for i in range(94) if data[2 + i // 8] >> (i % 8) & 1]
    if len(values) == 1:
        return bytes(values * len(residues))
    place = 14 + len(values)
    tree = tree_of([(8 + (code & 7)) << (code >> 3) for code in data[14:place]])
    if not bits:
        lines = 1 << (18 if profile == 1 else 16)
        return decode_slice(data[place:], lengths, residues, values, tree, profile, effort, lines)
    out, begin = b"", 0
    slices = cut(lengths, 1 << bits)
    for reads, stream in zip(slices, framed(data[place:], len(slices)), strict=True):
        end = begin + sum(reads)
        out += decode_slice(stream, reads, residues[begin:end], values, tree, profile, effort, 1 << 16)
        begin = end
    return out


def framed(data: bytes, count: int) -> list[bytes]:
    """The bytes of each slice."""
    out, place = list[bytes](), 0
    for _ in range(count - 1):
        size, shift = 0, 0
        while True:
            size |= (data[place] & 127) << shift
            shift += 7
            place += 1
            if data[place - 1] < 128:
                break
        out.append(data[place : place + size])
        place += size
    return [*out, data[place:]]


def cut(lengths: list[int], most: int) -> list[list[int]]:
    """The lengths of the reads of each slice."""
    slices: list[list[int]] = []
    for length in lengths:
        if not slices or sum(slices[-1]) + length > most:
            slices.append([])
        slices[-1].append(length)
    return slices


def decode_slice(
    data: bytes,
    lengths: list[int],
    residues: bytes,
    values: list[int],
    tree: dict[tuple[int, int], tuple[int, int]],
    profile: int,
    effort: int,
    lines: int,
) -> bytes:
    """The qualities of one slice."""
    stream = Stream(data)
    predictor = Predictor(stream, len(residues), lines, effort or 1, checked=False)
    out = bytearray(len(residues))
    starts = [sum(lengths[:k]) for k in range(len(lengths))]
    reads = iter([(start, residues[start : start + n]) for start, n in zip(starts, lengths, strict=True) if n])
    walks = [Walk(*read) for read in islice(reads, 4 if profile == 1 else 1 if effort else 2)]
    while walks:
        for walk in list(walks):
            read = walk.read
            if not walk.begun:
                walk.begun, walk.low, walk.high = True, 0, len(values)
                read.look(walk.at)
                walk.contexts = read.contexts(profile)[: 8 if effort else 4]
            node, split = tree[walk.low, walk.high]
            upper = predictor.bit(walk.contexts, node, node // 16, node % 16, read.rows(profile, node), walk.rate)
            walk.low, walk.high = (split, walk.high) if upper else (walk.low, split)
            if walk.high - walk.low > 1:
                continue
            out[walk.first + walk.at] = values[walk.low]
            read.remember(walk.low, len(values) - 1)
            walk.begun = False
            walk.at += 1
            if walk.at == walk.end:
                if another := next(reads, None):
                    walks[walks.index(walk)] = Walk(*another)
                else:
                    walks.remove(walk)
    assert stream.left <= 0
    return bytes(out)
