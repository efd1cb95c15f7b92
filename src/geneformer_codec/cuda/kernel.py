"""The kernel: each thread codes one slice, on from where it is."""

import contextlib
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.ir
import numba
import numba_cuda
import numpy as np
from numba import cuda, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.typing.typeof import typeof
from numba.cuda import cgutils, codegen, extending, target  # type: ignore[attr-defined]

from geneformer_codec.coding.jit import digest
from geneformer_codec.coding.kernel_cache import kept
from geneformer_codec.cuda.assemble import assemble
from geneformer_codec.cuda.forms import forms
from geneformer_codec.cuda.layout import (
    FINAL_LOW,
    FINAL_POSITION,
    FINAL_WIDTH,
    GROUP_BYTES,
    LANE_BYTES,
    STOP,
    STREAM_END,
    Layout,
)

_cuda: Any = cuda
_codegen: Any = codegen
_target: Any = target
_intrinsic: Any = extending.intrinsic
_typeof: Any = typeof
_types: Any = types
_BaseTuple: Any = types.BaseTuple
_ir: Any = llvmlite.ir
_I64 = _ir.IntType(64)

ENTRY = "code_slices"
"""The name of the kernel."""
UNROLLED = 32
"""Elements up to which an array is copied without a loop."""


class Source:
    """The code of the kernel that encodes, or decodes, slices of a layout."""

    def __init__(self, layout: Layout, decoding: bool) -> None:
        self._layout, self._decoding = layout, decoding

    @property
    def digest(self) -> str:
        """Of all that it is made of but the target."""
        versions = numba.__version__, llvmlite.__version__, numba_cuda.__version__, np.__version__
        body = sys.modules[type(self._layout).__module__].__file__
        assert body is not None
        made_of = digest(Path(__file__)), digest(Path(body)), versions, self._layout.digest, self._decoding
        return hashlib.sha256(repr(made_of).encode()).hexdigest()

    @property
    def threads(self) -> int:
        """Of a block: those whose slices are a group."""
        return self._layout.lanes

    def codes(self, prefetches: bool = True) -> list[str]:
        """LLVM code of its functions."""
        with global_compiler_lock, _compiling():
            return _codes(self._layout, self._decoding, prefetches)

    def ptx(self, processor: str) -> bytes:
        """For a processor such as ``sm_90``; kept on the disk."""

        def make() -> bytes:
            return assemble(self.codes(), ENTRY, processor).encode()

        way = "decode" if self._decoding else "encode"
        name = f"cuda.{way}-{processor}-{self.digest[:32]}"
        return kept(name, make, "compiling for the GPU, once for each kind of work; about a minute")


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """Have numba-cuda give its LLVM code without asking for a device, or for NVIDIA's compilers."""
    import numba.cuda.api
    import numba.cuda.compiler
    import numba.cuda.dispatcher

    class Device:
        compute_capability = (8, 0)

    with contextlib.ExitStack() as stack:

        def put(place: Any, name: str, value: Any) -> None:
            stack.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, value)

        for module in (numba.cuda.api, numba.cuda.compiler, numba.cuda.dispatcher):
            put(module, "get_current_device", Device)
        # constant memory reads one address a warp at a time, so constant arrays are kept in ordinary memory
        put(_target.nvvm, "ADDRSPACE_CONSTANT", 1)
        yield


def _codes(layout: Layout, decoding: bool, prefetches: bool) -> list[str]:
    """The kernel takes addresses of the arena and the book, how many slices there are, and to what base to run."""
    held = forms(prefetches)
    body = held.compiled(layout.body(held.of, decoding), inline=True)
    slice_of, keep = _slice_of(layout), _keep(layout)

    def kernel(arena: Any, book: Any, count: Any, upto: Any) -> None:
        number = _cuda.grid(1)
        if number < count:
            slice_, symbols, stream, result = slice_of(arena, book, np.int64(number))
            stop = min(np.int64(result[STOP]), upto)
            low, width, position = body(slice_, symbols, stream, stop, np.int64(result[STREAM_END]))
            result[FINAL_LOW], result[FINAL_WIDTH], result[FINAL_POSITION] = low, width, np.uint64(position)
            keep(slice_, arena, book, np.int64(number))

    codes: list[str] = []

    def caught(library: Any, cc: Any = None) -> list[str]:
        codes.extend(library.llvm_strs)
        return [""]

    usual, _codegen.CUDACodeLibrary.get_asm_strs = _codegen.CUDACodeLibrary.get_asm_strs, caught
    try:
        _cuda.compile_ptx(kernel, (types.int64,) * 4, cc=(8, 0), device=False, opt=True)
    finally:
        _codegen.CUDACodeLibrary.get_asm_strs = usual
    entry = next(found[1] for code in codes if (found := re.search(r'\* @"([^"]+)", !"kernel"', code)))
    return [code.replace(entry, ENTRY) for code in codes]


def _typed(layout: Layout) -> Any:
    """The numba type of a slice in this layout."""
    kinds = iter(layout.parts)

    def typed(value: Any) -> Any:
        if isinstance(value, tuple):
            inner = [typed(part) for part in value]
            return _types.NamedTuple(inner, type(value)) if hasattr(value, "_fields") else _types.Tuple(inner)
        part = next(kinds)
        if part.kind.endswith("number"):
            return types.int64
        return _types.Array(_typeof(part.value).dtype, len(part.shape), "A" if part.kind == "interleaved" else "C")

    return typed(layout.like)


