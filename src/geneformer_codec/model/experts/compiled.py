"""How the kernels are compiled: into one function, without the GIL, and without reference counts.

The kernels make no arrays, so counting references to those they are given would only cost time, much of it when threads
share a panel's tables.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

Int = Any
"""An integer: kernels mix Python's with NumPy's of all widths, which compiled code tells apart."""
_njit: Any = njit
_Function = TypeVar("_Function", bound=Callable[..., Any])


def inline(function: _Function) -> _Function:
    """A part of a kernel, compiled into it."""
    return cast(_Function, _njit(forceinline=True, _nrt=False, error_model="numpy")(function))


def apart(function: _Function) -> _Function:
    """A part that is seldom at work, or called from several places; handing it many arrays takes time."""
    return cast(_Function, _njit(_nrt=False, error_model="numpy")(function))


def kernel(function: _Function) -> _Function:
    """What Python calls: kept compiled on disk, and run without the GIL."""
    compiled = _njit(nogil=True, _nrt=False, error_model="numpy")(function)
    compiled._cache = cast(Any, _KernelCache)(function)
    return cast(_Function, compiled)


def _sources() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


SOURCES = _sources()


_Cache: Any = FunctionCache


class _KernelCache(_Cache):  # type: ignore[misc]
    """numba's, but what was compiled counts only while the sources of all kernels are the same.

    numba by itself looks at the file of the function that Python calls, and not at those compiled into it.
    """

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), SOURCES)


def instruction(function: Callable[..., Any]) -> Any:
    """Code that is given to the compiler as it stands."""
    return intrinsic(function)
