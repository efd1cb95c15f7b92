"""The model file: safetensors with JSON metadata, and the digest of its content as its id.

A model holds experts (settings, the state that slices start from, and a panel, embedded or referred to), a network, or
both; or a panel alone, for experts that start as without a model. Tensors named ``network.*`` are the integers of the
network (`config.tensor_shapes`); ``float.*`` are the network that they were made from, kept for fine-tuning and left
out when an archive embeds the model; ``panel.*`` belong to the panel and ``experts.initial_state`` is the packed state.
The id is the SHA-256 of all that coding depends on, the panel's digest in place of the panel: the file with its panel,
the one that refers to it and the one in an archive are the same model.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.files import input_error, open_readable, read_stream
from geneformer_codec.limits import PROCESS, check_need, default_limit
from geneformer_codec.model.panel import PanelSource, panel_bytes, panel_source
from geneformer_codec.network.config import Network, NetworkConfig, Tensors, check_tensors

if TYPE_CHECKING:
    from geneformer_codec.coding.interface import BaseCoder
    from geneformer_codec.model.initial_state import InitialState
    from geneformer_codec.predict.panel_tables import PackedPanel
    from geneformer_codec.predict.settings import ExpertSettings

FORMAT = "gfmodel/1"
MAX_BYTES = 1 << 32
MAX_HEADER_BYTES = 100_000_000
"""What safetensors allows."""


@dataclass(frozen=True, eq=False)
class Experts:
    """Experts as they were trained: the ``initial_state`` of slices, which has the settings, and the panel, if any.

    Without an initial state, slices start from the one that the settings of an archive name.
    """

    initial_state: "InitialState | None"
    panel: PanelSource | None

    def __post_init__(self) -> None:
        if self.initial_state is None and self.panel is None:
            raise ValueError("experts need an initial state or a panel")

    @property
    def settings(self) -> "ExpertSettings | None":
        """As trained; levels are made of them."""
        return self.initial_state.settings if self.initial_state else None


def content_id(network: Network | None, experts: Experts | None) -> str:
    """SHA-256, in hex, of the settings, and of name, dtype, shape and bytes of each array that coding depends on."""
    panel = experts.panel if experts else None
    header = {
        "format": FORMAT,
        "network": network.config.as_dict() if network else None,
        "experts": experts.settings.as_dict() if experts and experts.settings else None,
        "panel": {"digest": panel.digest, "bases": panel.bases, "records": panel.records} if panel else None,
    }
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    if experts and experts.initial_state:
        experts.initial_state.update(digest)
    for name, tensor in sorted(network.tensors.items()) if network else ():
        array = np.ascontiguousarray(tensor)
        digest.update(f"\n{name} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Model:
    """A trained predictor. ``metadata`` states how it was made; coding does not depend on it."""

    network: Network | None
    experts: Experts | None
    metadata: dict[str, Any]
    id: str

    @classmethod
    def of(cls, network: Network | None, experts: Experts | None, metadata: dict[str, Any]) -> "Model":
        """A model of these parts, with its id."""
        if network is None and experts is None:
            raise ValueError("a model needs experts or a network")
        return cls(network, experts, metadata, content_id(network, experts))

    @classmethod
    def make(cls, config: NetworkConfig, tensors: Tensors, floats: Tensors, metadata: dict[str, Any]) -> "Model":
        """A model that is a network alone."""
        return cls.of(Network(config, tensors, floats), None, metadata)

    @property
    def name(self) -> str:
        """The species' name."""
        return str(self.metadata.get("name", ""))

    @property
    def config(self) -> NetworkConfig:
        """The network's shape; ``UsageError`` without a network, as for the next two."""
        return self._network.config

    @property
    def tensors(self) -> Tensors:
        """The network's integers."""
        return self._network.tensors

    @property
    def floats(self) -> Tensors:
        """The network's real numbers, none in an embedded model."""
        return self._network.floats

    @property
    def _network(self) -> Network:
        if self.network is None:
            raise UsageError(f"the model {self.name} has no network, only experts")
        return self.network

    @property
    def data(self) -> bytes:
        """The file to embed: what coding needs, and no more."""
        return self._serialise({"name": self.name}, {})

    def to_bytes(self) -> bytes:
        """The whole model file."""
        return self._serialise(self.metadata, self.network.floats if self.network else {})

    def sizes(self) -> dict[str, int]:
        """Bytes of the file by what they are for: ``panel``, ``start`` (of the experts), ``network`` and ``floats``."""
        panel = self.experts.panel.tensors() if self.experts and self.experts.panel else {}
        state = self.experts.initial_state if self.experts else None
        return {
            "panel": _bytes_of(panel),
            "start": len(state.to_bytes()) if state else 0,
            "network": _bytes_of(self.network.tensors) if self.network else 0,
            "floats": _bytes_of(self.network.floats) if self.network else 0,
        }

    def _serialise(self, metadata: dict[str, Any], floats: Tensors) -> bytes:
        from safetensors.numpy import save

        header = {"format": FORMAT, "id": self.id, "metadata": json.dumps(metadata, sort_keys=True)}
        tensors: Tensors = {}
        if self.network:
            header["network"] = json.dumps(self.network.config.as_dict(), sort_keys=True)
            tensors |= {
                f"network.{name}": np.ascontiguousarray(tensor) for name, tensor in self.network.tensors.items()
            }
            tensors |= {f"float.{name}": np.ascontiguousarray(tensor) for name, tensor in floats.items()}
        if self.experts and (state := self.experts.initial_state):
            header["experts"] = json.dumps(state.settings.as_dict(), sort_keys=True)
            tensors["experts.initial_state"] = np.frombuffer(state.to_bytes(), np.uint8)
        if self.experts and (panel := self.experts.panel):
            header["panel"] = json.dumps(panel.settings(), sort_keys=True)
            tensors |= {f"panel.{name}": np.ascontiguousarray(tensor) for name, tensor in panel.tensors().items()}
        # safetensors writes its metadata in no fixed order: one key keeps the file the same every time
        return bytes(save(tensors, {"gfmodel": json.dumps(header, sort_keys=True)}))

    def expert_settings(self, level: str) -> "ExpertSettings | None":
        """How the experts predict at a level; None for a network alone."""
        if self.experts is None:
            return None
        from geneformer_codec.predict.settings import with_level, with_panel_alone

        return with_level(self.experts.settings, level) if self.experts.settings else with_panel_alone(level)

    @property
    def memory_bytes(self) -> int:
        """What it takes in memory, ready to code, but for slices and the tables that settings ask for."""
        held = 4 * _bytes_of(self.network.tensors | self.network.floats) if self.network else 0
        panel = self.experts.panel if self.experts else None
        return held + (panel_bytes(panel.bases, panel.records) if panel else 0)

    def panel(self, threads: int = 0) -> "PackedPanel | None":
        """The experts' panel, ready to be searched: built once per machine."""
        if self.experts is None or self.experts.panel is None:
            return None
        from geneformer_codec.model.panel_cache import open_panel
        from geneformer_codec.model.panel_coding import decode_panel

        workers = threads or len(os.sched_getaffinity(0))
        alone = self.experts.initial_state is None
        return open_panel(
            self.experts.panel, lambda coded, count: decode_panel(coded, count, workers), of_archive=alone
        )

    def panel_records(self, threads: int = 0) -> list[NDArray[np.uint8]]:
        """The records of the experts' panel, each uint8[length] of 0..3."""
        from geneformer_codec.predict.panel_tables import unpacked_words

        panel = self.panel(threads)
        return np.split(unpacked_words(panel.words, panel.length), panel.starts[1:]) if panel else []

    def coder(
        self,
        settings: "ExpertSettings | None" = None,
        device: str = "auto",
        threads: int = 0,
    ) -> "BaseCoder":
        """What codes bases with this model: its experts if ``settings`` are given, else its network (`NetworkCoder`).

        ``FormatError`` when the model lacks what is needed, ``ModelMissingError`` when its panel is not found.
        """
        if settings is None:
            if self.network is None:
                raise FormatError(f"the model {self.name} has no network, so settings of its experts are needed")
            from geneformer_codec.network.coder import NetworkCoder

            return NetworkCoder(self.id, self.network, device, threads)
        if self.experts is None:
            raise FormatError(f"the model {self.name} has no experts, but settings for them were given")
        from geneformer_codec.model.initial_states import shipped_initial_state
        from geneformer_codec.predict.coder import ExpertCoder
        from geneformer_codec.predict.predictor import Predictor

        trained = self.experts.initial_state
        state = trained.at(settings) if trained else shipped_initial_state(settings)
        panel = self.panel(threads)
        predictor = Predictor(settings, panel, state.mixer, state.low)
        if not settings.network:
            return ExpertCoder(predictor, self.id, threads)
        if self.network is None or panel is None or not self.network.config.causal:
            raise FormatError(f"the model {self.name} has no panel, or no network of the stream form, for its experts")
        from geneformer_codec.network.coder import MixedCoder

        return MixedCoder(predictor, self.id, self.network, device, threads)


