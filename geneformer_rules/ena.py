"""Runs at the European Nucleotide Archive, which mirrors SRA: its file report, and the FASTQ files.

The report has the files' MD5 sums, and how many reads and bases the run has: the files lack technical reads. It is
read as text separated by tabs, line by line, and nothing in it is trusted: see also `downloading`.
"""

import contextlib
import re
import tempfile
import urllib.parse
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from geneformer_codec.cli.console import say
from geneformer_codec.errors import InputError
from geneformer_rules.accessions import Accession, Fetched, choose, join_unpaired, joined_name
from geneformer_rules.downloading import Patience, RefusedError, download, get, host_of
from geneformer_rules.run_directory import check_room

REPORTS = "https://www.ebi.ac.uk/ena/portal/api/filereport"
"""The address of ENA's file reports."""
HOSTS = ("ebi.ac.uk",)
"""Runs are downloaded from these hosts, and from those below them."""

FIELDS = ("run_accession", "fastq_ftp", "fastq_bytes", "fastq_md5", "read_count", "base_count")
_MOST_OF_A_RUN = 1 << 20
_MOST_BYTES = 1 << 32
"""Of a report: ten million runs."""
_MOST_LINE = 1 << 20
_ADVICE = (
    "ENA's files lack technical reads, such as barcodes; the SRA toolkit has them ('sra.source: sra-toolkit'). If "
    "ENA's files are what you want, download them, and name them as files in the sample sheet"
)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)

Row = Mapping[str, str]


@dataclass(frozen=True)
class RemoteFile:
    """A file of a run, and what it must be; a ``size`` of None and an empty ``md5`` are not stated."""

    url: str
    size: int | None
    md5: str

    @property
    def name(self) -> str:
        """Name of the file, without its directory."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class RemoteRun:
    """A run as the report describes it: its files and numbers of reads and bases, where they are stated."""

    run: str
    files: list[RemoteFile]
    reads: int | None
    bases: int | None
    sra_bytes: int | None
    """The size of what the SRA toolkit downloads."""

    @classmethod
    def of(cls, row: Row, label: str) -> "RemoteRun":
        """A row of a report, checked; ``InputError`` if it is invalid."""
        run = row["run_accession"]
        try:
            if not re.fullmatch(r"[SED]RR[0-9]{5,12}", run, re.ASCII):
                raise ValueError(f"run_accession {run[:40]!r} is not the accession of a run")
            places, sizes, sums = (_listed(row.get(field, "")) for field in ("fastq_ftp", "fastq_bytes", "fastq_md5"))
            if any(len(column) not in (0, len(places)) for column in (sizes, sums)):
                raise ValueError(f"{len(places)} files have {len(sizes)} sizes and {len(sums)} MD5 sums")
            files = [
                RemoteFile(_address(place, run), number(size, "fastq_bytes", least=1), _md5(md5))
                for place, size, md5 in zip(
                    places, sizes or [""] * len(places), sums or [""] * len(places), strict=True
                )
            ]
            if len({file.name.partition(".")[0] for file in files}) < len(files):
                raise ValueError("two of its files have one name")
            reads, bases = (number(row.get(field, ""), field) or None for field in ("read_count", "base_count"))
            stored = sum(number(one, "sra_bytes") or 0 for one in _listed(row.get("sra_bytes", ""))) or None
        except ValueError as error:
            raise InputError(f"{label}: run {run[:40]}: {error}; this is not as ENA reports runs") from error
        return cls(run, files, reads, bases, stored)


def _listed(cell: str) -> list[str]:
    return [one for one in cell.strip().split(";") if one]


def _address(place: str, run: str) -> str:
    """The address of a file, whose name has to be as ENA names the files of this run."""
    if not re.fullmatch(rf"{run}(?:_[1-9])?\.(?:fastq|fq)(?:\.gz|\.bz2)?", place.rpartition("/")[2], re.ASCII):
        raise ValueError(f"{place[-80:]!r} is not the name of a FASTQ file of it")
    scheme, colon, rest = place.partition("://")
    return f"https://{rest if colon else place}" if scheme == "ftp" or not colon else place  # ENA's FTP has HTTPS too


def number(cell: str, field: str, least: int = 0) -> int | None:
    """The number in a cell of this field, None for an empty one; ``ValueError`` for an invalid one."""
    cell = cell.strip()
    if cell and (not _NUMBER.fullmatch(cell) or int(cell) < least):
        raise ValueError(f"invalid {field} {cell[:40]!r}")
    return int(cell) if cell else None


def _md5(cell: str) -> str:
    cell = cell.strip().lower()
    if cell and not _MD5.fullmatch(cell):
        raise ValueError(f"fastq_md5 {cell[:40]!r} is not an MD5 sum")
    return cell


def read_report(file: BinaryIO, label: str, needed: Iterable[str] = FIELDS) -> Iterator[Row]:
    """The rows of a file report that is text separated by tabs; nothing for an empty one."""
    header: list[str] = []
    count = 0
    while line := file.readline(_MOST_LINE):
        count += 1
        if len(line) == _MOST_LINE:
            raise InputError(f"{label}, line {count}: is longer than {_MOST_LINE:,} bytes; this is not a report of ENA")
        cells = line.decode("utf-8-sig" if count == 1 else "utf-8", "replace").rstrip("\r\n").split("\t")
        if not header:
            header = cells
            if missing := [field for field in needed if field not in header]:
                raise InputError(
                    f"{label}: this is not a file report of ENA with the columns {', '.join(needed)}: {missing[0]} is "
                    f"missing, and it begins with {line[:60]!r}; check the address, or make the report with them (TSV)"
                )
        elif cells != [""]:
            if len(cells) != len(header):
                raise InputError(
                    f"{label}, line {count}: has {len(cells)} cells under {len(header)} columns; get the report again"
                )
            yield dict(zip(header, cells, strict=True))


@contextlib.contextmanager
def file_report(
    accession: str, fields: Iterable[str], url: str, patience: Patience, most: int = _MOST_BYTES
) -> Iterator[Iterator[Row]]:
    """The rows of the report about what has this accession, at the address of ENA's reports; none if ENA has none."""
    query = {"accession": accession, "result": "read_run", "fields": ",".join(fields), "format": "tsv", "limit": "0"}
    with tempfile.TemporaryFile() as file:
        report = cast(BinaryIO, file)
        try:
            get(f"{url}?{urllib.parse.urlencode(query)}", report, most, {*HOSTS, host_of(url)}, patience)
        except RefusedError as error:
            if error.status not in (400, 404):
                raise
        yield read_report(report, f"the report about {accession} from {host_of(url)}", fields)


