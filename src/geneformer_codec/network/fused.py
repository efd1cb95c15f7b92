"""Decoding a stream network on a CPU as one compiled loop: predict, decode, remember, for all slices of a batch.

Step by step, the calls between small operations cost more than the operations; here none is left, and threads do not
wait for each other. The numbers are those of `kernels`, which it calls; sums are int16 products in int32.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.jit import helper, kernels
from geneformer_codec.network.config import START, NetworkConfig
from geneformer_codec.network.integer_network import tensor_shapes
from geneformer_codec.network.kernels import add_and_normalise, features, frequencies, lookup, requantise
from geneformer_codec.network.slice_coder import SliceDecoder, decode_step
from geneformer_codec.network.tables import attention_table, logit_table

kernel: Any = kernels(makes_arrays=True)
_helper: Any = helper

ROWS = 4
"""Slices are computed in fours: a weight that is loaded serves all of them."""
STEPS = 512
"""Bases of a slice that are decoded before Python is asked whether to go on."""


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
def attend(content, position, keys, values, relative, heads, count, score_shift, out_shift, table, out):  # type: ignore[no-untyped-def]
    """One query a slice over the first ``count`` keys, the last of which is its own position."""
    slices, width = content.shape
    head_width = width // heads
    scores = np.empty(count, np.int32)
    sums = np.empty(head_width, np.int32)
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

    ``n`` holds the tensors of `exact.tensor_shapes` in its order, matrices as int16; ``state`` the last codes [rows,
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
        if step < 0:  # the endless run of START before the slice fills the memory
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
        attend(
            content,
            position,
            keys,
            values,
            relative,
            heads,
            memory + place + 1,
            shifts[0],
            shifts[1],
            attention,
            coarse2,
        )
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


class FusedDecoder:
    """`decode_slices` for one model; threads may share it."""

    def __init__(self, config: NetworkConfig, tensors: dict[str, NDArray[Any]]) -> None:
        names = [name for name in tensor_shapes(config) if name != "attention_shifts"]
        kept = [
            np.ascontiguousarray(tensors[name], np.int16 if tensors[name].dtype == np.int8 else None) for name in names
        ]
        self._tensors = tuple(kept[:11]), tuple(kept[11:18]), tuple(kept[18:24]), tuple(kept[24:])
        self._shifts = tensors["attention_shifts"]
        self._config = config
        self._tables = attention_table(), logit_table()

    def decode(self, streams: list[bytes], length: int, progress: Progress) -> NDArray[np.uint8]:
        """The first ``length`` bases of every stream, [slices, length].

        ``progress`` is told how many bases of each slice are done, and may raise to stop it.
        """
        config, slices = self._config, len(streams)
        rows = -(-slices // ROWS) * ROWS
        span = (rows, config.memory + config.segment, config.width)
        state = np.full((rows, config.kernel), START, np.uint8), np.zeros(span, np.int16), np.zeros(span, np.int16)
        symbols = np.empty((slices, length), np.uint8)
        decoder = SliceDecoder(streams)
        fixed = self._tensors, self._shifts, config.heads, config.segment, *self._tables, decoder.arrays, state, symbols
        for begin in range(0, length, STEPS):
            end = min(length, begin + STEPS)
            decode_slices(*fixed, begin, end)
            progress(end)
        return symbols
