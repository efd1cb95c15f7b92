"""Accessions of public archives: their kinds, how people write them, and which files of a run a sample has."""

import os
import re
import shutil
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from geneformer_codec.errors import InputError
from geneformer_codec.files import COPY_BYTES, guarded

_RUN = re.compile(r"(?P<run>[SED]RR[0-9]{5,12})(?::(?P<reads>paired|unpaired|[1-9]))?")
_OF_RUNS = re.compile(r"[SED]R[APSX][0-9]{5,12}|PRJ(?:NA|EB|DB)[0-9]+|SAM(?:N|EA|E|D)[0-9]+|GS[EM][0-9]+")
_PROTECTED = re.compile(r"phs[0-9]{6}(?:\.[vpc][0-9]+)*|EGA[ACDFNRSXZ][0-9]{11}", re.IGNORECASE)
_ANY = re.compile(rf"(?<![A-Za-z0-9])(?:{_RUN.pattern}|{_OF_RUNS.pattern}|{_PROTECTED.pattern})(?![A-Za-z0-9])", re.I)

File = TypeVar("File")


@dataclass(frozen=True)
class Accession:
    """A run of SRA, ENA or DDBJ, and which of its ``reads``: None for all of them.

    ``paired`` and ``unpaired`` are those with and without a mate, a number those of one file, as ``RUN_1``.
    """

    run: str
    reads: str | None = None


@dataclass(frozen=True)
class Fetched:
    """The files that a sample is, one or a pair, and what they must hold, as far as their source states it.

    ``reads`` has the numbers that the files together may have, ``bases`` is the least that they must have, ``stated``
    is the source's statement about the run, for messages, and ``advice`` is a remedy if the files differ.
    """

    files: Sequence[Path]
    reads: Container[int] | None
    bases: int | None
    stated: str
    advice: str


def parse(path: str) -> Accession | None:
    """The accession that the cell of a sheet holds; None for a path."""
    found = _RUN.fullmatch(path)
    return Accession(found["run"], found["reads"]) if found else None


def is_run(accession: str) -> bool:
    """Whether this is the accession of a run, and not of something that has runs."""
    return _RUN.fullmatch(accession) is not None


def mentioned(text: str) -> list[str]:
    """The accessions in a text: one, a list, an address of a web page; as they are written properly.

    >>> mentioned("https://www.ncbi.nlm.nih.gov/sra/?term=srr3927310")
    ['SRR3927310']
    >>> mentioned("PRJNA123, ERX000001")
    ['PRJNA123', 'ERX000001']
    """
    found = []
    for match in _ANY.finditer(text):
        name, colon, reads = match[0].partition(":")
        protected = _PROTECTED.fullmatch(name)
        found.append((name if protected else name.upper()) + colon + reads.lower())
    return found


def wanted(arguments: Iterable[str]) -> list[str]:
    """The accessions that arguments of a command hold, each once; ``InputError`` for what is none, or is protected."""
    found: dict[str, None] = {}
    for argument in arguments:
        for word in filter(None, re.split(r"[\s,;]+", argument)):
            named = dict.fromkeys(one.partition(":")[0] for one in mentioned(word))
            if len(named) != 1 or ("/" not in word and next(iter(named)).lower() != word.lower().partition(":")[0]):
                raise InputError(
                    f"{word!r}: is not an accession of a run (SRR, ERR, DRR), experiment (SRX), sample (SRS, SAMN, "
                    "SAMEA), study or project (SRP, PRJNA, PRJEB) or GEO series (GSE); correct it"
                )
            accession = next(iter(named))
            if _PROTECTED.fullmatch(accession):
                raise InputError(f"{accession}: {protected(accession)}")
            found[accession] = None
    return list(found)


def protected(accession: str) -> str:
    """What to do about data that are not public."""
    if accession[:3].upper() == "EGA":
        return (
            "the data of EGA are protected; download them with pyega3 once their data access committee has agreed, and "
            "name the files in the sample sheet"
        )
    return (
        "the data of dbGaP are protected; name their runs (SRR) in the sample sheet, with 'sra.source: sra-toolkit', "
        "and your repository key in 'sra.ngc'"
    )


