"""Train a model for a species: the work of ``gfz train``."""

import json
from collections.abc import Sequence
from pathlib import Path

from geneformer_codec.coding.threads import cores
from geneformer_codec.errors import UsageError, option
from geneformer_codec.files import atomic_output
from geneformer_codec.model.file import Model, read_model
from geneformer_codec.model.panel_references import Origin
from geneformer_codec.network.device import check_unused_device
from geneformer_codec.training import EXPERTS, GENOMES, PURPOSES, READS
from geneformer_codec.training.data import draw_reads, read_records, read_sample, recurring_records

READ_LENGTH = 150
"""Bases of the reads that are drawn."""


def train(
    panels: Sequence[str | Path],
    out: str | Path,
    name: str,
    *,
    preset: str | None = None,
    network: str | Path | None = None,
    recurring: bool = False,
    refer_panel: bool = False,
    base: str | Path | None = None,
    purpose: str = GENOMES,
    tune: str | Path | None = None,
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

    By default it learns experts. With ``recurring``, the panel is what recurs in several of the files, once, up to
    33,554,432 bases, and not all that is in them. The panel goes into the model, or with ``refer_panel`` stays outside
    and is named by the refget digests of its records. ``network`` is a model whose network becomes one more expert if
    that is measured to pay. ``base`` is a model of experts whose panel is extended, and whose state goes on learning.
    The ``purpose``, ``genomes`` or ``reads``, is what will be compressed: settings are chosen, and the state is
    learned, on records held out, or on short reads drawn from both strands of the panel. ``tune`` is a FASTA or FASTQ
    file of what is going to be coded, whose first bases are used for that instead.

    With ``preset``, the name of a network's size and form, or ``base``, a network to fine-tune, it trains a network
    instead; this needs PyTorch (the extra ``network``). Each file of ``hybrid`` is one more species, and has an equal
    share of every batch. Training ends after ``epochs`` or ``minutes``, whichever comes first; without both, after the
    epochs of the ``recipe``. A killed run continues from ``checkpoint`` (by default ``out`` with ``.checkpoint``).

    ``log`` receives one JSON object a line; ``threads`` 0 are all cores. Raises ``InputError`` for unreadable panels,
    ``UsageError`` for options that do not fit together.
    """
    start = read_model(base) if base else None
    if purpose not in PURPOSES:
        raise UsageError(f"invalid purpose {purpose!r}; choose {' or '.join(PURPOSES)}")
    for_networks = {"hybrid": hybrid, "epochs": epochs, "minutes": minutes, "checkpoint": checkpoint}
    if preset == EXPERTS or (not preset and (start is None or start.network is None)):
        if start and start.experts is None:
            raise UsageError(f"the model {start.name} has no experts: leave {option('preset', EXPERTS)} out")
        for given in (given for given, value in for_networks.items() if value):
            raise UsageError(f"{option(given)} is for networks: choose one with {option('preset')}, or leave it out")
        if recurring and refer_panel:
            raise UsageError(f"{option('refer_panel')} names whole records: leave {option('recurring')} out")
        check_unused_device(device)
        from geneformer_codec.training.experts import HELD_OUT_BASES, train_experts

        expert = read_model(network) if network else None
        with atomic_output(out, force) as stream:  # before the work: can it be written at all?
            origins: list[Origin] = []
            records = recurring_records(panels) if recurring else read_records(panels, origins if refer_panel else None)
            sample = None
            if tune:
                sample = read_sample(tune, HELD_OUT_BASES)
            elif purpose == READS:
                sample = draw_reads(records, READ_LENGTH, HELD_OUT_BASES, seed)
            model = train_experts(
                records,
                name,
                network=expert,
                refer_panel=refer_panel,
                base=start,
                sample=sample,
                origins=origins,
                seed=seed,
                threads=threads or cores(),
            )
            stream.write(model.to_bytes())
        if log:
            lines = [json.dumps({"event": "decision", **row}) for row in model.metadata["decisions"]]
            Path(log).write_text("".join(f"{line}\n" for line in lines))
        return model
    if network or recurring or refer_panel or tune or purpose != GENOMES:
        raise UsageError(
            f"{option('network')}, {option('recurring')}, {option('refer_panel')}, {option('tune')} and "
            f"{option('purpose', READS)} are for experts: leave {option('preset')} out, and a {option('base')} that is "
            "a network"
        )
    from geneformer_codec.network.train import TrainingOptions, check_options, train_network

    saved = Path(checkpoint or f"{out}.checkpoint")
    options = TrainingOptions(
        preset, recipe, epochs, minutes, seed, threads, device, saved, Path(log) if log else None, progress
    )
    check_options(options, start)
    with atomic_output(out, force) as stream:
        species = [read_records(panels), *(read_records([path]) for path in hybrid)]
        model = train_network(species, name, options, start)
        stream.write(model.to_bytes())
    saved.unlink(missing_ok=True)
    return model
