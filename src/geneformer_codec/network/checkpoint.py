"""What a killed training run goes on from: safetensors and JSON, nothing that executes."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from geneformer_codec.errors import FormatError, UsageError

FORMAT = "gfcheckpoint/1"


@dataclass(frozen=True)
class Saved:
    """A checkpoint's rest, after network and optimiser took theirs."""

    state: dict[str, Any]
    best: dict[str, torch.Tensor]
    random: dict[str, Any]


def save_checkpoint(
    path: Path,
    settings: dict[str, Any],
    net: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    state: dict[str, Any],
    best: dict[str, torch.Tensor],
    random: np.random.Generator,
) -> None:
    """Write all of it to ``path`` at once."""
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors["torch_random"] = torch.get_rng_state()
    header = {"format": FORMAT, "settings": settings, "state": state, "random": random.bit_generator.state}
    data = save(
        {name: value.detach().cpu().clone() for name, value in tensors.items()}, {"gfcheckpoint": json.dumps(header)}
    )
    # a checkpoint that is half written must not take the place of one that is whole
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def load_checkpoint(
    path: Path, settings: dict[str, Any], net: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> Saved:
    """Put network and optimiser back where they were; ``FormatError`` or ``UsageError`` if it is not of this run."""
    data = path.read_bytes()
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["gfcheckpoint"])
        if header["format"] != FORMAT:
            raise KeyError("format")
        tensors = load(data)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise FormatError(
            f"{path} is not a checkpoint of this version, or is damaged; delete it to start afresh"
        ) from error
    if header["settings"] != settings:
        raise UsageError(
            f"{path} was left by a run with other settings ({header['settings']}); repeat those to go on, or delete it"
        )

    def under(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    net.load_state_dict(under("net."))
    if header["state"]["phase"] == "rounding":
        from geneformer_codec.network.quantise import restore_targets

        restore_targets(net)  # type: ignore[arg-type]
    groups = optimiser.state_dict()
    groups["state"] = {}
    for name, value in under("optimiser.").items():
        number, key = name.split(".")
        groups["state"].setdefault(int(number), {})[key] = value
    optimiser.load_state_dict(groups)
    torch.set_rng_state(tensors["torch_random"])
    return Saved(header["state"], under("best."), header["random"])
