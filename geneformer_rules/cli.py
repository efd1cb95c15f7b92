"""``geneformer-rules``: the steps of the rules that are not the codec's, each usable by hand."""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from geneformer_codec.cli.console import drop, open_standard_streams, say, say_error, show
from geneformer_codec.cli.parser import CommandParser
from geneformer_codec.errors import GfzError, UsageError
from geneformer_codec.files import os_error
from geneformer_rules import __version__, profile

_MOST_NOTES = 20
"""What is shown of the notices of all archives; the summary has all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; return 0 when it is done, 1 when the data are at fault, 2 when the call is."""
    open_standard_streams()
    try:
        options = _parser().parse_args(arguments)
        step: Callable[[argparse.Namespace], None] = options.step
        step(options)
        sys.stdout.flush()
    except _BatchError as several:
        for message in several.messages:
            say(f"{_NAME}: error: {message}")
        return several.exit_status
    except GfzError as error:
        say_error(_NAME, error)
        return error.exit_status
    except OSError as error:
        drop(sys.stdout)
        say_error(_NAME, os_error(error))
        return 1
    return 0


_NAME = "geneformer-rules"


class _BatchError(GfzError):
    """What went wrong with some of several files; the others are done."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_NAME, description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")

    step = steps.add_parser("publish", help="publish an archive that gfz verify has passed")
    step.add_argument("archive", type=Path)
    step.add_argument(
        "--source", type=Path, nargs="+", required=True, help="the sample's file or pair, which must have the same text"
    )
    step.add_argument("--model", type=Path, help="the model that the archive refers to; a copy is kept beside it")
    step.add_argument("-o", "--output", type=Path, required=True, help="where the archive is published")
    step.add_argument("--report", type=Path, required=True, help="sizes and digests, as JSON")
    step.add_argument("--records", type=Path, required=True, help="what samples were made of, from 'describe'")
    step.set_defaults(step=_publish)

    step = steps.add_parser("describe", help="record which files a sample is made of, and their state")
    step.add_argument("name", help="the sample")
    step.add_argument("files", nargs="+", metavar="FILE", help="its file or pair")
    step.add_argument("--species", required=True)
    step.add_argument("-o", "--output", type=Path, required=True, help="the record, as JSON")
    step.set_defaults(step=_describe)

    step = steps.add_parser("archive-batch", help="archive several samples, and prove each archive by decoding it")
    step.add_argument(
        "--sample", nargs="+", action="append", required=True, metavar="WORD", help="its name, and its file or pair"
    )
    step.add_argument("-o", "--output", type=Path, required=True, help="directory for the archives")
    step.add_argument("--species", required=True, help="of the samples, for their records")
    step.set_defaults(step=_archive_batch)
    _add_coding(step)

    step = steps.add_parser(
        "archive-run", help="fetch a sequencing run, archive it, prove the archive, delete the download"
    )
    step.add_argument("accession", help="of a run; with ':paired' or ':unpaired' for those of its reads alone")
    step.add_argument("-o", "--output", type=Path, required=True, help="the archive")
    step.add_argument("--report", type=Path, required=True, help="sizes and digests, as JSON")
    step.add_argument("--downloads", type=Path, required=True, help="directory for what is fetched")
    step.add_argument("--at-most", type=int, default=1, help="how many runs there may be in it at a time")
    step.add_argument("--keep", action="store_true", help="keep what was fetched")
    step.add_argument("--species", required=True, help="of the sample, for its record")
    step.add_argument("--ena", metavar="URL", help="of ENA's file reports; without it, the SRA toolkit is used")
    step.add_argument("--tries", type=int, default=6, help="of a server that does not answer")
    step.add_argument("--pause", type=float, default=5.0, help="seconds before the second try; then they double")
    step.set_defaults(step=_archive_run)
    _add_coding(step)

    step = steps.add_parser("decompress-batch", help="decompress several archives; what is there already stays")
    step.add_argument("archives", type=Path, nargs="+", metavar="ARCHIVE")
    step.add_argument("-o", "--output", type=Path, required=True, help="directory for the texts")
    step.add_argument("--only", type=Path, nargs="+", default=(), help="fail if the texts are not these")
    step.set_defaults(step=_decompress_batch)
    _add_execution(step)

    step = steps.add_parser("verify-batch", help="decode several archives, and check every checksum")
    step.add_argument("archives", type=Path, nargs="+", metavar="ARCHIVE")
    step.set_defaults(step=_verify_batch)
    _add_execution(step)

    step = steps.add_parser("delete-source", help="delete a sample's files whose archive was verified")
    step.add_argument("source", type=Path, nargs="+")
    step.add_argument("--archive", type=Path, required=True)
    step.add_argument("--report", type=Path, required=True, help="the report of its publication")
    step.add_argument("-o", "--output", type=Path, required=True, help="what was deleted, as JSON")
    step.set_defaults(step=_delete_source)

    step = steps.add_parser("report", help="tabulate and draw the sizes of archives, and what the jobs needed")
    step.add_argument("results", type=Path, help="directory of the results")
    step.add_argument("--benchmarks", type=Path, required=True, help="directory of the jobs' benchmarks")
    step.add_argument("--samples", type=Path, required=True, help="sample sheet, which gives the order of the rows")
    step.add_argument("--summary", type=Path, required=True, help="the table of the samples that is written")
    step.add_argument("-o", "--output", type=Path, required=True, help="directory for the other tables and the pages")
    step.set_defaults(step=_report)

    step = steps.add_parser("training-report", help="show what a training has decided, or how it went")
    step.add_argument("progress", type=Path, help="the log that gfz train wrote")
    step.add_argument("--name", required=True, help="what to call the model")
    step.add_argument("-o", "--output", type=Path, required=True)
    step.set_defaults(step=_training_report)

    step = steps.add_parser("profile", help="print the directory of a packaged profile, for snakemake --profile")
    step.add_argument("name")
    step.add_argument(
        "--install", action="store_true", help="copy it to where 'snakemake --profile NAME' finds it from everywhere"
    )
    step.set_defaults(step=_profile)
    return parser


def _add_coding(step: argparse.ArgumentParser) -> None:
    step.add_argument("--model", type=Path)
    step.add_argument("--embed", action="store_true", help="put the model into the archive")
    step.add_argument("--level", required=True)
    step.add_argument("--part-bases", type=int, required=True)
    _add_execution(step)


def _add_execution(step: argparse.ArgumentParser) -> None:
    step.add_argument("--threads", type=int, default=0)
    step.add_argument("--device", default="auto")


def _publish(options: argparse.Namespace) -> None:
    from geneformer_rules.provenance import read_records
    from geneformer_rules.publishing import publish

    made_of = read_records(options.records).get(options.output.stem)
    if made_of is None:
        raise GfzError(f"{options.records}: has no record of the sample '{options.output.stem}'; remove the file")
    publish(options.archive, options.source, options.model, options.output, options.report, made_of)


def _describe(options: argparse.Namespace) -> None:
    from geneformer_rules.provenance import describe_files
    from geneformer_rules.publishing import write_json

    write_json({options.name: describe_files(options.files, options.species)}, options.output)


def _archive_batch(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.models import Execution
    from geneformer_rules.archiving import archive_samples

    errors = archive_samples(
        [(name, files) for name, *files in options.sample],
        options.output,
        species=options.species,
        model=options.model,
        level=options.level,
        part_bases=options.part_bases,
        embed=options.embed,
        execution=Execution(options.threads, options.device),
    )
    for error in errors:
        say(f"{_NAME}: error: {error}")


def _archive_run(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.models import Execution
    from geneformer_rules.accessions import parse
    from geneformer_rules.downloading import Patience
    from geneformer_rules.provenance import describe_files
    from geneformer_rules.sra import Source, archive_run

    accession = parse(options.accession)
    if accession is None:
        raise UsageError(f"'{options.accession}' is no accession of a run; give one such as SRR3927310")
    archive_run(
        accession,
        Source(options.ena, Patience(options.tries, options.pause)),
        options.downloads,
        options.output,
        options.report,
        made_of=describe_files([options.accession], options.species),
        at_most=options.at_most,
        keep=options.keep,
        model=options.model,
        level=options.level,
        part_bases=options.part_bases,
        embed=options.embed,
        execution=Execution(options.threads, options.device),
    )


def _decompress_batch(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.models import Execution
    from geneformer_rules.archiving import decompress_samples

    execution = Execution(options.threads, options.device)
    _fail_for(decompress_samples(options.archives, options.output, only=options.only, execution=execution))


def _verify_batch(options: argparse.Namespace) -> None:
    from geneformer_codec.archive.models import Execution
    from geneformer_rules.archiving import verify_samples

    _fail_for(verify_samples(options.archives, execution=Execution(options.threads, options.device)))


def _fail_for(errors: Sequence[str]) -> None:
    if errors:
        raise _BatchError(errors)


def _delete_source(options: argparse.Namespace) -> None:
    from geneformer_rules.publishing import delete_sources

    delete_sources(options.source, options.archive, options.report, options.output)


def _report(options: argparse.Namespace) -> None:
    from geneformer_rules.html_report import write_pages
    from geneformer_rules.reporting import collect, write_numbers

    numbers = collect(options.results, options.benchmarks, options.samples)
    write_pages(numbers, options.output)
    write_numbers(numbers, options.output, options.summary)
    notices = numbers.notices()
    for row in notices[:_MOST_NOTES]:
        print(f"geneformer-rules: note: {row['sample']}: {row['notice']}", file=sys.stderr)
    if len(notices) > _MOST_NOTES:
        print(
            f"geneformer-rules: note: and {len(notices) - _MOST_NOTES:,} more, see {options.summary}", file=sys.stderr
        )


def _training_report(options: argparse.Namespace) -> None:
    from geneformer_rules.html_report import training_page, write_page
    from geneformer_rules.reporting import logged_decisions, training_progress, validation_curve

    log = training_progress(options.progress)
    write_page(training_page(options.name, logged_decisions(log), validation_curve(log)), options.output)


def _profile(options: argparse.Namespace) -> None:
    try:
        directory = Path(profile(options.name))
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.install:
        installed = Path(platformdirs.user_config_dir("snakemake", "snakemake"), options.name)
        if installed.exists():
            raise UsageError(f"{installed} is there already; rename or remove it, or use --profile {directory}")
        shutil.copytree(directory, installed)
        directory = installed
    show(str(directory))


if __name__ == "__main__":
    sys.exit(main())
