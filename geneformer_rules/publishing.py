"""The last steps of a sample: publish its verified archive, and delete its source where that is requested.

Both make sure that the files still have the texts that the archive holds, and do nothing if they have not.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from geneformer_codec.cli.console import message_of, say
from geneformer_codec.errors import GfzError, OutputError
from geneformer_codec.files import COPY_BYTES, atomic_output, sync_directory
from geneformer_rules.checks import PUBLICATION, append_checks, check
from geneformer_rules.notices import print_notices, print_sizes
from geneformer_rules.records import RECORD, Record, file_state, write_json, write_text
from geneformer_rules.sra import Run

ERROR = ".error"
"""The suffix of a file with the reason why there is no archive of its sample."""


class MismatchError(GfzError):
    """Two files that must agree do not; nothing was published or deleted."""


def write_report(
    facts: Mapping[str, Any], sources: Sequence[Path], archive: Path, made_of: Record, run: Run | None = None
) -> None:
    """Report on a verified archive in ``ARCHIVE.json`` beside it: its ``facts``, its sources and their record."""
    report = {
        **facts,
        "sample": archive.stem,
        "source": str(sources[0]),
        "sources": [str(source) for source in sources],
        "source_bytes": run.source_bytes if run else sum(source.stat().st_size for source in sources),
        "archive_sha256": file_digest(archive),
        RECORD: made_of,
        **({"accession": run.run} if run else {}),
    }
    write_json(report, archive.with_suffix(".json"))


def write_error(archive: Path, error: Exception) -> None:
    """Leave ``ARCHIVE.error`` in place of an archive, for the publication to raise."""
    archive.unlink(missing_ok=True)
    write_text(f"{message_of(error)}\n", archive.with_suffix(ERROR))


def publish(
    unpublished: Path | None,
    sources: Sequence[Path],
    model: Path | None,
    archive: Path,
    report: Path,
    *,
    record: Path | None = None,
    checks: Path | None = None,
    leftovers: Sequence[Path] = (),
) -> None:
    """Put the archive and the report of a sample, which are in the directory ``unpublished``, in their places.

    Its sources, none for a run, must not have changed since they were read. The model that the archive refers to is
    kept as ``models/ID.gfmodel`` beside the archive, so that no later training can make the archive unreadable. A row
    of ``checks`` records that it was verified. ``leftovers``, of the work on the sample, are deleted afterwards.
    Without a directory, nothing was archived: the ``record`` of the run has the reason.
    """
    if unpublished is None:
        Run.read(record or Path())
        raise GfzError(f"{archive}: was not made; run the workflow again")
    made = unpublished / archive.name
    error = made.with_suffix(ERROR)
    if error.exists():
        raise GfzError(error.read_text(encoding="utf-8").strip())
    facts = json.loads(made.with_suffix(".json").read_text(encoding="utf-8"))
    if sources and [file_state(str(source)) for source in sources] != facts[RECORD].get("files"):
        check_sources(sources, facts)
    if model is not None and not facts["model_bytes"]:
        keep_model(model, str(facts["model_id"]), archive.parent / "models")
    _put(made, archive)
    _put(made.with_suffix(".json"), report)
    if checks is not None:
        append_checks(checks, [check(archive.stem, facts, PUBLICATION)])
    print_sizes(archive.stem, facts)
    print_notices(archive.stem, facts)
    say(f"{archive.stem}: published as {archive}")
    for left in leftovers:
        remove(left)


def remove(path: Path) -> None:
    """Remove a file or directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def check_sources(sources: Sequence[Path], facts: Mapping[str, Any]) -> None:
    """Raise MismatchError unless the texts of the sources, one or a pair, are what the archive holds."""
    for source, wanted in zip(sources, held_digests(sources[0], len(sources), facts), strict=True):
        check_text(source, wanted)


def held_digests(first: Path, count: int, facts: Mapping[str, Any]) -> list[str]:
    """The digests of the texts that an archive holds, as many as there are files, the first of them ``first``."""
    mate = facts.get("mate")
    held = [str(facts["sha256"]), *([str(mate["sha256"])] if mate else [])]
    if len(held) != count:
        raise MismatchError(f"{first}: the archive holds {len(held)} texts, and {count} files were given")
    return held


