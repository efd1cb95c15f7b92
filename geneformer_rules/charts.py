"""Charts as SVG, for any browser."""

import io
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.ticker import LogLocator, NullLocator

from geneformer_rules.reporting import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE, TEAL, ROSE, SAND = "#2b6cb0", "#dd6b20", "#2c9c91", "#b83280", "#b7a57a"
"""Colours that colour-blind people can distinguish."""
PARTS = {
    "payload_bytes": ("coded bases", BLUE),
    "side_bytes": ("names, qualities, layout, case, exceptions", TEAL),
    "index_bytes": ("index", SAND),
    "container_bytes": ("container", FAINT),
    "model_bytes": ("model inside", ROSE),
    "model_beside": ("model beside", "#d9a5c4"),
}
_PER_BASE = {
    "bpb_payload": ("coded bases", BLUE),
    "bpb_total": ("whole archive", ORANGE),
    "bpb_with_model": ("with the model beside", ROSE),
}
MOST_BARS = 25
"""With more samples than that, each becomes a point."""

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GRID,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "ytick.labelcolor": INK,
        "xtick.labelcolor": INK,
        "ytick.major.size": 0,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "geneformer-rules",  # the same numbers give the same file
    }
)


def sizes(rows: Sequence[Row], name: str) -> str:
    """Sizes of archives by kind of content, a bar each, the largest first; ``name`` is the column of their names."""
    shown = sorted(rows, key=lambda row: -row["total_bytes"])[:MOST_BARS]
    parts = {key: part for key, part in PARTS.items() if any(row.get(key) for row in shown)}
    figure, axes = _bars(len(shown), 3.6)
    left = [0.0] * len(shown)
    for key, (label, colour) in parts.items():
        widths = [row.get(key) or 0 for row in shown]
        axes.barh(range(len(shown)), widths, 0.62, left=left, color=colour, label=label)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, row in enumerate(shown):
        label = f"{human_bytes(row['input_bytes'])} → {human_bytes(row['total_bytes'])}"
        _annotate(axes, left[place], place, label, FAINT)
    _name_bars(axes, [row[name] for row in shown])
    axes.set_xlim(0, max([*left, 1]) * 1.3)
    axes.xaxis.set_major_formatter(lambda value, _: human_bytes(value))
    if parts:
        _legend(axes)
    axes.set_title(f"The {len(shown)} largest archives" if len(rows) > len(shown) else "Size of archives", pad=26)
    return _svg(figure)


def bits(rows: Sequence[Row], name: str) -> str:
    """Bits per base, the coded bases alone and the whole archive, side by side."""
    rows = [row for row in rows if row["bpb_total"] is not None]
    if len(rows) > MOST_BARS:
        return _bits_of_many(rows)
    figure, axes = _bars(len(rows), 3.6)
    for place, row in enumerate(rows):
        values = [row[key] for key in _PER_BASE if key in row]
        axes.plot([min(values), max(values)], [place, place], color=GRID, lw=4, zorder=1)
    for key, (label, colour) in _PER_BASE.items():
        if all(key in row for row in rows):
            axes.scatter([row[key] for row in rows], range(len(rows)), 46, colour, label=label, zorder=2)
    _name_bars(axes, [row[name] for row in rows])
    axes.set_xlim(left=0)
    axes.set_xlabel("bits per base")
    if rows:
        _legend(axes)
    axes.set_title("Bits per base", pad=26)
    return _svg(figure)


def _bits_of_many(rows: Sequence[Row]) -> str:
    """Samples of a species by rank, a point each."""
    labels = list(dict.fromkeys(row["species"] for row in rows))
    figure, axes = _bars(len(labels), 3.6, 0.7)
    for key, (label, colour) in list(_PER_BASE.items())[:2]:
        x, y = [], []
        for place, species in enumerate(labels):
            values = sorted(row[key] for row in rows if row["species"] == species)
            x += values
            y += [place - 0.35 + 0.7 * (rank + 0.5) / len(values) for rank in range(len(values))]
        axes.scatter(x, y, 9, colour, label=label, alpha=0.6, linewidths=0, rasterized=len(rows) > 5000)
    _name_bars(axes, labels)
    axes.set_xlim(left=0)
    axes.set_xlabel("bits per base, each point a sample, ordered within its species")
    _legend(axes)
    axes.set_title("Bits per base", pad=26)
    return _svg(figure)


