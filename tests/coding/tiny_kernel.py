"""A kernel so small that tests may compile it often."""

import inspect
from pathlib import Path
from typing import Any

from geneformer_codec.coding import jit
from geneformer_codec.coding.jit import inline, kernels

PACKAGE = Path(inspect.getfile(jit)).parents[1]
LINE = "compiling the tiny kernel"


@inline
def double(number: int) -> int:
    return 2 * number


def fresh() -> Any:
    """A kernel as a process has it that has just started."""

    @kernels(announced=LINE)
    def tiny(number: int) -> int:
        return double(number) + 1

    return tiny


def is_kept() -> bool:
    """Whether the kernel, which gives what it should, came from the disk."""
    kernel = fresh()
    assert kernel(20) == 41
    return bool(kernel.stats.cache_hits)


def the_file(cache: Path) -> Path:
    (path,) = cache.glob("*.kernel")
    return path