def no_file(cell: str) -> str | None:
    """What is wrong with the cell of a sheet that is no run and no file, if accessions are in it."""
    if Path(cell).suffix.lower() in (".fa", ".fq", ".fasta", ".fastq", ".gz", ".sra", ".bam", ".cram"):
        return None  # a file that was named after a run
    named = mentioned(cell)
    if not named:
        return None
    if len(named) > 1:
        return f"'{cell}' names {len(named)} accessions; give each a row of its own: {_COMMAND} {' '.join(named)}"
    one = named[0]
    if _PROTECTED.fullmatch(one):
        return f"'{cell}': {protected(one)}"
    if is_run(one):
        return f"'{cell}' is no file; if the run is meant, write '{one}'"
    return f"'{cell}' is not the accession of a run; this makes the rows of its runs: {_COMMAND} {one}"


_COMMAND = "geneformer-rules accessions"


def rows_of(run: str, stems: Sequence[str]) -> list[tuple[str, str]]:
    """The samples that a run becomes, as names and what to write as their paths, by the names of its files.

    >>> rows_of("SRR000001", ["SRR000001", "SRR000001_1", "SRR000001_2"])
    [('SRR000001', 'SRR000001:paired'), ('SRR000001_unpaired', 'SRR000001:unpaired')]
    """
    if len(stems) <= 1 or set(stems) == {f"{run}_1", f"{run}_2"}:
        return [(run, run)]
    if set(stems) == {run, f"{run}_1", f"{run}_2"}:
        return [(run, f"{run}:paired"), (f"{run}_unpaired", f"{run}:unpaired")]
    return [
        (f"{run}_unpaired", f"{run}:unpaired") if stem == run else (stem, f"{run}:{stem.rpartition('_')[2]}")
        for stem in sorted(stems)
    ]


def choose(accession: Accession, files: Mapping[str, File]) -> list[File]:
    """Choose the files of a sample among those of a run, by name: one, a pair, or a pair and reads without a mate."""
    stems = {name.partition(".")[0]: file for name, file in files.items()}
    run, reads = accession.run, accession.reads
    pair, listed = [f"{run}_1", f"{run}_2"], ", ".join(files)
    if reads is None:
        if len(stems) == 1:
            return list(stems.values())
        if set(stems) - {run} == set(pair):
            return [stems[stem] for stem in (*pair, run) if stem in stems]
        raise InputError(
            f"{run}: its reads are in {len(stems)} files ({listed}), neither one nor a pair, which is what an archive "
            f"holds; this makes a row for each: {_COMMAND} {run}. Or write {_choices(run, stems)} in the sample sheet"
        )
    names = pair if reads == "paired" else [run] if reads == "unpaired" else [f"{run}_{reads}"]
    if not all(name in stems for name in names) or (reads == "unpaired" and len(stems) == 1):
        what = f"{reads} reads" if reads in ("paired", "unpaired") else f"file {reads}"
        raise InputError(f"{run}: has no {what} ({listed}); write '{run}' in the sample sheet")
    return [stems[name] for name in names]


def _choices(run: str, stems: Iterable[str]) -> str:
    """What may be written in place of a run of these files."""
    return ", ".join(f"'{path}'" for _, path in rows_of(run, list(stems)))


def join_unpaired(files: Sequence[Path]) -> Sequence[Path]:
    """Of a pair and reads without a mate, make a pair: these go behind the reads of the first file."""
    if len(files) < 3:
        return files
    first, second, unpaired = files
    joined = first.with_name(joined_name(first.name))
    if not joined.is_file():
        part = first.rename(joined.with_name(f"{joined.name}.part"))
        with guarded(part), part.open("ab") as out, unpaired.open("rb") as more:
            shutil.copyfileobj(more, out, COPY_BYTES)
            out.flush()
            os.fsync(out.fileno())
        part.rename(joined)
        unpaired.unlink()
    return [joined, second]


def joined_name(first: str) -> str:
    """The name of the first file of a pair that has reads without a mate behind its own.

    >>> joined_name("SRR000001_1.fastq.gz")
    'SRR000001_1_and_unpaired.fastq.gz'
    """
    stem, dot, suffixes = first.partition(".")
    return f"{stem}_and_unpaired{dot}{suffixes}"
