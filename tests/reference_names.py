"""A decoder of names of kinds 2 (model) and 3 (UUIDs), from docs/format/names.md alone: plain Python."""

import re
from dataclasses import dataclass

from reference_mixing import WORD, G, Predictor, Stream
from reference_qualities import fields

ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def digits_at_end(text: bytes) -> bytes:
    count = 0
    while count < min(18, len(text)) and text[len(text) - 1 - count] in b"0123456789":
        count += 1
    return text[len(text) - count :]


@dataclass
class Column:
    old: bytes = b""
    value: int = 0
    step: int = 0
    hits: int = 0

    def expected(self) -> bytes:
        if not self.old:
            return b"\0"
        field = self.old[:-1][:44]
        digits = digits_at_end(field)
        if digits:
            value = self.value + self.step
            number = b"%d" % (value if value >= 0 else self.value)
            field = field[: -len(digits)] + (number.zfill(len(digits)) if digits[:1] == b"0" else number)
        return field + self.old[-1:]

    def end(self, field: bytes, expected: bytes) -> None:
        self.hits = min(self.hits + 1, 15) if field == expected else max(self.hits - 8, 0)
        value = int(digits_at_end(field[:-1]) or b"0")
        self.old, self.value, self.step = field, value, value - self.value


def at(text: bytes, place: int) -> int:
    return text[place] if 0 <= place < len(text) else 0


class Names:
    """What is remembered of the text."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.columns = [Column() for _ in range(64)]
        self.name = self.tail = self.word = 0
        self.tailed = self.match = self.matched = 0
        self.table: dict[int, int] = {}
        self.begin(0)

    def begin(self, column: int) -> None:
        self.column, self.first = column, len(self.text)
        self.expected = self.columns[column].expected()
        self.prefix = 0

    @property
    def field(self) -> bytes:
        return bytes(self.text[self.first :])

    def start_equal(self, other: bytes) -> int:
        return int(other[: len(self.field)] == self.field)

    def take(self, byte: int) -> None:
        place = len(self.text)
        self.text.append(byte)
        self.prefix = (self.prefix + byte + 1) * 0x2F0B4C47 % 2**40
        if self.tailed and self.text[self.tail + place - self.word] != byte:
            self.tailed = 0
        if byte == ord("-") and self.tail == self.name:
            self.tail, self.tailed = place + 1, 0
        if byte not in ALPHANUMERIC:
            self.columns[self.column].end(self.field, self.expected)
            if byte in b" \t":
                self.word, self.tailed = place + 1, 1
            if byte == ord("\n"):
                self.name = self.tail = self.word = place + 1
                self.tailed = 0
            self.begin(0 if byte == ord("\n") else min(self.column + 1, 63))
        if self.matched and self.text[self.match] == byte:
            self.matched, self.match = min(self.matched + 1, 31), self.match + 1
        else:
            self.matched = 0
        if len(self.text) >= 5:
            spot = (int.from_bytes(self.text[-5:], "little") * G & WORD) >> 48
            if not self.matched and spot in self.table:
                match = self.table[spot]
                length = 0
                while length < min(16, match) and self.text[match - 1 - length] == self.text[place - length]:
                    length += 1
                if length >= 5:
                    self.match, self.matched = match, length
            self.table[spot] = place + 1

    def contexts(self) -> list[int]:
        place, column = len(self.text), self.columns[self.column]
        offset = place - self.first
        old = at(column.old, offset)
        same, like = self.start_equal(column.old), self.start_equal(self.expected)
        past = int.from_bytes(self.text[-6:], "big")
        tail = self.text[self.tail + place - self.word] if self.tailed else 0
        match = self.text[self.match] if self.matched else 0
        return [
            fields(old, (at(column.old, offset + 1), 8), (same, 1), (self.column, 6)),
            fields(self.prefix, (self.column, 6)),
            fields(self.column, (past % 2**16, 16)),
            past % 2**32,
            past,
            fields(match, (self.matched, 5)),
            fields(at(self.expected, offset), (old, 8), (same, 1), (like, 1), (column.hits, 4)),
            fields(tail, (self.column, 6), (min(offset, 63), 6)),
        ]


class Known:
    """In place of a stream, where the reader knows the bits."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def bit(self, probability: int) -> int:
        return self.bits.pop(0)


def primer() -> bytes:
    lines, x = [], 1
    for line in range(24):
        x = (1103515245 * x + 12345) % 2**31
        digits = str(x // 256 % 10**6).zfill(6)
        letters = chr(65 + x // 16 % 26) + chr(65 + x // 4096 % 26)
        kind = line % 4
        if kind == 1:
            lines.append(letters + "_\t" + digits[:5])
        else:
            lines.append(letters + digits if kind == 3 else "NC_0" + digits[:5] + ".1")
    return "".join(line + "\n" for line in lines).encode()


def decode(stream: bytes, count: int) -> bytes:
    """A text of so many bytes, behind the primer."""
    start = primer()
    size = len(start) + count
    coded, known = Stream(stream), Known()
    predictor = Predictor(coded, size, 1 << 16, 4, checked=True)
    names = Names()
    while len(names.text) < size:
        n = len(names.text)
        byte = start[n] if n < len(start) else None
        predictor.stream = coded if byte is None else known  # type: ignore[assignment]
        contexts, column = names.contexts(), names.columns[names.column]
        same, like = names.start_equal(column.old), names.start_equal(names.expected)
        rate = 128 + (400 << 12) // ((1 << 12) + n)

        def bit_of(node: int, part: int, slot: int, bit: int) -> int:
            rows: list[object] = [
                node,
                (names.column, bit, names.tailed),
                (min(names.matched, 15), same, like, column.hits >> 1),  # noqa: B023
                (at(names.text, n - 1), same, like),  # noqa: B023
            ]
            return predictor.bit(contexts, node, part, slot, rows, rate)  # noqa: B023

        begins = n == names.first and column.hits == 15 and n + len(names.expected) <= size
        if byte is not None:
            known.bits = [int(start.startswith(names.expected, n))] if begins else []
        if begins and bit_of(0, 0, 1, 0):
            for byte in names.expected:
                names.take(byte)
            continue
        if byte is not None:
            known.bits = [byte >> (7 - bit) & 1 for bit in range(8)]
        node = part = 1
        for bit in range(8):
            if bit == 4:
                part = node
            slot = node if bit < 4 else 1 << (bit - 4) | node % (1 << (bit - 4))
            node = 2 * node + bit_of(node, part, slot, bit)
        names.take(node - 256)
    assert coded.left <= 0
    return bytes(names.text[len(start) :])


def uuids(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    """The UUIDs that names begin with, and the packed names of what follows them."""
    differ, first = int.from_bytes(data[:16], "big"), int.from_bytes(data[16:32], "big")
    places = [place for place in range(127, -1, -1) if differ >> place & 1]
    size = (count - 1) * len(places)
    end = 32 + (size + 7) // 8
    bits = f"{int.from_bytes(data[32:end], 'big'):0{8 * (end - 32)}b}"
    found = [first]
    for number in range(count - 1):
        value = first
        for bit, place in zip(bits[number * len(places) :], places, strict=False):
            value = value & ~(1 << place) | int(bit) << place
        found.append(value)
    return [
        "-".join(re.fullmatch("(.{8})(.{4})(.{4})(.{4})(.{12})", f"{v:032x}").groups()).encode() for v in found
    ], data[end:]
