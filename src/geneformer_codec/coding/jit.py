"""Compile kernels; no other module does.

A *kernel* is what Python calls. It runs without the GIL, and is kept on the disk while all of its sources are the same
(`kernel_cache`). It is made of *parts*, which only compiled code calls. A part has no machine code of its own and no
wrappers for Python: its LLVM code goes into the kernel's and is optimised there, once. That about halves the time
that compiling takes.
"""

import functools
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.ir
from numba import njit, types
from numba.core import compiler, typed_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import register_pass
from numba.extending import intrinsic

from geneformer_codec.coding.kernel_cache import KNOWN_NUMBA, KernelCache, turn

Int = Any
"""An integer: kernels mix Python's with NumPy's of all widths, which compiled code distinguishes."""
_njit: Any = njit
_ir: Any = llvmlite.ir
_unliteral: Any = types.unliteral
_Library: Any = JITCodeLibrary
_step: Any = register_pass
_Lowering: Any = typed_passes.NativeLowering
_CompilerBase: Any = compiler.CompilerBase
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _KernelLibrary(_Library):  # type: ignore[misc]
    """The code of a kernel and of its parts."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Before parts come in; numba's own also goes through all that is only declared."""
        ll_module.data_layout = self._codegen._data_layout
        for function in ll_module.functions:
            if not function.is_declaration:
                passes, builder = self._codegen._function_pass_manager()
                passes.run(function, builder)


class _PartLibrary(_KernelLibrary):
    """The code of a part, for others to take in, and not to run."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@_step(mutates_CFG=True, analysis_only=False)
class _KernelLowering(_Lowering):  # type: ignore[misc]
    _name = "geneformer_codec_kernel"

    def run_pass(self, state: Any) -> bool:
        state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


@_step(mutates_CFG=True, analysis_only=False)
class _PartLowering(_Lowering):  # type: ignore[misc]
    _name = "geneformer_codec_part"

    def run_pass(self, state: Any) -> bool:
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags = state.flags.copy()
        state.flags.no_compile = True
        super().run_pass(state)

        def refuse(*_: Any) -> None:
            raise TypeError(f"{state.func_id.func_qualname} is a part of kernels, which only compiled code can call")

        state.targetctx.insert_user_function(refuse, state["cr"].fndesc, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=refuse)
        return True


def _pipeline(lowering: Any) -> Any:
    """numba's way of compiling, but for the last step, which writes the code."""

    class Pipeline(_CompilerBase):  # type: ignore[misc]
        def define_pipelines(self) -> list[Any]:
            usual: Any = compiler.DefaultPassBuilder
            passes = usual.define_nopython_pipeline(self.state)
            passes.passes = [(lowering if step is _Lowering else step, why) for step, why in passes.passes]
            return [passes]

    return Pipeline


LEAN = KNOWN_NUMBA
"""Whether parts are left without machine code."""
_KERNEL = {"no_cfunc_wrapper": True, "pipeline_class": _pipeline(_KernelLowering)} if LEAN else {}
_PART = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _pipeline(_PartLowering)}
_BARE = {"_nrt": False, "error_model": "numpy"}
"""Without counting references, which takes time, much of it when threads share arrays."""


def _part(function: _Function, **options: Any) -> _Function:
    if not LEAN:
        return cast(_Function, _njit(**options)(function))
    part = _njit(**_PART, **options)(function)

    def add_overload(result: Any) -> None:  # numba's own makes it known to Python as well
        part.overloads[tuple(result.signature.args)] = result

    call_template = part.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:  # numba's own compiles one more form for each constant
        return call_template([_unliteral(kind) for kind in args], kws)

    part.add_overload, part.get_call_template = add_overload, get_call_template
    return cast(_Function, part)


def inline(function: _Function) -> _Function:
    """A part of a kernel, compiled into it."""
    return _part(function, forceinline=True, **_BARE)


def apart(function: _Function) -> _Function:
    """A part that is seldom at work, or called from several places; handing it many arrays takes time."""
    return _part(function, **_BARE)


def helper(function: _Function) -> _Function:
    """A part of kernels that make arrays."""
    return _part(function)


def instruction(function: Callable[..., Any]) -> Any:
    """Code that is passed to the compiler unchanged."""
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


ROOT = Path(__file__).parents[2]
"""The folder that the package is in."""
_IMPORTS = re.compile(r"^from (geneformer_codec[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


def imported(path: Path, root: Path = ROOT) -> set[Path]:
    """The file, and the package's modules that it imports, and that these import: what its kernels are made of."""
    found, ahead = set(), [path]
    while ahead:
        here = ahead.pop()
        if here not in found:
            found.add(here)
            for module, names in _IMPORTS.findall(here.read_text()):
                place = root.joinpath(*module.split("."))
                paths = [place.with_suffix(".py"), *(place / f"{name}.py" for name in re.findall(r"\w+", names))]
                ahead += [candidate for candidate in paths if candidate.is_file()]
    return found


@functools.cache
def digest(path: Path, root: Path = ROOT) -> str:
    """Of all sources of the kernels in a file."""
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sorted(imported(path, root)))).hexdigest()


def kernels(*, makes_arrays: bool = False, announced: str = "") -> Callable[[_Function], _Function]:
    """A decorator for what Python calls.

    Kernels of which one ``makes_arrays`` count references. Where one has to be compiled, ``announced`` is logged.
    """

    def kernel(function: _Function) -> _Function:
        compiled = _njit(nogil=True, **_KERNEL, **({} if makes_arrays else _BARE))(function)
        name = f"{function.__module__.removeprefix('geneformer_codec.')}.{function.__name__}"
        path = Path(function.__code__.co_filename)
        compiled._cache = KernelCache(name, functools.partial(digest, path), announced)
        compile_ = compiled.compile

        def compile_in_turn(signature: Any) -> Any:
            with turn():
                return compile_(signature)

        compiled.compile = compile_in_turn
        return cast(_Function, compiled)

    return kernel
