"""``geneformer-rules``: the steps of the rules that are not the codec's, each usable by hand."""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from geneformer_codec.archive.settings import ACCESS, COARSE
from geneformer_codec.cli.command_parser import CommandParser, call_with
from geneformer_codec.cli.console import drop, open_standard_streams, say, say_error, show
from geneformer_codec.errors import GfzError, UsageError
from geneformer_codec.files import os_error
from geneformer_rules import __version__, profile
from geneformer_rules.downloading import Patience
from geneformer_rules.ena import REPORTS
from geneformer_rules.geo import RECORDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; return 0 when it is done, 1 when the data are at fault, 2 when the call is."""
    open_standard_streams()
    try:
        options = _parser().parse_args(arguments)
        if "device" in options:
            from geneformer_codec.archive.models import Execution

            options.execution = Execution(options.threads, options.device)
        step: Callable[[argparse.Namespace], int | None] = options.step
        status = step(options)
        sys.stdout.flush()
    except GfzError as error:
        say_error(_NAME, error)
        return error.exit_status
    except OSError as error:
        drop(sys.stdout)
        say_error(_NAME, os_error(error))
        return 1
    return status or 0


_NAME = "geneformer-rules"


def _say_errors(errors: Sequence[str]) -> None:
    for error in errors:
        say(f"{_NAME}: error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_NAME, description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")

    step = steps.add_parser("accessions", help="make the sample sheet of runs, projects, samples or experiments")
    step.add_argument(
        "accessions", nargs="*", metavar="ACCESSION", help="SRR..., PRJNA..., SAMN..., ..., or a web page of it"
    )
    step.add_argument("-o", "--output", dest="out", required=True, help="the sample sheet that is written, or '-'")
    step.add_argument("--from", dest="report", metavar="REPORT", help="a file report of ENA on the disk (TSV), or '-'")
    step.add_argument(
        "--source", choices=("ena", "sra-toolkit"), default="ena", help="where the runs are going to be taken from"
    )
    step.add_argument("--species", metavar="LABEL", help="of all samples (default: made of the name of the taxon)")
    step.add_argument("--species-sheet", type=Path, metavar="FILE", help="write 'none' for labels that are not in it")
    step.add_argument("--skip", action="store_true", help="leave out runs without files at ENA")
    step.add_argument("-f", "--force", action="store_true", help="replace the sheet if it exists")
    step.add_argument("--ena", metavar="URL", default=REPORTS, help="address of ENA's file reports")
    step.add_argument("--geo", dest="geo_records", metavar="URL", default=RECORDS, help="address of GEO's records")
    _add_patience(step)
    step.set_defaults(step=_accessions)

    step = steps.add_parser("fetch", help="download a run, and record which files it is and what they must hold")
    step.add_argument("cell", metavar="ACCESSION", help="of the run, as the sample sheet has it")
    step.add_argument("--name", required=True, help="the sample")
    step.add_argument("--species", required=True, help="of the sample, for its record")
    step.add_argument("--downloads", type=Path, required=True, help="directory to which runs are downloaded")
    step.add_argument("-o", "--output", dest="record", type=Path, required=True, help="the record, as JSON")
    step.add_argument("--ena", metavar="URL", help="address of ENA's file reports; without it, the SRA toolkit is used")
    step.add_argument(
        "--host", dest="hosts", action="append", default=[], help="a host that files may come from, besides ENA's"
    )
    step.add_argument("--ngc", type=Path, metavar="FILE", help="repository key of protected runs, for the SRA toolkit")
    _add_patience(step)
    step.add_argument("--threads", type=int, default=1, help="of the SRA toolkit")
    step.set_defaults(step=_fetch)

    step = steps.add_parser("archive", help="archive samples, and verify each archive by decoding it")
    step.add_argument(
        "--sample",
        nargs="+",
        action="append",
        required=True,
        metavar="WORD",
        help="its name, and its file, pair or accession",
    )
    step.add_argument("-o", "--output", type=Path, required=True, help="directory for the archives and their reports")
    step.add_argument("--species", required=True, help="of the samples, for their records")
    step.add_argument("--level", required=True)
    step.add_argument("--part-bases", type=int, required=True)
    step.add_argument("--access", choices=ACCESS, default=COARSE)
    step.add_argument("--order", choices=("file", "any"), default="file", help="of reads: that of the file, or any")
    step.set_defaults(step=_archive)
    _add_fetched(step)
    _add_model(step)
    _add_execution(step)

    step = steps.add_parser("split", help="split a sample into parts, and record which files it is made of")
    step.add_argument("files", nargs="+", metavar="FILE", help="its file, pair or accession")
    step.add_argument("--name", required=True, help="the sample")
    step.add_argument("--species", required=True, help="of the sample, for its record")
    step.add_argument("--part-bases", type=int, required=True)
    step.add_argument("--level", required=True, help="of the archive, for the sample's own panel")
    step.add_argument("-o", "--output", dest="parts", type=Path, required=True, help="directory for the parts")
    step.add_argument("--plan", type=Path, required=True, help="the plan that is written, as JSON")
    step.add_argument("--order", choices=("file", "any"), default="file", help="of reads: that of the file, or any")
    step.add_argument("--threads", type=int, default=0)
    step.set_defaults(step=_split)
    _add_fetched(step)

    step = steps.add_parser("gather", help="gather verified parts into an archive, and check that it is complete")
    step.add_argument("sources", nargs="+", metavar="FILE", help="the sample's file, pair or accession")
    step.add_argument("--name", required=True, help="the sample")
    step.add_argument("--parts", type=Path, required=True, help="directory of parts that 'split' has written")
    step.add_argument("--plan", type=Path, required=True, help="the plan that it has written")
    step.add_argument("--blocks", type=Path, required=True, help="directory of the compressed parts")
    step.add_argument("--jobs", type=int, required=True, help="how many jobs have compressed them")
    step.add_argument(
        "-o", "--output", dest="directory", type=Path, required=True, help="directory for the archive and its report"
    )
    step.set_defaults(step=_gather)
    _add_fetched(step)
    _add_model(step)

    step = steps.add_parser("publish", help="put a verified archive, and its report, in their places")
    step.add_argument(
        "unpublished", type=Path, nargs="?", help="directory that 'archive' or 'gather' has written, if one has"
    )
    step.add_argument("--record", type=Path, help="of a run that was fetched")
    step.add_argument("--source", dest="sources", type=Path, nargs="*", default=(), help="the sample's file or pair")
    step.add_argument("--model", type=Path, help="the model that the archive refers to; a copy is kept beside it")
    step.add_argument("-o", "--output", dest="archive", type=Path, required=True, help="where the archive is published")
    step.add_argument("--report", type=Path, required=True, help="where its report is published")
    step.add_argument("--checks", type=Path, help="table of checks, to which a line is added")
    step.add_argument(
        "--leftover", dest="leftovers", type=Path, action="append", default=[], help="what is deleted afterwards"
    )
    step.set_defaults(step=_publish)

    step = steps.add_parser("decode", help="verify archives by decoding them, and decompress them if asked to")
    step.add_argument("archives", type=Path, nargs="+", metavar="ARCHIVE")
    step.add_argument(
        "-o", "--output", dest="directory", type=Path, help="directory for the texts; those that are up to date stay"
    )
    step.add_argument("--only", type=Path, nargs="+", default=(), help="fail if the texts are not these")
    step.add_argument(
        "--checks",
        type=Path,
        help="table of checks, to which a line is added for each archive; then one that is damaged is no failure",
    )
    step.set_defaults(step=_decode)
    _add_execution(step)

    step = steps.add_parser("verify-parts", help="verify some parts of an archive by decoding them")
    step.add_argument("archive", type=Path, metavar="ARCHIVE")
    step.add_argument("--parts", required=True, metavar="FIRST-LAST")
    step.add_argument("--errors", type=Path, required=True, help="file for what is wrong with the archive")
    step.add_argument("--checks", type=Path, help="table of checks, to which a line is added for a failure")
    step.set_defaults(step=_verify_parts)
    _add_execution(step)

    step = steps.add_parser("verify-whole", help="conclude the verification of an archive whose parts were verified")
    step.add_argument("archive", type=Path, metavar="ARCHIVE")
    step.add_argument("--report", type=Path, required=True, help="the report of its publication")
    step.add_argument("--errors", type=Path, nargs="*", default=(), help="what the jobs of its parts have found")
    step.add_argument("--checks", type=Path, help="table of checks, to which a line is added")
    step.set_defaults(step=_verify_whole)

    step = steps.add_parser("conclude", help="fail if the last check of a sample has failed")
    step.add_argument("work", choices=("verify", "decompress"))
    step.add_argument("--samples", type=Path, required=True, help="the sample sheet")
    step.add_argument("--checks", type=Path, required=True, help="table of checks")
    step.set_defaults(step=_conclude)

    step = steps.add_parser("delete-source", help="delete a sample's files whose archive was verified")
    step.add_argument("sources", type=Path, nargs="+", metavar="SOURCE")
    step.add_argument("--archive", type=Path, required=True)
    step.add_argument("--report", type=Path, required=True, help="the report of its publication")
    step.add_argument("-o", "--output", dest="proof", type=Path, required=True, help="what was deleted, as JSON")
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
        "--install", action="store_true", help="copy it to the directory where 'snakemake --profile NAME' searches"
    )
    step.set_defaults(step=_profile)
    return parser


def _add_patience(step: argparse.ArgumentParser) -> None:
    step.add_argument("--tries", type=int, default=6, help="attempts if a server does not respond")
    step.add_argument("--pause", type=float, default=5.0, help="seconds before the second try; then they double")


def _add_fetched(step: argparse.ArgumentParser) -> None:
    step.add_argument("--fetched", type=Path, help="directory of the records of runs that were fetched")


def _add_model(step: argparse.ArgumentParser) -> None:
    step.add_argument("--model", type=Path)
    step.add_argument("--embed", action="store_true", help="put the model into the archive")


def _add_execution(step: argparse.ArgumentParser) -> None:
    step.add_argument("--threads", type=int, default=0)
    step.add_argument("--device", default="auto")


def _accessions(options: argparse.Namespace) -> None:
    from geneformer_rules.run_sheet import write_sheet

    patience = Patience(options.tries, options.pause)
    call_with(write_sheet, options, patience=patience, say=lambda line: say(f"{_NAME}: {line}"))


def _fetch(options: argparse.Namespace) -> None:
    from geneformer_rules.sra import Downloads, fetch_run

    patience = Patience(options.tries, options.pause)
    downloads = Downloads(options.downloads, options.ena, patience, options.hosts, options.ngc)
    call_with(fetch_run, options, downloads=downloads)


def _archive(options: argparse.Namespace) -> None:
    from geneformer_rules.archiving import Archiving

    samples = [(name, files) for name, *files in options.sample]
    _say_errors(call_with(Archiving, options).archive(samples, options.output))


def _split(options: argparse.Namespace) -> None:
    from geneformer_rules.archiving import split_sample

    call_with(split_sample, options)


def _gather(options: argparse.Namespace) -> None:
    from geneformer_rules.gathering import gather_sample

    call_with(gather_sample, options)


def _publish(options: argparse.Namespace) -> None:
    from geneformer_rules.publishing import publish

    call_with(publish, options)


def _decode(options: argparse.Namespace) -> int:
    from geneformer_rules.decoding import decode_samples

    errors, again = call_with(decode_samples, options)
    _say_errors(errors)
    return 1 if again else 0


def _verify_parts(options: argparse.Namespace) -> None:
    from geneformer_rules.decoding import verify_parts

    _say_errors(call_with(verify_parts, options))


def _conclude(options: argparse.Namespace) -> int:
    from geneformer_rules.decoding import conclude

    errors = call_with(conclude, options)
    _say_errors(errors)
    return 1 if errors else 0


def _verify_whole(options: argparse.Namespace) -> None:
    from geneformer_rules.decoding import verify_whole

    call_with(verify_whole, options)


def _delete_source(options: argparse.Namespace) -> None:
    from geneformer_rules.publishing import delete_sources

    call_with(delete_sources, options)


def _report(options: argparse.Namespace) -> None:
    from geneformer_rules.ending import summarize

    for line in summarize(options.results, options.benchmarks, options.samples, options.summary, options.output):
        say(f"{_NAME}: {line}")


def _training_report(options: argparse.Namespace) -> None:
    from geneformer_rules.html_report import training_page
    from geneformer_rules.records import write_text
    from geneformer_rules.reporting import logged_decisions, training_progress, validation_curve

    log = training_progress(options.progress)
    write_text(training_page(options.name, logged_decisions(log), validation_curve(log)), options.output)


def _profile(options: argparse.Namespace) -> None:
    import platformdirs

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
