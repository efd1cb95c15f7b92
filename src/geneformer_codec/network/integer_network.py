"""The GeneFormer network in integers: one definition of the numbers, whatever executes it.

Weights and activations are int8, sums int32; between them stand shifts, two small tables and integer divisions, so the
frequencies that are coded cannot depend on the machine. `quantise` makes the tensors from a trained float network,
`backends` executes the operations, ``docs/format/network.md`` writes down every one of them.

Shapes below: slices x positions x width. "Coarse" values are within +-127, "fine" ones are the same in 1/16.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.network.backends import Array, Backend
from geneformer_codec.network.config import START, NetworkConfig

FEATURE_TENSORS = ("conv", "conv_bias", "gain", "offset")


def tensor_shapes(config: NetworkConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name, dtype and shape of every tensor of the exact network."""
    width, inner = config.width, config.inner
    return {
        "conv": ("int16", (config.kernel, 5, width)),
        "conv_bias": ("int16", (width,)),
        "gain": ("int32", (width,)),
        "offset": ("int32", (width,)),
        "query": ("int8", (width, width)),
        "query_shift": ("int32", (width,)),
        "content_bias": ("int32", (width,)),
        "position_bias": ("int32", (width,)),
        "key": ("int8", (width, width)),
        "key_shift": ("int32", (width,)),
        "key_bias": ("int32", (width,)),
        "value": ("int8", (width, width)),
        "value_shift": ("int32", (width,)),
        "value_bias": ("int32", (width,)),
        "relative": ("int8", (config.distances, width)),
        "output": ("int8", (width, width)),
        "output_shift": ("int32", (width,)),
        "output_bias": ("int32", (width,)),
        "attention_gain": ("int32", (width,)),
        "attention_offset": ("int32", (width,)),
        "expand": ("int8", (inner, width)),
        "expand_shift": ("int32", (inner,)),
        "expand_bias": ("int32", (inner,)),
        "gelu": ("int8", (1024,)),
        "contract": ("int8", (width, inner)),
        "contract_shift": ("int32", (width,)),
        "contract_bias": ("int32", (width,)),
        "inner_gain": ("int32", (width,)),
        "inner_offset": ("int32", (width,)),
        "head": ("int8", (4, config.head_inputs)),
        "head_shift": ("int32", (4,)),
        "head_bias": ("int32", (4,)),
        "attention_shifts": ("int32", (2,)),
    }


MATRICES = ("query", "key", "value", "output", "expand", "contract", "head")


def check_tensors(config: NetworkConfig, tensors: dict[str, NDArray[Any]]) -> None:
    """Raise ``FormatError`` unless the tensors are those of ``config`` and no step can leave 32 bits."""
    wanted = tensor_shapes(config)
    if set(tensors) != set(wanted):
        raise FormatError(f"the model's tensors are not those of its network: {sorted(set(tensors) ^ set(wanted))}")
    for name, (dtype, shape) in wanted.items():
        if tensors[name].dtype != dtype or tensors[name].shape != shape:
            raise FormatError(f"the model's tensor {name} should be {dtype} {list(shape)}")
    for name, tensor in tensors.items():
        if name.endswith("shift") and not ((tensor >= 0) & (tensor <= 24)).all():
            raise FormatError(f"the model's tensor {name} holds a shift out of 0..24")
        if name.endswith(("bias", "offset")) and (np.abs(tensor.astype(np.int64)) >= 1 << 30).any():
            raise FormatError(f"the model's tensor {name} is out of bounds")
        if name in ("attention_offset", "inner_offset") and (np.abs(tensor.astype(np.int64)) >= 1 << 28).any():
            raise FormatError(f"the model's tensor {name} is out of bounds")
        if name.endswith("gain") and (np.abs(tensor.astype(np.int64)) > 32767).any():
            raise FormatError(f"the model's tensor {name} is out of bounds")
        if tensor.dtype == np.int8 and (tensor == -128).any():
            raise FormatError(f"the model's tensor {name} holds -128")
    reach = np.abs(tensors["conv"].astype(np.int64)).max(1).sum(0) + np.abs(tensors["conv_bias"].astype(np.int64))
    if (reach > 32767).any():
        raise FormatError("the model's convolution can leave 16 bits")
    score_shift, out_shift = (int(value) for value in tensors["attention_shifts"])
    if not (0 <= score_shift <= 24 and 16 <= out_shift <= 23):
        raise FormatError("the model's attention shifts are out of bounds")


