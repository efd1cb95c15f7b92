"""HTML pages with charts and sortable tables, each a single file."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from geneformer_rules import charts
from geneformer_rules.checks import CHECK_COLUMNS, PASSED
from geneformer_rules.records import write_text
from geneformer_rules.reporting import DECISION_COLUMNS, JOB_COLUMNS, SAMPLE_COLUMNS, SPECIES_COLUMNS, Numbers, Row

MOST_JOBS = 2000
"""Rows of the table of jobs, the longest first; the table for machines has all."""

_LABELS = {
    "bpb_payload": "bits/base, bases alone",
    "bpb_total": "bits/base, archive",
    "bpb_with_model": "bits/base, with model",
    "source_bytes": "source file",
    "input_bytes": "uncompressed",
    "payload_bytes": "coded bases",
    "side_bytes": "side streams",
    "container_bytes": "container",
    "index_bytes": "index",
    "model_bytes": "model inside",
    "total_bytes": "archive",
    "file_bytes": "model file",
    "panel_bytes": "panel",
    "state_bytes": "state",
    "network_bytes": "network",
    "floats_bytes": "floats",
    "model_file_bytes": "model beside",
    "memory_mb": "memory, MB",
    "read_mb": "read, MB",
    "written_mb": "written, MB",
    "cpu_seconds": "CPU seconds",
    "bases_per_second": "bases/s",
    "bits_per_base": "bits/base",
    "checked": "checked (UTC)",
}
_SAMPLE_COLUMNS = [column for column in SAMPLE_COLUMNS if column in SAMPLE_COLUMNS[:9] or column == "level"]
_SPECIES_COLUMNS = SPECIES_COLUMNS[:10]
"""What a page has room for."""
_IDS = ("model_id", "sha256", "archive_sha256")


@dataclass(frozen=True)
class Section:
    """A part of a page: charts with a table under them."""

    title: str = ""
    text: str = ""
    charts: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Row] = ()


def sizes_page(numbers: Numbers) -> str:
    """Archives and species: sizes before and after, and bits per base."""
    samples, species = numbers.samples, numbers.species
    text, sources, after = (_sum(species, key) for key in ("input_bytes", "source_bytes", "total_bytes"))
    models, bases = _sum(species, "model_file_bytes"), _sum(species, "bases")
    facts = [
        (f"{len(samples):,}", "archives"),
        (charts.human_bytes(sources), "on the disk before"),
        (charts.human_bytes(after + models), "on the disk after, models included"),
        (charts.human_bytes(models), "of these are models"),
        (f"{sources / (after + models):.3g} to 1" if after else "-", "on the disk"),
        (f"{text / (after + models):.3g} to 1" if after else "-", "of the uncompressed text"),
        (f"{8 * (after + models) / bases:.4f}" if bases else "-", "bits per base, models included"),
    ]
    notices = numbers.notices()
    if notices:
        facts.append((f"{len({row['sample'] for row in notices}):,}", "archives that do not keep everything"))
    if damaged := sum(row["result"] != PASSED for row in numbers.checks):
        facts.append((f"{damaged:,}", "archives that failed their last check"))
    if numbers.missing:
        facts.append((f"{len(numbers.missing):,}", "samples without an archive"))
    beside = [row | {"model_beside": row["model_file_bytes"]} for row in species]
    more = "What archives consist of is in summary.tsv and summary/species.tsv."
    sections = [
        Section(
            "Samples", more, [charts.sizes(samples, "sample"), charts.bits(samples, "sample")], _SAMPLE_COLUMNS, samples
        ),
        Section(
            "Species",
            "A model that is not inside the archives is needed to read them, and counted once for its species.",
            [charts.sizes(beside, "species"), charts.bits(species, "species")],
            _SPECIES_COLUMNS,
            species,
        ),
    ]
    if numbers.checks:
        text = "When each archive was last decoded and compared; results/checks.tsv has every check."
        rows = [row | {"bases": int(row["bases"]) if row["bases"].isdecimal() else None} for row in numbers.checks]
        sections.append(Section("Checks", text, [], CHECK_COLUMNS, rows))
    if notices:
        sections.insert(0, Section("What the archives do not keep", "", [], ("sample", "notice"), notices))
    lead = "Every archive was decoded and compared with its source before it was published."
    return render("Archives", lead, facts, sections)


def models_page(numbers: Numbers) -> str:
    """Models: what they consist of, what their training decided, and the curves of networks."""
    columns, rows = numbers.tables()["models"]
    sections = [Section("", "", [], columns, rows)]
    for name, rows in _grouped(numbers.decisions, "model").items():
        sections.append(decisions_section(name, rows))
    sections += [Section(name, "", [charts.curve(points, name)]) for name, points in numbers.curves.items()]
    return render("Models", "What models consist of, in bytes, and how they came about.", [], sections)


def jobs_page(numbers: Numbers) -> str:
    """Jobs: what they took."""
    jobs = numbers.jobs
    facts = [
        (f"{len(jobs):,}", "jobs"),
        (_duration(_sum(jobs, "seconds")), "of all jobs together"),
        (_duration(_sum(jobs, "cpu_seconds")), "of CPU time"),
        (f"{max((row['memory_mb'] or 0 for row in jobs), default=0):,.0f} MB", "in the largest job"),
    ]
    longest = sorted(jobs, key=lambda row: -(row["seconds"] or 0))
    text = f"The {MOST_JOBS:,} longest; jobs.tsv has all." if len(jobs) > MOST_JOBS else ""
    rules = [_needs_of_rule(rule, rows) for rule, rows in _grouped(jobs, "rule").items()]
    sections = [
        Section("Rules", "", [charts.needs(jobs)] if jobs else [], list(rules[0]) if rules else [], rules),
        Section("Jobs", text, [], JOB_COLUMNS, longest[:MOST_JOBS]),
    ]
    lead = "Measured by Snakemake from time to time: the memory of jobs that take less than half a minute is too low."
    return render("Jobs", lead, facts, sections)


def decisions_section(name: str, rows: Sequence[Row]) -> Section:
    """The choices that the training of experts has tried."""
    columns = [*DECISION_COLUMNS[1:], *(key for key in rows[0] if key not in DECISION_COLUMNS)] if rows else []
    text = (
        "Each choice is measured against the best before it, on records of the panel that were held out. It is kept if "
        "it saves more than random variation."
    )
    return Section(name, text, [charts.choices(rows)] if rows else [], columns, rows)


def training_page(name: str, decisions: Sequence[Row], curve: Sequence[tuple[float, float]]) -> str:
    """One training: the decisions of experts, or the curve of a network."""
    sections = [decisions_section("", decisions)] if decisions else [Section("", "", [charts.curve(curve, name)])]
    return render(f"Training of {name}", "", [], sections)


def write_pages(numbers: Numbers, directory: Path) -> None:
    """Write the three pages of a run."""
    for name, page in (("sizes", sizes_page), ("models", models_page), ("jobs", jobs_page)):
        write_text(page(numbers), directory / f"{name}.html")


def render(title: str, lead: str, facts: Sequence[tuple[str, str]], sections: Iterable[Section]) -> str:
    """The HTML of a page."""
    return _template().render(title=title, lead=lead, facts=facts, sections=sections)


@cache
def _template() -> jinja2.Template:
    directory = Path(__file__).resolve().parent / "report"
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(directory), autoescape=True)
    environment.globals |= {"labels": _LABELS, "style_of": _style, "cell_of": _cell}
    return environment.get_template("page.html.j2")


def _style(key: str, rows: Sequence[Row]) -> str:
    if key in _IDS:
        return "id"
    if key in ("notice", "result", "checked"):
        return "long"
    values = [row[key] for row in rows if row.get(key) is not None]
    numbers = bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return "n" if numbers else ""


def _cell(key: str, value: Any) -> dict[str, object]:
    if value is None:
        return {"value": "", "text": "", "style": ""}
    if isinstance(value, bool):
        return {"value": int(value), "text": "yes" if value else "no", "style": ""}
    if key == "saves":
        return {"value": value, "text": f"{value:+.2%}", "style": "n"}
    if isinstance(value, float):
        text = f"{value:.4f}" if key.startswith(("bpb", "bits")) else f"{value:,.1f}"
        return {"value": value, "text": text, "style": "n"}
    if isinstance(value, int):
        return {"value": value, "text": f"{value:,}", "style": "n"}
    if key == "checked":  # 2026-01-31T12:00:00Z
        return {"value": value, "text": value.replace("T", " ").removesuffix("Z"), "style": _style(key, ())}
    return {"value": value, "text": value[:12] if key in _IDS else value, "style": _style(key, ())}


def _needs_of_rule(rule: str, rows: Sequence[Row]) -> Row:
    seconds = [row["seconds"] or 0.0 for row in rows]
    return {
        "rule": rule,
        "jobs": len(rows),
        "seconds in all": sum(seconds),
        "median seconds": statistics.median(seconds),
        "most seconds": max(seconds),
        "CPU seconds in all": _sum(rows, "cpu_seconds"),
        "most memory, MB": max(row["memory_mb"] or 0.0 for row in rows),
    }


def _grouped(rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def _sum(rows: Iterable[Row], key: str) -> Any:
    return sum(row[key] or 0 for row in rows)


def _duration(seconds: float) -> str:
    """In the unit that suits it.

    >>> _duration(42), _duration(5400)
    ('42 s', '1.5 h')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
