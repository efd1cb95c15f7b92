"""How kernels are compiled: into one function, without the GIL, and without reference counts.

Kernels make no arrays, so counting references to those they are given would only cost time, much of it when threads
share them. What was compiled is kept on the disk while all of its sources are the same.
"""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.ir
from numba import njit, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

Int = Any
"""An integer: kernels mix Python's with NumPy's of all widths, which compiled code tells apart."""
_njit: Any = njit
_ir: Any = llvmlite.ir
_Cache: Any = FunctionCache
_Function = TypeVar("_Function", bound=Callable[..., Any])


def inline(function: _Function) -> _Function:
    """A part of a kernel, compiled into it."""
    return cast(_Function, _njit(forceinline=True, _nrt=False, error_model="numpy")(function))


def apart(function: _Function) -> _Function:
    """A part that is seldom at work, or called from several places; handing it many arrays takes time."""
    return cast(_Function, _njit(_nrt=False, error_model="numpy")(function))


def instruction(function: Callable[..., Any]) -> Any:
    """Code that is given to the compiler as it stands."""
    return intrinsic(function)


@instruction
def prefetch(_typing: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]`` ahead of its use; has no other effect."""

    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        kind = signature_.args[0]
        struct = context.make_array(kind)(context, builder, args[0])
        pointer = builder.bitcast(builder.gep(struct.data, [args[1]]), _ir.IntType(8).as_pointer())
        word = _ir.IntType(32)
        shape = _ir.FunctionType(_ir.VoidType(), [_ir.IntType(8).as_pointer(), word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [_ir.IntType(8).as_pointer()], shape)
        builder.call(function, [pointer, _ir.Constant(word, 0), _ir.Constant(word, 3), _ir.Constant(word, 1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


def sources(*files: str | Path) -> str:
    """A digest of the files, and of the Python files of the folders, that kernels are made of; of this one as well."""
    paths = [
        path
        for place in map(Path, (__file__, *files))
        for path in (sorted(place.glob("*.py")) if place.is_dir() else [place])
    ]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def kernels(made_of: str) -> Callable[[_Function], _Function]:
    """A decorator for what Python calls: run without the GIL, and kept compiled while ``made_of`` (`sources`) lasts."""

    def kernel(function: _Function) -> _Function:
        compiled = _njit(nogil=True, _nrt=False, error_model="numpy")(function)
        # Where neither the package's folder nor the user's cache can be written, every process compiles.
        with contextlib.suppress(RuntimeError):
            compiled._cache = _KernelCache(function)
            compiled._cache.made_of = made_of
        return cast(_Function, compiled)

    return kernel


class _KernelCache(_Cache):  # type: ignore[misc]
    """numba's, which by itself looks at the file of the function called, and not at those compiled into it."""

    made_of = ""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), self.made_of)
