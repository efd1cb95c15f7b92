"""The kernel: each thread codes one slice by `slice.run`, from its beginning to its end."""

import re
from typing import Any, NamedTuple

import llvmlite.ir
import numpy as np
from forms import Forms
from layout import LANES, Layout
from numba import cuda, types
from numba.core.typing.typeof import typeof
from numba.cuda import codegen, extending

from geneformer_codec.coding.range_coder import begin_decoding
from geneformer_codec.predict import slice as slices
from geneformer_codec.predict.state import LOW, POSITION, WIDTH

_ir: Any = llvmlite.ir
_I64 = _ir.IntType(64)


def pretend_device(capability: tuple[int, int] = (9, 0)) -> None:
    """Compile for a device that is not there."""
    import numba.cuda.api
    import numba.cuda.compiler
    import numba.cuda.dispatcher

    class Device:
        compute_capability = capability

    for module in (numba.cuda.api, numba.cuda.compiler, numba.cuda.dispatcher):
        module.get_current_device = Device


def plain_tables() -> None:
    """Keep constant arrays in ordinary memory: constant memory reads one address a warp at a time."""
    from numba.cuda import target

    target.nvvm.ADDRSPACE_CONSTANT = 1


def _typed(layout: Layout) -> Any:
    """The numba type of a slice in this layout."""
    kinds = iter(layout.parts)

    def typed(value: Any) -> Any:
        if isinstance(value, tuple):
            inner = [typed(part) for part in value]
            return types.NamedTuple(inner, type(value)) if hasattr(value, "_fields") else types.Tuple(inner)
        part = next(kinds)
        if part.kind in ("number", "book number"):
            return types.int64
        return types.Array(typeof(part.value).dtype, 1, "A" if part.kind == "interleaved" else "C")

    return typed(layout.like)


def _slice_of(layout: Layout) -> Any:
    """An instruction that makes a slice of addresses."""
    kind = _typed(layout)

    def slice_of(_typing: Any, arena: Any, book: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arena, book, number = args
            lane = builder.and_(number, _I64(LANES - 1))
            group = builder.lshr(number, _I64(LANES.bit_length() - 1))
            first = builder.add(arena, builder.mul(group, _I64(layout.group_bytes)))
            own = builder.add(builder.add(first, _I64(layout.lane_at)), builder.mul(lane, _I64(layout.lane_bytes)))
            kinds = iter(layout.parts)

            def pointer(address: Any, item: Any) -> Any:
                outside = builder.inttoptr(address, _ir.PointerType(item, 1))
                return builder.addrspacecast(outside, item.as_pointer())

            def booked(at: int) -> Any:
                return builder.load(pointer(builder.add(book, _I64(8 * at)), _I64))

            def rebuilt(part_kind: Any) -> Any:
                if isinstance(part_kind, types.BaseTuple):
                    return context.make_tuple(builder, part_kind, [rebuilt(one) for one in part_kind])
                part = next(kinds)
                if part.kind == "number":
                    return _I64(part.value)
                if part.kind == "book number":
                    return booked(part.at)
                if part.kind == "frozen" and part.size:
                    return context.make_constant_array(builder, part_kind, part.value)
                item = context.get_data_type(part_kind.dtype)
                width = context.get_abi_sizeof(item)
                size, stride = _I64(part.size), width
                if part.kind == "frozen":
                    data = _ir.Constant(item.as_pointer(), None)
                elif part.kind == "shared":
                    data, size = pointer(booked(part.at), item), booked(part.at + 1)
                elif part.kind == "lane":
                    data = pointer(builder.add(own, _I64(part.at)), item)
                else:
                    address = builder.add(builder.add(first, _I64(part.at)), builder.mul(lane, _I64(width)))
                    data, stride = pointer(address, item), LANES * width
                    if part.kind == "local":
                        begin, data, stride = data, _local(builder, item, part, width), width
                        _copy(builder, begin, data, part.size)
                array = context.make_array(part_kind)(context, builder)
                context.populate_array(
                    array, data=data, shape=[size], strides=[_I64(stride)], itemsize=_I64(width), meminfo=None
                )
                return array._getvalue()

            return rebuilt(kind)

        return kind(types.int64, types.int64, types.int64), code

    return extending.intrinsic(slice_of)


def _local(builder: Any, item: Any, part: Any, width: int) -> Any:
    with builder.goto_entry_block():
        space = builder.alloca(_ir.ArrayType(item, part.size), name="local")
        space.align = 16
    return builder.gep(space, [_I64(0), _I64(0)])


def _copy(builder: Any, begin: Any, data: Any, size: int) -> None:
    from numba.cuda import cgutils

    if size <= 32:
        for at in range(size):
            builder.store(builder.load(builder.gep(begin, [_I64(at * LANES)])), builder.gep(data, [_I64(at)]))
        return
    with cgutils.for_range(builder, _I64(size)) as loop:
        value = builder.load(builder.gep(begin, [builder.mul(loop.index, _I64(LANES))]))
        builder.store(value, builder.gep(data, [loop.index]))


def codes_of(layout: Layout, decoding: bool, name: str, forms: Forms) -> list[str]:
    """LLVM code of the kernel ``name``, which takes addresses of the arena and the book, and how many slices there are.

    A slice is what `like` gives: the slice, its symbols, the stream, and a result: where the stream ends (to decode),
    how many bases are to be coded; then low, width and position.
    """
    run = forms.of(slices.run)
    begin = forms.of(begin_decoding)
    slice_of = _slice_of(layout)

    def kernel(arena: Any, book: Any, count: Any) -> None:
        number = cuda.grid(1)
        if number < count:
            slice_, symbols, stream, result = slice_of(arena, book, np.int64(number))
            if decoding:
                coder = begin(stream)
                slice_.state.registers[LOW], slice_.state.numbers[POSITION] = coder.low, coder.position
            run(slice_, symbols, np.int64(result[1]), stream, np.int64(result[0]), decoding)
            result[2] = slice_.state.registers[LOW]
            result[3] = slice_.state.registers[WIDTH]
            result[4] = np.uint64(slice_.state.numbers[POSITION])

    codes: list[str] = []

    def caught(library: Any, cc: Any = None) -> list[str]:
        codes.extend(library.llvm_strs)
        return [""]

    # before NVIDIA's compilers, which need not be there
    usual, codegen.CUDACodeLibrary.get_asm_strs = codegen.CUDACodeLibrary.get_asm_strs, caught
    try:
        cuda.compile_ptx(kernel, (types.int64, types.int64, types.int64), cc=(9, 0), device=False, opt=True)
    finally:
        codegen.CUDACodeLibrary.get_asm_strs = usual
    entry = next(found[1] for code in codes if (found := re.search(r'\* @"([^"]+)", !"kernel"', code)))
    return [code.replace(entry, name) for code in codes]


class Coded(NamedTuple):
    """What a thread works on."""

    slice_: Any
    symbols: Any
    stream: Any
    result: Any


def like(coder: Any) -> Any:
    """What a `Layout` takes, of a `predictor.SliceCoder`."""
    return Coded(coder.slice_, coder.symbols, coder.stream, np.zeros(8, np.uint64))
