"""Fetch the FASTQ files of a run from the European Nucleotide Archive, which mirrors SRA.

Its file report has their MD5 sums, and how many reads and bases the run has: the files lack technical reads.
"""

import sys
import urllib.parse
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from geneformer_codec.errors import InputError
from geneformer_rules.accessions import Accession, Fetched, choose
from geneformer_rules.downloading import Patience, RefusedError, download, get_json

_FIELDS = ("fastq_ftp", "fastq_bytes", "fastq_md5")
_COUNTS = ("read_count", "base_count")
_ADVICE = (
    "ENA's files lack technical reads, such as barcodes; the SRA toolkit has them ('sra.source: sra-toolkit'). If "
    "ENA's files are what you want, download them, and name them as files in the sample sheet"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a run, and what it must be."""

    url: str
    size: int
    md5: str

    @property
    def name(self) -> str:
        """Of the file, without its directory."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class RemoteRun:
    """The files of a run that are its sample, whether these are all, and the run's numbers of reads and bases."""

    files: list[RemoteFile]
    whole: bool
    reads: int | None
    bases: int | None


def remote_run(accession: Accession, url: str, patience: Patience) -> RemoteRun:
    """What the file report at ``url`` has of a run."""
    names = ",".join((*_FIELDS, *_COUNTS))
    fields = {"accession": accession.run, "result": "read_run", "fields": names, "format": "json"}
    try:
        rows = get_json(f"{url}?{urllib.parse.urlencode(fields)}", patience)
    except RefusedError as error:
        if error.status not in (400, 404):
            raise
        rows = None
    if not rows:
        raise InputError(f"{accession.run}: ENA knows no such run; correct the accession in the sample sheet")
    try:
        columns = [[cell for cell in str(rows[0].get(field, "")).split(";") if cell] for field in _FIELDS]
        files = [
            RemoteFile(place if "://" in place else f"https://{place}", int(size), md5.lower())
            for place, size, md5 in zip(*columns, strict=True)
        ]
        counts = [int(rows[0].get(field) or 0) or None for field in _COUNTS]
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise InputError(
            f"{url}: the answer about {accession.run} is not a file report of ENA; check the address"
        ) from error
    if not files:
        raise InputError(
            f"{accession.run}: ENA has no FASTQ files of this run (yet); use the SRA toolkit, 'sra.source: sra-toolkit'"
        )
    chosen = choose(accession, {file.name: file for file in files})
    return RemoteRun(chosen, len(chosen) == len(files), *counts)


def fetch(accession: Accession, directory: Path, url: str, patience: Patience) -> Fetched:
    """Bring the files of a run, one or a pair, into ``directory``; files that are complete are kept."""
    run, paths = remote_run(accession, url, patience), []
    for file in run.files:
        print(f"{file.url}: {file.size:,} bytes", file=sys.stderr)
        path = directory / file.name
        download(file.url, path, file.size, file.md5, patience)
        paths.append(path)
    stated = f"ENA states {_number(run.reads)} reads and {_number(run.bases)} bases"
    print(f"{accession.run}: {stated}", file=sys.stderr)
    return Fetched(paths, _possible_reads(run), run.bases if run.whole else None, stated, _ADVICE)


def _possible_reads(run: RemoteRun) -> Container[int] | None:
    """How many reads the files may have: ENA counts a pair as one for most runs, and as two for some."""
    if run.reads is None:
        return None
    if not run.whole:
        return range(2 * run.reads + 1)  # the other files of the run are not here to be counted
    return (run.reads, len(run.files) * run.reads)


def _number(count: int | None) -> str:
    return "no number of" if count is None else f"{count:,}"
