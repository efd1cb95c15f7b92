"""Integer logarithms and exponentials, bits and indexes, and the few instructions that Python has no name for.

Everything here is exact: the tables are made of Python's big integers, so that no machine's floating point can differ.
"""

from bisect import bisect_left
from math import isqrt
from typing import Any

import llvmlite.ir
import numpy as np
from numba import types
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, inline, instruction

ir: Any = llvmlite.ir

LOG_BITS = 10
"""`log2_q10` has 10 bits after the binary point."""
_STEPS = 1 << LOG_BITS


def _root_powers() -> list[int]:
    """``2**(i/1024)`` in 2**62ths, for i of 0..1024, by repeated integer square roots: no floating point."""
    one = 1 << 62
    roots = []
    value = one << 1
    for _ in range(LOG_BITS):  # 2**(1/2), 2**(1/4), ... 2**(1/1024)
        value = isqrt(value << 62)
        roots.append(value)
    powers = []
    for index in range(_STEPS):
        power = one
        for bit in range(LOG_BITS):
            if index >> (LOG_BITS - 1 - bit) & 1:
                power = power * roots[bit] >> 62
        powers.append(power)
    return [*powers, one << 1]


def _log_table() -> NDArray[np.int32]:
    """log2(1 + i/1024), rounded to Q10, by where each mantissa lies among the powers."""
    powers = _root_powers()
    out = []
    for index in range(_STEPS):
        mantissa = (_STEPS + index) << (62 - LOG_BITS)
        at = bisect_left(powers, mantissa)
        if at and mantissa - powers[at - 1] < powers[at] - mantissa:
            at -= 1
        out.append(at)
    return np.array(out, np.int32)


def _exp_table() -> NDArray[np.int32]:
    """2**(-i/1024) in Q30."""
    powers = _root_powers()
    return np.array([powers[_STEPS - index] >> 33 for index in range(_STEPS)], np.int32)