def check_text(source: Path, wanted: str, file: BinaryIO | None = None) -> None:
    """Raise MismatchError unless the text of a file, opened as ``file`` or by its path, has this SHA-256."""
    from geneformer_codec.inputs.sources import open_source  # takes time, and is not always needed

    digest = hashlib.sha256()
    with open_source(file or source) as opened:  # the text that is derived of it, of formats that hold more than text
        while chunk := opened.streams[0].read(COPY_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != wanted:
        raise MismatchError(
            f"{source}: the file is not what the archive holds (SHA-256 {digest.hexdigest()}, in the archive "
            f"{wanted}); it has changed since it was read. Run the workflow again."
        )


def keep_model(model: Path, identity: str, directory: Path) -> Path:
    """Copy ``model`` to ``directory`` under its id, unless it is there; return its place."""
    kept = directory / f"{identity}.gfmodel"
    if not kept.is_file() or file_digest(kept) != file_digest(model):
        _copy(model, kept)
    return kept


@dataclass(frozen=True)
class _Checked:
    """A file whose text the archive holds, and its state at that time; ``target`` is the file that a link leads to.

    A link whose target is missing has no ``status``: nothing can be compared, and only the link can be deleted.
    """

    path: Path
    target: Path | None
    status: os.stat_result | None

    @classmethod
    def check(cls, path: Path, wanted: str) -> "_Checked":
        """Compare the text of a file with the digest that it must have."""
        target = _target(path)
        if target is not None and not target.exists():
            return cls(path, target, None)
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            check_text(path, wanted, file)
        return cls(path, target, status)

    def check_deletable(self) -> None:
        """Raise if the file is not the one that was compared, or its directory is not writable."""
        target = _target(self.path)
        status = self.path.stat() if target is None or target.exists() else None
        if (target, _identity(status)) != (self.target, _identity(self.status)):
            raise MismatchError(
                f"{self.path}: was changed or replaced after it was compared with the archive, and is kept. Run the "
                "workflow again"
            )
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise self._undeletable("its directory is not writable")

    def delete(self) -> int:
        """Delete what the path names; return how many bytes that frees."""
        self.check_deletable()
        names = self.path.lstat().st_nlink
        try:
            self.path.unlink()
        except OSError as error:
            raise self._undeletable(error.strerror or type(error).__name__) from error
        freed = size = self.status.st_size if self.status else 0
        message = f"deleted {self.path} ({size:,} bytes)"
        if self.target is not None:
            freed, state = 0, f"is kept ({size:,} bytes not freed)" if self.status else "is missing"
            message = f"deleted the link {self.path}; its target {self.target} {state}"
        elif names > 1:
            freed, message = 0, f"deleted {self.path}, which has other hard links ({size:,} bytes not freed)"
        print(message, file=sys.stderr)
        return freed

    def _undeletable(self, reason: str) -> OutputError:
        return OutputError(
            f"{self.path}: deleting it failed: {reason}. Correct that and run the workflow again, or switch "
            "delete_source off, or write 'no' in the column 'delete_source' of its row"
        )


def _target(path: Path) -> Path | None:
    return Path(os.path.realpath(path)) if path.is_symlink() else None


def _identity(status: os.stat_result | None) -> tuple[int, ...] | None:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) if status else None


def delete_sources(sources: Sequence[Path], archive: Path, report: Path, proof: Path) -> None:
    """Delete a sample's files, if the archive is the very one that was verified and still holds their texts.

    What the sheet names is deleted: of a symbolic link the link, not its target. The ``source_bytes`` of the record are
    those that were freed, none for a link or a file that has more hard links; null if an earlier run has deleted some.
    """
    facts = json.loads(report.read_text(encoding="utf-8"))
    if file_digest(archive) != facts["archive_sha256"]:
        raise MismatchError(
            f"{archive}: this is not the archive that was verified, according to {report}. The source {sources[0]} is "
            "kept. Remove the archive and run the workflow again."
        )
    if lost := _not_held(facts):
        raise MismatchError(
            f"{sources[0]}: {lost}; the file is kept. Write 'no' in the column 'delete_source' of its row"
        )
    # A run that was interrupted after a deletion and before the proof finds fewer files here.
    named = zip(sources, held_digests(sources[0], len(sources), facts), strict=True)
    left = [_Checked.check(source, wanted) for source, wanted in named if os.path.lexists(source)]
    for file in left:
        file.check_deletable()  # all of a pair, before the first is deleted
    freed = sum(file.delete() for file in left)
    write_json(
        {
            "sample": facts["sample"],
            "source": str(sources[0]),
            "sources": [str(source) for source in sources],
            "source_bytes": freed if len(left) == len(sources) else None,
            "links": {str(file.path): str(file.target) for file in left if file.target is not None},
            "sha256": facts["sha256"],
            "archive": str(archive),
            "archive_sha256": facts["archive_sha256"],
            "deleted": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        proof,
    )


def _not_held(facts: Mapping[str, Any]) -> str:
    """The content of a source that its archive does not hold, so that it must not be deleted; empty if it holds all."""
    if facts.get("origin"):
        return f"is {facts['origin']['format']}, and the archive keeps the sequences only"
    if facts.get("reordering"):
        return "has its reads in another order than the archive"
    if facts.get("trailing_bytes"):
        return f"has {facts['trailing_bytes']:,} bytes after its compressed data, which the archive does not keep"
    return ""


def _put(source: Path, target: Path) -> None:
    """Give a file, which is on the disk for good, the name ``target`` as well, at once; copy it to another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        left.unlink(missing_ok=True)  # of an attempt that was killed
    linked = target.with_name(f".{target.name}.link.tmp")
    try:
        linked.hardlink_to(source)
    except OSError:
        _copy(source, target)
        return
    os.utime(linked)  # the time of publication: later than that of all sources
    linked.replace(target)
    linked.unlink(missing_ok=True)  # replacing another name of the same file does nothing
    sync_directory(target.parent)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as data, atomic_output(target, force=True) as out:
        shutil.copyfileobj(data, out, COPY_BYTES)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
