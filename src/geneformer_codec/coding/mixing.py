"""Context mixing of bits: counters, a logistic mixer, a range coder; all in integers.

A logit is a logarithm of odds to base 2, in 256ths, from -`MAX_LOGIT` to `MAX_LOGIT`; probabilities are of 2**16. Each
context has a *counter*: an unsigned integer whose low 10 bits are the number of bits it has seen, and the 22 above them
the share of ones. The functions are parts of kernels, for numba to compile. ``docs/format/qualities.md`` has the exact
definition.

The experts' mixer (`predict.mixer`) shares the range coder and the integers, but no arithmetic: it mixes distributions
of four bases, in other units and with other rounding, so one core for both would change the bits or cost time.
"""

from __future__ import annotations

from math import isqrt
from typing import Any, NamedTuple

import llvmlite.ir
import numpy as np
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from geneformer_codec.coding import range_coder
from geneformer_codec.coding.integers import clamp, u
from geneformer_codec.coding.jit import Int, inline, instruction
from geneformer_codec.coding.range_coder import RangeCoder, narrow, refill

_cgutils: Any = cgutils
ir: Any = llvmlite.ir


# --- tables -----------------------------------------------------------------------------------------------------

INPUTS = 8
"""The most contexts, and so logits, of a bit: as many as one vector instruction takes."""
MAX_LOGIT = 4095
MAX_SEEN = 255
"""The most bits that a counter counts: its memory."""


