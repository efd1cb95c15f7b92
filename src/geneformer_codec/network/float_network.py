"""The GeneFormer network in floating point, for training: the paper's form and a stream form of the same parts.

GeneFormer (Cui, Liao, Xu, Wang): a convolutional feature generator, one Transformer-XL / XLNet layer with relative
positions (Dai et al. 2019; Yang et al. 2019), a linear head. The **paper** form looks at a fresh window of 64 bases for
every base (Table 2); its latent array is the encoder's output for the window before. The **stream** form computes each
position once: causal convolution, attention over the current segment and the one before, feed-forward, head.

Every place where the integer network holds a small integer is an `Activation` here, every matrix a `Linear`: they pass
values on, watch their range, or round them as the integers will be (quantisation-aware training, with gradients passed
straight through; Jacob et al. 2018). A *step* is the real size of one integer: `set_steps` fixes all of them from the
watched ranges, `integer_tensors` makes the integers. Matrices go from steps to steps by a power of two a row, so the
integers need only shifts between them.
"""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.network.backends import ATTENTION_STEPS, LOGIT_STEPS
from geneformer_codec.network.config import FINE, SYMBOLS, NetworkConfig, check_tensors, tensor_shapes
from geneformer_codec.network.pytorch import torch

F, nn = torch.nn.functional, torch.nn
Tensor = torch.Tensor

Mode = Literal["float", "watch", "round"]

GELU_ENTRIES = 512
"""The GELU's table reaches this many steps to either side of zero."""
MAX_SHIFT = 16
LOGIT_STEP = math.log(2) / LOGIT_STEPS
MEAN_SHIFT = 23
"""Bits of the reciprocal that attention's means are multiplied with."""
FEATURE_BOUND = 4.0
"""The stream form's features stay within this many standard deviations."""


def round_through(values: Tensor) -> Tensor:
    """Round, with the gradient of the identity."""
    return values + (values.round() - values).detach()


