"""CUDA forms of compiled functions: the same Python functions, with what they call in its CUDA form.

A part of a kernel (`coding.jit`) is a numba dispatcher, which holds its Python function. Its CUDA form is that function
with other globals: of each part that it names its CUDA form, and of each instruction one that CUDA's typing knows. So
no source is written twice, and the integers are the same.
"""

import functools
from types import CodeType, FunctionType
from typing import Any

import llvmlite.ir
from numba import cuda, types
from numba.core.dispatcher import Dispatcher
from numba.cuda import extending
from numba.extending import _Intrinsic  # type: ignore[attr-defined]

_ir: Any = llvmlite.ir
_cuda: Any = cuda
_intrinsic: Any = extending.intrinsic


def prefetch(_typing: Any, array: Any, index: Any) -> Any:
    """As `coding.jit.prefetch`, into L2."""

    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        kind = signature_.args[0]
        byte = _ir.IntType(8).as_pointer()
        data = context.make_array(kind)(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), byte)
        asm = _ir.InlineAsm(_ir.FunctionType(_ir.VoidType(), [byte]), "prefetch.L2 [$0];", "l", side_effect=True)
        builder.call(asm, [pointer])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


def no_prefetch(_typing: Any, array: Any, index: Any) -> Any:
    """Nothing."""

    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array, types.int64), code


@functools.cache
def forms(prefetches: bool = True) -> "Forms":
    """Those of this process."""
    return Forms(prefetches)


def _names(code: CodeType) -> set[str]:
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_names, nested))


class Forms:
    """CUDA forms, each made once: kernels that share this compile what they have in common once."""

    def __init__(self, prefetches: bool = True) -> None:
        self._made: dict[int, Any] = {}
        self._swaps = {"prefetch": prefetch if prefetches else no_prefetch}

    def of(self, value: Any) -> Any:
        """The CUDA form of a part or an instruction; anything else as it is."""
        if not isinstance(value, (Dispatcher, _Intrinsic)):
            return value
        if id(value) not in self._made:
            if isinstance(value, _Intrinsic):
                name = value._defn.__name__
                self._made[id(value)] = _intrinsic(self._swaps.get(name, value._defn))
            else:
                function = self.python(value.py_func)
                inlined = bool(value.targetoptions.get("forceinline"))
                self._made[id(value)] = self.compiled(function, inlined)
        return self._made[id(value)]

    def compiled(self, function: Any, inline: bool) -> Any:
        """A Python function that calls CUDA forms alone, compiled for them to call; into its callers, if ``inline``."""
        return _cuda.jit(device=True, forceinline=inline)(function)

    def python(self, function: Any) -> Any:
        """A Python function that calls CUDA forms."""
        held = function.__globals__
        names = {name: self.of(held[name]) for name in _names(function.__code__) if name in held}
        names |= {"__name__": function.__module__, "__builtins__": held["__builtins__"]}
        made = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        return made
