"""Sections 1 to 4 of docs/format/experts.md: tables, what a panel teaches, initial states; and the file of a model."""

import hashlib
import json
import lzma
import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, Self

Vector = list[int]
Matrix = list[Vector]
Settings = dict[str, Any]

MASK_64 = (1 << 64) - 1
TYPES = {"int32": "i", "uint32": "I", "uint16": "H"}
SET_ROWS = (128, 256, 256, 256, 1024, 24)


def clamp(value: int, limit: int) -> int:
    return -limit if value < -limit else min(value, limit)


def ones(value: int) -> int:
    return value.bit_count()


def low_bit(value: int) -> int:
    return (value & -value).bit_length() - 1


def within(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


# 2. Logarithms, powers, hashes


def _powers() -> Vector:
    roots = [1 << 63]
    for _ in range(10):
        roots.append(isqrt(roots[-1] << 62))
    powers = []
    for i in range(1024):
        power = 1 << 62
        for bit in range(10):
            if i >> (9 - bit) & 1:
                power = power * roots[bit + 1] >> 62
        powers.append(power)
    return [*powers, 1 << 63]


P = _powers()


def _nearest(value: int) -> int:
    at = bisect_left(P, value)
    return at - 1 if at and value - P[at - 1] < P[at] - value else at


LOG = [_nearest((1024 + i) << 52) for i in range(1024)]
EXP = [P[1024 - i] >> 33 for i in range(1024)]
DIV = [655360 // (10 * n + 16) for n in range(1024)]


def log2(value: int) -> int:
    top = value.bit_length() - 1
    return (top << 10) + LOG[(value << 10 >> top) & 1023]


def exp2(fall: int) -> int:
    return EXP[fall & 1023] >> min(fall >> 10, 31)


def mix(value: int) -> int:
    h = value * 0x9E3779B97F4A7C15 & MASK_64
    return (h ^ h >> 29) * 0xD6E8FEB86659FD93 & MASK_64


def row(order: int, context: int, bits: int) -> int:
    if 2 * order <= bits:
        return context
    return (mix((context >> 2) + order * 0x12345678901) >> (66 - bits)) * 4 + (context & 3)


def count_log(count: int, prior: int) -> int:
    """128 log2(count + prior / 100), rounded: by the 256th power."""
    number, unit = (100 * count + prior) ** 256, 100**256
    v = (number.bit_length() - unit.bit_length()) // 2 - 1
    while number << max(0, -2 * v - 1) >= unit << max(0, 2 * v + 1):
        v += 1
    return v


# 3. What the panel teaches


def digits(number: int) -> int:
    return min(24, max(12, number.bit_length()))


def add(counts: Vector, base: int) -> bool:
    """One more of a base; whether the others had to be halved."""
    full = bool(counts[base] == 15)
    if full:
        counts[:] = [count >> 1 for count in counts]
    counts[base] += 1
    return full


class Counts:
    """Tables of counts that exist where something was counted."""

    def __init__(self, settings: Settings) -> None:
        self.orders: Vector = settings["count_orders"]
        self.bits: int = settings["table_bits"]
        self.tables: list[dict[int, Vector]] = [{} for _ in self.orders]

    def of(self, number: int, context: int) -> Vector:
        return self.tables[number].setdefault(row(self.orders[number], context, self.bits), [0] * 4)


class Panel:
    """The records of a panel, and what they teach for some settings."""

    def __init__(self, settings: Settings, bases: Sequence[int], lengths: Sequence[int]) -> None:
        self.bases, n = list(bases), len(bases)
        starts = [sum(lengths[:number]) for number in range(len(lengths))]
        self.starts = [start for start in starts if start < n]
        self.seed, sampling = settings["panel_seed_length"], settings["panel_sampling"]
        self.bits = within(8, (n // (8 * sampling)).bit_length(), 30)
        self.lists: dict[int, list[tuple[int, int]]] = {}  # tags and places
        mask = (1 << 2 * self.seed) - 1
        history = 0
        for p in range(1, n + 1):
            history = (history << 2 | self.bases[p - 1]) & mask
            h = mix(history)
            if p >= self.seed and (h & 0xFFFF) * sampling < 1 << 16:
                self.lists.setdefault(h >> (64 - self.bits), []).append((h >> 16 & 0xFF, p))
        self.counts = Counts(settings)
        for number, k in enumerate(self.counts.orders):
            self._count(number, k, settings["both_strands"])

    def _count(self, number: int, k: int, both_strands: bool) -> None:
        base, n, mask = self.bases, len(self.bases), (1 << 2 * k) - 1
        contexts, history, reverse_complement = (
            [],
            0,
            0,
        )  # the k bases before each base; the reverse complement of the last k
        for t in range(n + 16):
            if t < n:
                contexts.append(history)
                history = (history << 2 | base[t]) & mask
                reverse_complement = reverse_complement >> 2 | (3 - base[t]) << 2 * (k - 1)
            if k <= t - 16:
                add(self.counts.of(number, contexts[t - 16]), base[t - 16])
            if both_strands and k <= t < n:
                add(self.counts.of(number, reverse_complement), 3 - base[t - k])


# 4. Initial states


def inputs_of(settings: Settings) -> int:
    contexts = sum(len(settings[name]) for name in ("low_orders", "count_orders", "frame_orders"))
    return int(settings["heads"]) + contexts + int(settings["network"])


def padded(inputs: int) -> int:
    return -(-inputs // 8) * 8


def low_rows(settings: Settings) -> int:
    short, frames = settings["low_orders"], settings["frame_orders"]
    return int(sum(4**k for k in short) + sum(8 * 4**k for k in frames))


def unpack(packed: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 26, "lc": 0, "lp": 0, "pb": 0}]
    return lzma.decompress(packed, lzma.FORMAT_RAW, filters=filters)


def from_planes(data: bytes, first: int, end: int) -> Vector:
    """Some of the numbers of 32 bits whose byte planes these are."""
    size = len(data) // 4
    planes = [data[plane * size + first : plane * size + end] for plane in range(4)]
    return [a | b << 8 | c << 16 | d << 24 for a, b, c, d in zip(*planes, strict=True)]


@dataclass
class State:
    """What a slice begins with and changes; every array as one list."""

    weights: Vector
    final: Vector
    map_one: Vector
    map_two: Vector
    probability: Vector  # P of `trust`
    seen: Vector
    substitutions: Vector
    attention: Vector
    low: Vector

    ORDER = ("weights", "final", "map_one", "map_two", "probability", "seen", "substitutions", "attention", "low")

    @classmethod
    def untrained(cls, settings: Settings) -> Self:
        heads, used = settings["heads"], inputs_of(settings)
        weights = [314573] * heads + [157286] * (used - heads) + [0] * (padded(used) - used)
        sets = settings["sets"]
        entries = []
        for i in range(33):
            d = 768 * abs(i - 16)
            o = (EXP[d & 1023] >> (d >> 10)) + 1
            p = (o << 22) // ((1 << 30) + o)
            entries.append(p if i < 16 else (1 << 22) - 1 - p)
        w = [65536]
        for _ in range(11):
            w.append(9 * w[-1] // 10)
        probability = []
        for h in range(4096):
            m = sum(w[i] for i in range(12) if h >> i & 1)
            probability.append(min(((97 * m // 100) << 22) // sum(w) + 83886, 3 << 20))
        probability += [max((1 << 22) // (8 * j + 30), 64) for j in range(32)] + [69905] * 32
        probability += [(1 << 20) // (8 << i // 2) for i in range(16) for _ in range(64)]
        attention = [0] * 18
        attention[1] = attention[6] = attention[14] = 1 << 20
        return cls(
            weights * sum(SET_ROWS), ([65536 // sets] * sets + [0] * (6 - sets)) * 256, entries * 1024, entries * 4096,
            probability, [0] * 5184, [21845] * 128, attention,
            [16384, 16384, 16384, 16384, 0, 0, 0, 0] * low_rows(settings),
        )  # fmt: skip

    @classmethod
    def read(cls, settings: Settings, packed: bytes) -> Self:
        """From a file of the package, or the tensor of a model."""
        data = unpack(packed)
        before = cls.untrained(settings)
        size = sum(len(getattr(before, name)) for name in cls.ORDER)
        assert len(data) == 4 * size
        at = 0
        for name in cls.ORDER:
            old = getattr(before, name)
            for i, u in enumerate(from_planes(data, at, at + len(old))):
                if u:
                    old[i] += (u >> 1) ^ -(u & 1)
            at += len(old)
        return before

    def converted(self, before: Settings, after: Settings) -> "State":
        """The state of a model's settings for those of an archive."""
        kinds = ("low_orders", "count_orders", "frame_orders", "network", "heads", "sets")
        if all(before[name] == after[name] for name in kinds):
            return self
        heads, more = after["heads"], before["heads"]
        columns, at = list[int](), more
        for name in ("low_orders", "count_orders", "frame_orders"):
            if after[name]:
                columns += range(at, at + len(before[name]))
            at += len(before[name])
        if after["network"]:
            columns.append(at)
        weights, width, room = [], padded(inputs_of(before)), padded(inputs_of(after))
        for first in range(0, len(self.weights), width):
            old = self.weights[first : first + more]
            new = [*old[: heads - 1], sum(old[heads - 1 :])]
            new += [self.weights[first + column] for column in columns]
            new = [clamp(value, (1 << 21) - 1) for value in new]
            weights += new + [0] * (room - len(new))
        final = self.final
        if after["sets"] < before["sets"]:
            final = []
            for first in range(0, len(self.final), 6):
                part = clamp(sum(self.final[first : first + before["sets"]]) // after["sets"], 1 << 18)
                final += [part] * after["sets"] + [0] * (6 - after["sets"])
        short = 8 * low_rows(before | {"frame_orders": []})
        low = (self.low[:short] if after["low_orders"] else []) + (self.low[short:] if after["frame_orders"] else [])
        return State(
            weights,
            final,
            self.map_one,
            self.map_two,
            self.probability,
            self.seen,
            self.substitutions,
            self.attention,
            low,
        )

    def copy(self) -> "State":
        return State(*(list(getattr(self, name)) for name in self.ORDER))

    def arrays(self) -> dict[str, tuple[str, Vector]]:
        """With their types, as the id of a model takes them in."""
        trust = [p << 10 | seen for p, seen in zip(self.probability, self.seen, strict=True)]
        names = ("attention", "final", "map_one", "map_two", "substitutions", "weights")
        return {name: ("int32", getattr(self, name)) for name in names} | {
            "low": ("uint16", self.low),
            "trust": ("uint32", trust),
        }


class ExpertModel:
    """A model file with experts and without a network, read by hand as docs/format/network.md says."""

    def __init__(self, file: bytes) -> None:
        size = int.from_bytes(file[:8], "little")
        header: dict[str, Any] = json.loads(file[8 : 8 + size])
        stated = json.loads(header.pop("__metadata__")["gfmodel"])
        assert stated["format"] == "gfmodel/1"
        assert all(entry["dtype"] == "U8" for entry in header.values())
        begin = 8 + size
        ends = {name: entry["data_offsets"] for name, entry in header.items()}
        data = {name: file[begin + first : begin + last] for name, (first, last) in ends.items()}
        self.stated_id: str = stated["id"]
        self.settings: Settings | None = json.loads(stated["experts"]) if "experts" in stated else None
        self.state = State.read(self.settings, data["experts.initial_state"]) if self.settings else None
        self.panel: dict[str, Any] = json.loads(stated["panel"])
        lengths = unpack(data["panel.lengths"])
        self.coded, self.lengths = data["panel.coded"], from_planes(lengths, 0, len(lengths) // 4)
        panel = {name: self.panel[name] for name in ("bases", "digest", "records")}
        content = {"experts": self.settings, "format": "gfmodel/1", "network": None, "panel": panel}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        for name, (dtype, values) in sorted(self.state.arrays().items()) if self.state else ():
            digest.update(f"\ninitial_state.{name} {dtype} [{len(values)}]\n".encode())
            digest.update(struct.pack(f"<{len(values)}{TYPES[dtype]}", *values))
        self.id = digest.hexdigest()

    def panel_digest(self, bases: Vector) -> str:
        """Of the panel with these bases."""
        digest = hashlib.sha256(b"".join(length.to_bytes(8, "little") for length in self.lengths))
        for at in range(0, len(bases), 32):
            word = sum(base << 62 - 2 * k for k, base in enumerate(bases[at : at + 32]))
            digest.update(word.to_bytes(8, "little"))
        return digest.hexdigest()
