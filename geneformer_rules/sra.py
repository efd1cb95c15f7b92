"""Fetch a run for the jobs that archive it; a record lists its files and what they must contain."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geneformer_codec.cli.console import message_of
from geneformer_codec.errors import InputError
from geneformer_rules import accessions, ena, toolkit
from geneformer_rules.accessions import Accession, Fetched
from geneformer_rules.downloading import PassingError, Patience
from geneformer_rules.parts import text_bytes
from geneformer_rules.records import RECORD, describe_files, read_json, write_json
from geneformer_rules.run_directory import locked


@dataclass(frozen=True)
class Run:
    """A run that was fetched: its files, one or a pair, and what they must hold, as its record has it.

    ``reads`` are ranges, first and last, of the numbers of reads that are right.
    """

    run: str
    files: Sequence[str]
    reads: Sequence[Sequence[int]] | None
    bases: int | None
    stated: str
    advice: str
    source_bytes: int
    text_bytes: int
    """About how much text the files hold."""

    @classmethod
    def of(cls, run: str, fetched: Fetched) -> "Run":
        """What was fetched."""
        files, size = [str(file) for file in fetched.files], sum(file.stat().st_size for file in fetched.files)
        numbers: Any = fetched.reads
        if numbers is not None:
            ranges = [(numbers.start, numbers.stop - 1)] if isinstance(numbers, range) else [(n, n) for n in numbers]
            numbers = [list(pair) for pair in ranges]
        return cls(run, files, numbers, fetched.bases, fetched.stated, fetched.advice, size, text_bytes(files))

    @classmethod
    def read(cls, record: Path) -> "Run":
        """A run by its record; ``InputError`` with the reason for one that is not available."""
        facts = read_json(record)
        if failure := facts.get("error"):
            raise InputError(str(failure))
        try:
            return cls(**{name: facts[name] for name in cls.__dataclass_fields__})
        except KeyError:
            raise InputError(
                f"{record}: is not the record of a run that was fetched; remove it and run the workflow again"
            ) from None

    def check_counts(self, facts: Mapping[str, Any]) -> None:
        """Raise an InputError unless the files that were archived hold what the source of the run states."""
        reads, bases, files = facts["records"], facts["residues"], [Path(file) for file in self.files]
        names = " and ".join(file.name for file in files)
        if facts["outside_records"]:  # such as the colours of SOLiD, which are no sequence to the codec
            reads, bases = map(sum, zip(*map(toolkit.count_reads, files), strict=True))
        as_many = self.reads is None or any(first <= reads <= last for first, last in self.reads)
        if not as_many or bases < (self.bases or 0):
            raise InputError(
                f"{self.run}: {self.stated}, but {names} hold {reads:,} reads with {bases:,} bases. Nothing was "
                f"archived; the download is kept in {files[0].parent} until other runs need the room. {self.advice}"
            )
        print(f"{self.run}: archived {reads:,} reads with {bases:,} bases of {names}", file=sys.stderr)


@dataclass(frozen=True)
class Downloads:
    """Where runs are downloaded to, and from where: from the SRA toolkit or from ENA.

    ``ena_url`` is the address of ENA's file reports, ``hosts`` may be asked for files as well; ``ngc`` is the
    repository key of protected runs, for the SRA toolkit.
    """

    directory: Path
    ena_url: str | None = None
    patience: Patience = field(default_factory=Patience)
    hosts: Sequence[str] = ()
    ngc: Path | None = None

    def fetch(self, accession: Accession, sample: str, threads: int) -> Fetched:
        """Bring a run, or what is missing of it, into the directory of its sample."""
        with locked(self.directory / sample) as place:
            if self.ena_url is None:
                return toolkit.fetch(accession, place, threads or 1, self.patience, self.ngc)
            return ena.fetch(accession, place, self.ena_url, self.patience, self.hosts)


def fetch_run(cell: str, name: str, species: str, downloads: Downloads, record: Path, threads: int = 1) -> None:
    """Fetch the run of a sample and write its record.

    If a run is not available in the form that the sheet requests, the record has the reason: retrying would not help.
    What may pass, as a network that does not answer, is an error.
    """
    accession, made_of = accessions.parse(cell), describe_files([cell], species)
    if accession is None:
        raise InputError(f"'{cell}' is not the accession of a run; correct it in the sample sheet")
    try:
        run = Run.of(accession.run, downloads.fetch(accession, name, threads))
    except (PassingError, toolkit.ToolError):
        raise
    except InputError as error:
        print(f"error: {message_of(error)}", file=sys.stderr)
        write_json({RECORD: made_of, "error": message_of(error)}, record)
        return
    write_json({RECORD: made_of, **asdict(run)}, record)
    print(f"{name}: fetched {' and '.join(run.files)} ({run.source_bytes:,} bytes)", file=sys.stderr)
