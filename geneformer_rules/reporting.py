"""What people look at: the table of all archives and the curve of a training."""

import csv
import html
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from geneformer_codec.errors import InputError
from geneformer_codec.files import atomic_output

COLUMNS = (
    "sample",
    "records",
    "bases",
    "input_bytes",
    "payload_bytes",
    "side_bytes",
    "index_bytes",
    "model_bytes",
    "total_bytes",
    "bpb_payload",
    "bpb_total",
    "model_file_bytes",
    "model_id",
    "level",
    "sha256",
)
"""Columns of the summary: sizes with and without what goes beside the coded bases, never one without the other."""


def summary(reports: Iterable[Path], table: Path) -> None:
    """Write a table, separated by tabs, with one row per verified archive."""
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", delimiter="\t", lineterminator="\n")
    rows.writeheader()
    for report in reports:
        rows.writerow({key: _cell(value) for key, value in json.loads(report.read_text(encoding="utf-8")).items()})
    with atomic_output(table, force=True) as out:
        out.write(text.getvalue().encode())


def _cell(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value


def training_progress(log: Path) -> list[dict[str, Any]]:
    """Return the entries of a training's log, JSON lines; a last line that was cut off is left out."""
    entries: list[dict[str, Any]] = []
    for number, line in enumerate(log.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{log}, line {number}: this is not JSON ({error.msg}); train the model again") from error
        entries.append(entry)
    return entries


def plot_training(log: Path, title: str, curve: Path) -> None:
    """Draw bits per base on the validation records against minutes of training, as SVG."""
    points = [
        (float(entry["seconds"]) / 60, float(entry["bpb_validation"]))
        for entry in training_progress(log)
        if entry.get("event") == "validation"
    ]
    with atomic_output(curve, force=True) as out:
        out.write(draw_curve(points, title, "minutes of training", "bits per base").encode())


def draw_curve(points: Sequence[tuple[float, float]], title: str, x_label: str, y_label: str) -> str:
    """Return a line chart as an SVG document; one curve needs no plotting library."""
    width, height, left, right, top, bottom = 640, 400, 70, 20, 40, 50
    x_ticks = _ticks(0.0, max((x for x, _ in points), default=1.0))
    y_ticks = _ticks(min((y for _, y in points), default=0.0), max((y for _, y in points), default=2.0))

    def x_place(x: float) -> float:
        return left + (width - left - right) * (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])

    def y_place(y: float) -> float:
        return height - bottom - (height - top - bottom) * (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{width / 2}" y="24" text-anchor="middle" font-size="15">{html.escape(title)}</text>',
        f'<text x="{width / 2}" y="{height - 12}" text-anchor="middle">{html.escape(x_label)}</text>',
        f'<text transform="translate(18 {height / 2}) rotate(-90)" text-anchor="middle">{html.escape(y_label)}</text>',
    ]
    for x in x_ticks:
        at = f"{x_place(x):.1f}"
        lines.append(f'<line x1="{at}" x2="{at}" y1="{top}" y2="{height - bottom}" stroke="#ddd"/>')
        lines.append(f'<text x="{at}" y="{height - bottom + 16}" text-anchor="middle">{x:g}</text>')
    for y in y_ticks:
        at = f"{y_place(y):.1f}"
        lines.append(f'<line x1="{left}" x2="{width - right}" y1="{at}" y2="{at}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 8}" y="{float(at) + 4:.1f}" text-anchor="end">{y:g}</text>')
    places = [(f"{x_place(x):.1f}", f"{y_place(y):.1f}") for x, y in points]
    path = " ".join(f"{x},{y}" for x, y in places)
    lines.append(f'<polyline points="{path}" fill="none" stroke="#1f77b4" stroke-width="2"/>')
    lines += [f'<circle cx="{x}" cy="{y}" r="3" fill="#1f77b4"/>' for x, y in places]
    return "\n".join([*lines, "</svg>", ""])


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose ``low`` and ``high``, about five of them."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 10) for number in range(first, last + 1)]
