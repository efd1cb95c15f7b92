"""The end of a run of the workflow: how many samples were archived, their sizes, which failed and why, and the report.

The summary and its pages are made by a job if all samples have been archived, and here, of the others, if some failed.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geneformer_codec.cli.console import message_of, say
from geneformer_codec.errors import GfzError
from geneformer_rules.batching import alone
from geneformer_rules.publishing import remove
from geneformer_rules.records import file_state, read_json
from geneformer_rules.scheduling import Job, State

if TYPE_CHECKING:
    from geneformer_rules.planner import Planner

_NAME = "geneformer-rules"
_MOST_LINES = 20
"""The most notices, and failures, that are shown; the summary and the logs have all."""
_LONGEST = 400
_ERROR = re.compile(r"^(?:[\w-]+: )?error: (.*)$", re.M)


def archives_of(planner: "Planner") -> dict[str, object]:
    """The samples that are to be archived, and the state of the archives that they have."""
    places = {name: f"{planner.results}/archives/{name}.gfz" for name in planner.samples}
    return {name: file_state(path) for name, path in places.items() if name not in planner.sheets.done}


def finish_run(planner: "Planner", before: Mapping[str, object], state: State) -> None:
    """Say how a run has ended, in a few lines; report on what was archived if the job that does so was not reached.

    ``before`` is what `archives_of` has found when the run began.
    """
    remove_leftovers(planner)
    rules = {planner.call.rule_name(rule): rule for rule in _RULES}
    failed = [job for job in state.failed if not job.is_group() and job.rule.name in rules]
    summaries = [job for job in state.needed() if job.rule.name == planner.call.rule_name("summary")]
    now = archives_of(planner)
    made = [name for name, archive in now.items() if archive not in (None, before[name])]
    if not (made or failed or summaries):
        return
    summary = Path(planner.results, "summary.tsv")
    if not all(map(state.is_finished, summaries)):
        try:
            _show(summarize(Path(planner.results), Path(planner.benchmarks), Path(planner.config["samples"]), summary))
        except (GfzError, OSError) as error:
            say(f"{_NAME}: error: the report could not be made: {message_of(error)}")
    _show(_sizes(read_json(summary.with_suffix("") / "numbers.json"), len(made)))
    known = {name: reason for name in now if name not in made and (reason := planner.error_of(name))}
    lines = [f"failed: {name}: {_short(reason)} ({_log(planner, name)})" for name, reason in known.items()]
    lines += [
        line
        for job in failed
        if job.wildcards_dict.get("sample") not in known
        for line in _failures(planner, rules[job.rule.name], job)
    ]
    _show(lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        _show([f"and {len(lines) - _MOST_LINES:,} more have failed, see {planner.logs}"])
    if summary.is_file():
        _show([f"report: {summary.with_suffix('') / 'sizes.html'}, table: {summary}"])


def remove_leftovers(planner: "Planner") -> None:
    """Remove what is left of work on samples that were done when the run began: an earlier one was killed before."""
    work = [path for name in planner.sheets.done & planner.samples.keys() for path in planner.work_on(name)]
    for path in work:
        remove(path)
    for directory in {path.parent for path in work}:
        with contextlib.suppress(OSError):  # it is not there, or not empty
            directory.rmdir()


_RULES = (
    *("fetch", "archive", "split", "split_local", "train", "train_local", "compress", "gather", "gather_local"),
    *("publish", "delete_source", "decode", "decompress", "decompress_pair", "verify_parts", "verify"),
    *("conclude", "summary", "training_report"),
)


def summarize(
    results: Path, benchmarks: Path, samples: Path, summary: Path, directory: Path | None = None
) -> list[str]:
    """Write the table of the samples, the other tables and the pages; return the notices as lines."""
    from geneformer_rules.html_report import write_pages
    from geneformer_rules.reporting import collect, write_numbers

    numbers = collect(results, benchmarks, samples)
    directory = directory or summary.with_suffix("")
    directory.mkdir(parents=True, exist_ok=True)
    write_pages(numbers, directory)
    write_numbers(numbers, directory, summary)
    notices = numbers.notices()
    lines = [f"{len(numbers.samples):,} archives are in {summary}"]
    lines += [f"note: {row['sample']}: {row['notice']}" for row in notices[:_MOST_LINES]]
    return [
        *lines,
        *([f"note: and {len(notices) - _MOST_LINES:,} more, see {summary}"] if notices[_MOST_LINES:] else []),
    ]


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        say(f"{_NAME}: {line}")


def _sizes(numbers: dict[str, Any], now: int) -> Iterator[str]:
    """How many samples have been archived, and what was on the disk before and is after."""
    from geneformer_rules.charts import human_bytes  # which takes its time to import

    samples, species = numbers.get("samples", []), numbers.get("species", [])
    if not samples:
        return
    before, after, models = (
        sum(row[key] or 0 for row in species) for key in ("source_bytes", "total_bytes", "model_file_bytes")
    )
    missing = len(numbers.get("missing", []))
    yield (
        f"{len(samples):,} of {len(samples) + missing:,} samples are archived, {now:,} of them by this run: "
        f"{human_bytes(before)} of files -> {human_bytes(after)} of archives and {human_bytes(models)} of models"
        + (f" ({before / (after + models):.3g} to 1)" if after + models else "")
    )


def _failures(planner: "Planner", rule: str, job: Job) -> Iterator[str]:
    """What has failed in a job, with the reason and the log; a job of a batch may report it of several samples."""
    wildcards = job.wildcards_dict
    log = Path(str(job.log[0])) if job.log else None
    text = log.read_text(encoding="utf-8", errors="replace") if log is not None and log.is_file() else ""
    last = text.strip().rpartition("\n")[2]
    reasons = _ERROR.findall(text) or [last or "it was ended, perhaps for want of memory or time"]
    if rule in ("decode", "conclude"):
        yield from (f"failed: {wildcards['work']}: {_short(reason)} ({log})" for reason in reasons)
        return
    batch = wildcards.get("batch")
    what = wildcards.get("sample") or wildcards.get("species") or rule
    if batch:
        what = ", ".join(sample.name for sample in planner.batches.members(batch))
    yield f"failed: {what}: {_short(reasons[-1])} ({rule}, {log})"


def _log(planner: "Planner", sample: str) -> Path:
    """The log of the job that reported that a sample failed."""
    batch = planner.batches.batch_of.get(sample, alone(sample))
    places = [
        Path(planner.logs, f"{place}.log") for place in (f"fetch/{sample}", f"gather/{sample}", f"archive/{batch}")
    ]
    return next((log for log in reversed(places) if log.is_file()), places[0])


def _short(reason: str) -> str:
    """The first line of a reason, or as much of it as fits."""
    first = reason.partition("\n")[0]
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]} ..."
