"""Executions of the exact network's operations: numba on the CPU, torch on any of its devices.

All of them compute the same integers (``docs/format/network.md`` defines them); they differ in speed only. A matrix
product runs in one of the `ARITHMETICS`: its operands are within +-127, so a float32 product is exact while it sums at
most `CHUNK` of them (127 * 127 * 1024 < 2**24), and longer ones are cut.
"""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from geneformer_codec.errors import UsageError
from geneformer_codec.network import kernels
from geneformer_codec.network.config import NetworkConfig
from geneformer_codec.network.device import check_device
from geneformer_codec.network.tables import ATTENTION_ENTRIES, attention_table, logit_table

CHUNK = 1024
ARITHMETICS = ("float32", "float64", "int32", "int8")
"""The dtypes a matrix product may run in; int8 is for CUDA devices (and slow elsewhere)."""

Array = Any
"""What a backend computes with: numpy arrays or torch tensors."""


class Backend(Protocol):
    """The operations of `kernels`, on arrays of the backend's own kind; shapes as there."""

    rows: int
    """Rows (slices times positions) that are best computed at once."""

    def load(self, tensor: NDArray[Any]) -> Array:
        """A constant, as the backend wants it."""

    def weights(self, matrix: NDArray[np.int8]) -> Array:
        """A matrix [outputs, inputs] for `product`."""

    def features(self, codes: NDArray[np.uint8], net: dict[str, Array], config: NetworkConfig) -> tuple[Array, Array]:
        """Residual (in 1/16) and int8 features of every output position."""

    def product(self, rows: Array, weights: Array) -> Array:
        """``rows [n, inputs] @ weights.T``, exact."""

    def requantise(self, sums: Array, bias: Array, shift: Array) -> Array:
        """Back to +-127."""

    def lookup(self, sums: Array, bias: Array, shift: Array, table: Array) -> Array:
        """A table of 1,024 entries applied to the requantised sums."""

    def add_and_normalise(
        self, residual: Array, sums: Array, bias: Array, shift: Array, gain: Array, offset: Array
    ) -> tuple[Array, Array]:
        """Residual (in 1/16) and int8 values after layer normalisation."""

    def attend(
        self,
        queries: tuple[Array, Array],
        keys: Array,
        values: Array,
        relative: Array,
        config: NetworkConfig,
        first: int,
        shifts: tuple[int, int],
    ) -> Array:
        """Relative attention; ``queries`` are those for content and position."""

    def frequencies(self, sums: Array, bias: Array, shift: Array) -> NDArray[np.uint16]:
        """Frequencies [rows, 4] on the host."""

    def empty(self, *shape: int) -> Array:
        """Room for values within +-127, zeroed."""


