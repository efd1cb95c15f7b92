"""The table of checks: a row for each time that an archive was decoded and compared, with time, version and result.

Every verification appends a line. Jobs on several machines may do so at once, so the table is locked meanwhile.
"""

import contextlib
import csv
import fcntl
import io
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geneformer_codec.errors import InputError
from geneformer_codec.files import guarded
from geneformer_rules import __version__

CHECK_COLUMNS = ("sample", "archive_sha256", "sha256", "bases", "checked", "version", "check", "result")
"""Columns of the table; ``sha256`` is of the text, ``checked`` the time in UTC, ``result`` the reason of a failure."""

PASSED = "passed"
PUBLICATION, VERIFICATION, DECOMPRESSION = "publication", "verification", "decompression"
"""When an archive was decoded: all of these compare what came out with the SHA-256 of the text."""


def check(sample: str, facts: Mapping[str, Any], kind: str, result: str = PASSED) -> dict[str, Any]:
    """A row of the table: what was found now of an archive with these ``facts``."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = {name: facts.get(name) for name in ("archive_sha256", "sha256", "bases")}
    return {"sample": sample, **known, "checked": now, "version": __version__, "check": kind, "result": result}


def append_checks(table: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows, all of them or none; the header comes first."""
    lines = [{name: _one_line(value) for name, value in row.items()} for row in rows]
    table.parent.mkdir(parents=True, exist_ok=True)
    with guarded(table), table.open("ab+") as file:
        # Of all locks this one is known to most network file systems, and makes them look for the end of the file anew.
        with contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        text = io.StringIO()
        writer = csv.DictWriter(text, CHECK_COLUMNS, delimiter="\t", lineterminator="\n", restval="")
        if end == 0:
            writer.writeheader()
        elif not _ends_line(file, end):  # of a machine that lost its power
            text.write("\n")
        writer.writerows(lines)
        file.write(text.getvalue().encode())
        file.flush()
        os.fsync(file.fileno())


def read_checks(table: Path) -> list[dict[str, str]]:
    """The rows of the table, oldest first; none if there is no table. Lines that are not whole are left out."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{table}: cannot read it ({error}); repair or rename it") from error
    return [row for row in rows if all(row.get(name) is not None for name in CHECK_COLUMNS)]


def latest_checks(rows: Iterable[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """The last check of each sample."""
    return {row["sample"]: row for row in rows}


def _ends_line(file: Any, end: int) -> bool:
    file.seek(end - 1)
    return bool(file.read(1) == b"\n")


def _one_line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value
