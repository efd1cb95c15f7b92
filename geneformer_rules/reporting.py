"""The numbers of a run: sizes of archives and species, resources of jobs, and results of trainings.

They are collected from the outputs of jobs: a report per published archive, the models, the logs of trainings and
Snakemake's benchmarks. Missing files are skipped.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geneformer_codec.errors import GfzError, InputError
from geneformer_codec.model.file import ModelHeader, read_header
from geneformer_rules.batching import SEPARATOR
from geneformer_rules.checks import CHECK_COLUMNS, latest_checks, read_checks
from geneformer_rules.notices import notices
from geneformer_rules.records import read_json, write_text
from geneformer_rules.sheets import sample_species

Row = dict[str, Any]

SAMPLE_COLUMNS = (
    "sample",
    "species",
    "records",
    "bases",
    "source_bytes",
    "input_bytes",
    "total_bytes",
    "bpb_payload",
    "bpb_total",
    "payload_bytes",
    "side_bytes",
    "index_bytes",
    "container_bytes",
    "model_bytes",
    "model_file_bytes",
    "model_id",
    "level",
    "sha256",
    "notices",
)
"""Columns of archives: sizes of the coded bases alone and of the whole archive side by side."""

SPECIES_COLUMNS = (
    "species",
    "samples",
    "bases",
    "source_bytes",
    "input_bytes",
    "total_bytes",
    "model_file_bytes",
    "bpb_payload",
    "bpb_total",
    "bpb_with_model",
    "payload_bytes",
    "side_bytes",
    "index_bytes",
    "container_bytes",
    "model_bytes",
)
"""Columns of species: ``bpb_with_model`` includes the models beside the archives."""

JOB_COLUMNS = ("rule", "name", "parts", "seconds", "cpu_seconds", "memory_mb", "read_mb", "written_mb")
"""Columns of jobs, from Snakemake's benchmarks."""

MODEL_COLUMNS = ("model", "model_id", "consists_of", "panel_records", "panel_bases", "panel_bytes", "state_bytes",
                 "network_bytes", "floats_bytes", "file_bytes")  # fmt: skip
"""Columns of models: bytes by use; ``floats`` serve further training only."""

DECISION_COLUMNS = ("model", "choice", "bits_per_base", "saves", "bases_per_second", "state_bytes", "kept")
"""Columns of choices that the training of experts has measured."""

_SUMS = tuple(column for column in SPECIES_COLUMNS if column in SAMPLE_COLUMNS and column.endswith(("bases", "_bytes")))
_BENCHMARK = {"seconds": "s", "cpu_seconds": "cpu_time", "memory_mb": "max_rss", "read_mb": "io_in",
              "written_mb": "io_out"}  # fmt: skip
_KINDS = {"panel": "panel.", "state": "experts.initial_state", "network": "network.", "floats": "float."}


