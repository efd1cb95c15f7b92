"""What each command of ``gfz`` does: call the library, show progress on a terminal, say in a line what came out."""

import argparse
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from geneformer_codec import api
from geneformer_codec.archive.models import Execution, say_if_unused
from geneformer_codec.archive.settings import DEFAULT_PART_BASES
from geneformer_codec.cli.console import printable, say, show
from geneformer_codec.cli.formatting import info_table, model_table, stats_table, summary
from geneformer_codec.cli.parser import EXPERTS
from geneformer_codec.cli.progress import archived_bases, expected_bases, progress_of, told
from geneformer_codec.errors import UsageError
from geneformer_codec.files import STREAM, atomic_output


def run(options: argparse.Namespace) -> None:
    """Do what ``options`` ask for."""
    with told(options.quiet):
        _COMMANDS[options.command](options)


def _train(options: argparse.Namespace) -> None:
    if options.preset == EXPERTS or not (options.preset or options.base):
        return _train_experts(options)
    from geneformer_codec.network.train import train

    if options.network or options.refer_panel:
        raise UsageError(f"--network and --refer-panel are for experts: leave --preset away, or give {EXPERTS}")
    model = train(
        options.panels,
        options.out,
        options.name,
        preset=options.preset,
        recipe=options.recipe,
        base=options.base,
        hybrid=options.hybrid,
        epochs=options.epochs,
        minutes=options.minutes,
        seed=options.seed,
        threads=options.threads,
        device=options.device,
        log=options.log,
        checkpoint=options.checkpoint,
        force=options.force,
        progress=not options.quiet and sys.stderr.isatty(),
    )
    _say(options, f"model {model.name}: {len(model.data):,} bytes, id {model.id}")


def _train_experts(options: argparse.Namespace) -> None:
    from geneformer_codec.training.experts import decisions_table, train_experts

    for option in ("base", "hybrid", "epochs", "minutes", "checkpoint"):
        if getattr(options, option):
            raise UsageError(f"--{option} is for networks: choose one with --preset, or leave --{option} away")
    say_if_unused(options.device)
    model = train_experts(
        options.panels,
        options.out,
        options.name,
        network=options.network,
        refer_panel=options.refer_panel,
        seed=options.seed,
        threads=options.threads or len(os.sched_getaffinity(0)),
        log=options.log,
        force=options.force,
    )
    sizes = model.sizes()
    for line in decisions_table(model).splitlines():
        _say(options, line)
    _say(
        options,
        f"model {model.name}: {len(model.data):,} bytes, of which panel {sizes['panel']:,}, start {sizes['start']:,}; "
        f"id {model.id}",
    )


def _compress(options: argparse.Namespace) -> None:
    if (options.part is None) == (options.source is None):
        raise UsageError("give either IN or --part PART; see 'gfz compress --help'")
    if options.json and options.out == STREAM:
        raise UsageError("--json and the archive cannot both go to standard output; give -o FILE")
    coding: api.Coding = {
        "model": options.model,
        "level": options.level,
        "slice_length": options.slice_length,
        "strands": options.strands,
        "embed": options.embed,
        "verify": options.verify,
        "force": options.force,
        "execution": _execution_of(options),
    }
    started = time.monotonic()
    sources = [options.source] if options.part is None else options.part
    with progress_of(options, "compress", expected_bases(sources, options.verify)) as coding["progress"]:
        if options.part is None:
            part_bases = options.part_bases or DEFAULT_PART_BASES
            info = api.compress(
                options.source,
                options.out,
                mate=options.mate,
                name=options.name,
                part_bases=part_bases,
                as_is=options.as_is,
                bin_qualities=options.bin_qualities,
                **coding,
            )
        elif options.as_is or any(getattr(options, name) is not None for name in _OF_SPLIT):
            raise UsageError(f"--as-is, {_listed(_OF_SPLIT)} belong to 'gfz split', not to its parts")
        else:
            info = api.compress_parts(options.part, options.out, **coding)
    if options.json:
        _print_json(info)
    else:
        _say(options, summary(info, time.monotonic() - started))


