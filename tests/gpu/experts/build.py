"""Compile the experts' CUDA kernels and make what measuring them needs, in a folder; no GPU is needed for that.

    python tests/gpu/experts/build.py KIT
    python tests/gpu/experts/run.py KIT        (where a GPU and CuPy are)

Needs numba-cuda and, for its ptxas, nvidia-cuda-nvcc of the driver's version.
"""

import json
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from assemble import assemble
from forms import Forms
from kernel import codes_of, like, plain_tables, pretend_device
from layout import LOCAL, Layout
from numpy.typing import NDArray

from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import ExpertSettings, with_level, without_panel

LENGTH, UNIQUE = 65536, 512
"""Of slices: bases, and how many there are that differ."""
DISTANCE = 0.015
"""The share of bases in which a genome differs from the ancestor."""

Bases = NDArray[np.uint8]


def ancestry(length: int, random: np.random.Generator) -> Callable[[float], Bases]:
    """Gives descendants of one ancestor, which repeats itself in places: a ``share`` of their bases differ from it."""
    base = random.integers(0, 4, length, np.uint8)
    for _ in range(length // 20000):
        size = int(random.integers(200, 3000))
        a, b = random.integers(0, length - size, 2)
        base[b : b + size] = base[a : a + size]

    def evolve(share: float) -> Bases:
        out = base.copy()
        places = random.random(length) < share
        out[places] = (out[places] + random.integers(1, 4, int(places.sum()), np.uint8)) & 3
        out = out[random.random(length) > share / 20]
        return np.repeat(out, 1 + (random.random(len(out)) < share / 20))

    return evolve


def predictor_of(name: str, panel: PackedPanel) -> Predictor:
    """Untrained, of a level and ``panel`` or ``bare``, such as ``fast_panel``."""
    level, kind = name.split("_")
    return Predictor(with_level(ExpertSettings(), level), panel) if kind == "panel" else Predictor(without_panel(level))


def layout_of(predictor: Predictor, length: int, local: set[str]) -> Layout:
    """The layout of slices of ``length`` bases."""
    return Layout(like(predictor.slice_coder(length, np.zeros(length, np.uint8))), local, not predictor.has_panel)


def tables_of(predictor: Predictor) -> dict[str, Any]:
    """The arrays that all slices share, by name."""
    return (predictor._tables or predictor._panel_tables())._asdict()


def build(
    folder: Path,
    name: str,
    layout: Layout,
    forms: Forms,
    decodings: Sequence[bool] = (False, True),
    registers: Sequence[int] = (255,),
) -> None:
    """Kernels for the layout, each for at most so many registers a thread, and what slices begin with."""
    (folder / f"{name}.json").write_text(json.dumps(layout.summary()))
    (folder / f"{name}.begin").write_bytes(zlib.compress(layout.begin().tobytes()))
    for decoding in decodings:
        which = f"{name}_{'decode' if decoding else 'encode'}"
        start = time.perf_counter()
        ptx = folder / f"{which}.ptx"
        ptx.write_text(assemble(codes_of(layout, decoding, which, forms), which))
        print(f"{which}: {time.perf_counter() - start:.0f} s; {layout.group_bytes // 32} bytes a slice", flush=True)
        for most in registers:
            ptxas(ptx, folder / f"{which}.r{most}.cubin", most)


def ptxas(ptx: Path, cubin: Path, registers: int) -> None:
    """Machine code for an H100 or H200; prints what registers and stack it takes."""
    program = next(Path(sys.prefix).glob("lib/python*/site-packages/nvidia/cu*/bin/ptxas"), "ptxas")
    command = [program, "-v", "-arch=sm_90", f"-maxrregcount={registers}", ptx, "-o", cubin]
    said = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
    print(*(line for line in said.splitlines() if "registers" in line or "stack" in line), sep="\n", flush=True)


def slices_of(evolve: Callable[[float], Bases], random: np.random.Generator) -> Bases:
    """`UNIQUE` slices: of 16 genomes, and one in 16 at random."""
    rows: list[Bases] = []
    while len(rows) < UNIQUE:
        genome = evolve(DISTANCE)
        rows += [genome[start : start + LENGTH] for start in random.integers(0, len(genome) - LENGTH, 32)]
    for number in range(0, UNIQUE, 16):
        rows[number] = random.integers(0, 4, LENGTH, np.uint8)
    return np.stack([rows[number] for number in random.permutation(UNIQUE)])


def plan() -> list[dict[str, Any]]:
    """What `run` measures: a layout's kernels by name, on so many slices."""
    steps: list[dict[str, Any]] = []

    def add(layout: str, kernels: str, counts: Sequence[int], registers: int = 255, **other: Any) -> None:
        level = "_".join(layout.split("_")[:2])
        files = [f"{layout}_{kernel}.r{registers}" for kernel in kernels.split()]
        steps.extend({"layout": layout, "level": level, "kernels": files, "count": count} | other for count in counts)

    both = "encode decode"
    add("fast_panel", both, (64, 8192, 16384, 32768))
    add("fast_panel", both, (32768, 65536), 128)
    add("balanced_panel", both, (64, 8192, 32768))
    add("balanced_panel", "encode", (32768,), 128)
    add("fast_bare", both, (8192, 32768))
    add("balanced_bare", both, (64, 8192))
    add("fast_panel", "encode", (8192,), same=True)
    add("fast_panel_interleaved", "encode", (8192, 32768))
    add("fast_panel_unfetched", "encode", (8192,))
    add("fast_panel", "encode", (32768,), block=128)
    return steps


def main(folder: Path) -> None:
    """Data, the CPU's streams, kernels and a plan."""
    folder.mkdir(exist_ok=True, parents=True)
    pretend_device()
    plain_tables()
    random = np.random.Generator(np.random.PCG64(1))
    evolve = ancestry(4_000_000, random)
    panel = PackedPanel.of(np.concatenate([evolve(DISTANCE), evolve(DISTANCE)]), np.array([0, 3_900_000], np.int64))
    data = slices_of(evolve, random)
    held = {"packed": (data.reshape(UNIQUE, -1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(2, dtype=np.uint8)}
    forms = Forms()
    for name in ("fast_panel", "balanced_panel", "fast_bare", "balanced_bare"):
        predictor = predictor_of(name, panel)
        predictor.encode(data[0][:1000])  # compiles
        start = time.process_time()
        streams = [predictor.encode(row) for row in data]
        middle = time.process_time()
        for stream in streams:
            predictor.decode(stream, LENGTH)
        speeds = (data.size / seconds / 1e6 for seconds in (middle - start, time.process_time() - middle))
        print(name, "on the CPU, Mbases a second:", *(f"{speed:.2f}" for speed in speeds), flush=True)
        held[f"{name}_ends"] = np.cumsum([len(stream) for stream in streams])
        held[f"{name}_streams"] = np.frombuffer(b"".join(streams), np.uint8)
        registers = (255, 128) if predictor.has_panel else (255,)
        build(folder, name, layout_of(predictor, LENGTH, LOCAL), forms, registers=registers)
        if name == "fast_panel":
            build(folder, f"{name}_interleaved", layout_of(predictor, LENGTH, set()), forms, (False,))
            build(folder, f"{name}_unfetched", layout_of(predictor, LENGTH, LOCAL), Forms(False), (False,))
        if name == "balanced_panel":  # the index of fast is the same
            arrays = {part: table for part, table in tables_of(predictor).items() if isinstance(table, np.ndarray)}
            np.savez_compressed(folder / "panel.npz", **arrays)
    np.savez(folder / "data.npz", **held)
    (folder / "plan.json").write_text(json.dumps(plan()))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
