"""The model file: safetensors with JSON metadata, and the digest of its content as its id.

Tensors named ``exact.*`` are the integers that code (`exact.tensor_shapes`); ``float.*`` are the network that they were
made from, kept for fine-tuning and left out when an archive embeds the model. The id is the SHA-256 of the exact part
alone, so both files are the same model.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, InputError, UsageError
from .config import NetworkConfig

if TYPE_CHECKING:
    from ..coding.lanes import NetworkCoder

FORMAT = "gfmodel/1"
MAX_BYTES = 1 << 30


def content_id(config: NetworkConfig, tensors: dict[str, NDArray[Any]]) -> str:
    """SHA-256, in hex, of the network's settings and of name, dtype, shape and bytes of each exact tensor by name."""
    digest = hashlib.sha256(json.dumps({"format": FORMAT, "network": config.as_dict()}, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Model:
    """A trained predictor. ``metadata`` tells how it was made; ``floats`` is empty in an embedded model."""

    config: NetworkConfig
    tensors: dict[str, NDArray[Any]]
    floats: dict[str, NDArray[Any]]
    metadata: dict[str, Any]
    id: str

    @classmethod
    def make(
        cls,
        config: NetworkConfig,
        tensors: dict[str, NDArray[Any]],
        floats: dict[str, NDArray[Any]],
        metadata: dict[str, Any],
    ) -> "Model":
        """A model of these parts, with its id."""
        return cls(config, tensors, floats, metadata, content_id(config, tensors))

    @property
    def name(self) -> str:
        """The species' name."""
        return str(self.metadata.get("name", ""))

    @property
    def data(self) -> bytes:
        """The file to embed: what coding needs, and no more."""
        return self._serialise({"name": self.name}, {})

    def to_bytes(self) -> bytes:
        """The whole model file."""
        return self._serialise(self.metadata, self.floats)

    def _serialise(self, metadata: dict[str, Any], floats: dict[str, NDArray[Any]]) -> bytes:
        from safetensors.numpy import save

        tensors = {f"exact.{name}": np.ascontiguousarray(tensor) for name, tensor in self.tensors.items()}
        tensors |= {f"float.{name}": np.ascontiguousarray(tensor) for name, tensor in floats.items()}
        header = {
            "format": FORMAT,
            "id": self.id,
            "network": json.dumps(self.config.as_dict(), sort_keys=True),
            "metadata": json.dumps(metadata, sort_keys=True),
        }
        # safetensors writes its metadata in no fixed order: one key keeps the file the same every time
        return bytes(save(tensors, {"gfmodel": json.dumps(header, sort_keys=True)}))

    def coder(
        self, device: str = "auto", threads: int = 0, *, arithmetic: str = "auto", lane_batch: int = 0
    ) -> "NetworkCoder":
        """What codes bases with this model; see `NetworkCoder` for the arguments."""
        from ..coding.lanes import NetworkCoder

        return NetworkCoder(self, device, threads, arithmetic=arithmetic, lane_batch=lane_batch)


def load_model(data: bytes, place: str = "the model") -> Model:
    """A model from the bytes of its file. Raises ``FormatError``, naming ``place``, when it is damaged or not ours."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])["__metadata__"]["gfmodel"]
        header = json.loads(header)
        found, stated = str(header["format"]), str(header["id"])
        network, metadata = json.loads(header["network"]), json.loads(header["metadata"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{place} is not a model file of geneformer-rules (or is damaged at its start)") from error
    if found != FORMAT:
        raise FormatError(
            f"{place} has the format {found[:40]!r}, this version reads {FORMAT!r}: "
            "use the version of geneformer-rules that wrote it, or train the model again"
        )
    try:
        config = NetworkConfig.from_dict(network)
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise FormatError(f"{place} is damaged: {error}") from error
    except FormatError as error:
        raise FormatError(f"{place}: {error}") from error
    exact = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("exact.")}
    floats = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("float.")}
    if content_id(config, exact) != stated:
        raise FormatError(f"{place} is damaged: its content does not have the digest it states; get it again")
    from .exact import check_tensors

    try:
        check_tensors(config, exact)
    except FormatError as error:
        raise FormatError(f"{place}: {error}") from error
    return Model(config, exact, floats, metadata if isinstance(metadata, dict) else {}, stated)


def read_model(path: Path) -> Model:
    """The model in file ``path``. Raises ``InputError`` when it cannot be read, ``FormatError`` as `load_model`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(f"{path} is too large for a model file")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the model {path}: {error.strerror}; check the path given with --model"
        ) from error
    return load_model(data, str(path))


def check_device(device: str) -> str:
    """``auto`` to ``cuda`` where torch sees a CUDA device, else ``cpu``; raises ``UsageError`` for others."""
    if device == "auto":
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda", "torch"):
        raise UsageError(f"there is no device {device!r}; choose auto, cpu or cuda")
    return device
