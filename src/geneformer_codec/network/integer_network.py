"""The GeneFormer network in integers: the same numbers on every machine.

Weights and activations are int8, sums int32; between them are shifts, two small tables and integer divisions, so the
coded frequencies cannot depend on the machine. `float_network.integer_tensors` makes the tensors from a trained float
network, `backends` executes the operations, ``docs/format/network.md`` defines every one of them.

Shapes below: slices x positions x width. "Coarse" values are within +-127, "fine" ones are the same in 1/16.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import Progress
from geneformer_codec.network.backends import Array, Backend, attention_table, logit_table
from geneformer_codec.network.config import MATRICES, START, NetworkConfig, check_tensors, tensor_shapes
from geneformer_codec.network.kernels import decode_slices
from geneformer_codec.network.slice_coder import SliceDecoder

COMPILED_ROWS = 4
"""The compiled loop computes slices in fours: a weight that is loaded serves all of them."""
COMPILED_STEPS = 512
"""Bases of a slice that the compiled loop decodes between two reports of progress."""


class IntegerNetwork:
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
        self._shifts = int(tensors["attention_shifts"][0]), int(tensors["attention_shifts"][1])

    def features(self, codes: NDArray[np.uint8]) -> tuple[Array, Array]:
        """Fine and coarse features [slices, outputs, width] of ``codes`` [slices, positions], symbols 0..4."""
        return self._backend.features(codes, self._net, self.config)

    def _linear(self, rows: Array, name: str) -> Array:
        sums = self._backend.product(rows.reshape(-1, rows.shape[-1]), self._net[name])
        out = self._backend.requantise(sums, self._net[f"{name}_bias"], self._net[f"{name}_shift"])
        return out.reshape(*rows.shape[:-1], -1)

    def keys_and_values(self, coarse: Array) -> tuple[Array, Array]:
        """What attention remembers of coarse values [slices, positions, width]."""
        return self._linear(coarse, "key"), self._linear(coarse, "value")

    def encoder(self, fine: Array, coarse: Array, keys: Array, values: Array, first: int) -> Array:
        """Coarse output of the encoder's one layer: attention, feed-forward, each with residual and normalisation.

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
        fine, coarse = self._add_and_normalise(
            fine.reshape(-1, width), attended.reshape(-1, width), "output", "attention"
        )
        sums = backend.product(coarse, net["expand"])
        hidden = backend.lookup(sums, net["expand_bias"], net["expand_shift"], net["gelu"])
        _, coarse = self._add_and_normalise(fine, hidden, "contract", "inner")
        return coarse.reshape(slices, positions, width)

    def _add_and_normalise(self, fine: Array, rows: Array, linear: str, norm: str) -> tuple[Array, Array]:
        net, sums = self._net, self._backend.product(rows, self._net[linear])
        constants = (f"{linear}_bias", f"{linear}_shift", f"{norm}_gain", f"{norm}_offset")
        return self._backend.add_and_normalise(fine, sums, *(net[name] for name in constants))

    def head(self, coarse: Array) -> NDArray[np.uint16]:
        """Frequencies [rows, 4] from coarse values [rows, inputs of the head]."""
        sums = self._backend.product(coarse, self._net["head"])
        return self._backend.frequencies(sums, self._net["head_bias"], self._net["head_shift"])

    def encode(self, slices: NDArray[np.uint8]) -> Iterator[NDArray[np.uint16]]:
        """Frequencies for the bases of ``slices`` [slices, positions], given the bases before them (teacher forcing).

        Yields [slices, some positions, 4] in order, to bound memory, possibly with a few positions beyond the end. The
        first bases of a slice follow `START` symbols.
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
            coarse = self.encoder(fine, coarse, state.keys, state.values, 0)
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

    def __init__(self, net: IntegerNetwork, slices: int, positions: int) -> None:
        self._net, self._size = net, net.config.memory
        shape = (slices, self._size + positions, net.config.width)
        self.keys, self.values = net.empty(*shape), net.empty(*shape)
        if self._size:  # START symbols without end precede a slice
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
        """Move the memory ``positions`` forward."""
        for cached in (self.keys, self.values):
            kept = self._net.empty(cached.shape[0], self._size, cached.shape[2])
            kept[:] = cached[:, positions : positions + self._size]
            cached[:, : self._size] = kept


class StreamDecoder:
    """One base at a time: each position's features once, keys and values remembered."""

    def __init__(self, net: IntegerNetwork, slices: int) -> None:
        self._net, self._place = net, 0
        self._codes = np.full((slices, net.config.kernel), START, np.uint8)
        self._memory = _Memory(net, slices, net.config.segment)

    def predict(self) -> NDArray[np.uint16]:
        """Frequencies [slices, 4] of the next base."""
        fine, coarse = self._net.features(self._codes)
        self._memory.write(coarse, self._place)
        coarse = self._net.encoder(fine, coarse, self._memory.keys, self._memory.values, self._place)
        return self._net.head(coarse.reshape(len(self._codes), -1))

    def push(self, symbols: NDArray[np.uint8]) -> None:
        """Append the decoded bases [slices]."""
        self._codes[:, :-1] = self._codes[:, 1:]
        self._codes[:, -1] = symbols
        self._place += 1
        if self._place == self._net.config.segment:
            self._memory.move(self._place)
            self._place = 0


class WindowDecoder:
    """The paper's form: a fresh window of 64 bases for every base, and the fragment before as latent array."""

    def __init__(self, net: IntegerNetwork, slices: int) -> None:
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
        coarse = net.encoder(fine, coarse, keys, values, 0)
        if memory:
            seen[:, memory:] = coarse
            self._latent = net.empty(*self._latent.shape)
            self._latent[:] = seen[:, -memory:]
        return net.head(coarse.reshape(len(self._codes), -1))

    def push(self, symbols: NDArray[np.uint8]) -> None:
        """Append the decoded bases [slices]."""
        self._codes[:, :-1] = self._codes[:, 1:]
        self._codes[:, -1] = symbols


Decoder = StreamDecoder | WindowDecoder


class CompiledDecoder:
    """Decodes slices of a stream network in one compiled loop on the CPU; threads may share it."""

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

        ``progress`` is called with the number of bases done of each slice, and may raise to stop.
        """
        config, slices = self._config, len(streams)
        rows = -(-slices // COMPILED_ROWS) * COMPILED_ROWS
        span = (rows, config.memory + config.segment, config.width)
        state = np.full((rows, config.kernel), START, np.uint8), np.zeros(span, np.int16), np.zeros(span, np.int16)
        symbols = np.empty((slices, length), np.uint8)
        decoder = SliceDecoder(streams)
        fixed = self._tensors, self._shifts, config.heads, config.segment, *self._tables, decoder.arrays, state, symbols
        for begin in range(0, length, COMPILED_STEPS):
            end = min(length, begin + COMPILED_STEPS)
            decode_slices(*fixed, begin, end)
            progress(end)
        return symbols