def needs(rows: Sequence[Row]) -> str:
    """Time and memory of jobs, by rule, on logarithmic axes: each job a point, the median a line."""
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    figure, both = _bars(len(rules), 2.4, 0.5, columns=2)
    for axes, key, title, unit, colour in (
        (both[0], "seconds", "Time", "seconds", BLUE),
        (both[1], "memory_mb", "Memory", "MB", TEAL),
    ):
        for place, rule in enumerate(rules):
            values = [max(row[key], 1e-2) for row in rows if row["rule"] == rule and row[key] is not None]
            spread = [place - 0.22 + 0.44 * ((number * 0.618) % 1) for number in range(len(values))]
            axes.scatter(values, spread, 18, colour, alpha=0.5, linewidths=0, rasterized=len(values) > 5000)
            if values:
                axes.plot([statistics.median(values)] * 2, [place - 0.33, place + 0.33], color=INK, lw=1.5)
        _name_bars(axes, rules if axes is both[0] else [""] * len(rules))
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(unit)
        axes.set_title(title)
    return _svg(figure)


def curve(points: Sequence[tuple[float, float]], title: str) -> str:
    """The progress of a network on the validation records of its panel."""
    figure, axes = _figure(3.6)
    x, y = [minutes for minutes, _ in points], [value for _, value in points]
    axes.plot(x, y, color=BLUE, lw=2, marker="o", ms=4)
    if points:
        axes.annotate(f"{y[-1]:.4g}", (x[-1], y[-1]), (6, 0), textcoords="offset points", va="center", color=BLUE)
    axes.set_xlim(left=0)
    axes.margins(x=0.08)
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("bits per base")
    axes.set_title(f"{title}: bits per base on validation records")
    return _svg(figure)


def choices(rows: Sequence[Row]) -> str:
    """Savings of the choices of experts; those that were kept have full colour."""
    figure, axes = _bars(len(rows), 4.6)
    widest = max([abs(row["saves"]) for row in rows[1:]], default=0) or 0.01
    for place, row in enumerate(rows):
        width = row["saves"] if place else 0
        axes.barh(place, width, 0.62, color=BLUE if row["kept"] else "#cbd5e0")
        saved = "saves" if row["saves"] >= 0 else "costs"
        what = "to begin with" if place == 0 else f"{saved} {abs(row['saves']):.1%}{', kept' * row['kept']}"
        label = f"{row['bits_per_base']:.4f} at {row['bases_per_second'] / 1e6:.2f} Mbases/s, {what}"
        _annotate(axes, max(width, 0), place, label, INK if row["kept"] else FAINT)
    _name_bars(axes, [row["choice"] for row in rows])
    axes.set_xlim(min([row["saves"] for row in rows[1:]] + [0]) * 1.1, 2.6 * widest)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    axes.set_xlabel("bits saved on held-out records of the panel, against the best before")
    axes.set_title("What was tried, and what it saved")
    return _svg(figure)


def _figure(height: float, columns: int = 1) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def _bars(count: int, least: float, each: float = 0.34, columns: int = 1) -> "tuple[Figure, Any]":
    """A figure that grows with the number of bars."""
    return _figure(max(least / 2, 1.3 + each * max(count, 1)), columns)


def _name_bars(axes: "Axes", names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [name if len(name) < 52 else f"{name[:50]}…" for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _annotate(axes: "Axes", x: float, y: float, text: str, colour: str) -> None:
    """Write beside the end of a bar."""
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", color=colour, size=9)


def _legend(axes: "Axes") -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderpad=0, handlelength=1, columnspacing=1.4)


def human_bytes(size: float) -> str:
    """Three digits and a unit.

    >>> human_bytes(1536), human_bytes(0), human_bytes(2_000_000)
    ('1.54 kB', '0 B', '2 MB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return text.getvalue()[text.getvalue().index("<svg") :]  # without the declarations of a document
