"""What each command of ``gfz`` does: call the library, show progress on a terminal, print a summary.

Options have the names of the library's parameters, so that `call_with` can pass them on.
"""

import argparse
import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from geneformer_codec import api
from geneformer_codec.archive.models import Execution, open_model
from geneformer_codec.archive.read import Archive
from geneformer_codec.cli.command_parser import call_with
from geneformer_codec.cli.console import printable, say, say_error, show
from geneformer_codec.cli.formatting import decisions_table, info_table, model_table, stats_table, summary
from geneformer_codec.cli.outputs import archive_name, text_names
from geneformer_codec.cli.progress import archived_bases, expected_bases, log_shown, progress_bar, progress_shown
from geneformer_codec.errors import GfzError, InputError, UsageError
from geneformer_codec.files import STREAM, atomic_output

_LOG = logging.getLogger("geneformer_codec")


def run(options: argparse.Namespace) -> None:
    """Run the command that ``options`` name."""
    if "threads" in options:
        options.execution = Execution(options.threads, options.device)
    with log_shown(options.quiet):
        _COMMANDS[options.command](options)


def _train(options: argparse.Namespace) -> None:
    from geneformer_codec.training.train import train

    model = call_with(train, options, progress=progress_shown(options))
    if model.experts:
        _say(options, *decisions_table(model.metadata).splitlines())
    sizes = ", ".join(f"{name} {size:,}" for name, size in model.sizes().items() if size)
    _say(options, f"model {model.name}: {len(model.to_bytes()):,} bytes ({sizes}); id {model.id}")


_OF_SPLIT = ("part_bases", "name", "mate", "bin_qualities", "any_order", "as_is")
"""Options of ``compress`` that ``split`` has too, as they decide how parts are made."""


def _compress(options: argparse.Namespace) -> None:
    parts, written = options.parts, ""
    if (parts is None) == (not options.sources):
        raise UsageError("give either IN or --part PART; see 'gfz compress --help'")
    if len(options.sources) > 1:
        raise UsageError(
            "one archive is made of one file, or of a pair: give the second file of the pair with --mate "
            f"{options.sources[1]}, or compress each file by itself"
        )
    options.source = None if parts else options.sources[0]
    if options.out is None:
        if parts:
            raise UsageError("name the archive of the parts with --out")
        options.out = archive_name(options.source, options.as_is)
        written = f"; in {options.out}"
    if options.json and options.out == STREAM:
        raise UsageError("--json and the archive cannot both go to standard output; give -o FILE")
    if parts and any(getattr(options, name) for name in _OF_SPLIT):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in _OF_SPLIT)
        raise UsageError(f"{names} are options of 'gfz split', not of its parts")
    started = time.monotonic()
    sources = parts or [path for path in (options.source, options.mate) if path is not None]
    with progress_bar(options, "compress", lambda: expected_bases(sources)) as progress:
        info = call_with(api.compress_parts if parts else api.compress, options, progress=progress)
    if options.json:
        _print_json(info.as_dict())
    else:
        _say(options, summary(info, time.monotonic() - started) + written)


def _decompress(options: argparse.Namespace) -> None:
    if len(options.sources) > 1 and (options.out is not None or options.mate is not None):
        raise UsageError("--out and --mate are for one archive; of several, the texts are named as the archives are")

    _read_model_once(options)

    def decompress(source: str) -> None:
        out, mate = options.out, options.mate
        if out is None:
            out, mate = text_names(source, mate, options.max_memory)
        with progress_bar(options, "decompress", lambda: archived_bases(options, source)) as progress:
            call_with(api.decompress, options, source=source, out=out, mate=mate, progress=progress)
        if options.out is None and out != STREAM:
            _say(options, f"{source} -> {out}{f', {mate}' if mate else ''}")

    _for_each(options.sources, decompress)


def _read_model_once(options: argparse.Namespace) -> None:
    """Of several archives, not for each of them."""
    if len(options.sources) > 1 and options.model is not None:
        options.model = open_model(options.model, options.max_memory)


def _for_each(sources: Sequence[str], work: Callable[[str], None]) -> None:
    """Work on each archive. If one of several fails, its error is printed, and the others are still processed."""
    if len(sources) == 1:
        return work(sources[0])
    failed = []
    for source in sources:
        try:
            work(source)
        except GfzError as error:
            say_error("gfz", error)
            failed.append(error)
    if failed:
        kind = InputError if any(error.exit_status == 1 for error in failed) else UsageError
        raise kind(f"{len(failed)} of {len(sources)} archives failed")


def _cat(options: argparse.Namespace) -> None:
    with progress_bar(options, "cat", lambda: archived_bases(options, *options.sources)) as progress:
        for source in options.sources:
            call_with(api.cat, options, source=source, out=STREAM, progress=progress)


