"""Download a run, and delete it once it is archived, so that disks do not fill up.

Each run has a directory below that of the downloads, and a lock in it while a job is at work. A job that was killed
leaves its directory behind, and is continued from there; such directories are removed, the oldest first, when a job
begins and there would be more of them than there may be.
"""

import contextlib
import fcntl
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from geneformer_codec.errors import InputError
from geneformer_rules import ena, toolkit
from geneformer_rules.accessions import Accession, Fetched
from geneformer_rules.downloading import Patience

_LOCK = ".lock"


@dataclass
class Download:
    """A run that was downloaded; it is deleted afterwards if it is ``finished``."""

    run: str
    fetched: Fetched
    finished: bool = False

    @property
    def files(self) -> Sequence[Path]:
        """The files that the sample is, one or a pair."""
        return self.fetched.files

    def check_counts(self, facts: Mapping[str, Any]) -> None:
        """Raise an InputError unless the files that were archived hold what the source of the run states."""
        reads, bases, fetched = facts["records"], facts["residues"], self.fetched
        names = " and ".join(file.name for file in self.files)
        if facts["outside_records"]:  # such as the colours of SOLiD, which are no sequence to the codec
            reads, bases = map(sum, zip(*map(toolkit.count_reads, self.files), strict=True))
        if (fetched.reads is not None and reads not in fetched.reads) or bases < (fetched.bases or 0):
            raise InputError(
                f"{self.run}: {fetched.stated}, but {names} hold {reads:,} reads with {bases:,} bases. Nothing was "
                f"archived, and the download is kept in {self.files[0].parent}. {fetched.advice}"
            )
        print(f"{self.run}: archived {reads:,} reads with {bases:,} bases of {names}", file=sys.stderr)


@dataclass(frozen=True)
class Downloads:
    """Where runs are downloaded to, at most so many at a time, and from where: from the SRA toolkit or from ENA.

    ``ena_url`` is the address of ENA's file reports, ``hosts`` may be asked for files as well; ``ngc`` is the
    repository key of protected runs, for the SRA toolkit. What is to be kept is not deleted, and not counted.
    """

    directory: Path
    ena_url: str | None = None
    patience: Patience = field(default_factory=Patience)
    most: int = 1
    keep: bool = False
    hosts: Sequence[str] = ()
    ngc: Path | None = None

    @contextlib.contextmanager
    def download(self, accession: Accession, sample: str, threads: int) -> Iterator[Download]:
        """Download a run, or what is missing of it."""
        with _reserve(self.directory, sample, None if self.keep else self.most) as place:
            if self.ena_url is None:
                fetched = toolkit.fetch(accession, place, threads or 1, self.patience, self.ngc)
            else:
                fetched = ena.fetch(accession, place, self.ena_url, self.patience, self.hosts)
            download = Download(accession.run, fetched)
            yield download
            if download.finished and not self.keep:
                shutil.rmtree(place)


@contextlib.contextmanager
def _reserve(downloads: Path, sample: str, most: int | None) -> Iterator[Path]:
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
            if most is not None:
                _make_room(downloads, directory, most)
        kept = False
        try:
            yield directory
            kept = most is None
        finally:
            # Without a lock, what is kept is never taken for abandoned; a directory with nothing else was never used.
            if directory.exists() and (kept or [path.name for path in directory.iterdir()] == [_LOCK]):
                (directory / _LOCK).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    directory.rmdir()


def _make_room(downloads: Path, own: Path, most: int) -> None:
    others = sorted(
        (path for path in downloads.iterdir() if path.is_dir() and path != own), key=lambda path: path.stat().st_mtime
    )
    surplus = len(others) + 1 - most
    for path in others:
        if surplus > 0 and _is_abandoned(path):
            shutil.rmtree(path)
            surplus -= 1


def _is_abandoned(directory: Path) -> bool:
    """Whether no job has its lock; without one, it was kept, or is not a download."""
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
