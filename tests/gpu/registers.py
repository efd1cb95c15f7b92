"""What a kernel takes of a GPU's multiprocessors, by NVIDIA's assembler, which needs no GPU.

``pip install nvidia-cuda-nvcc`` (or ``nvidia-cuda-nvcc-cu12``) brings it.
"""

import functools
import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

PROCESSORS = ("sm_80", "sm_90")
"""Those of the oldest and the newest compute capability that kernels are compiled for."""
MOST_REGISTERS, MOST_SPILLED, MOST_STACK = 255, 512, 10 << 10
"""Of a thread. The hardware has no more registers; what is spilled or on the stack is in memory, in 4 bytes each."""


class Usage(NamedTuple):
    """Of a thread, in bytes but for registers."""

    registers: int
    stack: int
    spilled: int
    """What is stored for want of registers; it is part of the stack."""

    @property
    def is_bounded(self) -> bool:
        """Whether it is as little as it has to be."""
        return self.registers <= MOST_REGISTERS and self.spilled <= MOST_SPILLED and self.stack <= MOST_STACK


@functools.cache
def assembler() -> Path | None:
    """Where ptxas is, in NVIDIA's packages for Python or on ``PATH``; None if it is not there."""
    found = importlib.util.find_spec("nvidia")
    places = list(found.submodule_search_locations or []) if found else []
    for place in places:
        for folder in ("cu13", "cuda_nvcc"):
            if (path := Path(place) / folder / "bin" / "ptxas").is_file():
                return path
    path_of = shutil.which("ptxas")
    return None if path_of is None else Path(path_of)


def version() -> str:
    """That of the assembler."""
    said = subprocess.run([_found(), "--version"], capture_output=True, text=True, check=True).stdout
    return (re.search(r"V(\d+\.\d+\.\d+)", said) or ["", "?"])[1]


def usage(ptx: bytes, processor: str) -> Usage:
    """What the only kernel of a module takes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_bytes(ptx)
        command = [_found(), "-v", f"-arch={processor}", source, "-o", source.with_suffix(".cubin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    numbers = [
        int(found[1])
        for pattern in (r"Used (\d+) registers", r"(\d+) bytes stack frame", r"(\d+) bytes spill stores")
        if (found := re.search(pattern, said))
    ]
    return Usage(*numbers)


def _found() -> Path:
    path = assembler()
    if path is None:
        raise FileNotFoundError("there is no ptxas; pip install nvidia-cuda-nvcc")
    return path