@dataclass(frozen=True)
class ModelHeader:
    """The header of a model file; ``given`` has the settings of its experts, panel and network."""

    format: str
    id: str
    metadata: dict[str, Any]
    given: dict[str, Any]
    tensors: dict[str, Any]


def read_header(path: str | Path) -> ModelHeader:
    """The header of a model file, for planning and reports. Nothing is verified.

    Raises ``InputError`` when the file cannot be read, ``FormatError`` when it is no model file.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(8)
            size = int.from_bytes(start, "little")
            data = start + (file.read(size) if size <= MAX_HEADER_BYTES else b"")
    except OSError as error:
        raise input_error(path, error) from error
    return _parse_header(data, str(path))


def _parse_header(data: bytes, place: str) -> ModelHeader:
    try:
        size = int.from_bytes(data[:8], "little")
        tensors = json.loads(data[8 : 8 + size])
        header = json.loads(tensors.pop("__metadata__")["gfmodel"])
        metadata = json.loads(header["metadata"])
        given = {name: json.loads(header[name]) for name in ("network", "experts", "panel") if name in header}
        return ModelHeader(
            str(header["format"]), str(header["id"]), metadata if isinstance(metadata, dict) else {}, given, tensors
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{place} is not a model file of geneformer-rules (or is damaged at its start)") from error


def load_model(data: bytes, place: str = "the model", max_memory: int | None = None) -> Model:
    """A model from the bytes of its file. Raises ``FormatError``, naming ``place``, when it is damaged or not ours.

    So it does when the model takes more than ``max_memory`` bytes of memory; by default, more than is in
    proportion to its size. A panel outside the model counts as part of it then.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = _parse_header(data, place)
    stated, metadata, given = header.id, header.metadata, header.given
    if header.format != FORMAT:
        raise FormatError(
            f"{place} has the format {header.format[:40]!r}, this version reads {FORMAT!r}: "
            "use the version of geneformer-rules that wrote it, or train the model again"
        )
    _check_need(header.given, len(data), place, max_memory)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise FormatError(f"{place} is damaged: {error}") from error
    try:
        if not given or set(given) == {"panel", "network"}:
            raise FormatError(f"needs experts, a panel or a network, but has {' and '.join(given) or 'nothing'}")
        network = _network(given["network"], tensors) if "network" in given else None
        experts = _experts(given, tensors) if {"experts", "panel"} & set(given) else None
    except FormatError as error:
        raise FormatError(f"{place}: {error}") from error
    if content_id(network, experts) != stated:
        raise FormatError(f"{place} is damaged: its content does not have the stated digest; get it again")
    if network:
        try:
            check_tensors(network.config, network.tensors)
        except FormatError as error:
            raise FormatError(f"{place}: {error}") from error
    return Model(network, experts, metadata, stated)


