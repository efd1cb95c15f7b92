"""A decoder written from docs/format/network.md alone: plain Python integers, none of the package's code.

It is slow and proves that the description suffices. Names are those of the description.
"""

import hashlib
import json
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from math import isqrt, prod
from typing import Any

START = 4
WIDTHS = {"I8": 1, "I16": 2, "I32": 4}
DTYPES = {"I8": "int8", "I16": "int16", "I32": "int32"}

Vector = list[int]
Matrix = list[Vector]


def clamp(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))


def falling(scale: int, steps: int, entries: int) -> Vector:
    """``round(scale * 2**(-k / steps))``, halves up, without any real number."""
    table = []
    for k in range(entries):
        low, high = 0, scale  # the largest x with x - 1/2 <= scale * 2**(-k / steps)
        while low < high:
            x = (low + high + 1) // 2
            if (2 * x - 1) ** steps << k <= (2 * scale) ** steps:
                low = x
            else:
                high = x - 1
        table.append(low)
    return table


A = falling(255, 64, 512)
B = falling(1 << 24, 128, 128)


def dot(row: Vector, values: Vector) -> int:
    return sum(a * b for a, b in zip(row, values, strict=True))


@dataclass
class Tensor:
    """A tensor of the model file, still as bytes."""

    dtype: str
    shape: Vector
    data: bytes

    def integers(self) -> Vector:
        size = WIDTHS[self.dtype]
        return [
            int.from_bytes(self.data[at : at + size], "little", signed=True) for at in range(0, len(self.data), size)
        ]

    def rows(self) -> Matrix:
        flat, columns = self.integers(), self.shape[-1]
        return [flat[at : at + columns] for at in range(0, len(flat), columns)]


class RangeDecoder:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.range, self.code = (1 << 64) - 1, 0
        for _ in range(8):
            self.code = self.code << 8 | self.next_byte()

    def next_byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def symbol(self, frequencies: Vector) -> int:
        step, c, symbol = self.range >> 16, 0, 0
        while symbol < 3 and step * (c + frequencies[symbol]) <= self.code:
            c += frequencies[symbol]
            symbol += 1
        f = frequencies[symbol]
        if self.code >= step * (c + f):
            raise ValueError("the slice is damaged")
        self.code -= step * c
        self.range = step * f
        while self.range < 1 << 48:
            self.code = self.code << 8 | self.next_byte()
            self.range <<= 8
        return symbol


