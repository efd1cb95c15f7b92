"""Make the rows of a sample sheet from what ENA reports about the runs of projects, samples and experiments."""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geneformer_codec.cli.console import printable
from geneformer_codec.errors import InputError, UsageError
from geneformer_codec.files import STREAM, atomic_output, open_readable, standard_input
from geneformer_rules import geo
from geneformer_rules.accessions import rows_of, wanted
from geneformer_rules.downloading import Patience
from geneformer_rules.ena import FIELDS, RemoteRun, Row, file_report, read_report
from geneformer_rules.sheets import NO_MODEL, SheetError
from geneformer_rules.tables import rows as sheet_rows

COLUMNS = ("sample", "path", "species", "layout", "platform", "reads", "bases", "bytes", "organism")
_MORE_FIELDS = ("library_layout", "library_source", "instrument_platform", "scientific_name", "sra_bytes")
_LEAST_FIELDS = ("run_accession", "fastq_ftp")
_MOST_NAMED = 5
_OFTEN = 200
_NO_RUNS = (
    "ENA has no public runs of it; correct the accession. Of an umbrella project, name the projects in it; the data of "
    "dbGaP are protected: name their runs in the sample sheet, with 'sra.source: sra-toolkit' and a key in 'sra.ngc'"
)
_NO_RUNS_OF_GEO = "ENA has no public runs of what GEO names as its source; they may not be public yet, or not be there"


@dataclass
class RunSheet:
    """Rows for runs, each once; with the ``toolkit`` nothing depends on the files that ENA has.

    ``species`` is the label of all, else it follows from the taxon; with labels that are ``known``, others are `none`.
    ``skip`` leaves runs out that cannot be downloaded.
    """

    toolkit: bool = False
    species: str | None = None
    known: Collection[str] | None = None
    skip: bool = False
    without_files: list[str] = field(default_factory=list)
    """The runs that were left out."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What else is worth a word, and the runs that it is about."""
    labels: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    _seen: set[str] = field(default_factory=set)

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self._seen) - len(self.without_files)

    def rows(self, row: Row, label: str) -> Iterator[list[str]]:
        """The rows of the run of a row of the report called ``label``, none if it was seen before."""
        run = RemoteRun.of(row, label)
        if run.run in self._seen:
            return
        self._seen.add(run.run)
        if not run.files and not self.toolkit:
            self.without_files.append(run.run)
            return
        stated = printable(row.get("library_layout", "").strip()).lower()
        if not self.toolkit:
            if stated == "paired" and len(run.files) == 1:
                self._note("stated to be paired, but one file at ENA (the SRA toolkit may have more)", run.run)
            if "SINGLE CELL" in row.get("library_source", "").upper():
                self._note("of single cells, whose barcodes ENA's files may lack (--source sra-toolkit)", run.run)
        files = {file.name.partition(".")[0]: file for file in run.files}
        parts = [(run.run, run.run)] if self.toolkit else rows_of(run.run, list(files))
        organism = printable(row.get("scientific_name", "").strip())
        species = self._label(organism)
        for name, path in parts:
            whole = len(parts) == 1
            own = [file for stem, file in files.items() if whole or _belongs(stem, path)]
            # reports of one's own may lack sizes
            size = run.sra_bytes if self.toolkit else sum(file.size or 0 for file in own) or None
            layout = stated if self.toolkit else "paired" if len(own) > 1 else "single"
            platform = printable(row.get("instrument_platform", "").strip()).lower()
            counts = (run.reads, run.bases) if whole else (None, None)  # not divided among the files
            self.labels[species] += 1
            self.bytes += size or 0
            yield [name, path, species, layout, platform, *map(_text, (*counts, size)), organism]

    def check(self) -> None:
        """``InputError`` for runs that cannot be downloaded, unless they are left out."""
        if self.without_files and not self.skip:
            raise InputError(
                f"ENA has no FASTQ files of {_named(self.without_files)}; take them from the SRA toolkit "
                "(--source sra-toolkit), or leave them out (--skip)"
            )
        if not self.runs:
            raise InputError("there is no run that could be downloaded")

    def _note(self, note: str, run: str) -> None:
        self.notes.setdefault(note, []).append(run)

    def _label(self, organism: str) -> str:
        if self.species is not None:
            return self.species
        label = species_label(organism)
        return label if self.known is None or label in self.known else NO_MODEL


def _belongs(stem: str, path: str) -> bool:
    """Whether a file is one of those that a path with a choice of reads means."""
    run, _, reads = path.partition(":")
    return stem in {"paired": (f"{run}_1", f"{run}_2"), "unpaired": (run,)}.get(reads, (f"{run}_{reads}",))


