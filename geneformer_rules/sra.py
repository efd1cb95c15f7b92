"""Fetch a run, archive it, prove the archive, and only then delete what was fetched, so that disks do not fill up.

Each run has a directory below that of the downloads, and a lock in it while a job is at work. A job that was killed
leaves its directory behind, to go on with it; such directories are removed, the oldest first, when a job begins and
there would be more of them than there may be.
"""

import contextlib
import fcntl
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from geneformer_codec import api
from geneformer_codec.archive.models import Execution, open_model
from geneformer_codec.errors import InputError
from geneformer_rules import ena, toolkit
from geneformer_rules.accessions import Accession, Fetched
from geneformer_rules.downloading import Patience
from geneformer_rules.notices import print_notices
from geneformer_rules.publishing import copy, keep_model, write_report

_LOCK = ".lock"


@dataclass(frozen=True)
class Source:
    """Where runs come from: from ENA by its file report at this address, or through the SRA toolkit."""

    ena_url: str | None
    patience: Patience = field(default_factory=Patience)

    def fetch(self, accession: Accession, directory: Path, threads: int) -> Fetched:
        """Bring a run's files to ``directory``."""
        if self.ena_url is None:
            return toolkit.fetch(accession, directory, threads or 1, self.patience)
        return ena.fetch(accession, directory, self.ena_url, self.patience)


def archive_run(
    accession: Accession,
    source: Source,
    downloads: Path,
    archive: Path,
    report: Path,
    *,
    made_of: Mapping[str, Any],
    at_most: int,
    keep: bool,
    model: Path | None,
    level: str,
    part_bases: int,
    embed: bool,
    execution: Execution,
) -> None:
    """Archive a run as ``archive``, whose name is that of the sample, with a ``report`` as of any publication.

    At most so many runs are on the disk at a time, if they are not to be kept.
    """
    sample = archive.stem
    with _place(downloads, sample, None if keep else at_most) as directory:
        fetched = source.fetch(accession, directory, execution.threads)
        files = fetched.files
        opened, made = open_model(model), directory / archive.name
        facts = api.compress(
            files[0],
            made,
            mate=files[1] if len(files) == 2 else None,
            part_bases=part_bases,
            name=sample,
            model=opened,
            level=level,
            embed=embed and opened is not None,
            verify=True,
            force=True,
            execution=execution,
        ).as_dict()
        try:
            _check_counts(accession.run, fetched, facts)
        except InputError:
            made.unlink()
            raise
        if model is not None and not facts["model_bytes"]:
            keep_model(model, str(facts["model_id"]), archive.parent / "models")
        copy(made, archive)
        made.unlink()
        write_report(facts | {"accession": accession.run}, files, archive, report, made_of)
        names = " and ".join(file.name for file in files)
        content = f"{facts['records']:,} reads with {facts['residues']:,} bases"
        print(f"{accession.run}: archived {content} of {names} as {archive}", file=sys.stderr)
        print_notices(sample, facts)
        if not keep:
            shutil.rmtree(directory)


def _check_counts(run: str, fetched: Fetched, facts: Mapping[str, Any]) -> None:
    """Raise an InputError unless the files that were archived hold what the source of the run states."""
    reads, bases, files = facts["records"], facts["residues"], fetched.files
    if facts["outside_records"]:  # such as the colours of SOLiD, which are no sequence to the codec
        reads, bases = map(sum, zip(*map(toolkit.count_reads, files), strict=True))
    if (fetched.reads is not None and reads not in fetched.reads) or bases < (fetched.bases or 0):
        raise InputError(
            f"{run}: {fetched.stated}, but {' and '.join(file.name for file in files)} hold {reads:,} reads with "
            f"{bases:,} bases. Nothing was archived, and the download is kept in {files[0].parent}. {fetched.advice}"
        )


@contextlib.contextmanager
def _place(downloads: Path, sample: str, at_most: int | None) -> Iterator[Path]:
    """The directory of a run, locked; before, room is made for it."""
    downloads.mkdir(parents=True, exist_ok=True)
    directory = downloads / sample
    with contextlib.ExitStack() as held:
        with (downloads / _LOCK).open("w") as everything:
            with contextlib.suppress(OSError):
                fcntl.flock(everything, fcntl.LOCK_EX)
            directory.mkdir(exist_ok=True)
            lock = held.enter_context((directory / _LOCK).open("w"))
            if not _take(lock):
                raise InputError(f"{directory}: another job is at work there; wait for it, or end it")
            if at_most is not None:
                _make_room(downloads, directory, at_most)
        kept = False
        try:
            yield directory
            kept = at_most is None
        finally:
            # Without a lock, what is kept is never taken for abandoned; a directory with nothing else was never used.
            if directory.exists() and (kept or [path.name for path in directory.iterdir()] == [_LOCK]):
                (directory / _LOCK).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    directory.rmdir()


def _make_room(downloads: Path, own: Path, at_most: int) -> None:
    others = sorted(
        (path for path in downloads.iterdir() if path.is_dir() and path != own), key=lambda path: path.stat().st_mtime
    )
    surplus = len(others) + 1 - at_most
    for path in others:
        if surplus > 0 and _is_abandoned(path):
            shutil.rmtree(path)
            surplus -= 1


def _is_abandoned(directory: Path) -> bool:
    """Whether no job has its lock; without one, it is none of ours, or was kept."""
    try:
        with (directory / _LOCK).open("r+") as lock:
            return _take(lock, unsure=False)
    except OSError:
        return False


def _take(lock: IO[str], *, unsure: bool = True) -> bool:
    """Lock a file unless somebody else has; ``unsure`` is the answer of file systems that know no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unsure
    return True