def remote_run(run: str, url: str, patience: Patience) -> RemoteRun:
    """The row of a run in the report at ``url``."""
    with file_report(run, FIELDS, url, patience, _MOST_OF_A_RUN) as rows:
        found = [RemoteRun.of(row, host_of(url)) for row in rows if row["run_accession"] == run]
    if not found:
        raise InputError(
            f"{run}: ENA has no such run; correct the accession in the sample sheet. It has no runs of dbGaP, which "
            "are protected: they need 'sra.source: sra-toolkit', and a repository key in 'sra.ngc'"
        )
    if not found[0].files:
        raise InputError(
            f"{run}: ENA has no FASTQ files of this run (yet); use the SRA toolkit, 'sra.source: sra-toolkit'"
        )
    return found[0]


def fetch(accession: Accession, directory: Path, url: str, patience: Patience, hosts: Collection[str] = ()) -> Fetched:
    """Bring the files of a run, one or a pair, into ``directory``; files that are complete are kept.

    Reads without a mate are put behind those of the first file, unless they are chosen apart. ``hosts`` may be asked
    for files as well, besides `HOSTS` and that of the report at ``url``.
    """
    run = remote_run(accession.run, url, patience)
    chosen = choose(accession, {file.name: file for file in run.files})
    trusted, paths = {*HOSTS, host_of(url), *(host.lower() for host in hosts)}, []
    joined = [directory / joined_name(file.name) for file in chosen[:1] if len(chosen) == 3]
    sizes = {file: file.size for file in chosen if file.size is not None and file.md5}
    if unknown := [file.name for file in chosen if file not in sizes]:
        raise InputError(f"{run.run}: ENA states no size or no MD5 sum of {unknown[0]}; try again later")
    needed = sum(sizes.values()) + sum(map(sizes.__getitem__, chosen[2:]))  # reads without a mate are copied
    patience.persist(lambda: check_room(directory, needed))
    for file, size in sizes.items():
        path = directory / file.name
        if not (file in chosen[::2] and joined and joined[0].is_file()):
            say(f"{file.url}: {size:,} bytes")
            download(file.url, path, size, file.md5, trusted, patience)
        paths.append(path)
    stated = f"ENA states {_stated(run.reads)} reads and {_stated(run.bases)} bases"
    say(f"{run.run}: {stated}")
    whole = len(chosen) == len(run.files)
    return Fetched(
        join_unpaired(paths), _possible_reads(run, len(chosen), whole), run.bases if whole else None, stated, _ADVICE
    )


def _possible_reads(run: RemoteRun, files: int, whole: bool) -> Container[int] | None:
    """How many reads the files may have: ENA counts a pair as one for most runs, and as two for some."""
    if run.reads is None:
        return None
    if not whole:
        return range(2 * run.reads + 1)  # the other files of the run are not here to be counted
    return range(run.reads, 2 * run.reads + 1) if files == 3 else (run.reads, files * run.reads)


def _stated(count: int | None) -> str:
    return "no number of" if count is None else f"{count:,}"
