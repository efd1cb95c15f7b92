"""Integer networks with random tensors, for tests of their executions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.model.file import Model
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.config import NetworkConfig, tensor_shapes
from geneformer_codec.network.integer_network import IntegerNetwork

SMALL = {
    "stream": NetworkConfig(width=16, heads=2, inner=24, segment=8),
    "stream without latent array": NetworkConfig(width=16, heads=2, inner=24, segment=8, latent_array=False),
    "stream without segment cut": NetworkConfig(width=16, heads=2, inner=24, segment=8, segment_cut=False),
    "stream, wide": NetworkConfig(width=96, heads=3, inner=1100, segment=32),
    "paper": NetworkConfig(form="paper", width=16, heads=2, inner=24, segment=13),
    "paper without latent array": NetworkConfig(
        form="paper", width=16, heads=2, inner=24, segment=13, latent_array=False
    ),
    "paper without segment cut": NetworkConfig(
        form="paper", width=16, heads=2, inner=24, segment=13, segment_cut=False
    ),
}


def random_tensors(config: NetworkConfig, seed: int = 0, extreme: bool = False) -> dict[str, NDArray[Any]]:
    """Tensors that keep values in a lively range; ``extreme`` ones sit at every bound that is allowed."""
    random = np.random.default_rng(seed)
    tensors: dict[str, NDArray[Any]] = {}
    for name, (dtype, shape) in tensor_shapes(config).items():
        sign = random.choice([-1, 1], shape)
        if name == "conv":
            values = sign * 1300 if extreme else random.integers(-600, 600, shape)
        elif name == "attention_shifts":
            values = np.array([0, 16] if extreme else [5, 21])
        elif name.endswith("shift"):
            values = random.choice([0, 24], shape) if extreme else random.integers(5, 9, shape)
        elif name.endswith("gain"):
            values = sign * 32767 if extreme else random.integers(5000, 12000, shape)
        elif name.endswith("offset"):
            most = (1 << (30 if name == "offset" else 28)) - 1
            values = sign * most if extreme else random.integers(-(10**6), 10**6, shape)
        elif name.endswith("bias"):
            large = 1500 if name == "conv_bias" else (1 << 30) - 1
            values = sign * large if extreme else random.integers(-1000, 1000, shape)
        else:
            values = sign * 127 if extreme else random.integers(-127, 128, shape)
        tensors[name] = np.asarray(values).astype(dtype)
    return tensors


def random_model(form: str, seed: int = 0) -> Model:
    config = SMALL[form]
    return Model.make(config, random_tensors(config, seed), {}, {"name": form})


def likely_bases(form: str, length: int) -> np.ndarray:
    """Bases that the model itself finds likely, so that its slices are smaller than plain ones."""
    model = random_model(form)
    decoder = IntegerNetwork(model.config, model.tensors, make_backend("cpu")).decoder(1)
    bases = np.zeros(length, np.uint8)
    for position in range(length):
        bases[position] = decoder.predict()[0].argmax()
        decoder.push(bases[position : position + 1])
    return bases
