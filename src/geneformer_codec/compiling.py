"""Says when the experts are about to be compiled, which takes about a minute once a machine."""

import contextlib
import logging

_LOG = logging.getLogger("geneformer_codec")


def say_if_compiling() -> None:
    """Log that work will begin with compiling, unless the experts' kernels are on the disk, or in memory, already."""
    if _to_be_compiled():
        _LOG.info("compiling the experts for this machine, once; about a minute")


def _to_be_compiled() -> bool:
    from numba.core.registry import cpu_target

    from .model.experts import lane
    from .model.experts.compiled import SOURCES

    kernel = lane.run  # by far the largest; the others are compiled with it
    with contextlib.suppress(AttributeError):  # how numba keeps its cache is its own business, and may change
        if kernel.overloads:  # type: ignore[attr-defined]
            return False
        machine = cpu_target.target_context.codegen().magic_tuple()
        index = kernel._cache._cache_file._load_index()  # type: ignore[attr-defined]
        return not any(machine in key and SOURCES in key for key in index)
    return False
