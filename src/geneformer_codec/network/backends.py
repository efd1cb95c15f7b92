"""Executions of the integer network's operations: numba and torch on the CPU, torch on CUDA.

Both give the same integers (``docs/format/network.md`` defines them). Matrix products run in float32: operands are
within +-127, so a product is exact while it sums at most `CHUNK` of them (127 * 127 * 1024 < 2**24). Longer ones are
cut.
"""

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.network import kernels
from geneformer_codec.network.config import NetworkConfig
from geneformer_codec.network.device import check_device
from geneformer_codec.network.pytorch import torch

CHUNK = 1024
ATTENTION_STEPS = 64
"""Entries of `attention_table` per factor of two."""
ATTENTION_ENTRIES = 8 * ATTENTION_STEPS
LOGIT_STEPS = 128
"""Units of a logit per factor of two."""

Array = Any
"""What a backend computes with: NumPy arrays or torch tensors."""


def _powers(scale: int, steps: int, entries: int) -> NDArray[np.int32]:
    with localcontext() as context:
        context.prec = 50  # decimal digits, so that no machine's floating point can differ
        two = Decimal(2)
        return np.array(
            [int((scale * two ** (Decimal(-i) / steps)).to_integral_value()) for i in range(entries)], np.int32
        )


def attention_table() -> NDArray[np.int32]:
    """``round(255 * 2**(-i / 64))`` for i in 0..511: a softmax numerator; further entries are zero."""
    return _powers(255, ATTENTION_STEPS, ATTENTION_ENTRIES)


def logit_table() -> NDArray[np.int32]:
    """``round(2**24 * 2**(-i / 128))`` for i in 0..127: the fraction of a power of two."""
    return _powers(1 << 24, LOGIT_STEPS, LOGIT_STEPS)


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


class CpuBackend:
    """The execution on a CPU: torch's matrix products, compiled kernels for the rest.

    "Coarse" values are within +-127; "fine" ones, of residuals, are the same in 1/16.
    """

    rows = 512
    """Rows (slices times positions) that are best computed at once."""

    def __init__(self) -> None:
        self._attention, self._logits = attention_table(), logit_table()

    def load(self, tensor: NDArray[Any]) -> Array:
        """A constant, as the backend wants it."""
        return np.ascontiguousarray(tensor)

    def weights(self, matrix: NDArray[np.int8]) -> Array:
        """A matrix [outputs, inputs] for `product`."""
        return [
            torch.from_numpy(np.ascontiguousarray(matrix[:, start : start + CHUNK].T, np.float32))
            for start in range(0, matrix.shape[1], CHUNK)
        ]

    def empty(self, *shape: int) -> Array:
        """Zeroed room for coarse values."""
        return np.zeros(shape, np.float32)

    def features(self, codes: NDArray[np.uint8], net: dict[str, Array], config: NetworkConfig) -> tuple[Array, Array]:
        """Fine and coarse features [slices, outputs, width] of symbols [slices, positions]."""
        stride, pool = (1, 1) if config.causal else (config.pool, config.pool)
        outputs = (codes.shape[1] - config.kernel - pool + 1) // stride + 1
        fine = np.empty((len(codes), outputs, config.width), np.int32)
        coarse = np.empty(fine.shape, np.float32)
        kernels.features(
            codes, net["conv"], net["conv_bias"], net["gain"], net["offset"], config.kernel, pool, stride, fine, coarse
        )
        return fine, coarse

    def product(self, rows: Array, weights: Array) -> Array:
        """``rows [n, inputs] @ weights.T``, exact."""
        tensor = torch.from_numpy(rows)
        if len(weights) == 1:
            return torch.mm(tensor, weights[0]).numpy()
        total = np.zeros((len(rows), weights[0].shape[1]), np.int32)
        for start, part in zip(range(0, rows.shape[1], CHUNK), weights, strict=True):
            total += torch.mm(tensor[:, start : start + CHUNK], part).numpy().astype(np.int32)
        return total

    def requantise(self, sums: Array, bias: Array, shift: Array) -> Array:
        """Sums of a product to coarse values."""
        out = np.empty(sums.shape, np.float32)
        kernels.requantise(sums, bias, shift, out)
        return out

    def lookup(self, sums: Array, bias: Array, shift: Array, table: Array) -> Array:
        """A table of 1,024 entries applied to the shifted sums."""
        out = np.empty(sums.shape, np.float32)
        kernels.lookup(sums, bias, shift, table, out)
        return out

    def add_and_normalise(
        self, residual: Array, sums: Array, bias: Array, shift: Array, gain: Array, offset: Array
    ) -> tuple[Array, Array]:
        """Fine and coarse values of the layer normalisation of ``residual`` and shifted sums."""
        fine, coarse = np.empty(residual.shape, np.int32), np.empty(residual.shape, np.float32)
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
        """Relative attention; arguments as for `attention_products`, ``shifts`` are of scores and means."""
        content, position, *cached = map(torch.from_numpy, (*queries, keys, values, relative))
        scores, there, seen = attention_products((content, position), cached[0], cached[1], cached[2], config, first)
        weights, norms = np.empty(scores.shape, np.float32), np.empty(scores.shape[:-1], np.int32)
        kernels.attention_weights(
            scores.numpy(),
            there.numpy(),
            config.memory,
            first,
            config.causal,
            shifts[0],
            self._attention,
            weights,
            norms,
        )
        sums = torch.matmul(torch.from_numpy(weights), seen)
        out = np.empty(queries[0].shape, np.float32)
        kernels.attention_means(sums.numpy(), norms, shifts[1], out.reshape(len(sums), -1, *sums.shape[1::2]))
        return out

    def frequencies(self, sums: Array, bias: Array, shift: Array) -> NDArray[np.uint16]:
        """Frequencies [rows, 4] of the four bases; each row sums to 2**16."""
        out = np.empty((len(sums), 4), np.uint16)
        kernels.frequencies(sums, bias, shift, self._logits, out)
        return out


