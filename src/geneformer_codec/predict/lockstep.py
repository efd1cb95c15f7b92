"""Many slices, a few bases each, in one call: for a network that predicts a base of all slices at a time.

A call from Python hands over some fifty arrays, which takes longer than a base. So the arrays of every slice are
written down once, as addresses and sizes in an address book, and compiled code makes slices of them again.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.ir
import numpy as np
from numba import types
from numba.np import arrayobj
from numpy.typing import NDArray

from geneformer_codec.coding.integers import log2_q10
from geneformer_codec.coding.jit import instruction
from geneformer_codec.predict.slice import kernel, run

_populate: Any = arrayobj.populate_array
_Tuple: Any = types.BaseTuple
_ir: Any = llvmlite.ir
_size = _ir.IntType(64)


@instruction
def _from_book(_typing: Any, book: Any, number: Any, like: Any) -> Any:
    """What the address book has in a row, of the type of ``like``: arrays and integers in nested tuples."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        held = context.make_array(book)(context, builder, args[0])
        first = builder.mul(args[1], builder.mul(builder.extract_value(held.shape, 1), _size(2)))
        words = itertools.count()

        def word() -> Any:
            return builder.load(builder.gep(held.data, [builder.add(first, _size(next(words)))]))

        def rebuilt(kind: Any) -> Any:
            if isinstance(kind, _Tuple):
                return context.make_tuple(builder, kind, [rebuilt(part) for part in kind])
            value, size = word(), word()
            if not isinstance(kind, types.Array):
                return context.cast(builder, value, types.int64, kind)
            item = context.get_data_type(kind.dtype)
            data, each = builder.inttoptr(value, item.as_pointer()), _size(context.get_abi_sizeof(item))
            array = context.make_array(kind)(context, builder)
            _populate(array, data=data, shape=[size], strides=[each], itemsize=each, meminfo=None)
            return array._getvalue()

        return rebuilt(like)

    return like(book, types.int64, like), code


def _parts(value: Any) -> Iterator[tuple[int, int]]:
    if isinstance(value, tuple):
        for part in value:
            yield from _parts(part)
    else:
        yield (value.ctypes.data, value.size) if isinstance(value, np.ndarray) else (int(value), 0)


def address_book(slices: Sequence[tuple[Any, ...]]) -> NDArray[np.int64]:
    """[slices, parts, 2] where each array is, and its size; the arrays must be kept alive."""
    return np.array([list(_parts(slice_)) for slice_ in slices], np.int64)


@kernel
def run_slices(like: Any, book: NDArray[np.int64], stops: NDArray[np.int64], decoding: bool) -> None:
    """`slice.run` for every slice of ``book`` up to its base in ``stops``; ``like`` is one of them."""
    for number in range(book.shape[0]):
        slice_, symbols, stream, stream_end = _from_book(book, number, like)
        run(slice_, symbols, stops[number], stream, stream_end, decoding)


@kernel
def log_frequencies(frequencies: NDArray[np.uint16], logs: NDArray[np.int32]) -> None:
    """log2 of a network's frequencies of 2**16, in Q7, as experts take them. Both are [n]."""
    for k in range(frequencies.shape[0]):
        logs[k] = log2_q10(np.int64(frequencies[k]) + 1) >> 3
