import math

import numpy as np
import pytest
import torch
from networks import SMALL

from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.config import PRESETS, START, NetworkConfig, preset_named
from geneformer_codec.network.float_network import (
    Activation,
    GeneFormer,
    RelativeAttention,
    integer_tensors,
    set_steps,
)
from geneformer_codec.network.integer_network import IntegerNetwork


def test_the_paper_preset_has_the_shapes_of_table_2() -> None:
    config = preset_named("paper")
    net = GeneFormer(config)
    codes = torch.randint(0, 4, (2, 64))
    rows = torch.nn.functional.conv1d(
        torch.nn.functional.one_hot(codes, 5).float().transpose(1, 2), net.taps.permute(2, 1, 0)
    )
    assert rows.shape == (2, 768, 41)
    assert net.features(codes).shape == (2, 13, 768)
    assert net.encoder.expand.weight.shape == (3072, 768)
    assert net.encoder.contract.weight.shape == (768, 3072)
    logits, latent = net.window(codes, net.start_latent(2))
    assert logits.shape == (2, 4)
    assert latent.shape == (2, 13, 768)
    assert {name: PRESETS[name].width for name in ("paper-384", "paper", "paper-1024")} == {
        "paper-384": 384,
        "paper": 768,
        "paper-1024": 1024,
    }


@pytest.mark.parametrize("form", SMALL)
def test_relative_attention_is_that_of_transformer_xl(form: str) -> None:
    config = SMALL[form]
    if config.width > 16:
        pytest.skip("the sum below is written out, one term at a time")
    torch.manual_seed(0)
    attention = RelativeAttention(config, Activation())
    torch.nn.init.normal_(attention.content_bias)
    torch.nn.init.normal_(attention.position_bias)
    size, memory, width = config.segment, config.memory, config.head_width
    values = torch.randn(1, memory + 2 * size if config.causal else memory + size, config.width)
    query, key, value = (matrix(values)[0] for matrix in (attention.query, attention.key, attention.value))
    table = attention.positions()
    means = torch.zeros(values.shape[1] - memory, config.width)
    for i in range(len(means)):
        begin = i // size * size  # the memory ends where the query's segment begins
        for head in range(config.heads):
            part = slice(head * width, (head + 1) * width)
            scores = torch.full((memory + size,), -torch.inf)
            for j in range(memory + size):
                distance = memory + i - begin - j
                if config.causal and distance < 0:
                    continue
                there = table[distance + (0 if config.causal else size - 1)]
                content = (query[memory + i] + attention.content_bias)[part] @ key[begin + j][part]
                position = (query[memory + i] + attention.position_bias)[part] @ there[part]
                scores[j] = (content + position) / math.sqrt(width)
            means[i, part] = torch.softmax(scores, 0) @ value[begin : begin + memory + size, part]
    assert torch.allclose(attention(values)[0], attention.output(means), atol=1e-5)


@pytest.mark.parametrize("form", ["stream", "paper", "stream without latent array", "paper without segment cut"])
def test_the_integer_network_is_the_rounded_one(form: str) -> None:
    config = SMALL[form]
    torch.manual_seed(1)
    net = GeneFormer(config, dropout=0.0)
    random = np.random.default_rng(2)
    slices = random.integers(0, 4, (8, 160 if config.causal else 40)).astype(np.uint8)
    history = config.kernel + config.memory if config.causal else config.window
    codes = torch.from_numpy(np.pad(slices, ((0, 0), (history, 0)), constant_values=START)).long()

    def logits() -> torch.Tensor:
        if config.causal:
            return net.stream(codes[:, :-1])
        latent, out = net.start_latent(len(codes)), []
        for at in range(slices.shape[1]):
            step, latent = net.window(codes[:, at : at + history], latent)
            out.append(step)
        return torch.stack(out, 1)

    net.train()
    for _ in range(20):  # batch statistics
        logits()
    net.eval()
    with torch.no_grad():
        net.head.weight.mul_(3)  # an untrained head says little
        plain = torch.softmax(logits(), -1).numpy()
        net.set_mode("watch")
        logits()
        set_steps(net)
        net.set_mode("round")
        rounded = torch.softmax(logits(), -1).numpy()
    net.set_mode("float")
    integers = IntegerNetwork(config, integer_tensors(net), make_backend("cpu"))
    found = np.concatenate(list(integers.encode(slices)), 1)[:, : slices.shape[1]] / 65536
    assert np.ptp(plain) > 0.2
    # rounding's errors flip some of the roundings after them: no closer, but no further from the float network either
    assert np.abs(found - plain).mean() < 0.02
    assert np.abs(found - plain).mean() < 1.25 * np.abs(rounded - plain).mean()


def test_impossible_shapes() -> None:
    with pytest.raises(FormatError, match="multiple"):
        NetworkConfig(width=90, heads=4)
    with pytest.raises(FormatError, match="512"):
        NetworkConfig(segment=200, segment_cut=False)
    with pytest.raises(FormatError, match="must be even"):
        NetworkConfig(inner=385)
    with pytest.raises(FormatError, match="32 bits"):
        NetworkConfig(width=2304, heads=24)
    with pytest.raises(FormatError, match="32 bits"):
        NetworkConfig(form="paper", width=2048, heads=16, segment=40, window=144)
    with pytest.raises(FormatError, match="window"):
        NetworkConfig(form="paper", segment=12)
    with pytest.raises(FormatError, match="another version"):
        NetworkConfig.from_dict({"width": 3})
    with pytest.raises(FormatError, match="type int"):
        NetworkConfig.from_dict({**NetworkConfig().as_dict(), "width": "96"})
    with pytest.raises(UsageError, match="stream-small"):
        preset_named("huge")