class TorchBackend:
    """The execution on a torch device: the same integers from tensor operations. Methods as in `CpuBackend`."""

    def __init__(self, device: str) -> None:
        self.rows = 512 if device == "cpu" else 1 << 16
        self._device = torch.device(device)
        self._attention, self._logits = self.load(attention_table()), self.load(logit_table())

    def load(self, tensor: NDArray[Any]) -> Array:
        return torch.from_numpy(np.array(tensor, np.int32)).to(self._device)

    def weights(self, matrix: NDArray[np.int8]) -> Array:
        parts = [matrix[:, start : start + CHUNK].T for start in range(0, matrix.shape[1], CHUNK)]
        return [torch.from_numpy(np.ascontiguousarray(part, np.float32)).to(self._device) for part in parts]

    def empty(self, *shape: int) -> Array:
        return torch.zeros(shape, dtype=torch.int32, device=self._device)

    def product(self, rows: Array, weights: Array) -> Array:
        total = None
        for start, part in zip(range(0, rows.shape[1], CHUNK), weights, strict=True):
            sums = (rows[:, start : start + CHUNK].float() @ part).int()
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
        content, position, *cached = (tensor.float() for tensor in (*queries, keys, values, relative))
        scores, there, seen = attention_products((content, position), cached[0], cached[1], cached[2], config, first)
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
        sums = torch.matmul(weights.float(), seen).long()
        inverse = torch.div(1 << 23, weights.sum(-1, keepdim=True), rounding_mode="floor")
        out = ((sums * inverse + (1 << (shifts[1] - 1))) >> shifts[1]).clamp(-127, 127).int()
        return out.transpose(1, 2).reshape(queries[0].shape)

    def frequencies(self, sums: Array, bias: Array, shift: Array) -> NDArray[np.uint16]:
        logits = ((sums + bias) >> shift).long()
        best = logits.argmax(1, keepdim=True)
        # argmax may return any of equal logits: take the first
        best = (logits == logits.gather(1, best)).int().argmax(1, keepdim=True)
        below = logits.gather(1, best) - logits
        weights = self._logits[below & 127].long() >> (below >> 7).clamp(max=31)
        sizes = 1 + torch.div(weights * 65532, weights.sum(1, keepdim=True), rounding_mode="floor")
        sizes.scatter_add_(1, best, 65536 - sizes.sum(1, keepdim=True))
        host: NDArray[np.int64] = sizes.cpu().numpy()
        return host.astype(np.uint16)


Backend = CpuBackend | TorchBackend


def make_backend(device: str) -> Backend:
    """The execution for ``cpu`` or ``cuda``, or ``torch``: the operations for CUDA, on the CPU."""
    if device == "cpu":
        return CpuBackend()
    if device == "torch":
        return TorchBackend("cpu")
    check_device(device)
    torch.backends.cuda.matmul.allow_tf32 = False
    return TorchBackend(device)