def _squash() -> NDArray[np.uint16]:
    """Probabilities of logits -`MAX_LOGIT` to `MAX_LOGIT`: 2**16 / (1 + 2**(-logit/256)), exact by integer roots."""
    one = 1 << 62
    roots, value = [], one << 1
    for _ in range(8):  # 2**(1/2), 2**(1/4), ... 2**(1/256)
        value = isqrt(value << 62)
        roots.append(value)
    upper = []
    for logit in range(MAX_LOGIT + 1):
        power = one
        for bit in range(8):
            if logit >> (7 - bit) & 1:
                power = power * roots[bit] >> 62
        power <<= logit >> 8
        upper.append(min(65535, (power << 16) // (power + one)))
    return np.array([65536 - probability for probability in upper[:0:-1]] + upper, np.uint16)


def _stretch(squash: NDArray[np.uint16]) -> NDArray[np.int16]:
    """The logit of each of 4096 probabilities: the first whose squash is not less than its middle."""
    return (np.searchsorted(squash, np.arange(4096) * 16 + 8) - MAX_LOGIT).clip(-MAX_LOGIT, MAX_LOGIT).astype(np.int16)


SQUASH = _squash()
STRETCH = _stretch(SQUASH)
RATE = np.array([65536 * 5 // (5 * seen + 8) for seen in range(MAX_SEEN + 1)], np.uint16)
"""How far, of 2**16, a counter that has seen so many bits moves towards the next."""
CONFIDENCE = np.array([256 * (2 * seen + 1) // (2 * seen + 5) for seen in range(MAX_SEEN + 1)], np.uint8)
"""The weight, of 2**8, of the logit of a counter that has seen so many bits."""
LINE = 16
"""Counters of a context that stand together in memory."""


# --- counters ---------------------------------------------------------------------------------------------------


@inline
def to_probability(logit: Int) -> Int:
    """The probability of a logit, which may lie outside of its bounds."""
    return np.int32(SQUASH[u(clamp(logit, -MAX_LOGIT, MAX_LOGIT) + MAX_LOGIT)])


@inline
def counter_logit(counter: Int) -> Int:
    """A counter's logit, nearer to 0 the less it has seen."""
    return (np.int32(STRETCH[u(counter >> 20)]) * np.int32(CONFIDENCE[u(counter & 1023)])) >> 8


@inline
def updated_counter(counter: Int, bit: Int) -> Int:
    """The counter after one more bit."""
    seen: Int = counter & 1023
    share: Int = np.int64(counter >> 10)
    goal = 4194303 if bit else 0
    share += ((goal - share) * np.int64(RATE[u(seen)])) >> 16
    return np.uint32((share << 10) | clamp(seen + 1, 1, MAX_SEEN))


# --- the mixer --------------------------------------------------------------------------------------------------


_I32, _VECTOR = ir.IntType(32), ir.VectorType(ir.IntType(32), INPUTS)


def _vector_at(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """A pointer to the `INPUTS` integers of an int32 array that begin at ``index``."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _splat(value: int) -> Any:
    return ir.Constant(_VECTOR, [value] * INPUTS)


@instruction
def dot_product(_typing: Any, weights: Any, row: Any, inputs: Any) -> Any:
    """The sum of the inputs, each times a 16th of its weight of those from ``row`` on; ``row`` is an int64."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row_of = _vector_at(context, builder, signature.args[0], args[0], args[1])
        start = context.get_constant(types.int64, 0)
        inputs_ = builder.load(_vector_at(context, builder, signature.args[2], args[2], start), align=4)
        parts = builder.mul(builder.ashr(builder.load(row_of, align=4), _splat(4)), inputs_)
        shape = ir.FunctionType(_I32, [_VECTOR])
        name = f"llvm.vector.reduce.add.v{INPUTS}i32"
        return builder.call(_cgutils.get_or_insert_function(builder.module, shape, name), [parts])

    return types.int32(weights, types.int64, inputs), code


@instruction
def adjust_weights(_typing: Any, weights: Any, row: Any, inputs: Any, force: Any) -> Any:
    """Move each weight from ``row`` on by its input times ``force`` / 2**15, rounded, within 4 times 2**16."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row_of = _vector_at(context, builder, signature.args[0], args[0], args[1])
        start = context.get_constant(types.int64, 0)
        inputs_ = builder.load(_vector_at(context, builder, signature.args[2], args[2], start), align=4)
        force_ = ir.Constant(_VECTOR, ir.Undefined)
        for j in range(INPUTS):
            force_ = builder.insert_element(force_, args[3], _I32(j))
        steps = builder.ashr(builder.add(builder.mul(inputs_, force_), _splat(1 << 14)), _splat(15))
        moved = builder.add(builder.load(row_of, align=4), steps)
        for sign, bound in ((">", 4 << 16), ("<", -4 << 16)):
            moved = builder.select(builder.icmp_signed(sign, moved, _splat(bound)), _splat(bound), moved)
        builder.store(moved, row_of, align=4)
        return context.get_dummy_value()

    return types.void(weights, types.int64, inputs, types.int32), code


class Mixer(NamedTuple):
    """The model's state, and scratch space."""

    counters: NDArray[np.uint32]  # [contexts, lines * LINE]
    weights: NDArray[np.int32]  # rows of INPUTS, those of a set after those of the set before
    final: NDArray[np.int32]  # the weight of each set, for each node
    inputs: NDArray[np.int32]  # [INPUTS], the logits of the counters, then zeros
    rows: NDArray[np.int64]  # [sets], the row of weights that each set uses
    logits: NDArray[np.int64]  # [sets], the logit of each set
    last: NDArray[np.int64]  # [1], the last probability, before it was kept from 0 and 1
    contexts: tuple[int, ...]  # as many numbers as there are contexts: the compiler knows how long a tuple is,
    sets: tuple[int, ...]  # and makes a kernel for each length


def line_count(size: int, most_lines: int) -> int:
    """How many lines of counters so many symbols can use."""
    lines = 1 << 10
    while lines < most_lines and lines * LINE < 4 * size:
        lines *= 2
    return lines


def new_mixer(size: int, most_lines: int, contexts: int, sets: int, rows: int, nodes: int) -> Mixer:
    """An untrained mixer for ``size`` symbols."""
    return Mixer(
        counters=np.full((contexts, line_count(size, most_lines) * LINE), 1 << 31, np.uint32),
        weights=np.full(sets * rows * INPUTS, 65536 * 3 // 10, np.int32),
        final=np.full(nodes * sets, 65536 // sets, np.int32),
        inputs=np.zeros(INPUTS, np.int32),
        rows=np.zeros(sets, np.int64),
        logits=np.zeros(sets, np.int64),
        last=np.zeros(1, np.int64),
        contexts=(0,) * contexts,
        sets=(0,) * sets,
    )


@inline
def hash_contexts(mixer: Mixer, contexts: NDArray[np.uint64]) -> None:
    """Spread the bits of the contexts."""
    for j in range(len(mixer.contexts)):
        value = (contexts[u(j)] * np.uint64(INPUTS) + np.uint64(j)) * np.uint64(0x9E3779B97F4A7C15)
        contexts[u(j)] = value ^ (value >> np.uint64(29))


@inline
def spread(context: Int, part: Int) -> Int:
    """The hash of a part of a context's bits; `line_of` takes its upper bits."""
    return (context + np.uint64(part)) * np.uint64(0xD6E8FEB86659FD93)


@inline
def line_of(mixer: Mixer, value: Int) -> Int:
    """Where the line of counters begins."""
    lines = np.uint64(mixer.counters.shape[1]) // np.uint64(LINE)
    return np.int64((value >> np.uint64(36)) & (lines - np.uint64(1))) * LINE


@inline
def predict(mixer: Mixer, cells: NDArray[np.int64], slot: Int, node: Int) -> Int:
    """The probability that the next bit is 1, from the counters in the ``slot`` of their lines."""
    sets, row = len(mixer.sets), mixer.rows[0] * INPUTS
    weighted: Int = np.int64(0)
    for j in range(len(mixer.contexts)):
        logit = np.int64(counter_logit(mixer.counters[u(j), u(cells[u(j)] + slot)]))
        mixer.inputs[u(j)] = logit
        # Added here, as a vector load would have to wait for all of them to be stored.
        weighted += (mixer.weights[u(row + j)] >> 4) * logit
    mixed: Int = clamp(weighted >> 12, -MAX_LOGIT, MAX_LOGIT)
    mixer.logits[0] = mixed
    if sets > 1:
        mixed *= mixer.final[u(node * sets)]
        for k in range(1, sets):
            logit = np.int64(dot_product(mixer.weights, mixer.rows[u(k)] * INPUTS, mixer.inputs)) >> 12
            mixer.logits[u(k)] = clamp(logit, -MAX_LOGIT, MAX_LOGIT)
            mixed += mixer.final[u(node * sets + k)] * mixer.logits[u(k)]
        mixed >>= 16
    mixer.last[0] = to_probability(mixed)
    return clamp(mixer.last[0], 16, 65536 - 16)


@inline
def update(mixer: Mixer, cells: NDArray[np.int64], slot: Int, node: Int, bit: Int, rate: Int) -> None:
    """Train everything that predicted the bit."""
    whole = 65536 if bit else 0
    sets = len(mixer.sets)
    error = whole - mixer.last[0]
    for k in range(sets):
        logit = mixer.logits[u(k)]
        force = np.int32(((whole - np.int64(to_probability(logit))) * rate) >> 8)
        adjust_weights(mixer.weights, mixer.rows[u(k)] * INPUTS, mixer.inputs, force)
        if sets > 1:
            spot = node * sets + k
            moved = mixer.final[u(spot)] + ((logit * error + (1 << 17)) >> 18)
            mixer.final[u(spot)] = clamp(moved, -4 << 16, 4 << 16)
    for j in range(len(mixer.contexts)):
        cell = cells[u(j)] + slot
        mixer.counters[u(j), u(cell)] = updated_counter(mixer.counters[u(j), u(cell)], bit)


# --- the range coder --------------------------------------------------------------------------------------------

_BITS = np.uint64(16)
LOW, WIDTH, PLACE = 0, 1, 2
"""The state of a `RangeCoder`, as an array."""


def coder_state() -> NDArray[np.uint64]:
    """The state at the start."""
    return np.array([0, range_coder.WHOLE, 0], np.uint64)


@inline
def _store(state: NDArray[np.uint64], coder: RangeCoder) -> None:
    state[LOW], state[WIDTH], state[PLACE] = coder.low, coder.width, coder.position


@inline
def start_decoding(state: NDArray[np.uint64], data: NDArray[np.uint8]) -> None:
    """Read the first eight bytes."""
    _store(state, range_coder.begin_decoding(data))


@inline
def encode(state: NDArray[np.uint64], data: NDArray[np.uint8], probability: Int, bit: Int) -> None:
    """Write a bit; ``probability`` is that of 1, of 2**16, neither 0 nor 2**16."""
    coder = RangeCoder(state[LOW], state[WIDTH], np.int64(state[PLACE]))
    bound = (coder.width >> _BITS) * np.uint64(probability)
    if bit:
        _store(state, narrow(coder, data, np.uint64(0), bound))
    else:
        _store(state, narrow(coder, data, bound, coder.width - bound))


@inline
def decode(state: NDArray[np.uint64], data: NDArray[np.uint8], probability: Int) -> Int:
    """Read a bit."""
    low, width, position = state[LOW], state[WIDTH], np.int64(state[PLACE])
    bound = (width >> _BITS) * np.uint64(probability)
    bit = 1 if low < bound else 0
    low, width = (low, bound) if bit else (low - bound, width - bound)
    _store(state, refill(RangeCoder(low, width, position), data, len(data)))
    return bit


def finish(state: NDArray[np.uint64], data: NDArray[np.uint8]) -> bytes:
    """The stream."""
    low, width, position = map(int, state)
    return range_coder.finish(low, width, position, data)