class ExactNetwork:
    """The network on a backend; frequencies for whole slices (`encode`) or step by step (`decoder`)."""

    def __init__(self, config: NetworkConfig, tensors: dict[str, NDArray[Any]], backend: Backend) -> None:
        check_tensors(config, tensors)
        self.config = config
        self._backend = backend
        self._net = {
            name: backend.weights(tensor) if name in MATRICES else backend.load(tensor)
            for name, tensor in tensors.items()
            if name not in ("relative", "attention_shifts")
        }
        relative = backend.empty(*tensors["relative"].shape)
        relative[:] = backend.load(tensors["relative"])
        self._relative = relative
        score_shift, out_shift = (int(value) for value in tensors["attention_shifts"])
        self._shifts = score_shift, out_shift

    @property
    def context(self) -> int:
        """Bases before the current one that `features` looks at."""
        return self.config.kernel if self.config.causal else self.config.window

    def features(self, codes: NDArray[np.uint8]) -> tuple[Array, Array]:
        """Fine and coarse features [slices, outputs, width] of ``codes`` [slices, positions], symbols 0..4."""
        return self._backend.features(codes, self._net, self.config)

    def _linear(self, rows: Array, name: str, bias: str = "") -> Array:
        sums = self._backend.product(rows.reshape(-1, rows.shape[-1]), self._net[name])
        out = self._backend.requantise(sums, self._net[bias or f"{name}_bias"], self._net[f"{name}_shift"])
        return out.reshape(*rows.shape[:-1], -1)

    def keys_and_values(self, coarse: Array) -> tuple[Array, Array]:
        """What attention remembers of coarse values [slices, positions, width]."""
        return self._linear(coarse, "key"), self._linear(coarse, "value")

    def encoder(self, fine: Array, coarse: Array, keys: Array, values: Array, first: int) -> tuple[Array, Array]:
        """The encoder's one layer: attention, then feed-forward, each with residual and normalisation.

        ``keys`` and ``values`` [slices, memory + positions, width] hold those of ``coarse`` too; ``first`` is the place
        of its first position in the segment.
        """
        net, backend = self._net, self._backend
        slices, positions, width = fine.shape
        sums = backend.product(coarse.reshape(-1, width), net["query"])
        queries = (
            backend.requantise(sums, net["content_bias"], net["query_shift"]).reshape(slices, positions, width),
            backend.requantise(sums, net["position_bias"], net["query_shift"]).reshape(slices, positions, width),
        )
        attended = backend.attend(queries, keys, values, self._relative, self.config, first, self._shifts)
        sums = backend.product(attended.reshape(-1, width), net["output"])
        fine, coarse = backend.add_and_normalise(
            fine.reshape(-1, width),
            sums,
            net["output_bias"],
            net["output_shift"],
            net["attention_gain"],
            net["attention_offset"],
        )
        hidden = backend.lookup(
            backend.product(coarse, net["expand"]), net["expand_bias"], net["expand_shift"], net["gelu"]
        )
        fine, coarse = backend.add_and_normalise(
            fine,
            backend.product(hidden, net["contract"]),
            net["contract_bias"],
            net["contract_shift"],
            net["inner_gain"],
            net["inner_offset"],
        )
        return fine.reshape(slices, positions, width), coarse.reshape(slices, positions, width)

    def head(self, coarse: Array) -> NDArray[np.uint16]:
        """Frequencies [rows, 4] from coarse values [rows, inputs of the head]."""
        sums = self._backend.product(coarse, self._net["head"])
        return self._backend.frequencies(sums, self._net["head_bias"], self._net["head_shift"])

    def encode(self, slices: NDArray[np.uint8]) -> Iterator[NDArray[np.uint16]]:
        """Frequencies for the bases of ``slices`` [slices, positions], given the bases before them (teacher forcing).

        Yields [slices, some positions, 4], in order and perhaps for a few positions beyond the end, so that memory
        stays bounded. The first bases of a slice have `START` symbols before them.
        """
        return self._encode_stream(slices) if self.config.causal else self._encode_windows(slices)

    def _encode_stream(self, slices: NDArray[np.uint8]) -> Iterator[NDArray[np.uint16]]:
        config = self.config
        count, length = slices.shape
        segments = -(-length // config.segment)
        codes = np.full((count, config.kernel + segments * config.segment), START, np.uint8)
        codes[:, config.kernel : config.kernel + length] = slices
        chunk = max(1, self._backend.rows // (count * config.segment)) * config.segment
        state = _Memory(self, count, chunk)
        for begin in range(0, segments * config.segment, chunk):
            positions = min(chunk, segments * config.segment - begin)
            fine, coarse = self.features(np.ascontiguousarray(codes[:, begin : begin + positions + config.kernel - 1]))
            state.write(coarse, 0)
            _, coarse = self.encoder(fine, coarse, state.keys, state.values, 0)
            yield self.head(coarse.reshape(-1, config.width)).reshape(count, positions, 4)
            state.move(positions)

    def _encode_windows(self, slices: NDArray[np.uint8]) -> Iterator[NDArray[np.uint16]]:
        decoder = self.decoder(len(slices))
        for position in range(slices.shape[1]):
            yield decoder.predict()[:, None]
            decoder.push(slices[:, position])

    def decoder(self, slices: int) -> "Decoder":
        """A state that predicts the next base of ``slices`` slices in lockstep."""
        return StreamDecoder(self, slices) if self.config.causal else WindowDecoder(self, slices)

    def empty(self, *shape: int) -> Array:
        """Room for coarse values, zeroed, of the backend's kind."""
        return self._backend.empty(*shape)


class _Memory:
    """Keys and values [slices, memory + positions, width] of the stream; the memory comes first."""

    def __init__(self, net: ExactNetwork, slices: int, positions: int) -> None:
        self._net, self._size = net, net.config.memory
        shape = (slices, self._size + positions, net.config.width)
        self.keys, self.values = net.empty(*shape), net.empty(*shape)
        if self._size:  # before a slice stands an endless run of START
            _, coarse = net.features(np.full((1, net.config.kernel), START, np.uint8))
            key, value = net.keys_and_values(coarse)
            self.keys[:, : self._size], self.values[:, : self._size] = key, value

    def write(self, coarse: Array, first: int) -> None:
        """Remember coarse values [slices, positions, width] from place ``first`` of the segment on."""
        key, value = self._net.keys_and_values(coarse)
        begin = self._size + first
        self.keys[:, begin : begin + coarse.shape[1]] = key
        self.values[:, begin : begin + coarse.shape[1]] = value

    def move(self, positions: int) -> None:
        """Let the memory end ``positions`` further on."""
        for cached in (self.keys, self.values):
            kept = self._net.empty(cached.shape[0], self._size, cached.shape[2])
            kept[:] = cached[:, positions : positions + self._size]
            cached[:, : self._size] = kept


class StreamDecoder:
    """One base at a time: each position's features once, keys and values remembered."""

    def __init__(self, net: ExactNetwork, slices: int) -> None:
        self._net, self._place = net, 0
        self._codes = np.full((slices, net.config.kernel), START, np.uint8)
        self._memory = _Memory(net, slices, net.config.segment)

    def predict(self) -> NDArray[np.uint16]:
        """Frequencies [slices, 4] of the next base."""
        fine, coarse = self._net.features(self._codes)
        self._memory.write(coarse, self._place)
        _, coarse = self._net.encoder(fine, coarse, self._memory.keys, self._memory.values, self._place)
        return self._net.head(coarse.reshape(len(self._codes), -1))

    def push(self, symbols: NDArray[np.uint8]) -> None:
        """Tell the bases [slices] that came."""
        self._codes[:, :-1] = self._codes[:, 1:]
        self._codes[:, -1] = symbols
        self._place += 1
        if self._place == self._net.config.segment:
            self._memory.move(self._place)
            self._place = 0


class WindowDecoder:
    """The paper's form: a fresh window of 64 bases for every base, and the fragment before as latent array."""

    def __init__(self, net: ExactNetwork, slices: int) -> None:
        config = net.config
        self._net = net
        self._codes = np.full((slices, config.window), START, np.uint8)
        self._latent = net.empty(slices, config.memory, config.width)

    def predict(self) -> NDArray[np.uint16]:
        """Frequencies [slices, 4] of the next base."""
        net, memory = self._net, self._net.config.memory
        fine, coarse = net.features(self._codes)
        seen = net.empty(coarse.shape[0], memory + coarse.shape[1], coarse.shape[2])
        seen[:, :memory], seen[:, memory:] = self._latent, coarse
        keys, values = net.keys_and_values(seen)
        _, coarse = net.encoder(fine, coarse, keys, values, 0)
        if memory:
            seen[:, memory:] = coarse
            self._latent = net.empty(*self._latent.shape)
            self._latent[:] = seen[:, -memory:]
        return net.head(coarse.reshape(len(self._codes), -1))

    def push(self, symbols: NDArray[np.uint8]) -> None:
        """Tell the bases [slices] that came."""
        self._codes[:, :-1] = self._codes[:, 1:]
        self._codes[:, -1] = symbols


Decoder = StreamDecoder | WindowDecoder
