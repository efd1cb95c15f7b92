"""What an archive was made of, so that a changed row of the sheet, or a replaced file, is noticed.

A record holds the cells of the row (``path``, ``mate``, ``species``) and the state of each file when it was read: size,
times of modification and of change, inode. It is kept in the report of the publication. Planning compares it with the
sheet and the disk, at the price of one ``stat`` a file. Where only times or inode differ, as after ``touch``, ``chmod``
or a copy of the project, the text decides: it is compared with the digest in the report.
"""

import contextlib
import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geneformer_codec.errors import GfzError
from geneformer_codec.files import atomic_output
from geneformer_rules import accessions, models
from geneformer_rules.publishing import RECORD, check_text, held_digests
from geneformer_rules.sheets import NO_MODEL, Sample, Species

BATCH_RECORDS = "made_of.json"
"""The file beside the archives of a batch that has the record of each, by sample."""

Record = dict[str, Any]


def describe(sample: Sample) -> Record:
    """The record of a sample as it is now."""
    return describe_files(sample.files or [sample.path], sample.species)


def describe_files(files: Sequence[str], species: str) -> Record:
    """The record of a file, a pair or the accession of a run; the state of a file that does not exist is None."""
    path, mate = files[0], files[1] if len(files) > 1 else None
    states = [] if accessions.parse(path) else [_state(file) for file in files]
    return {"path": path, "mate": mate, "species": species, "files": states}


def _state(path: str) -> list[int] | None:
    """Size in bytes, times of modification and of change in nanoseconds, inode."""
    try:
        found = os.stat(path)  # noqa: PTH116 - no Path is made for each of many thousand files
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


class Published:
    """The archives that are in their place, each with the report of its publication. Lists both directories once."""

    def __init__(self, results: str) -> None:
        self._reports = Path(results, "verified")
        self.names = _stems(Path(results, "archives"), ".gfz") & _stems(self._reports, ".json")

    def report(self, sample: str) -> dict[str, Any]:
        """The report of a sample; empty if it is unreadable, so that nothing is known of the archive."""
        try:
            report = json.loads((self._reports / f"{sample}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return report if isinstance(report, dict) else {}

    def accept(self, sample: str, report: Mapping[str, Any], record: Record) -> None:
        """Put a new record into a report; its times stay, as what it reports on is the same."""
        path = self._reports / f"{sample}.json"
        before = path.stat()
        with atomic_output(path, force=True) as out:
            out.write((json.dumps({**report, RECORD: record}, indent=2) + "\n").encode())
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
    """The samples whose archive holds what stands in the sheet.

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


def read_records(path: Path) -> dict[str, Any]:
    """The records of a batch, by sample; empty if there are none."""
    try:
        records = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return records if isinstance(records, dict) else {}


def are_current(records: Mapping[str, Any], samples: Iterable[Sample]) -> bool:
    """Whether what was begun earlier was made of the files that stand in the sheet now."""
    return all(records.get(sample.name) == describe(sample) for sample in samples)