class _Places:
    """Code that computes where a slice's numbers are."""

    def __init__(self, layout: Layout, builder: Any, arena: Any, book: Any, number: Any) -> None:
        self._builder, self._book, self._lane_at = builder, book, layout.lane_at
        self._lane = builder.and_(number, _I64(layout.lanes - 1))
        group = builder.lshr(number, _I64(layout.lanes.bit_length() - 1))
        self._first = builder.add(arena, builder.mul(group, self.booked(GROUP_BYTES)))
        self._own = builder.mul(self._lane, self.booked(LANE_BYTES))

    def pointer(self, address: Any, item: Any) -> Any:
        """To the GPU's memory."""
        outside = self._builder.inttoptr(address, _ir.PointerType(item, 1))
        return self._builder.addrspacecast(outside, item.as_pointer())

    def booked(self, at: int) -> Any:
        """A word of the book."""
        return self._builder.load(self.pointer(self._builder.add(self._book, _I64(8 * at)), _I64))

    def interleaved(self, at: int, item: Any, width: int) -> Any:
        """The first element of an interleaved array; the next one is as many elements behind it as there are lanes."""
        first = self._builder.add(self._first, _I64(at))
        return self.pointer(self._builder.add(first, self._builder.mul(self._lane, _I64(width))), item)

    def own(self, at: Any, item: Any) -> Any:
        """An array in the slice's lane."""
        lane = self._builder.add(self._builder.add(self._first, _I64(self._lane_at)), self._own)
        return self.pointer(self._builder.add(lane, at), item)


def _slice_of(layout: Layout) -> Any:
    """An instruction that makes a slice of addresses."""
    kind, lanes, result_at = _typed(layout), layout.lanes, layout.place(".result")

    def slice_of(_typing: Any, arena: Any, book: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            places = _Places(layout, builder, *args)
            result = places.interleaved(result_at, _I64, 8)
            kinds = iter(layout.parts)

            def rebuilt(part_kind: Any) -> Any:
                if isinstance(part_kind, _BaseTuple):
                    return context.make_tuple(builder, part_kind, [rebuilt(one) for one in part_kind])
                part = next(kinds)
                if part.kind == "number":
                    return _I64(part.value)
                if part.kind == "book number":
                    return places.booked(part.at)
                if part.kind == "own number":
                    return builder.load(builder.gep(result, [_I64(part.at * lanes)]))
                if part.kind == "frozen" and part.size:
                    return context.make_constant_array(builder, part_kind, part.value)
                item = context.get_data_type(part_kind.dtype)
                width = context.get_abi_sizeof(item)
                shape, stride = [_I64(size) for size in part.shape], width
                if part.kind == "frozen":
                    data = _ir.Constant(item.as_pointer(), None)
                elif part.kind == "shared":
                    data, shape = places.pointer(places.booked(part.at), item), [places.booked(part.at + 1)]
                elif part.kind == "lane":
                    data = places.own(_I64(part.at), item)
                elif part.kind == "own array":
                    data = places.own(places.booked(part.own[0]), item)
                    shape[-1] = builder.load(builder.gep(result, [_I64(part.own[1] * lanes)]))
                else:
                    data, stride = places.interleaved(part.at, item, width), lanes * width
                    if part.kind == "local":
                        begin, data, stride = data, _local(builder, item, part), width
                        _copy(builder, begin, lanes, data, 1, part.size)
                strides = [_I64(stride)]
                for size in shape[:0:-1]:
                    strides.insert(0, builder.mul(strides[0], size))
                array = context.make_array(part_kind)(context, builder)
                context.populate_array(
                    array, data=data, shape=shape, strides=strides, itemsize=_I64(width), meminfo=None
                )
                return array._getvalue()

            return rebuilt(kind)

        return kind(types.int64, types.int64, types.int64), code

    return _intrinsic(slice_of)


def _keep(layout: Layout) -> Any:
    """An instruction that puts a slice's local arrays back, for the next kernel to go on from."""

    def keep(_typing: Any, slice_: Any, arena: Any, book: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            places = _Places(layout, builder, *args[1:])
            kinds = iter(layout.parts)

            def put(part_kind: Any, value: Any) -> None:
                if isinstance(part_kind, _BaseTuple):
                    for number, one in enumerate(part_kind):
                        put(one, builder.extract_value(value, number))
                    return
                part = next(kinds)
                if part.is_carried:
                    item = context.get_data_type(part_kind.dtype)
                    data = context.make_array(part_kind)(context, builder, value).data
                    back = places.interleaved(part.at, item, context.get_abi_sizeof(item))
                    _copy(builder, data, 1, back, layout.lanes, part.size)

            put(slice_, args[0])
            return context.get_dummy_value()

        return types.void(slice_, types.int64, types.int64, types.int64), code

    return _intrinsic(keep)


def _local(builder: Any, item: Any, part: Any) -> Any:
    with builder.goto_entry_block():
        space = builder.alloca(_ir.ArrayType(item, part.size), name="local")
        space.align = 16
    return builder.gep(space, [_I64(0), _I64(0)])


def _copy(builder: Any, source: Any, source_step: int, to: Any, step: int, size: int) -> None:
    def copy(at: Any) -> None:
        value = builder.load(builder.gep(source, [builder.mul(at, _I64(source_step))]))
        builder.store(value, builder.gep(to, [builder.mul(at, _I64(step))]))

    if size <= UNROLLED:
        for at in range(size):
            copy(_I64(at))
        return
    with cgutils.for_range(builder, _I64(size)) as loop:
        copy(loop.index)
