"""Many slices, a few bases each, in one call: for a network that predicts a base of all slices at a time.

A call from Python hands over some forty arrays, which takes longer than a base. So the arrays of every slice are
written down once, as addresses and sizes, and put together again by compiled code.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numba.np import arrayobj
from numpy.typing import NDArray

from geneformer_codec.coding.jit import instruction
from geneformer_codec.predict.integers import log2_q10
from geneformer_codec.predict.slice import kernel, run
from geneformer_codec.predict.state import Frozen, Local, Mixing, Settings, Work

fill: Any = arrayobj.populate_array
U8, U16, U32, U64, I32, I64 = np.uint8, np.uint16, np.uint32, np.uint64, np.int32, np.int64


@instruction
def _array(_typing: Any, book: Any, slice_: Any, number: Any, kind: Any) -> Any:
    """An array of a slice, its items of a NumPy type, from what the address book says of it; nobody owns it here."""
    made = types.Array(kind.instance_type, 1, "C")

    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        held = context.make_array(book)(context, builder, args[0])
        row = builder.add(builder.mul(args[1], builder.extract_value(held.shape, 1)), args[2])
        at = builder.shl(row, context.get_constant(types.intp, 1))
        address = builder.load(builder.gep(held.data, [at]))
        size = builder.load(builder.gep(held.data, [builder.add(at, context.get_constant(types.intp, 1))]))
        item = context.get_data_type(made.dtype)
        bytes_each = context.get_constant(types.intp, context.get_abi_sizeof(item))
        array = context.make_array(made)(context, builder)
        fill(
            array,
            data=builder.inttoptr(address, item.as_pointer()),
            shape=[size],
            strides=[bytes_each],
            itemsize=bytes_each,
            meminfo=None,
        )
        return array._getvalue()

    return made(book, types.int64, types.int64, kind), code


def address_book(slices: Sequence[tuple[NDArray[Any], ...]]) -> NDArray[np.int64]:
    """[slices, arrays, 2] where each array is, and its size; the arrays must be kept alive."""
    return np.array([[(array.ctypes.data, array.size) for array in slice_] for slice_ in slices], np.int64)


@kernel
def run_slices(
    cfg: Settings, frozen: Frozen, book: NDArray[np.int64], stops: NDArray[np.int64], decoding: bool
) -> None:
    """`slice.run` for every slice of ``book`` up to its base in ``stops``.

    The arrays of a slice stand in the order symbols, stream, `Local`, bank, `Mixing`, `Work`; the stream ends where its
    array does, but for the byte that keeps an empty one from being nothing.
    """
    for k in range(book.shape[0]):
        local = Local(
            _array(book, k, 2, U8), _array(book, k, 3, U64), _array(book, k, 4, I32), _array(book, k, 5, I32),
            _array(book, k, 6, I32), _array(book, k, 7, U16), _array(book, k, 8, I64), _array(book, k, 9, I64),
            _array(book, k, 10, I64), _array(book, k, 11, I64), _array(book, k, 12, I64), _array(book, k, 13, I32),
            _array(book, k, 14, U64), _array(book, k, 15, I64),
        )  # fmt: skip
        mix = Mixing(
            _array(book, k, 17, I32), _array(book, k, 18, I32), _array(book, k, 19, I32), _array(book, k, 20, I32),
            _array(book, k, 21, U32), _array(book, k, 22, I32), _array(book, k, 23, I32),
        )  # fmt: skip
        work = Work(
            _array(book, k, 24, I32), _array(book, k, 25, I32), _array(book, k, 26, I64), _array(book, k, 27, I64),
            _array(book, k, 28, I64), _array(book, k, 29, I64), _array(book, k, 30, I64), _array(book, k, 31, I64),
            _array(book, k, 32, I64), _array(book, k, 33, I64), _array(book, k, 34, I64), _array(book, k, 35, I64),
            _array(book, k, 36, I64), _array(book, k, 37, I64), _array(book, k, 38, I64),
        )  # fmt: skip
        symbols, stream, bank = (
            _array(book, k, 0, U8),
            _array(book, k, 1, U8),
            _array(book, k, 16, I32),
        )
        end = book[k, 1, 1] - 1 if decoding else 0
        run(cfg, frozen, local, bank, mix, work, symbols, stops[k], stream, end, decoding)


@kernel
def log_frequencies(frequencies: NDArray[np.uint16], logs: NDArray[np.int32]) -> None:
    """log2 of a network's frequencies of 2**16, in Q7, as experts take them. Both are [n]."""
    for k in range(frequencies.shape[0]):
        logs[k] = log2_q10(np.int64(frequencies[k]) + 1) >> 3
