"""Experts with a network as one of them: all bases back, whatever the threads and batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import random_model

from geneformer_codec.errors import FormatError
from geneformer_codec.model.file import Experts, Model, load_model
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.panel import Panel, embed
from geneformer_codec.model.panel_coding import encode_panel
from geneformer_codec.network import coder
from geneformer_codec.network.coder import MixedCoder
from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import ExpertSettings, with_level

WITH_NETWORK = ExpertSettings(table_bits=12, count_orders=(8,), frame_orders=(2,), network=True)
LENGTHS = [700, 1, 0, 300, 64, 1100]
CHANCE = np.random.default_rng(8)
ANCESTOR = CHANCE.integers(0, 4, 3000).astype(np.uint8)


@pytest.fixture(scope="module")
def bases() -> np.ndarray:
    begins = [100, 5, 0, 1500, 2000, 900]
    slices = [ANCESTOR[begin : begin + length].copy() for begin, length in zip(begins, LENGTHS, strict=True)]
    text = np.concatenate(slices)
    text[CHANCE.random(len(text)) < 0.1] = 0
    return text


@pytest.fixture(scope="module")
def model() -> Model:
    panel = Panel.of([ANCESTOR, ANCESTOR[::-1].copy()])
    coded = ExpertSettings(table_bits=12, count_orders=(8,))
    source = embed(panel, lambda panel_bases: encode_panel(panel_bases, coded, 1))
    experts = Experts(InitialState.untrained(WITH_NETWORK), source)
    made = Model.of(random_model("stream").network, experts, {"name": "both"})
    return load_model(made.to_bytes())


def test_the_coder_follows_from_the_settings(model: Model) -> None:
    assert isinstance(model.coder(model.expert_settings("max"), "cpu", 1), MixedCoder)
    for level in ("fast", "balanced"):
        assert not isinstance(model.coder(model.expert_settings(level), "cpu", 1), MixedCoder)


@pytest.mark.parametrize("level", ["fast", "balanced", "max"])
def test_every_base_comes_back(model: Model, bases: np.ndarray, level: str) -> None:
    made = model.coder(model.expert_settings(level), "cpu", 1)
    coded = made.encode(bases, LENGTHS)
    assert sum(map(len, coded)) < 0.8 * len(bases) / 4
    np.testing.assert_array_equal(made.decode(coded, LENGTHS), bases)


@pytest.mark.parametrize(("device", "threads", "batch"), [("cpu", 2, 64), ("cpu", 1, 2), ("torch", 3, 1)])
def test_threads_batches_and_device_change_nothing(
    model: Model, bases: np.ndarray, monkeypatch: pytest.MonkeyPatch, device: str, threads: int, batch: int
) -> None:
    settings = model.expert_settings("max")
    wanted = model.coder(settings, "cpu", 1).encode(bases, LENGTHS)
    monkeypatch.setattr(coder, "CPU_BATCH", batch)
    monkeypatch.setattr(coder, "MIXED_GPU_BATCH", batch)
    other = model.coder(settings, device, threads)
    assert other.encode(bases, LENGTHS) == wanted
    np.testing.assert_array_equal(other.decode(wanted, LENGTHS), bases)


def test_slices_may_be_decoded_in_part(model: Model, bases: np.ndarray) -> None:
    made = model.coder(model.expert_settings("max"), "cpu", 2)
    coded, stops = made.encode(bases, LENGTHS), [500, 1, 0, 10, 0, 1100]
    ends = np.cumsum(LENGTHS)
    wanted = [bases[end - length : end - length + stop] for end, length, stop in zip(ends, LENGTHS, stops, strict=True)]
    np.testing.assert_array_equal(made.decode(coded, LENGTHS, None, stops), np.concatenate(wanted))


def test_predictions_of_the_network_are_mixed_in() -> None:
    text = CHANCE.integers(0, 4, 2000).astype(np.uint8)
    predicted = np.full((2000, 4), -512, np.int32)  # 1/16 each
    predicted[np.arange(2000), text] = -38  # 13/16
    panel = PackedPanel.of(ANCESTOR, np.zeros(1, np.int64))
    without = len(Predictor(replace(WITH_NETWORK, network=False), panel).encode(text))
    mixed = len(Predictor(WITH_NETWORK, panel).adapt(text, None, None, network_logs=predicted.reshape(-1)))
    assert mixed < 0.6 * without


def test_settings_with_a_network_need_one(model: Model) -> None:
    alone = Model.of(None, model.experts, {"name": "alone"})
    with pytest.raises(FormatError, match="has no panel, or no network"):
        alone.coder(with_level(WITH_NETWORK, "max"), "cpu", 1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_gives_the_same_bytes(model: Model, bases: np.ndarray) -> None:
    settings = model.expert_settings("max")
    wanted = model.coder(settings, "cpu", 1).encode(bases, LENGTHS)
    gpu = model.coder(settings, "cuda", 2)
    assert gpu.encode(bases, LENGTHS) == wanted
    np.testing.assert_array_equal(gpu.decode(wanted, LENGTHS), bases)
