"""Which archives are up to date: those whose record (`records`) agrees with the sheet and the disk.

This takes one ``stat`` per file. Where only times or inode differ, as after ``touch``, ``chmod`` or a copy of the
project, the text decides: it is compared with the digest in the report.
"""

import contextlib
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from geneformer_codec.errors import GfzError
from geneformer_rules import models
from geneformer_rules.publishing import check_text, held_digests
from geneformer_rules.records import RECORD, Record, describe, read_json, write_json
from geneformer_rules.sheets import NO_MODEL, Sample, Species


class Published:
    """The archives that are in their place, each with the report of its publication. Lists both directories once."""

    def __init__(self, results: str) -> None:
        self._reports = Path(results, "reports")
        self.names = _stems(Path(results, "archives"), ".gfz") & _stems(self._reports, ".json")

    def report(self, sample: str) -> dict[str, Any]:
        """The report of a sample; empty if it is unreadable."""
        return read_json(self._reports / f"{sample}.json")

    def accept(self, sample: str, report: Mapping[str, Any], record: Record) -> None:
        """Put a new record into a report; its times stay, as what it reports on is the same."""
        path = self._reports / f"{sample}.json"
        before = path.stat()
        write_json({**report, RECORD: record}, path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _stems(directory: Path, suffix: str) -> set[str]:
    try:
        with os.scandir(directory) as entries:
            return {entry.name.removesuffix(suffix) for entry in entries if entry.name.endswith(suffix)}
    except FileNotFoundError:
        return set()


def up_to_date(
    samples: Iterable[Sample],
    species: Mapping[str, Species],
    published: Published,
    settings: Mapping[str, Any],
    model_of: Mapping[str, str],
) -> set[str]:
    """The samples whose archive agrees with their row of the sheet.

    ``model_of`` names the model file of a species. Level and model are compared if ``update_on`` asks for that.
    """
    done = set()
    for sample in samples:
        if sample.name not in published.names:
            continue
        report = published.report(sample.name)
        if not _has_settings(sample, report, species, settings, model_of):
            continue
        old: Any = report.get(RECORD)
        new = describe(sample)
        if old == new:
            done.add(sample.name)
        elif _may_be_same(old, new) and _has_same_text(sample, report, old, new):
            done.add(sample.name)
            if None not in new["files"]:
                with contextlib.suppress(OSError, GfzError):  # where it cannot be written, texts are compared again
                    published.accept(sample.name, report, new)
    return done


def _may_be_same(old: Any, new: Record) -> bool:
    """Whether two records may be of the same texts: equal cells, and equal sizes of the files that exist still."""
    try:
        return all(old[cell] == new[cell] for cell in ("path", "mate", "species")) and all(
            now is None or before[0] == now[0] for before, now in zip(old["files"], new["files"], strict=True)
        )
    except (TypeError, KeyError, ValueError, IndexError):
        return False


def _has_same_text(sample: Sample, report: Mapping[str, Any], old: Record, new: Record) -> bool:
    """Whether the files that exist, and have changed, have the texts that the archive holds."""
    try:
        held = held_digests(Path(sample.path), len(sample.files), report)
        for file, before, now, wanted in zip(sample.files, old["files"], new["files"], held, strict=True):
            if now is not None and now != before:
                print(f"{file}: has other time stamps than when it was archived; comparing its text", file=sys.stderr)
                check_text(Path(file), wanted)
    except (GfzError, OSError, KeyError):
        return False
    return True


def _has_settings(
    sample: Sample,
    report: Mapping[str, Any],
    species: Mapping[str, Species],
    settings: Mapping[str, Any],
    model_of: Mapping[str, str],
) -> bool:
    asked: Collection[str] = settings["update_on"]
    if "level" in asked and report.get("level") != settings["level"]:
        return False
    if "model" not in asked or sample.species == NO_MODEL:
        return True
    model = model_of[sample.species]
    if models.identity(model) != report.get("model_id"):
        return False
    trained_at = Path(model).stat().st_mtime_ns
    panels = [Path(path) for path in species[sample.species].panel]
    return all(not path.exists() or path.stat().st_mtime_ns <= trained_at for path in panels)


def is_decompressed(archive: Path, directory: Path) -> bool:
    """Whether the texts of an archive are in the directory, and no older than the archive."""
    return any(
        all(_is_newer(directory / f"{archive.stem}{number}.{suffix}", archive) for number in numbers)
        for suffix in ("fa", "fq")
        for numbers in ([""], ["_1", "_2"])
    )


def _is_newer(text: Path, archive: Path) -> bool:
    try:
        return text.stat().st_mtime_ns >= archive.stat().st_mtime_ns
    except OSError:
        return False