def species_label(organism: str) -> str:
    """A label for the species sheet, without the strain and all that follows.

    >>> species_label("Homo sapiens"), species_label("Escherichia coli str. K-12 substr. MG1655")
    ('homo_sapiens', 'escherichia_coli')
    >>> species_label("Human immunodeficiency virus 1"), species_label("")
    ('human_immunodeficiency_virus_1', 'none')
    """
    words: list[str] = []
    for word in organism.replace("'", "").split():
        if len(words) >= 2 and not re.fullmatch(r"[a-z]+(?:-[a-z]+)*|[0-9]+", word):
            break
        words.append(re.sub(r"[^a-z0-9.-]+", "_", word.lower()).strip("_.-"))
    return "_".join(filter(None, words)) or NO_MODEL


def write_sheet(
    accessions: Sequence[str],
    out: str,
    *,
    report: str | None = None,
    ena: str,
    geo_records: str = geo.RECORDS,
    patience: Patience,
    source: str = "ena",
    species: str | None = None,
    species_sheet: Path | None = None,
    skip: bool = False,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Write the sample sheet of all runs that ENA reports for the accessions, or that a local ``report`` has."""
    names = wanted(accessions)
    if not names and report is None:
        raise UsageError("give accessions, or a report with --from")
    sheet = RunSheet(source != "ena", species, _labels_of(species_sheet), skip)
    with atomic_output(out, force, seekable=True) as file:
        file.write(("\t".join(COLUMNS) + "\n").encode())
        unknown = dict.fromkeys(names)
        for name, row, label in _reported(names, report, ena, geo_records, patience, say):
            unknown.pop(name, None)
            for cells in sheet.rows(row, label):
                file.write(("\t".join(cells) + "\n").encode())
        if unknown:
            raise InputError("\n".join(f"{name}: {_no_runs(name, report)}" for name in unknown))
        sheet.check()
    for note, runs in sheet.notes.items():
        say(f"note: {note}: {_named(runs)}")
    if sheet.without_files:
        say(f"note: left out, as ENA has no FASTQ files of them: {_named(sheet.without_files)}")
    say(f"{sheet.runs:,} runs in {sheet.labels.total():,} rows; {sheet.bytes / 1e9:,.1f} GB are to be downloaded")
    if made := [label for label in sheet.labels if label != NO_MODEL and species is None and sheet.known is None]:
        say(
            f"note: these labels need rows in the species sheet, or give --species {NO_MODEL} or --species-sheet: "
            + _named(made)
        )


def _reported(
    names: Sequence[str],
    report: str | None,
    url: str,
    geo_records: str,
    patience: Patience,
    say: Callable[[str], None],
) -> Iterator[tuple[str, Row, str]]:
    """Each accession with a row of the report about it; with a local report and no accessions, all rows."""
    if report is None:
        for number, name in enumerate(names):
            if number and number % _OFTEN == 0:
                say(f"asked ENA about {number:,} of {len(names):,} accessions")
            asked = [name]
            if geo.is_geo(name):
                asked = geo.sources(name, geo_records, patience)
                say(f"{name}: GEO names {_named(asked)}")
            for one in asked:
                with file_report(one, (*FIELDS, *_MORE_FIELDS), url, patience) as found:
                    yield from ((name, row, f"the report about {one}") for row in found)
        return
    with contextlib.ExitStack() as stack:
        file = standard_input() if report == STREAM else stack.enter_context(open_readable(Path(report)))
        for row in read_report(file, report, _LEAST_FIELDS):
            cells = {cell for column, value in row.items() if _identifies(column) for cell in value.split(";")}
            for name in names if names else [""]:
                if not name or name in cells:
                    yield name, row, report


def _no_runs(name: str, report: str | None) -> str:
    if report is not None:
        return f"no row of {report} has this accession; make the report with the columns that name it"
    return _NO_RUNS_OF_GEO if geo.is_geo(name) else _NO_RUNS


def _identifies(column: str) -> bool:
    return column.endswith(("accession", "alias"))


def _labels_of(species_sheet: Path | None) -> Collection[str] | None:
    if species_sheet is None:
        return None
    problems: list[str] = []
    labels = {str(cells["species"]) for _, cells in sheet_rows(str(species_sheet), "species", problems)}
    if problems:
        raise SheetError(problems)
    return labels


def _named(runs: Sequence[str]) -> str:
    shown = ", ".join(runs[:_MOST_NAMED])
    return shown if len(runs) <= _MOST_NAMED else f"{shown} and {len(runs) - _MOST_NAMED:,} more"


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