LOG = _log_table()
EXP = _exp_table()
RATES = np.array([(1 << 16) * 10 // (10 * seen + 16) for seen in range(1024)], np.int64)
"""How far, of 2**16, an adaptive probability moves that has ``seen`` so many observations: 1 / (seen + 1.6)."""


def count_log(count: int, prior: int) -> int:
    """128 log2(count + prior / 100), rounded, by comparing 256th powers."""
    number, unit = (100 * count + prior) ** 256, 100**256
    value = (number.bit_length() - unit.bit_length()) // 2 - 1
    while number << max(0, -2 * value - 1) >= unit << max(0, 2 * value + 1):
        value += 1
    return value


def _unary(name: str, bits: int) -> Any:
    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        kind = ir.IntType(bits)
        if name == "ctpop":
            function = builder.module.declare_intrinsic("llvm.ctpop", [kind])
            return builder.call(function, [args[0]])
        function = builder.module.declare_intrinsic("llvm.ctlz", [kind], ir.FunctionType(kind, [kind, ir.IntType(1)]))
        return builder.call(function, [args[0], ir.Constant(ir.IntType(1), 0)])

    return code


@instruction
def leading_zeros(_typing: Any, value: Any) -> Any:
    """Zero bits above the highest one bit of an int64 (as uint64); 64 for 0."""
    return types.int64(types.int64), _unary("ctlz", 64)


@instruction
def count_ones(_typing: Any, value: Any) -> Any:
    """The number of one bits of a uint32."""
    return types.uint32(types.uint32), _unary("ctpop", 32)


@instruction
def shift_right(_typing: Any, value: Any, bits: Any) -> Any:
    """An int32 that is not negative, ``bits`` (0..31) lower; written with ``>>`` it would be worked out in 64 bits."""

    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        return builder.lshr(args[0], args[1])

    return types.int32(types.int32, types.int32), code


def _four(builder: Any, value: Any, kind: Any) -> Any:
    """A vector of four times ``value``."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), 4), [0, 0, 0, 0]))


@instruction
def move_four(_typing: Any, array: Any, at: Any, base: Any, rate: Any) -> Any:
    """Move four probabilities of 2**16 (uint16) by ``rate`` / 2**16 of the way: ``base``'s to 65535, the others to 0.

    One after the other they would take a third of the time of learning a base.
    """
    half, word = ir.IntType(16), ir.IntType(32)
    narrow, wide = ir.VectorType(half, 4), ir.VectorType(word, 4)

    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        data = context.make_array(signature_.args[0])(context, builder, args[0]).data
        where = builder.bitcast(builder.gep(data, [args[1]]), narrow.as_pointer())
        value = builder.zext(builder.load(where, align=2), wide)
        base, rate = (_four(builder, builder.trunc(number, word), wide) for number in args[2:])
        came = builder.icmp_signed("==", base, ir.Constant(wide, [0, 1, 2, 3]))
        target = builder.select(came, ir.Constant(wide, [65535] * 4), ir.Constant(wide, [0] * 4))
        # of the product, modulo 2**32, the upper half is all that 16 bits take in
        step = builder.lshr(builder.mul(builder.sub(target, value), rate), ir.Constant(wide, [16] * 4))
        builder.store(builder.trunc(builder.add(value, step), narrow), where, align=2)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, types.int64), code


@inline
def count_ones_64(value: Int) -> Int:
    """The number of one bits of a uint64."""
    low, high = np.uint32(value & np.uint64(0xFFFFFFFF)), np.uint32(value >> np.uint64(32))
    return np.int64(count_ones(low)) + np.int64(count_ones(high))


@instruction
def u(_typing: Any, index: Any) -> Any:
    """An index that is known not to be negative: compiled code then need not look, and loops become vectors."""

    def code(context: Any, builder: Any, signature_: Any, args: Any) -> Any:
        return context.cast(builder, args[0], signature_.args[0], types.uint64)

    return types.uint64(index), code


@inline
def clamp(value: Int, low: Int, high: Int) -> Int:
    """The value, or the bound that it passes."""
    return min(max(value, low), high)


@inline
def adaptation_rate(seen: Int) -> Int:
    """Of `RATES`; kernels get one copy of the table, as only this part refers to it."""
    return RATES[u(seen)]


@inline
def log2_q10(value: Int) -> Int:
    """log2 of a positive int64 in 1/1024; the mantissa is cut to 10 bits."""
    shift = 63 - leading_zeros(np.int64(value))
    mantissa = (value << (62 - shift)) >> (62 - LOG_BITS)
    return (shift << LOG_BITS) + np.int64(LOG[u(mantissa & (_STEPS - 1))])


@inline
def exp2_q30(fall: Int) -> Int:
    """2**-(fall/1024) in Q30, of a ``fall`` of 0 or more."""
    whole = fall >> LOG_BITS
    return np.int64(EXP[u(fall & (_STEPS - 1))]) >> min(whole, 31)


@inline
def hashed(value: Int) -> Int:
    """Spread 64 bits (multiply, xor-shift, multiply); the high bits are the good ones."""
    value = np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)
    value ^= value >> np.uint64(29)
    return value * np.uint64(0xD6E8FEB86659FD93)


@inline
def every_other(value: Int) -> Int:
    """The 32 even bits of 64, close together."""
    value &= np.uint64(0x5555555555555555)
    value = (value | (value >> np.uint64(1))) & np.uint64(0x3333333333333333)
    value = (value | (value >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = (value | (value >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    value = (value | (value >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    return np.uint32((value | (value >> np.uint64(16))) & np.uint64(0xFFFFFFFF))


@inline
def reversed_bits(value: Int) -> Int:
    """32 bits from the other end."""
    word = np.uint64(value)
    word = ((word >> np.uint64(1)) & np.uint64(0x55555555)) | ((word & np.uint64(0x55555555)) << np.uint64(1))
    word = ((word >> np.uint64(2)) & np.uint64(0x33333333)) | ((word & np.uint64(0x33333333)) << np.uint64(2))
    word = ((word >> np.uint64(4)) & np.uint64(0x0F0F0F0F)) | ((word & np.uint64(0x0F0F0F0F)) << np.uint64(4))
    word = ((word >> np.uint64(8)) & np.uint64(0x00FF00FF)) | ((word & np.uint64(0x00FF00FF)) << np.uint64(8))
    return np.uint32(((word >> np.uint64(16)) | (word << np.uint64(16))) & np.uint64(0xFFFFFFFF))
