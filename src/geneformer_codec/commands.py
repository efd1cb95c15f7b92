"""What each command of ``gfz`` does: call the library, show progress on a terminal, say in a line what came out."""

import argparse
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import api
from .archive.models import Execution
from .coding.coder import Progress
from .errors import UsageError
from .files import STREAM, atomic_output
from .options import EXPERTS


def run(options: argparse.Namespace) -> None:
    """Do what ``options`` ask for."""
    _COMMANDS[options.command](options)


def _train(options: argparse.Namespace) -> None:
    if options.preset == EXPERTS or not (options.preset or options.base):
        return _train_experts(options)
    from .training.fit import train

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
    from .training.experts import decisions_table, train_experts

    for option in ("base", "hybrid", "epochs", "minutes", "checkpoint"):
        if getattr(options, option):
            raise UsageError(f"--{option} is for networks: choose one with --preset, or leave --{option} away")
    model = train_experts(
        options.panels,
        options.out,
        options.name,
        refer_panel=options.refer_panel,
        seed=options.seed,
        threads=options.threads or len(os.sched_getaffinity(0)),
        log=options.log,
        force=options.force,
    )
    sizes = model.sizes()
    _say(options, decisions_table(model))
    _say(
        options,
        f"model {model.name}: {len(model.data):,} bytes, of which panel {sizes['panel']:,}, start {sizes['start']:,}; "
        f"id {model.id}",
    )


def _compress(options: argparse.Namespace) -> None:
    if (options.part is None) == (options.source is None):
        raise UsageError("give either IN or --part PART; see 'gfz compress --help'")
    settings: dict[str, Any] = {
        "model": options.model,
        "level": options.level,
        "lane_length": options.lane_length,
        "strands": options.strands,
        "embed": options.embed,
        "verify": options.verify,
        "force": options.force,
        "execution": _execution_of(options),
    }
    started = time.monotonic()
    source = options.source if options.part is None else options.part
    with _progress(options, "compress", _expected_bases(source, options.verify)) as settings["progress"]:
        if options.part is None:
            if options.part_bases is not None:
                settings["part_bases"] = options.part_bases
            info = api.compress(source, options.out, name=options.name, **settings)
        elif options.part_bases is not None or options.name is not None:
            raise UsageError("--part-bases and --name belong to 'gfz split' when a part of it is compressed")
        else:
            info = api.compress_part(source, options.out, **settings)
    _say(options, _summary(info, time.monotonic() - started))


def _decompress(options: argparse.Namespace) -> None:
    with _progress(options, "decompress", _archived_bases(options)) as progress:
        api.decompress(
            options.source,
            options.out,
            model=options.model,
            force=options.force,
            execution=_execution_of(options),
            progress=progress,
        )


def _verify(options: argparse.Namespace) -> None:
    with _progress(options, "verify", _archived_bases(options)) as progress:
        info = api.verify(options.source, model=options.model, execution=_execution_of(options), progress=progress)
    held = f"{info['records']:,} records, {info['bases']:,} bases in {info['blocks']} of {info['parts']} parts"
    _say(options, f"{options.source}: every checksum holds ({held})")


def _info(options: argparse.Namespace) -> None:
    if options.records:
        for entry in api.read_index(options.source, model=options.model):
            place = f"{entry.block}\t{entry.lane}\t{entry.offset}\t{entry.residues}\t{entry.bases}"
            line = f"{entry.name}\t{place}\t{entry.md5 or '.'}\t{entry.refget or '.'}\n"
            sys.stdout.buffer.write(line.encode(errors="surrogateescape"))
        sys.stdout.buffer.flush()
        return
    info = api.info(options.source)
    print(json.dumps(info, indent=1) if options.json else _table(info))


def _split(options: argparse.Namespace) -> None:
    plan = api.split(options.source, options.out, part_bases=options.part_bases, name=options.name, force=options.force)
    _say(options, f"{plan.sample.name}: {plan.sample.bytes:,} bytes in {len(plan.parts)} parts at {options.out}")


def _gather(options: argparse.Namespace) -> None:
    info = api.gather(options.plan, options.parts, options.out, embed_model=options.embed_model, force=options.force)
    _say(options, _summary(info))


def _simulate(options: argparse.Namespace) -> None:
    from .sequence.simulate import write_fasta

    if not 0 <= options.divergence <= 0.5:
        raise UsageError(f"--divergence {options.divergence} is out of range; give 0 to 0.5")
    with atomic_output(options.out, options.force) as file:
        write_fasta(file, options.genomes, options.length, options.divergence, options.seed)
    _say(options, f"{options.out}: {options.genomes} simulated genomes, no real organisms")