_OF_SPLIT = ("part_bases", "name", "mate", "bin_qualities")
"""Options that say how parts are made, or of what."""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _decompress(options: argparse.Namespace) -> None:
    with progress_of(options, "decompress", archived_bases(options, options.source)) as progress:
        api.decompress(
            options.source,
            options.out,
            mate=options.mate,
            model=options.model,
            force=options.force,
            execution=_execution_of(options),
            progress=progress,
            max_memory=options.max_memory,
        )


def _cat(options: argparse.Namespace) -> None:
    with progress_of(options, "cat", archived_bases(options, *options.sources)) as progress:
        for source in options.sources:
            decoding: api.Decoding = {
                "model": options.model,
                "execution": _execution_of(options),
                "progress": progress,
                "max_memory": options.max_memory,
            }
            api.cat(source, STREAM, mate=options.mate, **decoding)


def _fetch(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.extract import fetch

    if STREAM in (options.region_file, options.bed) and options.source == STREAM:
        raise UsageError("the archive and the regions cannot both come from standard input; name one of them")
    with (
        api.open_archive(options.source, options.max_memory) as archive,
        progress_of(options, "decode", None) as progress,
        atomic_output(options.out, options.force) as out,
    ):
        fetch(
            archive,
            options.regions,
            out,
            region_file=options.region_file,
            bed=options.bed,
            reverse=options.reverse_complement,
            mark_strand=options.mark_strand,
            width=options.length,
            skip_unknown=options.go_on,
            qualities=options.fastq,
            mate=options.mate,
            model=options.model,
            execution=_execution_of(options),
            progress=progress,
        )


def _faidx(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.fai import index_text

    seen = set()
    with (
        api.open_archive(options.source, options.max_memory) as archive,
        atomic_output(options.out, options.force) as out,
    ):
        for entry in index_text(archive, options.mate):
            if entry.name in seen:
                _LOG.warning("record %s occurs again; the index has the first", entry.name.decode(errors="replace"))
                continue
            seen.add(entry.name)
            out.write(entry.line())


def _verify(options: argparse.Namespace) -> None:
    with progress_of(options, "verify", archived_bases(options, options.source)) as progress:
        info = api.verify(
            options.source,
            model=options.model,
            execution=_execution_of(options),
            progress=progress,
            max_memory=options.max_memory,
        )
    if options.json:
        return _print_json(info)
    held = f"{info['records']:,} records, {info['bases']:,} bases in {info['blocks']} of {info['parts']} parts"
    _say(options, f"{options.source}: every checksum holds ({held})")


def _info(options: argparse.Namespace) -> None:
    if options.records:
        return _list(options.source, options)
    info = api.info(options.source, max_memory=options.max_memory)
    if options.json:
        _print_json(info)
    else:
        show(info_table(info))


def _ls(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.record_index import RecordIndex

    if options.long:
        for source in options.sources:
            _list(source, options)
        return
    shown = _printable_octets if sys.stdout.isatty() else bytes
    for source in options.sources:
        with api.open_archive(source, options.max_memory) as archive:
            index = RecordIndex.read(archive)
        rows = zip(index.names(), index.lengths.tolist(), strict=True)
        if options.json:
            _write_lines(
                json.dumps({"name": name.decode(errors="surrogateescape"), "residues": length}).encode()
                for name, length in rows
            )
        else:
            _write_lines(b"%b\t%d" % (shown(name), length) for name, length in rows)


def _list(source: str, options: argparse.Namespace) -> None:
    """All that the index says of the records of an archive, one a line."""
    entries = api.read_index(source, model=options.model, max_memory=options.max_memory)
    if options.json:
        return _write_lines(json.dumps(vars(entry)).encode() for entry in entries)
    shown = printable if sys.stdout.isatty() else str
    _write_lines(
        "\t".join(
            map(str, (shown(entry.name), entry.block, entry.slice_, entry.offset, entry.residues, entry.bases,
                      entry.md5 or ".", entry.refget or "."))
        ).encode(errors="surrogateescape")
        for entry in entries
    )  # fmt: skip


def _stats(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.summaries import stats

    rows = [stats(source, options.max_memory) for source in options.sources]
    if options.json:
        return _print_json(rows)
    show(stats_table(rows))


def _merge(options: argparse.Namespace) -> None:
    with progress_of(options, "merge", archived_bases(options, *options.sources)) as progress:
        info = api.merge(
            options.sources,
            options.out,
            model=options.model,
            name=options.name,
            force=options.force,
            execution=_execution_of(options),
            progress=progress,
            max_memory=options.max_memory,
        )
    _say(options, summary(info))


def _model(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.summaries import model_facts, models
    from geneformer_codec.model.file import read_model

    found = models(options.places) if options.action == "ls" else []
    if options.action == "ls":
        if options.json:
            return _print_json(found)
        for facts in found:
            kind = "experts" if facts["experts"] else "network"
            show(
                "\t".join((printable(facts["name"]), facts["id"], str(facts["bytes"]), kind, printable(facts["file"])))
            )
        return
    model = read_model(options.places[0])
    facts = model_facts(Path(options.places[0]), model)
    if options.json:
        return _print_json(facts)
    show(model_table(facts))
    if facts["metadata"].get("decisions"):
        from geneformer_codec.training.experts import decisions_table

        show("\n" + decisions_table(model))


def _completion(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.completion import script

    print(script(options.shell))


def _split(options: argparse.Namespace) -> None:
    plan = api.split(
        options.source,
        options.out,
        mate=options.mate,
        part_bases=options.part_bases,
        name=options.name,
        as_is=options.as_is,
        bin_qualities=options.bin_qualities,
        force=options.force,
    )
    _say(options, f"{plan.sample.name}: {plan.sample.bytes:,} bytes in {len(plan.parts)} parts at {options.out}")


def _gather(options: argparse.Namespace) -> None:
    info = api.gather(options.plan, options.parts, options.out, embed_model=options.embed_model, force=options.force)
    _say(options, summary(info))


def _simulate(options: argparse.Namespace) -> None:
    from geneformer_codec.sequence.simulate import write_fasta

    if options.reads is not None:
        return _simulate_reads(options)
    if options.mate is not None:
        raise UsageError("--mate belongs to --reads; genomes have no mates")
    if not 0 <= options.divergence <= 0.5:
        raise UsageError(f"--divergence {options.divergence} is out of range; give 0 to 0.5")
    with atomic_output(options.out, options.force) as file:
        write_fasta(file, options.genomes, options.length, options.divergence, options.seed)
    _say(options, f"{options.out}: {options.genomes} simulated genomes, no real organisms")


def _simulate_reads(options: argparse.Namespace) -> None:
    from geneformer_codec.sequence.simulate_reads import write_fastq

    with contextlib.ExitStack() as stack:
        paths = [path for path in (options.out, options.mate) if path is not None]
        files = [stack.enter_context(atomic_output(path, options.force)) for path in paths]
        write_fastq(files, options.reads, seed=options.seed)
    _say(options, f"{', '.join(paths)}: {options.reads} simulated reads each, of no real organism")


_COMMANDS = {
    "train": _train,
    "compress": _compress,
    "decompress": _decompress,
    "cat": _cat,
    "fetch": _fetch,
    "faidx": _faidx,
    "verify": _verify,
    "info": _info,
    "ls": _ls,
    "stats": _stats,
    "merge": _merge,
    "split": _split,
    "gather": _gather,
    "model": _model,
    "simulate": _simulate,
    "completion": _completion,
}

_LOG = logging.getLogger("geneformer_codec")


def _printable_octets(name: bytes) -> bytes:
    """A name for a terminal; programs get it as it is."""
    return printable(name.decode(errors="surrogateescape")).encode(sys.stdout.encoding, "backslashreplace")


def _execution_of(options: argparse.Namespace) -> Execution:
    return Execution(options.threads, options.device, options.arithmetic, options.slice_batch)


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        say(text)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


def _write_lines(lines: Iterable[bytes]) -> None:
    """To standard output, whatever the bytes of names."""
    out: BinaryIO = sys.stdout.buffer
    for line in lines:
        out.write(line + b"\n")
    out.flush()