def _fetch(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.extract import fetch

    if STREAM in (options.region_file, options.bed) and options.source == STREAM:
        raise UsageError("the archive and the regions cannot both come from standard input; name one of them")
    with (
        Archive(options.source, max_memory=options.max_memory) as archive,
        progress_bar(options, "decode") as progress,
        atomic_output(options.out, options.force) as out,
    ):
        call_with(fetch, options, archive=archive, out=out, progress=progress)


def _faidx(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.fai import index_text

    seen = set()
    with (
        Archive(options.source, max_memory=options.max_memory) as archive,
        atomic_output(options.out, options.force) as out,
    ):
        for entry in index_text(archive, options.mate):
            if entry.name in seen:
                _LOG.warning("record %s occurs again; the index has the first", entry.name.decode(errors="replace"))
                continue
            seen.add(entry.name)
            out.write(entry.line())


def _verify(options: argparse.Namespace) -> None:
    _read_model_once(options)

    def verify(source: str) -> None:
        with progress_bar(options, "verify", lambda: archived_bases(options, source)) as progress:
            info = call_with(api.verify, options, source=source, progress=progress)
        if options.json:
            return _print_json(info.as_dict())
        held = f"{info.records:,} records, {info.bases:,} bases in {info.blocks} of {info.parts} parts"
        _say(options, f"{source}: every checksum holds ({held})")

    _for_each(options.sources, verify)


def _info(options: argparse.Namespace) -> None:
    def show_info(source: str) -> None:
        if options.records:
            return _list_long(source, options)
        info = call_with(api.info, options, source=source)
        if options.json:
            return _print_json(info.as_dict())
        if len(options.sources) > 1:
            show(f"{'archive':<12} {printable(source)}")
        show(info_table(info) + "\n" * (len(options.sources) > 1))

    _for_each(options.sources, show_info)


def _ls(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.record_index import RecordIndex

    def list_records(source: str) -> None:
        if options.long:
            return _list_long(source, options)
        with Archive(source, max_memory=options.max_memory) as archive:
            index = RecordIndex.read(archive)
        names = (name.decode(errors="surrogateescape") for name in index.names())
        rows = zip(names, index.lengths.tolist(), strict=True)
        if options.json:
            _write_lines(json.dumps({"name": name, "residues": length}) for name, length in rows)
        else:
            _write_lines(f"{_shown(name)}\t{length}" for name, length in rows)

    _for_each(options.sources, list_records)


def _list_long(source: str, options: argparse.Namespace) -> None:
    """The records of an archive with all columns of the index, one per line."""
    entries = call_with(api.read_index, options, source=source)
    if options.json:
        return _write_lines(json.dumps(vars(entry)) for entry in entries)
    for entry in entries:
        facts = (entry.block, entry.slice_, entry.offset, entry.residues, entry.bases)
        row = (_shown(entry.name), *facts, entry.md5 or ".", entry.refget or ".")
        _write_lines(["\t".join(map(str, row))])


def _stats(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.summaries import stats

    rows: list[dict[str, Any]] = []
    try:
        _for_each(options.sources, lambda source: rows.append(stats(source, options.max_memory)))
    finally:
        if options.json:
            _print_json(rows)
        elif rows:
            show(stats_table(rows))


def _merge(options: argparse.Namespace) -> None:
    with progress_bar(options, "merge", lambda: archived_bases(options, *options.sources)) as progress:
        info = call_with(api.merge, options, progress=progress)
    _say(options, summary(info))


def _model(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.summaries import model_facts, models
    from geneformer_codec.model.file import read_model

    if options.action == "ls":
        found = models(options.places)
        if options.json:
            return _print_json(found)
        for facts in found:
            kind = "experts" if facts["experts"] else "network"
            name, file = printable(facts["name"]), printable(facts["file"])
            show(f"{name}\t{facts['id']}\t{facts['bytes']}\t{kind}\t{file}")
        return
    path = Path(options.places[0])
    facts = model_facts(path, read_model(path))
    if options.json:
        return _print_json(facts)
    show(model_table(facts))
    if facts["metadata"].get("decisions"):
        show("\n" + decisions_table(facts["metadata"]))


def _cache(options: argparse.Namespace) -> None:
    from geneformer_codec.cli import cache

    if options.action == "location":
        show(cache.location())
    elif options.action == "size":
        sizes = cache.sizes()
        _print_json(sizes) if options.json else show(cache.size_line(sizes))
    elif options.action == "list":
        rows = [cache.facts(entry) for entry in cache.contents()]
        _print_json(rows) if options.json else _write_lines("\t".join(map(str, row.values())) for row in rows)
    else:
        _say(options, cache.clear(options.unused_for))


def _completion(options: argparse.Namespace) -> None:
    from geneformer_codec.cli.completion import script

    print(script(options.shell))


def _split(options: argparse.Namespace) -> None:
    plan = call_with(api.split, options)
    _say(options, f"{plan.sample.name}: {plan.sample.bytes:,} bytes in {len(plan.parts)} parts at {options.out}")


def _gather(options: argparse.Namespace) -> None:
    _say(options, summary(call_with(api.gather, options)))


def _simulate(options: argparse.Namespace) -> None:
    from geneformer_codec.sequence.simulate import write_fasta
    from geneformer_codec.sequence.simulate_reads import write_fastq

    if options.reads is None and options.mate is not None:
        raise UsageError("--mate belongs to --reads; genomes have no mates")
    if not 0 <= options.divergence <= 0.5:
        raise UsageError(f"--divergence {options.divergence} is out of range; give 0 to 0.5")
    paths = [path for path in (options.out, options.mate) if path is not None]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(atomic_output(path, options.force)) for path in paths]
        if options.reads is None:
            write_fasta(files[0], options.genomes, options.length, options.divergence, options.seed)
            written = f"{options.genomes} simulated genomes, no real organisms"
        else:
            write_fastq(files, options.reads, seed=options.seed)
            written = f"{options.reads} simulated reads each, of no real organism"
    _say(options, f"{', '.join(paths)}: {written}")


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
    "cache": _cache,
    "simulate": _simulate,
    "completion": _completion,
}


def _shown(name: str) -> str:
    """A record's name with escapes on a terminal, as it is for programs."""
    if not sys.stdout.isatty():
        return name
    return printable(name).encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding)


def _say(options: argparse.Namespace, *lines: str) -> None:
    for line in lines if not options.quiet else ():
        say(line)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


def _write_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, whatever the bytes of names."""
    out: BinaryIO = sys.stdout.buffer
    for line in lines:
        out.write(line.encode(errors="surrogateescape") + b"\n")
    out.flush()
