"""Whether slices are coded on a GPU: it codes thousands of slices side by side, each far slower than a CPU would."""

import functools
import importlib.util
import logging
from typing import TYPE_CHECKING

from geneformer_codec.cuda.device import AHEAD, Device, DeviceError, gpu_count, open_device
from geneformer_codec.errors import UsageError, option
from geneformer_codec.network.device import DEVICES

if TYPE_CHECKING:
    from geneformer_codec.cuda.coder import Batches

_LOG = logging.getLogger("geneformer_codec")

WORTH = 100
"""Slices, for each thread of the CPU, from which a GPU is surely faster (`docs/benchmarks/gpu-h200.md`)."""
FILLING = 1 << 14
"""Slices with which a GPU is about as fast as it gets: so many are looked for in parts that are coded together."""
MOST_PARTS = 64
"""Parts whose slices are coded together, at most."""


def parts_together(part_bases: int, slice_length: int) -> int:
    """How many parts a GPU codes at a time."""
    in_part = max(part_bases // slice_length, 1)
    return max(1, min(MOST_PARTS, -(-FILLING // in_part)))


def parts_held(part_bases: int, slice_length: int) -> int:
    """How many parts are held at a time where a GPU codes them: also those of the next batch."""
    return AHEAD * parts_together(part_bases, slice_length)


def batches_for(
    device: str, slice_length: int, part_bases: int, threads: int, slices: int | None = None
) -> "Batches | None":
    """What codes slices on a GPU; None if the CPU is to do it.

    ``slice_length`` is 0 where each part is one slice; ``slices`` is how many there are in all, if that is known.
    ``auto`` takes a GPU that is there for `WORTH` slices or more for each thread; ``cuda`` takes it for all of them,
    and is a ``UsageError`` where there is none.
    """
    if device not in DEVICES:
        raise UsageError(f"there is no device {device!r}; choose auto, cpu or cuda")
    if device not in ("auto", "cuda"):
        return None
    least = WORTH * threads if device == "auto" else 0
    if not slice_length:
        if device == "auto":
            return None
        raise UsageError(
            f"a GPU codes thousands of slices at once, and here each part is one slice; "
            f"compress with {option('access', 'fine')}, or give {option('device', 'cpu')}"
        )
    if slices is not None and slices < least:
        return None
    opened = _opened(device)
    if opened is None:
        return None
    from geneformer_codec.cuda.coder import Batches

    return Batches(opened, parts_together(part_bases, slice_length), least)


@functools.cache
def gpu_is_there() -> bool:
    """Whether experts may run on a GPU of this machine, which is not opened: this takes none of its memory."""
    return gpu_count() > 0 and importlib.util.find_spec("numba_cuda") is not None


def _opened(device: str) -> Device | None:
    try:
        opened = open_device()
    except DeviceError as error:
        if device == "cuda":
            raise UsageError(f"{error}; give {option('device', 'cpu')}, or leave it out") from error
        _LOG.debug("everything runs on the CPU: %s", error)
        return None
    _LOG.info("slices are coded on the GPU: %s", opened.name)
    return opened
