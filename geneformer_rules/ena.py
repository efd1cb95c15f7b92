"""Fetch the FASTQ files of a run from the European Nucleotide Archive, which mirrors SRA; it tells their MD5 sums."""

import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from geneformer_codec.errors import InputError
from geneformer_rules.accessions import Accession, choose
from geneformer_rules.downloading import Patience, RefusedError, download, get_json

_FIELDS = ("fastq_ftp", "fastq_bytes", "fastq_md5")


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


def run_files(accession: Accession, url: str, patience: Patience) -> list[RemoteFile]:
    """The files of a run that are its sample, as the file report at ``url`` has them."""
    fields = {"accession": accession.run, "result": "read_run", "fields": ",".join(_FIELDS), "format": "json"}
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
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise InputError(
            f"{url}: the answer about {accession.run} is no file report of ENA; check the address"
        ) from error
    if not files:
        raise InputError(
            f"{accession.run}: ENA has no FASTQ files of this run (yet); use the SRA toolkit, 'sra.source: sra-toolkit'"
        )
    return choose(accession, {file.name: file for file in files})


def fetch(accession: Accession, directory: Path, url: str, patience: Patience) -> list[Path]:
    """Bring the files of a run, one or a pair, into ``directory``; what is there already is checked and kept."""
    paths = []
    for file in run_files(accession, url, patience):
        print(f"{file.url}: {file.size:,} bytes", file=sys.stderr)
        path = directory / file.name
        download(file.url, path, file.size, file.md5, patience)
        paths.append(path)
    return paths
