"""Records of what archives are made of, so that a changed row of the sheet, or a replaced file, is noticed.

A record holds the cells of the row (``path``, ``mate``, ``species``) and the state of each file when it was read: size,
times of modification and of change, inode. It is made before the files are read, and kept in the plan of a sample that
is split and in the report of its archive.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geneformer_codec.files import atomic_output
from geneformer_rules import accessions
from geneformer_rules.sheets import Sample

RECORD = "made_of"
"""The key of a report, or of a plan, that has the record."""

Record = dict[str, Any]


def describe(sample: Sample) -> Record:
    """The record of a sample as it is now."""
    return describe_files(sample.files or [sample.path], sample.species)


def describe_files(files: Sequence[str], species: str) -> Record:
    """The record of a file, a pair or the accession of a run; the state of a file that does not exist is None."""
    path, mate = files[0], files[1] if len(files) > 1 else None
    states = [] if accessions.parse(path) else [file_state(file) for file in files]
    return {"path": path, "mate": mate, "species": species, "files": states}


def file_state(path: str) -> list[int] | None:
    """Size in bytes, times of modification and of change in nanoseconds, inode; None if the file does not exist."""
    try:
        found = os.stat(path)  # noqa: PTH116 - no Path is made for each of many thousand files
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if it cannot be read, so that nothing is known."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_text(text: str, path: Path) -> None:
    """Write a text, whole or not at all."""
    with atomic_output(path, force=True) as out:
        out.write(text.encode())


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Write ``value`` as readable JSON."""
    write_text(json.dumps(value, indent=2) + "\n", path)


def is_made_of(output: Path, samples: Iterable[Sample]) -> bool:
    """Whether an output of an earlier run, a plan or a directory of archives, is made of the files as they are now."""
    return all(
        read_json(output / f"{sample.name}.json" if output.is_dir() else output).get(RECORD) == describe(sample)
        for sample in samples
    )