class Activation(nn.Module):
    """Values that the integer network holds as integers within ``+-limit`` steps of size ``step``."""

    step: Tensor
    highest: Tensor

    def __init__(self, limit: int = 127, bound: float = math.inf) -> None:
        super().__init__()
        self.limit = limit
        self.bound = bound
        self.mode: Mode = "float"
        self.register_buffer("step", torch.tensor(0.0))
        self.register_buffer("highest", torch.tensor(0.0))

    def forward(self, values: Tensor, fine: int = 1) -> Tensor:
        """Pass on ``values`` within ``bound``; rounding keeps 1/``fine`` of a step."""
        if self.bound < math.inf:
            values = values.clamp(-self.bound, self.bound)
        if self.mode == "watch":
            # cut off one outlier in ten thousand: the others get a finer step
            flat = values.detach().abs().flatten()
            sample = flat[:: max(1, len(flat) // 100_000)]
            reach = torch.quantile(sample, 0.9999)
            self.highest.copy_(torch.maximum(self.highest, reach))
        elif self.mode == "round":
            limit = self.limit * self.step
            return round_through(values.clamp(-limit, limit) * (fine / self.step)) * (self.step / fine)
        return values


class Linear(nn.Module):
    """A matrix whose integer form takes steps of ``source`` to steps of ``target``: ``(W x + b) >> shift`` by row."""

    def __init__(self, inputs: int, outputs: int, source: Activation, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs).normal_(std=inputs**-0.5))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.source = [source]  # in a list, so that it is not registered as a child
        self.mode: Mode = "float"
        self.target_step = 1.0

    def scales(self) -> tuple[Tensor, Tensor]:
        """Integer weights per real weight, and the shift, by row."""
        ratio = self.source[0].step / self.target_step
        largest = self.weight.detach().abs().amax(1).clamp(min=1e-12) * ratio
        shift = torch.log2(127.49 / largest).floor().clamp(0, MAX_SHIFT)
        return ratio * 2**shift, shift

    def rounded_weight(self) -> Tensor:
        """The weight as its integer form has it."""
        scale = self.scales()[0][:, None]
        return round_through((self.weight * scale).clamp(-127, 127)) / scale

    def forward(self, values: Tensor) -> Tensor:
        """``W x + b`` over the last axis."""
        return F.linear(values, self.rounded_weight() if self.mode == "round" else self.weight, self.bias)


class RelativeAttention(nn.Module):
    """Transformer-XL attention: ``(x_i + u) W x_j + (x_i + v) W g(i - j)``, g sinusoidal with t = 10000."""

    sinusoids: Tensor
    hidden: Tensor

    def __init__(self, config: NetworkConfig, source: Activation) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.query_step, self.key_step, self.value_step, self.mean_step = (Activation() for _ in range(4))
        self.query = Linear(width, width, source, bias=False)
        self.key = Linear(width, width, source, bias=False)
        self.value = Linear(width, width, source, bias=False)
        self.relative = nn.Parameter(torch.empty(width, width).normal_(std=width**-0.5))
        self.output = Linear(width, width, self.mean_step, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(width))  # u
        self.position_bias = nn.Parameter(torch.zeros(width))  # v
        first = 0 if config.causal else 1 - config.segment
        distances = torch.arange(first, first + config.distances, dtype=torch.float32)
        rates = 10000 ** (-torch.arange(0, width, 2) / width)
        angles = distances[:, None] * rates
        self.register_buffer("sinusoids", torch.cat([angles.sin(), angles.cos()], 1), persistent=False)
        ahead = torch.ones(config.segment, config.memory + config.segment).triu(config.memory + 1)
        self.register_buffer("hidden", torch.zeros_like(ahead).masked_fill(ahead > 0, -torch.inf), persistent=False)

    def positions(self) -> Tensor:
        """``W g`` for every distance, [distances, width]."""
        table: Tensor = self.key_step(self.sinusoids @ self.relative.T)
        return table

    def forward(self, values: Tensor) -> Tensor:
        """values [slices, memory + positions, width] in, [slices, positions, width] out; whole segments."""
        config = self.config
        slices, width = len(values), values.shape[2]
        heads, size, memory = config.heads, config.segment, config.memory
        span = memory + size

        def split(rows: Tensor) -> Tensor:  # [slices * segments, heads, segment, head_width]
            return rows.reshape(-1, size, heads, config.head_width).transpose(1, 2)

        def windows(rows: Tensor) -> Tensor:  # [slices * segments, heads, head_width, memory + segment]
            return rows.unfold(1, span, size).reshape(-1, heads, config.head_width, span)

        query = self.query(values[:, memory:])
        content = self.query_step(query + self.content_bias)
        position = self.query_step(query + self.position_bias)
        scores = split(content) @ windows(self.key_step(self.key(values)))
        # by distance, furthest first, so that a shear of rows puts the distance memory + i - j into column j
        table = self.positions().flip(0).view(-1, heads, config.head_width).permute(1, 2, 0)
        there = split(position) @ table  # [slices * segments, heads, size, distances]
        columns = span + size - 1
        there = F.pad(there, (0, columns - there.shape[-1]))  # a causal table ends at distance 0
        sheared = there.flatten(2)[..., size - 1 : size - 1 + size * (columns - 1)]
        scores = scores + sheared.view(*scores.shape[:2], size, columns - 1)[..., :span]
        if config.causal:
            scores = scores + self.hidden
        weights = torch.softmax(scores / math.sqrt(config.head_width), -1)
        mean = weights @ windows(self.value_step(self.value(values))).transpose(-1, -2)
        mean = mean.transpose(1, 2).reshape(slices, -1, width)
        out: Tensor = self.output(self.mean_step(mean))
        return out


class Encoder(nn.Module):
    """One layer: relative attention and feed-forward, each with residual and LayerNorm."""

    def __init__(self, config: NetworkConfig, source: Activation, out: Activation, dropout: float) -> None:
        super().__init__()
        width = config.width
        self.attention = RelativeAttention(config, source)
        self.attention_norm = nn.LayerNorm(width)
        self.between = Activation()
        self.expand = Linear(width, config.inner, self.between)
        self.hidden_in, self.hidden = Activation(GELU_ENTRIES - 1), Activation()
        self.contract = Linear(config.inner, width, self.hidden)
        self.inner_norm = nn.LayerNorm(width)
        self.out = out
        self.dropout = nn.Dropout(dropout)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """The coarse output [slices, positions, width]; ``coarse`` has the memory before the positions of ``fine``."""
        attended = self.attention_norm(fine + self.dropout(self.attention(coarse)))
        fine, coarse = self.between(attended, FINE), self.between(attended)
        hidden = self.dropout(self.hidden(F.gelu(self.hidden_in(self.expand(coarse)))))
        out: Tensor = self.out(self.inner_norm(fine + self.dropout(self.contract(hidden))))
        return out


class GeneFormer(nn.Module):
    """The whole network: ``logits`` of the next base, natural logarithms."""

    def __init__(self, config: NetworkConfig, dropout: float = 0.1) -> None:
        super().__init__()
        self.config = config
        # features are sparse with long tails: without a bound their step would be coarse for all but a few
        self.source = Activation(bound=FEATURE_BOUND if config.causal else math.inf)
        # the latent array is seen through the same matrices as the features: one step for both
        self.out = self.source if not config.causal else Activation()
        self.taps = nn.Parameter(torch.empty(config.kernel, SYMBOLS, config.width).normal_(std=config.kernel**-0.5))
        self.taps_bias = nn.Parameter(torch.zeros(config.width))
        self.norm = nn.BatchNorm1d(config.width)
        self.encoder = Encoder(config, self.source, self.out, dropout)
        self.head = Linear(config.head_inputs, 4, self.out)
        self.dropout = nn.Dropout(dropout)

    def features(self, codes: Tensor) -> Tensor:
        """Features [batch, positions - kernel + 1 (a third of it in the paper's form), width] of codes 0..4."""
        onehot = F.one_hot(codes, SYMBOLS).to(self.taps.dtype).transpose(1, 2)
        rows = F.relu(F.conv1d(onehot, self.taps.permute(2, 1, 0), self.taps_bias))
        if not self.config.causal:
            rows = F.max_pool1d(rows, self.config.pool)
        out: Tensor = self.dropout(self.norm(rows))
        return out.transpose(1, 2)

    def _fine_coarse(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.source(features, FINE), self.source(features)

    def stream(self, codes: Tensor) -> Tensor:
        """Logits [batch, positions, 4] in the stream form.

        codes [batch, memory + positions + kernel - 1]: the first ``memory + kernel`` of them come before the first base
        that is predicted, the last base predicted is not among them.
        """
        fine, coarse = self._fine_coarse(self.features(codes))
        logits: Tensor = self.head(self.encoder(fine[:, self.config.memory :], coarse))
        return logits

    def window(self, codes: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [batch, 4] and next latent array (paper's form); codes [batch, 64], latent [batch, memory, width]."""
        fine, coarse = self._fine_coarse(self.features(codes))
        out = self.encoder(fine, torch.cat([latent, coarse], 1))
        latent = torch.cat([latent, out], 1)[:, out.shape[1] :] if self.config.memory else latent
        return self.head(out.flatten(1)), latent

    def start_latent(self, batch: int) -> Tensor:
        """The latent array before a slice's first base: zeros [batch, memory, width]."""
        return torch.zeros(batch, self.config.memory, self.config.width, device=self.taps.device)

    def set_mode(self, mode: Mode) -> None:
        """Pass values on (``float``), watch their range (``watch``), or round as the integers will be (``round``)."""
        for module in self.modules():
            if isinstance(module, Activation | Linear):
                module.mode = mode


@torch.no_grad()
def set_steps(net: GeneFormer) -> None:
    """Fix every step from the ranges that were watched."""
    for module in net.modules():
        if isinstance(module, Activation):
            module.step.copy_((module.highest / module.limit).clamp(min=1e-4))
    attention = net.encoder.attention
    # a product of a query's and a key's step is a power of two of an octave (a factor of two after the softmax)
    octave = math.sqrt(net.config.head_width) / math.log2(math.e)
    key = float(attention.key_step.step)
    fraction = max(
        int(math.log2(ATTENTION_STEPS)), math.floor(math.log2(octave / (key * float(attention.query_step.step))))
    )
    attention.query_step.step.fill_(octave / key * 2.0**-fraction)
    # attention's means are small where it averages: give them up to four more bits than the values have
    value = float(attention.value_step.step)
    finer = min(4, max(0, math.floor(math.log2(value / float(attention.mean_step.step)))))
    attention.mean_step.step.fill_(value * 2.0**-finer)
    set_targets(net)


def set_targets(net: GeneFormer) -> None:
    """Tell every matrix the step of its results; needed again after a state dict with steps was loaded."""
    attention, encoder = net.encoder.attention, net.encoder
    for linear, step in (
        (attention.query, float(attention.query_step.step)),
        (attention.key, float(attention.key_step.step)),
        (attention.value, float(attention.value_step.step)),
        (attention.output, float(net.source.step) / FINE),
        (encoder.expand, float(encoder.hidden_in.step)),
        (encoder.contract, float(encoder.between.step) / FINE),
        (net.head, LOGIT_STEP),
    ):
        linear.target_step = step


def _integers(values: Tensor, dtype: str, limit: int) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().double().round().clamp(-limit, limit).cpu().numpy()
    return array.astype(dtype)


def _linear(linear: Linear, bias: Tensor | None) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Integer weights, shift and bias, the latter with the half that makes the shift round."""
    scale, shift = linear.scales()
    weights = _integers(linear.weight * scale[:, None], "int8", 127)
    half = torch.where(shift > 0, 2 ** (shift - 1), torch.zeros_like(shift))
    offsets = half if bias is None else bias.double() / linear.target_step * 2**shift + half
    return weights, shift.cpu().numpy().astype(np.int32), _integers(offsets, "int32", (1 << 30) - 1)


@torch.no_grad()
def integer_tensors(net: GeneFormer) -> dict[str, NDArray[Any]]:
    """The integer network's tensors (`config.tensor_shapes`) for a float network whose steps are set."""
    config: NetworkConfig = net.config
    attention, encoder = net.encoder.attention, net.encoder
    out: dict[str, NDArray[Any]] = {}

    # the convolution fills 16 bits channel by channel; batch normalisation brings it to steps
    reach = net.taps.abs().amax(1).sum(0) + net.taps_bias.abs()
    unit = reach.clamp(min=1e-9) / 32000
    mean, variance = net.norm.running_mean, net.norm.running_var
    assert mean is not None and variance is not None  # noqa: PT018 - batch normalisation keeps them by default
    slope = net.norm.weight / torch.sqrt(variance + net.norm.eps)
    level = net.norm.bias - slope * mean
    fine = net.source.step / FINE
    out["conv"] = _integers(net.taps / unit, "int16", 32767)
    out["conv_bias"] = _integers(net.taps_bias / unit, "int16", 32767)
    out["gain"] = _integers(slope * unit / fine * (1 << 15), "int32", 32767)
    out["offset"] = _integers(level / fine * (1 << 15) + (1 << 14), "int32", (1 << 30) - 1)

    out["query"], out["query_shift"], out["content_bias"] = _linear(attention.query, attention.content_bias)
    out["position_bias"] = _linear(attention.query, attention.position_bias)[2]
    out["key"], out["key_shift"], out["key_bias"] = _linear(attention.key, None)
    out["value"], out["value_shift"], out["value_bias"] = _linear(attention.value, None)
    out["relative"] = _integers(attention.positions() / attention.key_step.step, "int8", 127)
    out["output"], out["output_shift"], out["output_bias"] = _linear(attention.output, None)
    out["expand"], out["expand_shift"], out["expand_bias"] = _linear(encoder.expand, encoder.expand.bias)
    entries = torch.arange(-GELU_ENTRIES, GELU_ENTRIES, dtype=torch.float64) * float(encoder.hidden_in.step)
    out["gelu"] = _integers(torch.nn.functional.gelu(entries) / float(encoder.hidden.step), "int8", 127)
    out["contract"], out["contract_shift"], out["contract_bias"] = _linear(encoder.contract, encoder.contract.bias)
    out["head"], out["head_shift"], out["head_bias"] = _linear(net.head, net.head.bias)
    for name, norm, step in (
        ("attention", encoder.attention_norm, encoder.between.step),
        ("inner", encoder.inner_norm, net.out.step),
    ):
        fine = step / FINE
        out[f"{name}_gain"] = _integers(norm.weight / fine * (1 << 4), "int32", 32767)
        out[f"{name}_offset"] = _integers(norm.bias / fine * (1 << 14) + (1 << 13), "int32", (1 << 28) - 1)
    octave = math.sqrt(config.head_width) / math.log2(math.e)
    fraction = round(math.log2(octave / float(attention.query_step.step * attention.key_step.step)))
    finer = round(math.log2(float(attention.value_step.step / attention.mean_step.step)))
    out["attention_shifts"] = np.array([fraction - int(math.log2(ATTENTION_STEPS)), MEAN_SHIFT - finer], np.int32)
    out = {name: out[name] for name in tensor_shapes(config)}
    check_tensors(config, out)
    return out