def attention_products(
    queries: tuple[torch.Tensor, torch.Tensor],
    keys: torch.Tensor,
    values: torch.Tensor,
    relative: torch.Tensor,
    config: NetworkConfig,
    first: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The matrix products of attention before its softmax, for whole segments or for one query.

    queries (for content and position) [slices, queries, width]; keys, values [slices, memory + positions, width];
    relative [distances, width]. Returns scores [slices * segments, heads, size, span], the products with every distance
    [heads, slices * queries, distances], and the values seen [slices * segments, heads, span, head_width]; ``span`` is
    memory + segment.
    """
    content, position = queries
    slices, count, width = content.shape
    heads, segment, span = config.heads, config.segment, config.memory + config.segment
    size = segment if first == 0 and count % segment == 0 else 1
    segments = count // size

    def windows(cached: torch.Tensor) -> torch.Tensor:  # [slices * segments, heads, head_width, span]
        used = cached[:, : config.memory + segments * segment].unfold(1, span, segment)
        return used.reshape(slices * segments, heads, width // heads, span)

    query = content.reshape(slices * segments, size, heads, width // heads).transpose(1, 2)
    there = position.reshape(slices * count, heads, width // heads).transpose(0, 1)
    table = relative.reshape(-1, heads, width // heads).permute(1, 2, 0)
    return torch.matmul(query, windows(keys)), torch.matmul(there, table), windows(values).transpose(-1, -2)


class NumbaBackend:
    """The CPU's execution: torch's matrix product, numba for the rest."""

    rows = 512

    def __init__(self, arithmetic: str) -> None:
        self._dtype = np.dtype({"int8": "int32"}.get(arithmetic, arithmetic))
        self._attention, self._logits = attention_table(), logit_table()

    def load(self, tensor: NDArray[Any]) -> Array:
        return np.ascontiguousarray(tensor)

    def weights(self, matrix: NDArray[np.int8]) -> Array:
        return [
            torch.from_numpy(np.ascontiguousarray(matrix[:, start : start + CHUNK].T.astype(self._dtype)))
            for start in range(0, matrix.shape[1], CHUNK)
        ]

    def empty(self, *shape: int) -> Array:
        return np.zeros(shape, self._dtype)

    def features(self, codes: NDArray[np.uint8], net: dict[str, Array], config: NetworkConfig) -> tuple[Array, Array]:
        stride, pool = (1, 1) if config.causal else (config.pool, config.pool)
        outputs = (codes.shape[1] - config.kernel - pool + 1) // stride + 1
        fine = np.empty((len(codes), outputs, config.width), np.int32)
        coarse = np.empty(fine.shape, self._dtype)
        kernels.features(
            codes, net["conv"], net["conv_bias"], net["gain"], net["offset"], config.kernel, pool, stride, fine, coarse
        )
        return fine, coarse

    def product(self, rows: Array, weights: Array) -> Array:
        tensor = torch.from_numpy(rows)
        if len(weights) == 1:
            return torch.mm(tensor, weights[0]).numpy()
        total = np.zeros((len(rows), weights[0].shape[1]), np.int32)
        for start, part in zip(range(0, rows.shape[1], CHUNK), weights, strict=True):
            total += torch.mm(tensor[:, start : start + CHUNK], part).numpy().astype(np.int32)
        return total

    def requantise(self, sums: Array, bias: Array, shift: Array) -> Array:
        out = np.empty(sums.shape, self._dtype)
        kernels.requantise(sums, bias, shift, out)
        return out

    def lookup(self, sums: Array, bias: Array, shift: Array, table: Array) -> Array:
        out = np.empty(sums.shape, self._dtype)
        kernels.lookup(sums, bias, shift, table, out)
        return out

    def add_and_normalise(
        self, residual: Array, sums: Array, bias: Array, shift: Array, gain: Array, offset: Array
    ) -> tuple[Array, Array]:
        fine, coarse = np.empty(residual.shape, np.int32), np.empty(residual.shape, self._dtype)
        kernels.add_and_normalise(residual, sums, bias, shift, gain, offset, fine, coarse)
        return fine, coarse

    def attend(
        self,
        queries: tuple[Array, Array],
        keys: Array,
        values: Array,
        relative: Array,
        config: NetworkConfig,
        first: int,
        shifts: tuple[int, int],
    ) -> Array:
        content, position = (torch.from_numpy(query) for query in queries)
        cached = [torch.from_numpy(array) for array in (keys, values, relative)]
        scores, there, seen = attention_products((content, position), cached[0], cached[1], cached[2], config, first)
        weights, norms = torch.empty(scores.shape, dtype=scores.dtype), np.empty(scores.shape[:-1], np.int32)
        kernels.attention_weights(
            scores.numpy(),
            there.numpy(),
            config.memory,
            first,
            config.causal,
            shifts[0],
            self._attention,
            weights.numpy(),
            norms,
        )
        sums = torch.matmul(weights, seen)
        out = np.empty(queries[0].shape, self._dtype)
        kernels.attention_means(sums.numpy(), norms, shifts[1], out.reshape(len(sums), -1, *sums.shape[1::2]))
        return out

    def frequencies(self, sums: Array, bias: Array, shift: Array) -> NDArray[np.uint16]:
        out = np.empty((len(sums), 4), np.uint16)
        kernels.frequencies(sums, bias, shift, self._logits, out)
        return out


class TorchBackend:
    """The execution on a torch device: the same integers from tensor operations."""

    def __init__(self, arithmetic: str, device: str) -> None:
        self.rows = 512 if device == "cpu" else 1 << 16
        self._device = torch.device(device)
        self._arithmetic = arithmetic
        self._attention, self._logits = self.load(attention_table()), self.load(logit_table())

    def load(self, tensor: NDArray[Any]) -> Array:
        return torch.from_numpy(np.array(tensor, np.int32)).to(self._device)

    def weights(self, matrix: NDArray[np.int8]) -> Array:
        outputs = matrix.shape[0]
        if self._arithmetic == "int8":  # CUDA's product wants multiples of 8
            matrix = np.pad(matrix, ((0, -outputs % 8), (0, -matrix.shape[1] % 8)))
            return outputs, [torch.from_numpy(np.ascontiguousarray(matrix)).to(self._device).t()]
        dtype = getattr(torch, self._arithmetic)
        parts = [matrix[:, start : start + CHUNK].T for start in range(0, matrix.shape[1], CHUNK)]
        return outputs, [torch.from_numpy(np.ascontiguousarray(part)).to(self._device, dtype) for part in parts]

    def empty(self, *shape: int) -> Array:
        return torch.zeros(shape, dtype=torch.int32, device=self._device)

    def product(self, rows: Array, weights: Array) -> Array:
        outputs, parts = weights
        if self._arithmetic == "int8":
            count, inputs = rows.shape
            padded = torch.zeros(
                (max(32, count + -count % 8), inputs + -inputs % 8), dtype=torch.int8, device=self._device
            )
            padded[:count, :inputs] = rows
            return torch._int_mm(padded, parts[0])[:count, :outputs]
        total = None
        for start, part in zip(range(0, rows.shape[1], CHUNK), parts, strict=True):
            sums = (rows[:, start : start + CHUNK].to(part.dtype) @ part).to(torch.int32)
            total = sums if total is None else total + sums
        return total

    def features(self, codes: NDArray[np.uint8], net: dict[str, Array], config: NetworkConfig) -> tuple[Array, Array]:
        symbols = torch.from_numpy(codes).to(self._device, torch.int64)
        rows = net["conv"][0][symbols[:, : symbols.shape[1] - config.kernel + 1]]
        for tap in range(1, config.kernel):
            rows = rows + net["conv"][tap][symbols[:, tap : symbols.shape[1] - config.kernel + 1 + tap]]
        rows = (rows + net["conv_bias"]).clamp(min=0)
        if not config.causal:
            outputs = rows.shape[1] // config.pool
            rows = rows[:, : outputs * config.pool].reshape(len(rows), outputs, config.pool, -1).amax(2)
        fine = ((rows * net["gain"] + net["offset"]) >> 15).clamp(-2032, 2032)
        return fine, (fine + 8) >> 4

    def requantise(self, sums: Array, bias: Array, shift: Array) -> Array:
        return ((sums + bias) >> shift).clamp(-127, 127)

    def lookup(self, sums: Array, bias: Array, shift: Array, table: Array) -> Array:
        return table[(((sums + bias) >> shift).clamp(-512, 511) + 512).long()]

    def add_and_normalise(
        self, residual: Array, sums: Array, bias: Array, shift: Array, gain: Array, offset: Array
    ) -> tuple[Array, Array]:
        values = (residual + ((sums + bias) >> shift)).clamp(-32768, 32767)
        width = values.shape[1]
        mean = torch.div(values.long().sum(1, keepdim=True) + width // 2, width, rounding_mode="floor")
        centred = values - mean
        squared = (torch.div((centred * centred).sum(1, keepdim=True), width, rounding_mode="floor") + 1) * 256
        root = squared.double().sqrt().long()
        root = root - (root * root > squared).long()
        root = root + ((root + 1) * (root + 1) <= squared).long()
        inverse = torch.div(1 << 26, root, rounding_mode="floor")
        normal = (centred * inverse + 2048) >> 12
        fine = ((normal * gain + offset) >> 14).clamp(-2032, 2032).int()
        return fine, (fine + 8) >> 4

    def attend(
        self,
        queries: tuple[Array, Array],
        keys: Array,
        values: Array,
        relative: Array,
        config: NetworkConfig,
        first: int,
        shifts: tuple[int, int],
    ) -> Array:
        dtype = torch.float32 if self._arithmetic == "int8" else getattr(torch, self._arithmetic)
        asked = queries[0].to(dtype), queries[1].to(dtype)
        cached = [tensor.to(dtype) for tensor in (keys, values, relative)]
        scores, there, seen = attention_products(asked, cached[0], cached[1], cached[2], config, first)
        size, span = scores.shape[2:]
        rows = torch.arange(first, first + size, device=self._device)[:, None]
        distance = config.memory + rows - torch.arange(span, device=self._device)
        column = (distance + (0 if config.causal else config.segment - 1)).clamp(min=0)
        there = there.reshape(len(there), -1, size, there.shape[2]).transpose(0, 1)
        scores = scores.long() + there.gather(-1, column.expand(*there.shape[:2], -1, -1)).long()
        if config.causal:
            scores = scores.masked_fill(distance < 0, -(1 << 40))
        steps = (scores.amax(-1, keepdim=True) - scores) >> shifts[0]
        weights = self._attention[steps.clamp(max=ATTENTION_ENTRIES - 1)] * (steps < ATTENTION_ENTRIES)
        sums = torch.matmul(weights.to(dtype), seen).long()
        inverse = torch.div(1 << 23, weights.sum(-1, keepdim=True), rounding_mode="floor")
        out = ((sums * inverse + (1 << (shifts[1] - 1))) >> shifts[1]).clamp(-127, 127).int()
        return out.transpose(1, 2).reshape(queries[0].shape)

    def frequencies(self, sums: Array, bias: Array, shift: Array) -> NDArray[np.uint16]:
        logits = ((sums + bias) >> shift).long()
        best = logits.argmax(1, keepdim=True)
        # argmax may return any of equal ones: take the first
        best = (logits == logits.gather(1, best)).int().argmax(1, keepdim=True)
        below = logits.gather(1, best) - logits
        weights = self._logits[below & 127].long() >> (below >> 7).clamp(max=31)
        sizes = 1 + torch.div(weights * 65532, weights.sum(1, keepdim=True), rounding_mode="floor")
        sizes.scatter_add_(1, best, 65536 - sizes.sum(1, keepdim=True))
        host: NDArray[np.int64] = sizes.cpu().numpy()
        return host.astype(np.uint16)


def make_backend(device: str, arithmetic: str) -> Backend:
    """The execution for ``cpu`` or ``cuda`` (or ``torch``: the tensor operations on the CPU).

    Raises ``UsageError`` for an arithmetic that does not exist, or when there is no CUDA device.
    """
    if arithmetic == "auto":
        arithmetic = "float32"
    if arithmetic not in ARITHMETICS:
        raise UsageError(f"there is no arithmetic {arithmetic!r}; choose one of {', '.join(ARITHMETICS)}")
    if device == "cpu":
        return NumbaBackend(arithmetic)
    if device == "torch":
        return TorchBackend(arithmetic, "cpu")
    check_device(device)
    torch.backends.cuda.matmul.allow_tf32 = False
    return TorchBackend(arithmetic, device)