_COMMANDS = {
    "train": _train,
    "compress": _compress,
    "decompress": _decompress,
    "verify": _verify,
    "info": _info,
    "split": _split,
    "gather": _gather,
    "simulate": _simulate,
}


def _execution_of(options: argparse.Namespace) -> Execution:
    return Execution(options.threads, options.device, options.arithmetic, options.lane_batch)


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        print(text, file=sys.stderr)


@contextlib.contextmanager
def _progress(options: argparse.Namespace, what: str, total: int | None) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if options.quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="base", unit_scale=True, leave=False, file=sys.stderr) as bar:
        lock = threading.Lock()  # coders call from several threads

        def advance(bases: int) -> None:
            with lock:
                bar.update(bases)

        yield advance


def _expected_bases(source: str | Path, twice: bool) -> int | None:
    """About how many bases there are to code, where the size of the file tells."""
    path = Path(source)
    if str(source) == STREAM or not path.is_file() or api.sample_name_of(path) != path.name:
        return None
    return path.stat().st_size * (1 + twice)


def _archived_bases(options: argparse.Namespace) -> int | None:
    if options.source == STREAM or options.quiet or not sys.stderr.isatty():
        return None
    bases: int = api.info(options.source)["bases"]
    return bases


def _per_base(bits: float | None) -> str:
    return "-" if bits is None else f"{bits:.4f}"


def _summary(info: dict[str, Any], seconds: float | None = None) -> str:
    """One line: sizes with everything that is in the file, and what has to be kept beside it."""
    line = (
        f"{info['sample']}: {info['input_bytes']:,} -> {info['total_bytes']:,} bytes; bits per base "
        f"{_per_base(info['bpb_payload'])} payload, {_per_base(info['bpb_total'])} total"
    )
    if info["model_file_bytes"]:
        where = "included" if info["model_embedded"] else "not included, needed to decompress"
        line += f" (model of {info['model_file_bytes']:,} bytes {where})"
    if seconds and info["bases"]:
        line += f"; {info['bases'] / seconds:,.0f} bases/s"
    return line


def _table(info: dict[str, Any]) -> str:
    """The same facts as ``--json``, for people."""
    streams = info["streams"]
    model = "none, two bits a base" if info["experts"] is None else "none, predicted from the part itself"
    if info["model_file_bytes"]:
        model = f"{info['model_name']} ({'embedded' if info['model_embedded'] else 'not embedded'})"
    lanes = f"{info['lanes']:,} of at most {info['lane_length']:,} bases" if info["lane_length"] else "one a part"
    held = "" if info["complete"] else f", only {info['blocks']} of them here"
    rows: list[tuple[str, str]] = [
        ("sample", info["sample"]),
        ("sha256", info["sha256"]),
        ("records", f"{info['records']:,}"),
        ("residues", f"{info['residues']:,}"),
        ("bases", f"{info['bases']:,}"),
        ("input bytes", f"{info['input_bytes']:,}"),
        ("parts", f"{info['parts']:,}{held}"),
        ("lanes", lanes),
        ("level", info["level"]),
        ("model", model),
        ("model id", info["model_id"]),
        ("model file", f"{info['model_file_bytes']:,} bytes"),
        ("written by", f"geneformer-rules {info['tool_version']}, format version {info['format_version']}"),
        ("", ""),
    ]
    sizes = [("payload", info["payload_bytes"], "the coded bases")]
    sizes += [("side", info["side_bytes"], _listed(streams, "names", "layout", "case", "exceptions"))]
    sizes += [("index", info["index_bytes"], _listed(streams, "lanes", "index"))]
    sizes += [("model", info["model_bytes"], "inside the archive"), ("container", info["container_bytes"], "")]
    lines = [f"{name:<12} {value}".rstrip() for name, value in rows]
    lines += [f"{name:<12} {size:>15,} bytes  {what}".rstrip() for name, size, what in sizes]
    lines += [f"{'total':<12} {info['total_bytes']:>15,} bytes", ""]
    lines += [f"bits per base: {_per_base(info['bpb_payload'])} payload, {_per_base(info['bpb_total'])} total"]
    return "\n".join(lines)


def _listed(streams: dict[str, int], *names: str) -> str:
    return ", ".join(f"{name} {streams[name]:,}" for name in names)