@dataclass(frozen=True)
class Numbers:
    """Everything that is reported; ``curves`` has, by model, (minutes of training, bits per base on validation)."""

    samples: list[Row]
    species: list[Row] = field(default_factory=list)
    models: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)
    jobs: list[Row] = field(default_factory=list)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    checks: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Samples of the sheet that have no archive."""

    def notices(self) -> list[Row]:
        """The notices, what archives do not keep, one per row."""
        return [
            {"sample": row["sample"], "notice": notice} for row in self.samples for notice in row.get("notices") or ()
        ]

    def tables(self) -> dict[str, tuple[Sequence[str], list[Row]]]:
        """The tables by name, with their columns."""
        return {
            "samples": (SAMPLE_COLUMNS, self.samples),
            "species": (SPECIES_COLUMNS, self.species),
            "models": (MODEL_COLUMNS, self.models),
            "decisions": (_with_others(DECISION_COLUMNS, self.decisions), self.decisions),
            "jobs": (JOB_COLUMNS, self.jobs),
            "checks": (CHECK_COLUMNS, self.checks),
        }


def collect(results: Path, benchmarks: Path, sheet: Path) -> Numbers:
    """Gather the numbers of all samples of ``sheet`` that have been published."""
    species = sample_species(sheet)
    samples = []
    for name, label in species.items():
        facts = read_json(results / "reports" / f"{name}.json")
        if "sample" not in facts:
            continue
        row = {column: facts.get(column) for column in SAMPLE_COLUMNS}
        samples.append(row | {"species": label, "notices": notices(facts)})
    published, checked = {row["sample"] for row in samples}, latest_checks(read_checks(results / "checks.tsv"))
    headers = _models(results, {str(row["model_id"]) for row in samples})
    logs = {log.stem: training_progress(log) for log in sorted((results / "training").glob("*.jsonl"))}
    return Numbers(
        samples,
        by_species(samples),
        [model_row(path, header) for path, header in headers],
        [row for _, header in headers for row in decisions(header)],
        list(jobs(benchmarks, {*species, *species.values()})),
        {name: curve for name, log in logs.items() if (curve := validation_curve(log))},
        [dict(checked[name]) for name in species if name in checked],
        [name for name in species if name not in published],
    )


def by_species(samples: Iterable[Row]) -> list[Row]:
    """Sums over the samples of each species, in the order of their first."""
    groups: dict[str, list[Row]] = {}
    for sample in samples:
        groups.setdefault(sample["species"], []).append(sample)
    rows = []
    for label, members in groups.items():
        row: Row = {"species": label, "samples": len(members)}
        row |= {column: sum(member[column] or 0 for member in members) for column in _SUMS}
        beside = {member["model_id"]: member["model_file_bytes"] for member in members if not member["model_bytes"]}
        row["model_file_bytes"] = sum(beside.values())
        row["bpb_payload"] = _per_base(row["payload_bytes"], row["bases"])
        row["bpb_total"] = _per_base(row["total_bytes"], row["bases"])
        row["bpb_with_model"] = _per_base(row["total_bytes"] + row["model_file_bytes"], row["bases"])
        rows.append(row)
    return rows


def model_row(path: Path, header: ModelHeader) -> Row:
    """The components of a model, and their sizes."""
    panel = header.given.get("panel", {})
    row: Row = {
        "model": header.metadata.get("name", ""),
        "model_id": header.id,
        "consists_of": " and ".join(part for part in ("experts", "network") if part in header.given),
        "panel_records": panel.get("records", 0),
        "panel_bases": panel.get("bases", 0),
        "file_bytes": path.stat().st_size,
    }
    for kind, prefix in _KINDS.items():
        spans = [tensor["data_offsets"] for name, tensor in header.tensors.items() if name.startswith(prefix)]
        row[f"{kind}_bytes"] = sum(end - begin for begin, end in spans)
    return row


def decisions(header: ModelHeader) -> Iterator[Row]:
    """The choices that the training of experts has measured, one per row."""
    for choice in header.metadata.get("decisions", []):
        yield {"model": header.metadata.get("name", ""), **choice}


def _short(parts: str) -> str:
    """Numbers of parts, the first and the last of a job, as people write them; other names as they are."""
    numbers = parts.split("-")
    if not all(map(str.isdecimal, numbers)):
        return parts
    return "-".join(dict.fromkeys(str(int(number)) for number in numbers))


def jobs(benchmarks: Path, names: set[str]) -> Iterator[Row]:
    """The needs of every job of these samples and species, from ``RULE/NAME.tsv`` and ``RULE/NAME/PARTS.tsv``."""
    for path in sorted(benchmarks.glob("*/**/*.tsv")):
        rule, *inner = path.relative_to(benchmarks).with_suffix("").parts
        if inner[0].partition(SEPARATOR)[0] not in names:
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for measured in csv.DictReader(file, delimiter="\t"):
                row: Row = {"rule": rule, "name": inner[0], "parts": "/".join(map(_short, inner[1:]))}
                yield row | {column: _number(measured.get(key)) for column, key in _BENCHMARK.items()}


def training_progress(log: Path) -> list[Row]:
    """Return the entries of a training's log, JSON lines."""
    entries: list[Row] = []
    for number, line in enumerate(log.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(f"{log}, line {number}: this is not JSON ({error.msg}); train the model again") from error
    return entries


def validation_curve(log: Iterable[Row]) -> list[tuple[float, float]]:
    """Bits per base on the validation records against minutes of training; nothing for experts."""
    measured = [entry for entry in log if entry.get("event") == "validation"]
    return [(float(entry["seconds"]) / 60, float(entry["bpb_validation"])) for entry in measured]


def logged_decisions(log: Iterable[Row]) -> list[Row]:
    """The choices in the log of a training of experts."""
    measured = [entry for entry in log if entry.get("event") == "decision"]
    return [{key: value for key, value in entry.items() if key != "event"} for entry in measured]


def write_numbers(numbers: Numbers, directory: Path, summary: Path) -> None:
    """Write each table as ``TABLE.tsv``, all of them as ``numbers.json``, and the one of the samples as ``summary``."""
    tables = numbers.tables()
    for name, (columns, rows) in tables.items():
        write_table(columns, rows, summary if name == "samples" else directory / f"{name}.tsv")
    everything: dict[str, Any] = {name: rows for name, (_, rows) in tables.items()} | {
        "training_curves": numbers.curves
    }
    everything["missing"] = numbers.missing
    write_text(json.dumps(everything, indent=1) + "\n", directory / "numbers.json")


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], table: Path) -> None:
    """Write rows as text separated by tabs."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    write_text(text.getvalue(), table)


def _models(results: Path, identities: set[str]) -> list[tuple[Path, ModelHeader]]:
    """The models of these ids: the copies beside the archives, or those that were trained here."""
    found: dict[str, tuple[Path, ModelHeader]] = {}
    for path in sorted([*(results / "archives" / "models").glob("*.gfmodel"), *(results / "models").glob("*.gfmodel")]):
        try:
            header = read_header(path)
        except GfzError:
            continue
        if header.id in identities:
            found.setdefault(header.id, (path, header))
    return sorted(found.values(), key=lambda model: str(model[1].metadata.get("name", "")))


def _with_others(columns: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """The columns, and whatever else the rows have."""
    return list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))


def _per_base(size: int, bases: int) -> float | None:
    return 8 * size / bases if bases else None


def _number(text: str | None) -> float | None:
    """A cell of a benchmark: '-' and 'NA' mean that it could not be measured."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _cell(value: object) -> object:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return f"{value:.4f}" if isinstance(value, float) else value
