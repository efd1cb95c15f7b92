"""Fit a model to a species: train the network, prepare it for integers, write the model file.

A run has two phases in one budget: floating point, then rounding as the exact network rounds (quantisation-aware
training), so that what is written loses next to nothing against the float network. State is saved between, and a run
that was killed goes on from there.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from geneformer_codec import __version__
from geneformer_codec.errors import UsageError, option
from geneformer_codec.files import atomic_output
from geneformer_codec.model.file import Model, read_model
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.checkpoint import load_checkpoint, save_checkpoint
from geneformer_codec.network.config import NetworkConfig
from geneformer_codec.network.config import preset as preset_named
from geneformer_codec.network.device import check_device
from geneformer_codec.network.float_network import GeneFormer
from geneformer_codec.network.integer_network import ExactNetwork
from geneformer_codec.network.measure import exact_bpb, float_bpb, stream_loss, window_loss
from geneformer_codec.network.quantise import integer_tensors, set_steps
from geneformer_codec.network.recipes import HYBRID_LEARNING_RATE, Recipe
from geneformer_codec.network.recipes import recipe as recipe_named
from geneformer_codec.training.data import Crops, Panel, choose_slices, read_records

MEASURED_BASES = {"stream": 1 << 18, "paper": 1 << 12}
"""Bases measured at the end; a validation on the way takes a quarter. (The paper's form takes a network a base.)"""
VALIDATIONS = 12
"""How often a run is validated at least, when an epoch is longer than that."""
CHECKPOINT_SECONDS = 60.0

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Budget:
    """When to stop: after ``bases`` were seen or ``seconds`` have passed."""

    bases: float
    seconds: float

    def share(self, bases: float, seconds: float) -> float:
        """How much of it is used, 0 to 1."""
        return min(1.0, max(bases / self.bases, seconds / self.seconds))


def train(
    panels: Sequence[str | Path],
    out: str | Path,
    name: str,
    *,
    preset: str | None = None,
    recipe: str = "default",
    base: str | Path | None = None,
    hybrid: Sequence[str | Path] = (),
    epochs: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    threads: int = 0,
    device: str = "auto",
    log: str | Path | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = False,
    force: bool = False,
) -> Model:
    """Train a model on FASTA files and write it to ``out``.

    ``base`` is a model to go on from (then the preset is its own). Each file of ``hybrid`` is one more species, with as
    many crops in every batch as the first. The budget is ``epochs`` or ``minutes``, whichever ends first; without both,
    the recipe's epochs. ``log`` gets one JSON object a line; ``checkpoint`` (default: ``out`` with ``.checkpoint``)
    lets a killed run go on. Raises ``InputError`` for unreadable panels, ``UsageError`` for impossible settings.
    """
    chosen = recipe_named(recipe)
    if any(value is not None and value <= 0 for value in (epochs, minutes)):
        raise UsageError(f"{option('epochs')} and {option('minutes')} must be more than 0")
    start = read_model(base) if base else None
    if start and not start.floats:
        raise UsageError(f"{base} has no float network to go on from: give the model file that training wrote")
    if start and preset and preset_named(preset) != start.config:
        raise UsageError(f"{base} is not a {preset}: leave {option('preset')} out when {option('base')} is given")
    config = start.config if start else preset_named(preset or "stream-small")
    if hybrid and recipe == "paper":
        chosen = replace(chosen, learning_rate=HYBRID_LEARNING_RATE)
    if start:
        chosen = replace(chosen, learning_rate=chosen.learning_rate / 4)
    settings = {
        "name": name,
        "preset": preset or ("" if start else "stream-small"),
        "recipe": recipe,
        "base": start.id if start else None,
        "seed": seed,
        "epochs": epochs,
        "minutes": minutes,
        "species": 1 + len(hybrid),
    }
    saved = Path(checkpoint or f"{out}.checkpoint")
    with atomic_output(out, force) as stream:  # before hours of work: can it be written at all?
        model = _Run(config, chosen, settings, device, threads, progress).fit(
            [Panel.split(read_records(paths), seed) for paths in ([*panels], *([path] for path in hybrid))],
            start,
            Path(log) if log else None,
            saved,
        )
        stream.write(model.to_bytes())
    saved.unlink(missing_ok=True)
    return model


class _Run:
    """One training run: network, optimiser, clock."""

    def __init__(
        self, config: NetworkConfig, recipe: Recipe, settings: dict[str, Any], device: str, threads: int, progress: bool
    ) -> None:
        self.config, self.recipe, self.settings = config, recipe, settings
        self.device = torch.device("cuda" if check_device(device) == "cuda" else "cpu")
        self._threads = threads or len(os.sched_getaffinity(0))
        self._progress = progress
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

    def fit(self, panels: list[Panel], start: Model | None, log_path: Path | None, checkpoint: Path) -> Model:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            return self._fit(panels, start, log_path, checkpoint)
        finally:
            torch.set_num_threads(before)

    def _fit(self, panels: list[Panel], start: Model | None, log_path: Path | None, checkpoint: Path) -> Model:
        if start:
            self.net.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in start.floats.items()})
        log = _open_log(log_path, resume := checkpoint.exists())
        if resume:
            saved = load_checkpoint(checkpoint, self.settings, self.net, self.optimiser)
            self.state, self._best = saved.state, saved.best
            self.random.bit_generator.state = saved.random
        history = self.config.kernel + self.config.memory if self.config.causal else self.config.window
        crops = [Crops(panel.training, history, self.recipe.crop) for panel in panels]
        most = MEASURED_BASES[self.config.form] // 4
        slices = [slice_ for panel in panels for slice_ in choose_slices(panel.validation, most // len(panels))]
        bases = sum(crop.bases for crop in crops)
        budget = self._budget(bases)
        log(
            {
                "event": "resume" if resume else "start",
                **self.settings,
                "network": self.config.as_dict(),
                "training_bases": bases,
                "training_records": sum(len(panel.training) for panel in panels),
                "parameters": sum(parameter.numel() for parameter in self.net.parameters()),
                "threads": self._threads,
                "device": self.device.type,
            }
        )
        self._loop(crops, slices, budget, bases, log, checkpoint)
        return self._finish(panels, bases, log)

    def _budget(self, bases: int) -> Budget:
        epochs, minutes = self.settings["epochs"], self.settings["minutes"]
        if epochs is None and minutes is None:
            epochs = self.recipe.epochs
        return Budget(epochs * bases if epochs else math.inf, minutes * 60 if minutes else math.inf)

    def _loop(
        self, crops: list[Crops], slices: list[Any], budget: Budget, epoch: int, log: Log, checkpoint: Path
    ) -> None:
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
            disable=not self._progress,
            initial=100 * self._share(budget),
            bar_format="{desc} {percentage:5.1f}%|{bar}| {elapsed}<{remaining} {postfix}",
        )
        batches = self._batches(crops)
        while (share := self._share(budget)) < 1:
            if state["phase"] == "float" and share >= 1 - self.recipe.rounding:
                self._start_rounding(crops, slices, log)
            self._set_rate(share)
            cost, count = self._step(next(batches))
            losses, counted = losses + cost, counted + count
            state["steps"] += 1
            state["bases"] += count
            state["seconds"] = time.monotonic() - begun
            bar.update(100 * self._share(budget) - bar.n)
            if counted and state["steps"] % 10 == 0:
                rate = state["bases"] / state["seconds"]
                loss = losses / counted
                bar.set_postfix_str(
                    f"{state['phase']} loss {loss:.4f} bpb {loss / math.log(2):.4f} {rate:,.0f} bases/s"
                )
            due = min(epoch / budget.bases if budget.bases < math.inf else 1.0, 1 / VALIDATIONS)
            if self._share(budget) >= min(state["validated"] + due, 1.0):
                state["validated"] = self._share(budget)
                self._validate(
                    slices, log, losses / max(1, counted), counted / max(1e-9, state["seconds"] - since), epoch
                )
                losses, counted, since = 0.0, 0, state["seconds"]
            if state["seconds"] - saved > CHECKPOINT_SECONDS:
                saved = state["seconds"]
                save_checkpoint(checkpoint, self.settings, self.net, self.optimiser, state, self._best, self.random)
        bar.close()
        if state["phase"] == "float":  # a budget too small for even one step of rounding
            self._start_rounding(crops, slices, log)
            self._validate(slices, log, math.nan, 0.0, epoch)

    def _share(self, budget: Budget) -> float:
        return budget.share(self.state["bases"], self.state["seconds"])

    def _set_rate(self, share: float) -> None:
        if not self.recipe.scheduled:
            return
        warm = min(1.0, (share + 1e-3) / 0.03)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * warm * (0.03 + 0.97 * (1 + math.cos(math.pi * share)) / 2)

    def _batches(self, crops: list[Crops]) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """Codes of a step: crops of the stream, or windows with the latent array that the step before left."""
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
        self.net.norm.train(self.state["phase"] == "float")  # the integers have their statistics by then
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

    def _start_rounding(self, crops: list[Crops], slices: list[Any], log: Log) -> None:
        """Watch ranges with the best float network, fix the steps, and train on as the integers will be."""
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

    def _validate(self, slices: list[Any], log: Log, loss: float, rate: float, epoch: int) -> None:
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

    def _finish(self, panels: list[Panel], bases: int, log: Log) -> Model:
        self.net.load_state_dict(self._best)
        self.net.eval()
        tensors = integer_tensors(self.net.cpu())
        exact = ExactNetwork(self.config, tensors, make_backend("cpu", "auto"))
        most = MEASURED_BASES[self.config.form] // len(panels)
        cpu = torch.device("cpu")
        self.net.set_mode("float")
        result: dict[str, Any] = {}
        for share in ("validation", "test"):
            chosen = [slice_ for panel in panels for slice_ in choose_slices(getattr(panel, share), most)]
            result[share] = {
                "float_bpb": round(float_bpb(self.net, chosen, cpu), 5),
                "exact_bpb": round(exact_bpb(exact, chosen), 5),
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
                share: sum(len(getattr(panel, share)) for panel in panels)
                for share in ("training", "validation", "test")
            },
            "result": result,
            "tool": f"geneformer-rules {__version__}",
        }
        floats = {name: value.numpy() for name, value in self.net.state_dict().items()}
        return Model.make(self.config, tensors, floats, metadata)


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
