"""Train a model for a species: what ``gfz train`` does."""

import json
from collections.abc import Sequence
from pathlib import Path

from geneformer_codec.coding.threads import cores
from geneformer_codec.errors import UsageError, option
from geneformer_codec.files import atomic_output
from geneformer_codec.model.file import Model, read_model
from geneformer_codec.network.device import check_unused_device
from geneformer_codec.training import EXPERTS
from geneformer_codec.training.data import read_records


def train(
    panels: Sequence[str | Path],
    out: str | Path,
    name: str,
    *,
    preset: str | None = None,
    network: str | Path | None = None,
    refer_panel: bool = False,
    base: str | Path | None = None,
    hybrid: Sequence[str | Path] = (),
    recipe: str = "default",
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
    """Train a model on the FASTA files ``panels`` of the species ``name``, and write it to ``out``.

    By default it learns experts. The panel goes into the model, or with ``refer_panel`` stays outside and is named by
    the refget digests of its records. ``network`` is a model whose network becomes one more expert if that is measured
    to pay.

    With ``preset``, the name of a network's size and form, or ``base``, a model to fine-tune, it trains a network
    instead; this needs PyTorch (the extra ``network``). Each file of ``hybrid`` is one more species, and has an equal
    share of every batch. Training ends after ``epochs`` or ``minutes``, whichever comes first; without both, after the
    epochs of the ``recipe``. A killed run continues from ``checkpoint`` (by default ``out`` with ``.checkpoint``).

    ``log`` receives one JSON object a line; ``threads`` 0 are all cores. Raises ``InputError`` for unreadable panels,
    ``UsageError`` for options that do not fit together.
    """
    for_networks = {"hybrid": hybrid, "epochs": epochs, "minutes": minutes, "checkpoint": checkpoint}
    if preset == EXPERTS or not (preset or base):
        if base:
            raise UsageError(f"{option('base')} is for networks: leave {option('preset', EXPERTS)} out")
        for given in (given for given, value in for_networks.items() if value):
            raise UsageError(f"{option(given)} is for networks: choose one with {option('preset')}, or leave it out")
        check_unused_device(device)
        from geneformer_codec.training.experts import train_experts

        expert = read_model(network) if network else None
        with atomic_output(out, force) as stream:  # before the work: can it be written at all?
            model = train_experts(
                read_records(panels),
                name,
                network=expert,
                refer_panel=refer_panel,
                seed=seed,
                threads=threads or cores(),
            )
            stream.write(model.to_bytes())
        if log:
            lines = [json.dumps({"event": "decision", **row}) for row in model.metadata["decisions"]]
            Path(log).write_text("".join(f"{line}\n" for line in lines))
        return model
    if network or refer_panel:
        raise UsageError(
            f"{option('network')} and {option('refer_panel')} are for experts: leave {option('preset')} and "
            f"{option('base')} out"
        )
    from geneformer_codec.network.train import TrainingOptions, check_options, train_network

    saved = Path(checkpoint or f"{out}.checkpoint")
    options = TrainingOptions(
        preset, recipe, epochs, minutes, seed, threads, device, saved, Path(log) if log else None, progress
    )
    start = read_model(base) if base else None
    check_options(options, start)
    with atomic_output(out, force) as stream:
        species = [read_records(panels), *(read_records([path]) for path in hybrid)]
        model = train_network(species, name, options, start)
        stream.write(model.to_bytes())
    saved.unlink(missing_ok=True)
    return model
