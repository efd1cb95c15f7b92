"""From a trained float network to the integers of the exact one: steps from watched ranges, then tensors.

A step is the real size of one integer. All matrices go from steps to steps by a power of two a row, so the integers
need nothing but shifts between them; what real number a step stands for is forgotten once the tensors are made.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geneformer_codec.network.config import NetworkConfig
from geneformer_codec.network.float_network import FINE, GELU_ENTRIES, Activation, GeneFormer, Linear
from geneformer_codec.network.integer_network import check_tensors, tensor_shapes
from geneformer_codec.network.tables import ATTENTION_STEPS, LOGIT_STEPS

LOGIT_STEP = math.log(2) / LOGIT_STEPS
MEAN_SHIFT = 23
"""Bits of the reciprocal that attention's means are multiplied with."""


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
    _set_targets(net)


def _set_targets(net: GeneFormer) -> None:
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
    """The exact network's tensors (`exact.tensor_shapes`) for a float network whose steps are set."""
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


def restore_targets(net: GeneFormer) -> None:
    """After loading a state dict with steps: tell every matrix its target."""
    _set_targets(net)
