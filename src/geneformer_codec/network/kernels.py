"""The integer network's operations on a CPU, compiled by numba, and the decoding of streams as one compiled loop.

Arrays that torch's matrix products read or write are float32 with integer values; those of the loop are int16, and
its sums int32. Step by step, the calls between small operations cost more than the operations: hence the loop.
"""

import math
from typing import Any

import numpy as np

from geneformer_codec.coding.jit import helper, kernels
from geneformer_codec.network.slice_coder import decode_step

kernel: Any = kernels(makes_arrays=True)
_helper: Any = helper


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


@_helper
def product(rows, weights, sums):  # type: ignore[no-untyped-def]
    """sums [n, outputs] = rows [n, inputs] @ weights [outputs, inputs].T, both int16; n in fours, outputs in twos."""
    for o in range(0, weights.shape[0], 2):
        for r in range(0, rows.shape[0], 4):
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = np.int32(0)
            for i in range(rows.shape[1]):
                w, v = np.int32(weights[o, i]), np.int32(weights[o + 1, i])
                x0, x1 = np.int32(rows[r, i]), np.int32(rows[r + 1, i])
                x2, x3 = np.int32(rows[r + 2, i]), np.int32(rows[r + 3, i])
                a0 = np.int32(a0 + x0 * w)
                a1 = np.int32(a1 + x1 * w)
                a2 = np.int32(a2 + x2 * w)
                a3 = np.int32(a3 + x3 * w)
                b0 = np.int32(b0 + x0 * v)
                b1 = np.int32(b1 + x1 * v)
                b2 = np.int32(b2 + x2 * v)
                b3 = np.int32(b3 + x3 * v)
            sums[r, o], sums[r + 1, o], sums[r + 2, o], sums[r + 3, o] = a0, a1, a2, a3
            sums[r, o + 1], sums[r + 1, o + 1], sums[r + 2, o + 1], sums[r + 3, o + 1] = b0, b1, b2, b3


@_helper
def attend(content, position, keys, values, relative, heads, count, shifts, table, out):  # type: ignore[no-untyped-def]
    """One query per slice over the first ``count`` keys; the last key is its own position."""
    slices, width = content.shape
    head_width = width // heads
    scores = np.empty(count, np.int32)
    sums = np.empty(head_width, np.int32)
    score_shift, out_shift = shifts[0], shifts[1]
    half = np.int32(1 << (out_shift - 1))
    for slice_ in range(slices):
        for low in range(0, width, head_width):
            best = np.int32(-2147483648)
            for j in range(count):
                total = np.int32(0)
                for c in range(low, low + head_width):
                    here = np.int32(content[slice_, c]) * np.int32(keys[slice_, j, c])
                    there = np.int32(position[slice_, c]) * np.int32(relative[count - 1 - j, c])
                    total = np.int32(total + np.int32(here) + np.int32(there))
                scores[j] = total
                best = max(best, total)
            norm = np.int32(0)
            for c in range(head_width):
                sums[c] = 0
            for j in range(count):
                step = np.int32(best - scores[j]) >> score_shift
                if step < table.shape[0]:
                    weight = np.int32(table[step])
                    norm = np.int32(norm + weight)
                    for c in range(head_width):
                        sums[c] = np.int32(sums[c] + weight * np.int32(values[slice_, j, low + c]))
            inverse = np.int32((1 << 23) // norm)
            for c in range(head_width):
                value = np.int32(np.int32(sums[c] * inverse) + half) >> out_shift
                out[slice_, low + c] = min(max(value, np.int32(-127)), np.int32(127))


@kernel
def decode_slices(n, shifts, heads, segment, attention, logits, stream, state, symbols, begin, end):  # type: ignore[no-untyped-def]
    """Decode ``symbols[:, begin:end]`` [slices, positions] (written) from the range decoder's arrays ``stream``.

    ``n`` holds the tensors of `config.tensor_shapes` in its order, matrices as int16; ``state`` the last codes [rows,
    kernel], keys and values [rows, memory + segment, width] from one call to the next.
    """
    (conv, conv_bias, gain, offset, query, query_shift, content_bias, position_bias, key, key_shift, key_bias) = n[0]
    (value, value_shift, value_bias, relative, output, output_shift, output_bias) = n[1]
    (attention_gain, attention_offset, expand, expand_shift, expand_bias, gelu) = n[2]
    (contract, contract_shift, contract_bias, inner_gain, inner_offset, head, head_shift, head_bias) = n[3]
    data, ends, coders = stream
    codes, keys, values = state
    slices, rows = symbols.shape[0], codes.shape[0]
    kernel, width, inner = conv.shape[0], conv.shape[2], expand.shape[0]
    memory = relative.shape[0] - segment
    fine3, coarse3 = np.empty((rows, 1, width), np.int32), np.empty((rows, 1, width), np.int16)
    fine, coarse = fine3.reshape(rows, width), coarse3.reshape(rows, width)
    fine2, coarse2 = np.empty((rows, width), np.int32), np.empty((rows, width), np.int16)
    sums, wide_sums = np.empty((rows, width), np.int32), np.empty((rows, inner), np.int32)
    content, position = np.empty((rows, width), np.int16), np.empty((rows, width), np.int16)
    hidden, last = np.empty((rows, inner), np.int16), np.empty((rows, 4), np.int32)
    sizes = np.empty((rows, 4), np.uint16)
    column = np.empty(slices, np.uint8)
    place = begin % segment
    for step in range(begin if begin else -1, end):
        features(codes, conv, conv_bias, gain, offset, kernel, 1, 1, fine3, coarse3)
        product(coarse, key, sums)
        requantise(sums, key_bias, key_shift, content)
        product(coarse, value, sums)
        requantise(sums, value_bias, value_shift, position)
        if step < 0:  # START symbols before the slice fill the memory
            for slice_ in range(rows):
                for j in range(memory):
                    keys[slice_, j] = content[slice_]
                    values[slice_, j] = position[slice_]
            continue
        for slice_ in range(rows):
            keys[slice_, memory + place] = content[slice_]
            values[slice_, memory + place] = position[slice_]
        product(coarse, query, sums)
        requantise(sums, content_bias, query_shift, content)
        requantise(sums, position_bias, query_shift, position)
        attend(content, position, keys, values, relative, heads, memory + place + 1, shifts, attention, coarse2)
        product(coarse2, output, sums)
        add_and_normalise(fine, sums, output_bias, output_shift, attention_gain, attention_offset, fine2, coarse2)
        product(coarse2, expand, wide_sums)
        lookup(wide_sums, expand_bias, expand_shift, gelu, hidden)
        product(hidden, contract, sums)
        add_and_normalise(fine2, sums, contract_bias, contract_shift, inner_gain, inner_offset, fine, coarse)
        product(coarse, head, last)
        frequencies(last, head_bias, head_shift, logits, sizes)
        decode_step(sizes, data, ends, coders, column)
        for slice_ in range(slices):
            symbols[slice_, step] = column[slice_]
            for j in range(kernel - 1):
                codes[slice_, j] = codes[slice_, j + 1]
            codes[slice_, kernel - 1] = column[slice_]
        place += 1
        if place == segment:
            place = 0
            for slice_ in range(rows):
                for j in range(memory):
                    keys[slice_, j] = keys[slice_, j + segment]
                    values[slice_, j] = values[slice_, j + segment]