def _under(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _network(settings: Any, tensors: Tensors) -> Network:
    return Network(NetworkConfig.from_dict(settings), _under(tensors, "network."), _under(tensors, "float."))


def _experts(given: dict[str, Any], tensors: Tensors) -> Experts:
    from geneformer_codec.model.initial_state import InitialState
    from geneformer_codec.predict.settings import ExpertSettings

    state = None
    if "experts" in given:
        settings = ExpertSettings.from_dict(given["experts"])
        packed = tensors.get("experts.initial_state")
        if packed is None or packed.dtype != np.uint8 or packed.ndim != 1:
            raise FormatError("the experts' initial state is missing, or is not bytes")
        state = InitialState.from_bytes(settings, packed.tobytes())
    return Experts(state, panel_source(given["panel"], _under(tensors, "panel.")) if "panel" in given else None)


def _bytes_of(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def read_model(path: str | Path, max_memory: int | None = None) -> Model:
    """The model in file ``path``, which may be a pipe; ``max_memory`` as for `load_model`.

    Raises ``InputError`` when it cannot be read, ``FormatError`` as `load_model`.
    """
    with open_readable(Path(path)) as file:
        head = read_stream(file, 8, str(path))
        if not head:
            raise FormatError(f"{path}: the file is empty, not a model")
        if int.from_bytes(head, "little") > MAX_HEADER_BYTES:
            raise FormatError(f"{path} is not a model file of geneformer-rules (or is damaged at its start)")
        if file.seekable() and os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise FormatError(f"{path} is too large for a model file")
        data = head + read_stream(file, MAX_BYTES, str(path))
    if len(data) > MAX_BYTES:
        raise FormatError(f"{path} is too large for a model file")
    return load_model(data, str(path), max_memory)


def _check_need(given: dict[str, Any], size: int, place: str, max_memory: int | None) -> None:
    """Refuse a model that takes more memory than it may, by what its header states."""
    from geneformer_codec.predict.settings import ExpertSettings

    try:
        settings = ExpertSettings.from_dict(given["experts"]) if "experts" in given else None
    except FormatError as error:
        raise FormatError(f"{place}: {error}") from error
    panel = given.get("panel")
    stated = [panel.get(name) for name in ("bases", "records")] if isinstance(panel, dict) else []
    numbers = [number if type(number) is int and number > 0 else 0 for number in stated] or [0, 0]
    start = settings.initial_state_bytes if settings else 0
    records = panel_bytes(*numbers) if panel else 0
    outside = records if isinstance(panel, dict) and panel.get("kind") == "referenced" else 0
    needed = PROCESS + 3 * size + start + records
    check_need(place, needed, max_memory or default_limit(size) + outside)
