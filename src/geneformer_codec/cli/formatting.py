"""Facts about archives and models as text for people."""

import json
from collections.abc import Sequence
from typing import Any

from geneformer_codec.archive.info import ArchiveInfo
from geneformer_codec.cli.console import printable
from geneformer_codec.streams.table import INDEX_STREAMS, SIDE_STREAMS


def summary(info: ArchiveInfo, seconds: float | None = None) -> str:
    """One line: sizes of text and archive, bits per base, and the model that has to be kept."""
    line = (
        f"{printable(info.sample)}: {info.input_bytes:,} -> {info.total_bytes:,} bytes; bits per base "
        f"{_per_base(info.bpb_payload)} payload, {_per_base(info.bpb_total)} total"
    )
    if info.model_file_bytes:
        needed = "needed to decompress" if info.model_needed else "not needed"
        where = "included" if info.model_embedded else f"not included, {needed}"
        line += f" (model of {info.model_file_bytes:,} bytes {where})"
    if info.without_model_blocks:
        line += f"; {_parts_without(info)}"
    if seconds and info.bases:
        line += f"; {info.bases / seconds:,.0f} bases/s"
    if notices := info.notices:
        line += f"; {len(notices)} warning{'s' if len(notices) > 1 else ''}, also in 'gfz info'"
    return line


def _parts_without(info: ArchiveInfo) -> str:
    return f"{info.without_model_blocks:,} of {info.blocks:,} parts without the model"


def info_table(info: ArchiveInfo) -> str:
    """What ``gfz info`` shows."""
    streams = info.streams
    model = [("model", "none, predicted from the part itself")]
    if info.model_file_bytes:
        model = [
            ("model", f"{info.model_name} ({'embedded' if info.model_embedded else 'not embedded'})"),
            ("model id", info.model_id),
            ("model file", f"{info.model_file_bytes:,} bytes"),
        ]
    if info.without_model_blocks:
        model.append(("model use", f"{_parts_without(info)}, as it does not help them"))
    if info.both_strands_blocks:
        model.append(("strands", f"{info.both_strands_blocks:,} of {info.blocks:,} parts learn from both strands"))
    slices = f"{info.slices:,} of at most {info.slice_length:,} bases" if info.slice_length else "one per part"
    held = "" if info.complete else f", only {info.blocks} of them here"
    rows: list[tuple[str, str]] = [
        ("sample", info.sample),
        ("sha256", info.sha256),
        *_provenance(info),
        ("kind", info.kind),
        ("records", f"{info.records:,}"),
        ("residues", f"{info.residues:,}"),
        ("bases", f"{info.bases:,}"),
        ("input bytes", f"{info.input_bytes:,}"),
        ("parts", f"{info.parts:,}{held}"),
        ("slices", slices),
        ("level", info.level),
        *model,
        ("written by", f"geneformer-rules {info.tool_version}, format version {info.format_version}"),
        ("", ""),
    ]
    sizes = [("payload", info.payload_bytes, "the coded bases")]
    sizes += [("side", info.side_bytes, _listed(streams, *(name for name in SIDE_STREAMS if name in streams)))]
    sizes += [("index", info.index_bytes, _listed(streams, *INDEX_STREAMS))]
    sizes += [("model", info.model_bytes, "inside the archive"), ("container", info.container_bytes, "")]
    lines = [f"{name:<12} {printable(value)}".rstrip() for name, value in rows]
    lines += [f"{name:<12} {size:>15,} bytes  {what}".rstrip() for name, size, what in sizes]
    lines += [f"{'total':<12} {info.total_bytes:>15,} bytes", ""]
    lines += [f"bits per base: {_per_base(info.bpb_payload)} payload, {_per_base(info.bpb_total)} total"]
    return "\n".join(lines)


def _provenance(info: ArchiveInfo) -> list[tuple[str, str]]:
    """The mate of a pair, and notices."""
    rows = []
    if mate := info.mate:
        rows += [("mate", mate["name"]), ("mate sha256", mate["sha256"])]
    return rows + [("notice", notice) for notice in info.notices]


def _listed(streams: dict[str, int], *names: str) -> str:
    return ", ".join(f"{name} {streams[name]:,}" for name in names)


def model_table(facts: dict[str, Any]) -> str:
    """What ``gfz model show`` shows."""
    metadata = {name: value for name, value in facts["metadata"].items() if name not in ("name", "decisions")}
    rows = [("name", facts["name"]), ("id", facts["id"]), ("file", facts["file"]), ("bytes", f"{facts['bytes']:,}")]
    rows += [(f"  {name}", f"{size:,}") for name, size in facts["sizes"].items() if size]
    if facts["panel_records"]:
        rows.append(("panel", f"{facts['panel_records']:,} records, {facts['panel_bases']:,} bases"))
    if facts["network"]:
        rows.append(("network", json.dumps(facts["network"])))
    rows += [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in metadata.items()]
    return "\n".join(f"{printable(name):<12} {printable(value)}" for name, value in rows)


def decisions_table(metadata: dict[str, Any]) -> str:
    """What training measured, as a model of experts records it."""
    rows: list[dict[str, Any]] = metadata.get("decisions", [])
    lines = [f"{'choice':<52} {'bits/base':>9} {'saves':>8} {'Mbases/s':>8} {'model kB':>8}  kept"]
    for row in rows:
        lines.append(
            f"{row['choice']:<52} {row['bits_per_base']:>9.4f} {row['saves']:>8.2%} "
            f"{row['bases_per_second'] / 1e6:>8.2f} {row['state_bytes'] / 1e3:>8.1f}  {'yes' if row['kept'] else 'no'}"
        )
    return "\n".join(lines)


def stats_table(rows: Sequence[dict[str, Any]]) -> str:
    """What ``gfz stats`` shows, by tabs."""
    return "\n".join(["\t".join(rows[0]), *("\t".join(map(_cell, row.values())) for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) and value < 100 else str(value)


def _per_base(bits: float | None) -> str:
    return "-" if bits is None else f"{bits:.4f}"
