"""Run and time the kernels of a folder that `build` made, on a GPU, and compare with the CPU's streams.

Needs NumPy and CuPy, and nothing of this project.
"""

import json
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

LANES = 32
COMPARED = 64
"""Slices whose streams the host compares with the CPU's; the GPU compares those that code the same."""


def finish(low: int, width: int, position: int, stream: Any) -> bytes:
    """As `coding.range_coder.finish`."""
    written = int.from_bytes(stream[:position].tobytes(), "big")
    for keep in range(9):
        unit = 1 << (64 - 8 * keep)
        end = -(-low // unit) * unit
        if end < low + width:
            break
    return ((written << 64) + end).to_bytes(position + 8, "big").rstrip(b"\0")


class Slices:
    """``count`` slices in the memory of ``xp``, NumPy or CuPy; slice i codes data i modulo their number.

    ``about`` is the summary of a `layout.Layout`, ``begin`` its beginning; ``panel`` has the shared arrays by name.
    """

    def __init__(self, xp: Any, about: dict[str, Any], begin: Any, count: int, panel: dict[str, Any]) -> None:
        self.xp, self.about, self.count = xp, about, count
        self.groups = -(-count // LANES)
        lane_at, lane_bytes = about["lane_at"], about["lane_bytes"]
        group = np.zeros(about["group_bytes"], np.uint8)
        group[:lane_at] = begin[:lane_at]
        group[lane_at : lane_at + LANES * lane_bytes] = np.tile(begin[lane_at:], LANES)
        self.begin = xp.asarray(group)
        self.arena = xp.empty((self.groups, about["group_bytes"]), np.uint8)
        self._shared = []
        words = np.zeros(about["book_words"], np.int64)
        for path, kind, at in about["book"]:
            if kind == "shared":
                array = xp.asarray(panel[path.rsplit(".", 1)[-1]])
                self._shared.append(array)
                words[at : at + 2] = self._address(array), array.size
            else:
                words[at] = about["book_numbers"][path]
        self._book = xp.asarray(words)

    def _address(self, array: Any) -> int:
        return int(array.ctypes.data if self.xp is np else array.data.ptr)

    @property
    def arguments(self) -> tuple[int, int, int]:
        """What a kernel takes."""
        return self._address(self.arena), self._address(self._book), self.count

    def _symbols(self) -> Any:
        """[groups, bases, lanes]"""
        at, size = self.about["at"]["symbols"], self.about["size"]["symbols"]
        return self.arena[:, at : at + size * LANES].reshape(self.groups, size, LANES)

    def _lane(self, name: str, size: int) -> Any:
        """[groups, lanes, bytes]"""
        at, lane_bytes = self.about["lane_at"], self.about["lane_bytes"]
        lanes = self.arena[:, at : at + lane_bytes * LANES].reshape(self.groups, LANES, lane_bytes)
        return lanes[:, :, self.about["at"][name] : self.about["at"][name] + size]

    def _turned(self, data: Any) -> Any:
        """Data as symbols lie; their number is a multiple of `LANES`."""
        return self.xp.asarray(np.ascontiguousarray(data.reshape(-1, LANES, data.shape[1]).transpose(0, 2, 1)))

    def start(self, bases: int, data: Any = None, streams: Sequence[bytes] = ()) -> None:
        """Before encoding ``data`` [n, bases], or decoding ``streams``."""
        self.arena[:] = self.begin[None]
        results = np.zeros((self.groups * LANES, 8), np.uint64)
        results[:, 1] = bases
        if data is not None:
            turned, symbols = self._turned(data), self._symbols()
            for group in range(self.groups):
                symbols[group] = turned[group % len(turned)]
        else:
            ends = np.array([len(stream) for stream in streams])
            most = int(ends.max())
            padded = np.stack([np.frombuffer(stream.ljust(most, b"\0"), np.uint8) for stream in streams])
            there = self.xp.asarray(padded.reshape(-1, LANES, most))
            target = self._lane("stream", most)
            for group in range(self.groups):
                target[group] = there[group % len(there)]
            results[:, 0] = np.resize(ends, len(results))
        shaped = results.view(np.uint8).reshape(self.groups, LANES, 64)
        self._lane("result", 64)[:] = self.xp.asarray(shaped)

    def _host(self, array: Any) -> Any:
        return array if self.xp is np else array.get()

    def streams(self, count: int) -> list[bytes]:
        """The streams of the first slices that were encoded."""
        results = self._host(self.xp.ascontiguousarray(self._lane("result", 64))).view(np.uint64).reshape(-1, 8)
        stream = self._lane("stream", self.about["size"]["stream"])
        out = []
        for number in range(count):
            low, width, position = (int(value) for value in results[number, 2:5])
            out.append(finish(low, width, position, self._host(stream[number // LANES, number % LANES, :position])))
        return out

    def repeat(self, unique: int) -> bool:
        """Whether slices i and i modulo ``unique`` have the same result and stream, compared where they are."""
        parts = self._lane("result", 64)[:, :, 16:40], self._lane("stream", self.about["size"]["stream"])
        groups = range(unique // LANES, self.groups)
        return all(bool((part[group] == part[group % groups.start]).all()) for group in groups for part in parts)

    def decoded(self, data: Any) -> int:
        """How many slices are decoded to ``data``."""
        turned, symbols = self._turned(data), self._symbols()
        same = [int((symbols[group] == turned[group % len(turned)]).all(axis=0).sum()) for group in range(self.groups)]
        return sum(same)


def read(folder: Path) -> tuple[Any, dict[str, list[bytes]]]:
    """Data [n, bases] and their streams by level."""
    held = np.load(folder / "data.npz")
    data = ((held["packed"][:, :, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3).reshape(len(held["packed"]), -1)
    streams = {}
    for name in held.files:
        if name.endswith("_streams"):
            level, blob = name.removesuffix("_streams"), held[name].tobytes()
            ends = held[f"{level}_ends"].tolist()
            streams[level] = [blob[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return data, streams


def main(folder: Path) -> None:
    """Measure all of the plan."""
    import cupy as cp

    print(cp.cuda.runtime.getDeviceProperties(0)["name"].decode(), *cp.cuda.runtime.memGetInfo(), flush=True)
    panel = dict(np.load(folder / "panel.npz"))
    all_data, all_streams = read(folder)
    for step in json.loads((folder / "plan.json").read_text()):
        data, cpu, count, block = all_data, all_streams[step["level"]], step["count"], step.get("block", LANES)
        if step.get("same"):  # all lanes of a warp code the same
            rows = np.repeat(np.arange(len(data) // LANES), LANES)
            data, cpu = data[rows], [cpu[row] for row in rows]
        about = json.loads((folder / f"{step['layout']}.json").read_text())
        begin = np.frombuffer(zlib.decompress((folder / f"{step['layout']}.begin").read_bytes()), np.uint8)
        cp.get_default_memory_pool().free_all_blocks()
        if about["group_bytes"] * -(-count // LANES) > cp.cuda.runtime.memGetInfo()[0] - (2 << 30):
            print(step["kernels"], count, "left out: they do not fit", flush=True)
            continue
        slices = Slices(cp, about, begin, count, panel)
        for name in step["kernels"]:
            kernel = cp.RawModule(path=str(folder / f"{name}.cubin")).get_function(name.split(".")[0])
            decoding = "decode" in name
            slices.start(data.shape[1], None if decoding else data, cpu if decoding else ())
            cp.cuda.Device().synchronize()
            start = time.perf_counter()
            kernel((-(-count // block),), (block,), tuple(map(np.int64, slices.arguments)))
            cp.cuda.Device().synchronize()
            seconds = time.perf_counter() - start
            if decoding:
                good = f"{slices.decoded(data)} of {count} equal"
            else:
                unique = min(len(data), count)
                made = slices.streams(min(unique, COMPARED))
                equal = sum(a == b for a, b in zip(made, cpu, strict=False))
                good = f"{equal} of {len(made)} equal, the others as these: {slices.repeat(unique)}"
            rate = count * data.shape[1] / seconds / 1e6
            print(f"{name} x {count}, block {block}: {seconds:.3f} s, {rate:.1f} Mbases/s, {good}", flush=True)
        del slices


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python tests/gpu/experts/run.py KIT")
    main(Path(sys.argv[1]))
