"""The exact network's operations on a CPU (numba); `tensors` has the same for torch devices.

Arrays that a matrix product reads or writes have the dtype of the execution (float32, float64 or int32); their values
are integers.
"""

import math
from typing import Any

import numpy as np

from geneformer_codec.coding.jit import kernels

kernel: Any = kernels(makes_arrays=True)


@kernel
def features(codes, conv, conv_bias, gain, offset, kernel, pool, stride, fine, coarse):  # type: ignore[no-untyped-def]
    """Convolution of one-hot symbols, ReLU, max pooling, scaling.

    codes [slices, positions] uint8; conv [kernel, 5, width] and conv_bias [width] int16; gain, offset [width] int32;
    fine [slices, outputs, width] int32 and coarse (the same in 1/16, clamped to +-127) are written.
    """
    width = conv.shape[2]
    row = np.empty(width, np.int16)
    best = np.empty(width, np.int16)
    for slice_ in range(fine.shape[0]):
        for output in range(fine.shape[1]):
            for channel in range(width):
                best[channel] = 0  # the ReLU
            for shift in range(pool):
                first = output * stride + shift
                for channel in range(width):
                    row[channel] = conv_bias[channel]
                for tap in range(kernel):
                    weights = conv[tap, codes[slice_, first + tap]]
                    for channel in range(width):
                        row[channel] += weights[channel]
                for channel in range(width):
                    best[channel] = max(best[channel], row[channel])
            for channel in range(width):
                value = np.int32(np.int32(best[channel]) * gain[channel] + offset[channel]) >> np.int32(15)
                value = min(max(value, np.int32(-2032)), np.int32(2032))
                fine[slice_, output, channel] = value
                coarse[slice_, output, channel] = np.int32(value + np.int32(8)) >> np.int32(4)


@kernel
def requantise(sums, bias, shift, out):  # type: ignore[no-untyped-def]
    """``clamp((sums + bias) >> shift)`` to +-127; sums and out [rows, columns], bias and shift [columns] int32."""
    for row in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            value = (np.int32(sums[row, column]) + bias[column]) >> shift[column]
            out[row, column] = min(max(value, np.int32(-127)), np.int32(127))


@kernel
def lookup(sums, bias, shift, table, out):  # type: ignore[no-untyped-def]
    """``table[clamp((sums + bias) >> shift)]`` with entries for -512..511; otherwise as `requantise`."""
    for row in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            value = (np.int32(sums[row, column]) + bias[column]) >> shift[column]
            out[row, column] = table[min(max(value, np.int32(-512)), np.int32(511)) + 512]


@kernel
def square_root(value):  # type: ignore[no-untyped-def]
    """The integer part of the square root of a non-negative integer below 2**52."""
    root = np.int64(math.sqrt(np.float64(value)))
    if root * root > value:
        root -= 1
    if (root + 1) * (root + 1) <= value:
        root += 1
    return root


@kernel
def add_and_normalise(residual, sums, bias, shift, gain, offset, fine, coarse):  # type: ignore[no-untyped-def]
    """Layer normalisation of ``residual + ((sums + bias) >> shift)``.

    residual, sums [rows, width]; bias, shift, gain, offset [width] int32; fine and coarse (1/16 of it) are written.
    """
    rows, width = residual.shape
    centred = np.empty(width, np.int32)
    for row in range(rows):
        total = np.int64(0)
        for column in range(width):
            value = residual[row, column] + ((np.int32(sums[row, column]) + bias[column]) >> shift[column])
            value = min(max(value, np.int32(-32768)), np.int32(32767))
            centred[column] = value
            total += value
        mean = np.int32((total + width // 2) // width)
        squares = np.int64(0)
        for column in range(width):
            value = np.int32(centred[column] - mean)
            centred[column] = value
            squares += np.int64(value) * np.int64(value)
        deviation = square_root((squares // width + 1) * 256)  # in 1/16
        inverse = np.int32((1 << 26) // deviation)
        for column in range(width):
            # the deviation's 1/16 and these shifts leave (value / deviation) in 1/1024
            normal = np.int32(np.int32(centred[column] * inverse) + np.int32(2048)) >> np.int32(12)
            value = np.int32(np.int32(normal * gain[column]) + offset[column]) >> np.int32(14)
            value = min(max(value, np.int32(-2032)), np.int32(2032))
            fine[row, column] = value
            coarse[row, column] = np.int32(value + np.int32(8)) >> np.int32(4)


@kernel
def attention_weights(scores, there, memory, first, causal, shift, table, weights, norms):  # type: ignore[no-untyped-def]
    """Numerators and denominators of the attention's softmax.

    scores [batch, heads, size, span] (content) and there [heads, batch * size, distances] (position, by distance) are
    added; weights (shape and dtype of scores) and norms [batch, heads, size] int32 are written. The queries are
    positions ``first``... of their segment.
    """
    batches, heads, size, span = scores.shape
    origin = np.int64(0) if causal else span - memory - 1
    total = np.empty(span, np.int32)
    for batch in range(batches):
        for head in range(heads):
            for query in range(size):
                count = memory + first + query + 1 if causal else span
                nearest = memory + first + query + origin
                row, column = scores[batch, head, query], there[head, batch * size + query]
                best = np.int32(-2147483648)
                for j in range(count):
                    total[j] = np.int32(row[j] + column[nearest - j])
                    best = max(best, total[j])
                norm = np.int32(0)
                out = weights[batch, head, query]
                for j in range(count):
                    step = np.int32(best - total[j]) >> shift
                    weight = table[step] if step < table.shape[0] else np.int32(0)
                    out[j] = weight
                    norm += weight
                for j in range(count, span):
                    out[j] = 0
                norms[batch, head, query] = norm


@kernel
def attention_means(sums, norms, shift, out):  # type: ignore[no-untyped-def]
    """Divide weighted sums [batch, heads, size, head_width] by norms; out [batch, size, heads, head_width]."""
    batches, heads, size, head_width = sums.shape
    half = np.int32(1 << (shift - 1))
    for batch in range(batches):
        for head in range(heads):
            for query in range(size):
                inverse = np.int32((1 << 23) // norms[batch, head, query])
                for c in range(head_width):
                    value = np.int32(np.int32(np.int32(sums[batch, head, query, c]) * inverse) + half) >> shift
                    out[batch, query, head, c] = min(max(value, np.int32(-127)), np.int32(127))


@kernel
def frequencies(sums, bias, shift, table, out):  # type: ignore[no-untyped-def]
    """Logits to 16-bit frequencies: sums [rows, 4], out [rows, 4] uint16, each row sums to 2**16, none is zero."""
    logits = np.empty(4, np.int64)
    for row in range(sums.shape[0]):
        best = 0
        for symbol in range(4):
            logits[symbol] = (np.int32(sums[row, symbol]) + bias[symbol]) >> shift[symbol]
            if logits[symbol] > logits[best]:
                best = symbol
        top, total = logits[best], np.int64(0)
        for symbol in range(4):
            below = top - logits[symbol]
            logits[symbol] = np.int64(table[below & 127]) >> min(below >> 7, np.int64(31))
            total += logits[symbol]
        left = np.int64(65536)
        for symbol in range(4):
            logits[symbol] = 1 + logits[symbol] * 65532 // total
            left -= logits[symbol]
        logits[best] += left
        for symbol in range(4):
            out[row, symbol] = logits[symbol]
