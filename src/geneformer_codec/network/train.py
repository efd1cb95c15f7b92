"""Train a network for a species.

A run has two phases in one budget: floating point, then rounding as the integer network rounds (quantisation-aware
training), so that the integers lose next to nothing against the float network. Checkpoints between let a killed run
continue: safetensors and JSON, nothing that executes.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from tqdm import tqdm

from geneformer_codec import __version__
from geneformer_codec.errors import FormatError, UsageError, option
from geneformer_codec.model.file import Model
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.config import NetworkConfig, preset_named
from geneformer_codec.network.data import (
    Bases,
    Crops,
    SplitRecords,
    choose_slices,
    float_bpb,
    integer_bpb,
    stream_loss,
    window_loss,
)
from geneformer_codec.network.device import check_device
from geneformer_codec.network.float_network import GeneFormer, integer_tensors, set_steps, set_targets
from geneformer_codec.network.integer_network import IntegerNetwork
from geneformer_codec.network.pytorch import torch

DEFAULT_PRESET = "stream-small"
MEASURED_BASES = {"stream": 1 << 18, "paper": 1 << 12}
"""Bases measured at the end; a validation on the way takes a quarter. (The paper's form is slow.)"""
VALIDATIONS = 12
"""The least number of validations in a run whose epochs are longer than that."""
CHECKPOINT_SECONDS = 60.0
CHECKPOINT_FORMAT = "gfcheckpoint/1"

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Recipe:
    """``batch`` crops of ``crop`` bases a step (the paper's form: windows, of one base each) from every species."""

    optimiser: Literal["rmsprop", "adamw"]
    learning_rate: float
    batch: int
    crop: int
    dropout: float
    scheduled: bool
    rounding: float
    """Share of the budget, at its end, in which the network is trained as the integers will see it."""
    epochs: float
    """When neither epochs nor minutes are given."""


RECIPES = {
    # section on training: RMSProp, 0.001, 64 at a time, no schedule, 70 epochs, dropout 0.1
    "paper": Recipe("rmsprop", 1e-3, 64, 512, 0.1, False, 0.1, 70),
    "default": Recipe("adamw", 4e-3, 8, 512, 0.0, True, 0.3, 8),
}
SPECIES_LEARNING_RATE = 2e-3
"""The paper's, for several species in one batch."""


@dataclass(frozen=True)
class TrainingOptions:
    """How to train: see `geneformer_codec.train`, which has the same options."""

    preset: str | None = None
    recipe: str = "default"
    epochs: float | None = None
    minutes: float | None = None
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    checkpoint: Path | None = None
    """Where to save the state, and to continue from; not removed at the end."""
    log: Path | None = None
    progress: bool = False


def check_options(options: TrainingOptions, base: Model | None) -> None:
    """``UsageError`` for options that do not fit together."""
    if options.recipe not in RECIPES:
        raise UsageError(f"there is no recipe {options.recipe!r}; choose one of {', '.join(RECIPES)}")
    if any(value is not None and value <= 0 for value in (options.epochs, options.minutes)):
        raise UsageError(f"{option('epochs')} and {option('minutes')} must be more than 0")
    if options.preset:
        preset_named(options.preset)
    if base and not base.floats:
        raise UsageError(
            f"the model {base.name} has no float network to continue from: give the file that training wrote"
        )
    if base and options.preset and preset_named(options.preset) != base.config:
        raise UsageError(
            f"the model {base.name} is not a {options.preset}: with {option('base')}, leave {option('preset')} out"
        )
    check_device(options.device)


def train_network(
    species: Sequence[list[Bases]], name: str, options: TrainingOptions, base: Model | None = None
) -> Model:
    """Train a network on the records of one species, or of several with equal shares of every batch.

    ``base`` is a model to continue from. The budget is the options' epochs or minutes, whichever ends first; without
    both, the recipe's epochs.
    """
    check_options(options, base)
    recipe = RECIPES[options.recipe]
    if len(species) > 1 and options.recipe == "paper":
        recipe = replace(recipe, learning_rate=SPECIES_LEARNING_RATE)
    if base:
        recipe = replace(recipe, learning_rate=recipe.learning_rate / 4)
    config = base.config if base else preset_named(options.preset or DEFAULT_PRESET)
    settings = {
        "name": name,
        "preset": options.preset or ("" if base else DEFAULT_PRESET),
        "recipe": options.recipe,
        "base": base.id if base else None,
        "seed": options.seed,
        "epochs": options.epochs,
        "minutes": options.minutes,
        "species": len(species),
    }
    run = _Run(config, recipe, settings, options)
    return run.fit([SplitRecords.of(records, options.seed) for records in species], base)


class _Run:
    """One training run: network, optimiser, clock."""

    def __init__(
        self, config: NetworkConfig, recipe: Recipe, settings: dict[str, Any], options: TrainingOptions
    ) -> None:
        self.config, self.recipe, self.settings, self.options = config, recipe, settings, options
        self.device = torch.device("cuda" if check_device(options.device) == "cuda" else "cpu")
        self._threads = options.threads or len(os.sched_getaffinity(0))
        torch.manual_seed(settings["seed"])
        self.random = np.random.default_rng(settings["seed"])
        self.net = GeneFormer(config, recipe.dropout).to(self.device)
        parameters = list(self.net.parameters())
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.RMSprop(parameters, lr=recipe.learning_rate)
            if recipe.optimiser == "rmsprop"
            else torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
        )
        self.state: dict[str, Any] = {
            "phase": "float",
            "steps": 0,
            "bases": 0,
            "seconds": 0.0,
            "validated": 0.0,
            "best": None,
            "float_bpb": None,
        }
        self._best: dict[str, torch.Tensor] = {}

    def fit(self, species: list[SplitRecords], base: Model | None) -> Model:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            return self._fit(species, base)
        finally:
            torch.set_num_threads(before)

    def _fit(self, species: list[SplitRecords], base: Model | None) -> Model:
        if base:
            self.net.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in base.floats.items()})
        checkpoint = self.options.checkpoint
        resume = checkpoint is not None and checkpoint.exists()
        log = _open_log(self.options.log, resume)
        if checkpoint is not None and resume:
            self._load(checkpoint)
        history = self.config.kernel + self.config.memory if self.config.causal else self.config.window
        crops = [Crops(records.training, history, self.recipe.crop) for records in species]
        most = MEASURED_BASES[self.config.form] // 4
        slices = [slice_ for records in species for slice_ in choose_slices(records.validation, most // len(species))]
        bases = sum(crop.bases for crop in crops)
        self._set_budget(bases)
        log(
            {
                "event": "resume" if resume else "start",
                **self.settings,
                "network": self.config.as_dict(),
                "training_bases": bases,
                "training_records": sum(len(records.training) for records in species),
                "parameters": sum(parameter.numel() for parameter in self.net.parameters()),
                "threads": self._threads,
                "device": self.device.type,
            }
        )
        self._loop(crops, slices, bases, log)
        return self._finish(species, bases, log)

    def _set_budget(self, bases: int) -> None:
        """When to stop: after so many bases were seen, or so many seconds have passed."""
        epochs, minutes = self.settings["epochs"], self.settings["minutes"]
        if epochs is None and minutes is None:
            epochs = self.recipe.epochs
        self._most_bases = epochs * bases if epochs else math.inf
        self._most_seconds = minutes * 60 if minutes else math.inf

    def _loop(self, crops: list[Crops], slices: list[Bases], epoch: int, log: Log) -> None:
        state = self.state
        if state["phase"] == "rounding":
            self.net.set_mode("round")
        begun = time.monotonic() - state["seconds"]
        saved = state["seconds"]
        losses, counted, since = 0.0, 0, state["seconds"]
        bar = tqdm(
            total=100.0,
            desc=self.settings["name"],
            unit="%",
            disable=not self.options.progress,
            initial=100 * self._share(),
            bar_format="{desc} {percentage:5.1f}%|{bar}| {elapsed}<{remaining} {postfix}",
        )
        batches = self._batches(crops)
        while (share := self._share()) < 1:
            if state["phase"] == "float" and share >= 1 - self.recipe.rounding:
                self._start_rounding(crops, slices, log)
            self._set_rate(share)
            cost, count = self._step(next(batches))
            losses, counted = losses + cost, counted + count
            state["steps"] += 1
            state["bases"] += count
            state["seconds"] = time.monotonic() - begun
            bar.update(100 * self._share() - bar.n)
            if counted and state["steps"] % 10 == 0:
                rate = state["bases"] / state["seconds"]
                loss = losses / counted
                bar.set_postfix_str(
                    f"{state['phase']} loss {loss:.4f} bpb {loss / math.log(2):.4f} {rate:,.0f} bases/s"
                )
            due = min(epoch / self._most_bases if self._most_bases < math.inf else 1.0, 1 / VALIDATIONS)
            if self._share() >= min(state["validated"] + due, 1.0):
                state["validated"] = self._share()
                self._validate(
                    slices, log, losses / max(1, counted), counted / max(1e-9, state["seconds"] - since), epoch
                )
                losses, counted, since = 0.0, 0, state["seconds"]
            if self.options.checkpoint and state["seconds"] - saved > CHECKPOINT_SECONDS:
                saved = state["seconds"]
                self._save(self.options.checkpoint)
        bar.close()
        if state["phase"] == "float":  # a budget too small for one step of rounding
            self._start_rounding(crops, slices, log)
            self._validate(slices, log, math.nan, 0.0, epoch)

    def _share(self) -> float:
        """The part of the budget that is used, 0 to 1."""
        used: float = max(self.state["bases"] / self._most_bases, self.state["seconds"] / self._most_seconds)
        return min(1.0, used)

    def _set_rate(self, share: float) -> None:
        if not self.recipe.scheduled:
            return
        warm = min(1.0, (share + 1e-3) / 0.03)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * warm * (0.03 + 0.97 * (1 + math.cos(math.pi * share)) / 2)

    def _batches(self, crops: list[Crops]) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """Codes of a step: crops of the stream, or windows with the latent array of the step before."""
        while True:
            drawn = np.concatenate([crop.draw(self.recipe.batch, self.random) for crop in crops])
            codes = torch.from_numpy(drawn).to(self.device, torch.int64)
            if self.config.causal:
                yield codes, None
                continue
            self._latent = self.net.start_latent(len(codes))
            for at in range(codes.shape[1] - self.config.window):
                yield codes[:, at : at + self.config.window + 1], self._latent

    def _step(self, batch: tuple[torch.Tensor, torch.Tensor | None]) -> tuple[float, int]:
        codes, latent = batch
        self.net.train()
        self.net.norm.train(self.state["phase"] == "float")  # the integers have fixed statistics by then
        if latent is None:
            cost, count = stream_loss(self.net, codes)
        else:
            cost, count, latent = window_loss(self.net, codes, latent)
            self._latent = latent.detach()
        if count:
            self.optimiser.zero_grad()
            (cost / count).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.optimiser.step()
        return float(cost.detach()), count

    def _start_rounding(self, crops: list[Crops], slices: list[Bases], log: Log) -> None:
        """Watch ranges with the best float network, fix the steps, and continue rounded as the integers will be."""
        if self._best:
            self.net.load_state_dict(self._best)
        self.state["float_bpb"] = float_bpb(self.net, slices, self.device)
        self.net.eval()
        self.net.set_mode("watch")
        batches = self._batches(crops)
        with torch.no_grad():
            for _ in range(8 if self.config.causal else 64):
                codes, latent = next(batches)
                if latent is None:
                    stream_loss(self.net, codes)
                else:
                    self._latent = window_loss(self.net, codes, latent)[2]
        set_steps(self.net)
        self.net.set_mode("round")
        self.state |= {"phase": "rounding", "best": None}
        self._best = {}
        log({"event": "rounding", "seconds": round(self.state["seconds"], 1), "float_bpb": self.state["float_bpb"]})

    def _validate(self, slices: list[Bases], log: Log, loss: float, rate: float, epoch: int) -> None:
        state = self.state
        bpb = float_bpb(self.net, slices, self.device)
        if state["best"] is None or bpb < state["best"]:
            state["best"] = bpb
            self._best = {name: value.clone() for name, value in self.net.state_dict().items()}
        log(
            {
                "event": "validation",
                "phase": state["phase"],
                "seconds": round(state["seconds"], 1),
                "steps": state["steps"],
                "bases": state["bases"],
                "epoch": round(state["bases"] / epoch, 3),
                "loss": None if math.isnan(loss) else round(loss, 5),
                "bpb_training": None if math.isnan(loss) else round(loss / math.log(2), 5),
                "bpb_validation": round(bpb, 5),
                "bases_per_second": round(rate),
            }
        )

    def _finish(self, species: list[SplitRecords], bases: int, log: Log) -> Model:
        self.net.load_state_dict(self._best)
        self.net.eval()
        tensors = integer_tensors(self.net.cpu())
        integers = IntegerNetwork(self.config, tensors, make_backend("cpu"))
        most = MEASURED_BASES[self.config.form] // len(species)
        cpu = torch.device("cpu")
        self.net.set_mode("float")
        result: dict[str, Any] = {}
        for share in ("validation", "test"):
            chosen = [slice_ for records in species for slice_ in choose_slices(getattr(records, share), most)]
            result[share] = {
                "float_bpb": round(float_bpb(self.net, chosen, cpu), 5),
                "integer_bpb": round(integer_bpb(integers, chosen), 5),
            }
        state = self.state
        result |= {
            "float_phase_bpb": state["float_bpb"],
            "seconds": round(state["seconds"], 1),
            "bases_seen": state["bases"],
            "steps": state["steps"],
        }
        log({"event": "end", **result})
        metadata = {
            **self.settings,
            "recipe_settings": asdict(self.recipe),
            "training_bases": bases,
            "records": {
                share: sum(len(getattr(records, share)) for records in species)
                for share in ("training", "validation", "test")
            },
            "result": result,
            "tool": f"geneformer-rules {__version__}",
        }
        floats = {name: value.numpy() for name, value in self.net.state_dict().items()}
        return Model.make(self.config, tensors, floats, metadata)

    def _save(self, path: Path) -> None:
        """Write a checkpoint; a half-written one never takes the place of a whole one."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        for number, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
        tensors["torch_random"] = torch.get_rng_state()
        random = self.random.bit_generator.state
        header = {"format": CHECKPOINT_FORMAT, "settings": self.settings, "state": self.state, "random": random}
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb") as stream:
            stream.write(save(arrays, {"gfcheckpoint": json.dumps(header)}))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)

    def _load(self, path: Path) -> None:
        """Continue from a checkpoint; ``FormatError`` or ``UsageError`` if it is not of this run."""
        data = path.read_bytes()
        try:
            size = int.from_bytes(data[:8], "little")
            header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["gfcheckpoint"])
            if header["format"] != CHECKPOINT_FORMAT:
                raise KeyError("format")
            tensors = {name: torch.from_numpy(array.copy()) for name, array in load(data).items()}
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise FormatError(
                f"{path} is not a checkpoint of this version, or damaged; delete it to start anew"
            ) from error
        if header["settings"] != self.settings:
            raise UsageError(
                f"{path} is of a run with other settings ({header['settings']}); repeat those to continue, or delete it"
            )

        def under(prefix: str) -> dict[str, torch.Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.net.load_state_dict(under("net."))
        self.state, self._best = header["state"], under("best.")
        if self.state["phase"] == "rounding":
            set_targets(self.net)
        groups = self.optimiser.state_dict()
        groups["state"] = {}
        for name, value in under("optimiser.").items():
            number, key = name.split(".")
            groups["state"].setdefault(int(number), {})[key] = value
        self.optimiser.load_state_dict(groups)
        self.random.bit_generator.state = header["random"]
        torch.set_rng_state(tensors["torch_random"])


def _open_log(path: Path | None, resume: bool) -> Log:
    """Append a JSON object a line; a new run begins a new file."""
    if path is None:
        return lambda entry: None
    path.parent.mkdir(parents=True, exist_ok=True)
    if not resume:
        path.write_text("")

    def write(entry: dict[str, Any]) -> None:
        with path.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    return write
