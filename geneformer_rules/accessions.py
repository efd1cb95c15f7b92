"""Accessions of sequencing runs, which of a run's files a sample is, and what these must hold."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from geneformer_codec.errors import InputError

_RUN = re.compile(r"(?P<run>[SED]RR[0-9]{5,10})(?::(?P<reads>paired|unpaired))?")
_NO_RUN = re.compile(r"(?:[SED]R[APSXZ][0-9]{5,10}|PRJ[A-Z]{2}[0-9]+|SAM[A-Z]{1,2}[0-9]+)")

File = TypeVar("File")


@dataclass(frozen=True)
class Accession:
    """A run of SRA, ENA or DDBJ; ``reads`` is ``paired`` or ``unpaired`` for those alone, where a run has both."""

    run: str
    reads: str | None = None


@dataclass(frozen=True)
class Fetched:
    """The files that a sample is, one or a pair, and what they must hold, as far as their source states it.

    ``reads`` has the numbers that the files together may have, ``bases`` is the least that they must have, ``stated``
    is the source's statement about the run, for messages, and ``advice`` says what to do if the files differ.
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


def is_no_run(path: str) -> bool:
    """Whether this is an accession of something else, which has runs: a study, sample or experiment."""
    return _NO_RUN.fullmatch(path) is not None


def choose(accession: Accession, files: Mapping[str, File], get: str = "download them") -> list[File]:
    """Choose the file, or the pair, of a sample among the files of a run, by name.

    ``get`` says how a user gets the files, for the message if there are more.
    """
    stems = {name.partition(".")[0]: file for name, file in files.items()}
    run, reads = accession.run, accession.reads
    pair = [stems[name] for name in (f"{run}_1", f"{run}_2") if name in stems]
    listed = ", ".join(files)
    if len(pair) == 2:
        if len(stems) == 2 and reads != "unpaired":
            return pair
        if reads == "paired":
            return pair
        if run in stems:
            if reads == "unpaired":
                return [stems[run]]
            if len(stems) == 3:
                raise InputError(
                    f"{run}: has pairs and reads without a mate ({listed}), which need an archive each; write the "
                    f"accession in two rows of the sample sheet, as '{run}:paired' and as '{run}:unpaired'"
                )
    elif len(stems) == 1 and reads is None:
        return list(stems.values())
    if reads:
        raise InputError(f"{run}: has no {reads} reads ({listed}); write '{run}' in the sample sheet")
    raise InputError(
        f"{run}: its reads are in {len(stems)} files ({listed}), neither one nor a pair, which is what an archive "
        f"holds; {get}, and name them as files in rows of the sample sheet"
    )