def plain(data: bytes, bases: int) -> Vector:
    return [data[i // 4] >> 2 * (i % 4) & 3 for i in range(bases)]


class ReferenceModel:
    """A model file, read by hand; ``id`` is computed, ``stated_id`` what the file says."""

    def __init__(self, file: bytes) -> None:
        size = int.from_bytes(file[:8], "little")
        header: dict[str, Any] = json.loads(file[8 : 8 + size])
        stated = json.loads(header.pop("__metadata__")["gfmodel"])
        assert stated["format"] == "gfmodel/1"
        self.stated_id: str = stated["id"]
        self.network: dict[str, Any] = json.loads(stated["network"])
        tensors = {}
        for name, entry in header.items():
            if name.startswith("network."):
                begin, end = entry["data_offsets"]
                data = file[8 + size + begin : 8 + size + end]
                assert len(data) == WIDTHS[entry["dtype"]] * prod(entry["shape"])
                tensors[name.removeprefix("network.")] = Tensor(entry["dtype"], entry["shape"], data)
        self.id = self._content_id(tensors)
        # biases, shifts, gains and the like are vectors, all others matrices
        self.vectors = {name: tensor.integers() for name, tensor in tensors.items() if len(tensor.shape) == 1}
        self.matrices = {name: tensor.rows() for name, tensor in tensors.items() if len(tensor.shape) > 1}
        self.d, self.h, self.n = (int(self.network[name]) for name in ("width", "heads", "segment"))
        self.kernel, self.window, self.pool = (int(self.network[name]) for name in ("kernel", "window", "pool"))
        self.stream = self.network["form"] == "stream"
        if not self.network["latent_array"]:
            self.m = 0
        else:
            self.m = self.n if self.network["segment_cut"] else 4 * self.n

    def _content_id(self, tensors: dict[str, Tensor]) -> str:
        def text(value: object) -> str:
            if isinstance(value, bool):
                return "true" if value else "false"
            return str(value) if isinstance(value, int) else f'"{value}"'

        network = ", ".join(f'"{key}": {text(value)}' for key, value in sorted(self.network.items()))
        content = f'{{"experts": null, "format": "gfmodel/1", "network": {{{network}}}, "panel": null}}'.encode()
        for name in sorted(tensors):
            tensor = tensors[name]
            sizes = ", ".join(str(size) for size in tensor.shape)
            content += f"\n{name} {DTYPES[tensor.dtype]} [{sizes}]\n".encode() + tensor.data
        return hashlib.sha256(content).hexdigest()

    # the network's steps, by the numbers of the description

    def features(self, window: Vector) -> Vector:
        """Step 1 without the ReLU and what follows: the convolution at one place."""
        c = list(self.vectors["conv_bias"])
        for tap, symbol in enumerate(window):
            row = self.matrices["conv"][5 * tap + symbol]
            c = [a + b for a, b in zip(c, row, strict=True)]
        return c

    def fine_features(self, windows: Matrix) -> Vector:
        """Step 1 for one position: one window of the stream form, or as many as are pooled in the paper's."""
        p = [max(0, *column) for column in zip(*(self.features(window) for window in windows), strict=True)]
        gain, offset = self.vectors["gain"], self.vectors["offset"]
        return [clamp((p[i] * gain[i] + offset[i]) >> 15, 2032) for i in range(self.d)]

    def linear(self, values: Vector, name: str, bias: str = "") -> Vector:
        """``(sum + bias) >> shift`` for every row of a matrix."""
        biases, shifts = self.vectors[bias or f"{name}_bias"], self.vectors[f"{name}_shift"]
        return [
            (dot(row, values) + b) >> shift for row, b, shift in zip(self.matrices[name], biases, shifts, strict=True)
        ]

    def requantised(self, values: Vector, name: str, bias: str = "") -> Vector:
        """Step 2: queries, keys and values."""
        return [clamp(value, 127) for value in self.linear(values, name, bias)]

    def attend(self, x: Vector, i: int, keys: Matrix, values: Matrix) -> Vector:
        """Step 3 for query ``i`` of its segment; the keys are those that it sees, the oldest first."""
        content, position = (self.requantised(x, "query", f"{kind}_bias") for kind in ("content", "position"))
        s, m = self.vectors["attention_shifts"]
        means = []
        for low in range(0, self.d, self.d // self.h):
            head = slice(low, low + self.d // self.h)
            scores = []
            for j, key in enumerate(keys):
                row = self.m + i - j + (0 if self.stream else self.n - 1)
                there = self.matrices["relative"][row][head]
                scores.append(dot(content[head], key[head]) + dot(position[head], there))
            t = [(max(scores) - score) >> s for score in scores]
            w = [A[step] if step < 512 else 0 for step in t]
            inverse = (1 << 23) // sum(w)
            for column in range(low, low + self.d // self.h):
                total = sum(weight * value[column] for weight, value in zip(w, values, strict=True))
                means.append(clamp((total * inverse + (1 << (m - 1))) >> m, 127))
        return means

    def add_and_normalise(self, fine: Vector, added: Vector, name: str) -> Vector:
        """Step 4."""
        r = [max(-32768, min(32767, a + b)) for a, b in zip(fine, added, strict=True)]
        mean = (sum(r) + self.d // 2) // self.d
        e = [value - mean for value in r]
        q = (sum(value * value for value in e) // self.d + 1) * 256
        u = (1 << 26) // isqrt(q)
        n = [(value * u + 2048) >> 12 for value in e]
        gain, offset = self.vectors[f"{name}_gain"], self.vectors[f"{name}_offset"]
        return [clamp((n[i] * gain[i] + offset[i]) >> 14, 2032) for i in range(self.d)]

    def layer(self, fine: Vector, i: int, keys: Matrix, values: Matrix) -> Vector:
        """Steps 3 to 5 for one position: its coarse output."""
        means = self.attend(coarse(fine), i, keys, values)
        fine = self.add_and_normalise(fine, self.linear(means, "output"), "attention")
        y = self.linear(coarse(fine), "expand")
        z = [self.vectors["gelu"][max(-512, min(511, value)) + 512] for value in y]
        return coarse(self.add_and_normalise(fine, self.linear(z, "contract"), "inner"))

    def frequencies(self, values: Vector) -> Vector:
        """Steps 6 and 7."""
        logits = self.linear(values, "head")
        b = logits.index(max(logits))
        k = [logits[b] - value for value in logits]
        v = [B[below % 128] >> min(below >> 7, 31) for below in k]
        out = [1 + value * 65532 // sum(v) for value in v]
        out[b] += 65536 - sum(out)
        return out

    def decode(self, slice_: bytes, bases: int) -> Vector:
        """The bases of a slice."""
        size = -(-bases // 4)
        assert len(slice_) <= size
        if len(slice_) == size:
            return plain(slice_, bases)
        return self.decode_stream(slice_, bases) if self.stream else self.decode_windows(slice_, bases)

    def decode_stream(self, slice_: bytes, bases: int) -> Vector:
        decoder, printed = RangeDecoder(slice_), self.stream_frequencies()
        frequencies, symbols = next(printed), Vector()
        for _ in range(bases):
            symbols.append(decoder.symbol(frequencies))
            frequencies = printed.send(symbols[-1])
        return symbols

    def stream_frequencies(self) -> Generator[Vector, int, None]:
        """The frequencies of each base, of the stream form; takes the base that came."""
        symbols = [START] * self.kernel
        before = coarse(self.fine_features([symbols]))
        # position t of the slice is at M + t
        keys = [self.requantised(before, "key")] * self.m
        values = [self.requantised(before, "value")] * self.m
        for t in count():
            fine = self.fine_features([symbols[-self.kernel :]])
            keys.append(self.requantised(coarse(fine), "key"))
            values.append(self.requantised(coarse(fine), "value"))
            first = t // self.n * self.n  # the oldest of the memory of t's segment
            out = self.layer(fine, t - first, keys[first:], values[first:])
            symbols.append((yield self.frequencies(out)))

    def decode_windows(self, slice_: bytes, bases: int) -> Vector:
        first = min(self.window, bases)
        size = -(-first // 4)
        known, decoder = plain(slice_[:size], first), RangeDecoder(slice_[size:])
        symbols = [START] * self.window
        latent = [[0] * self.d] * self.m
        for t in range(bases):
            window = symbols[-self.window :]
            fine = []
            for position in range(self.n):
                starts = range(position * self.pool, (position + 1) * self.pool)
                fine.append(self.fine_features([window[at : at + self.kernel] for at in starts]))
            seen = latent + [coarse(row) for row in fine]
            keys = [self.requantised(row, "key") for row in seen]
            values = [self.requantised(row, "value") for row in seen]
            out = [self.layer(row, i, keys, values) for i, row in enumerate(fine)]
            latent = (latent + out)[self.n :] if self.m else latent
            flat = [value for row in out for value in row]
            symbols.append(known[t] if t < first else decoder.symbol(self.frequencies(flat)))
        return symbols[self.window :]


def coarse(fine: Vector) -> Vector:
    return [(value + 8) >> 4 for value in fine]
