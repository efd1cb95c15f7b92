"""Find the records of a panel that a model refers to: on a search path, as CRAM finds its references.

``GFZ_REF_PATH`` lists, separated by colons, FASTA files, compressed or not, and .2bit files; directories that hold such
files, or files of bare sequence named by refget digest, with or without ``SQ.``; and patterns of such names with ``%s``
and ``%2s`` in them, as in the REF_PATH of htslib. After these, the places where CRAM finds its references, REF_CACHE
and REF_PATH, are searched for files named by MD5. A record is compared by its letters A, C, G and T alone,
upper-cased, with U as T, as they are coded; its digest is that of this text. Nothing is fetched from a network.

From .2bit files, and from FASTA files with a .fai, records with the lengths that a model states are read first, those
with its names before others. This only saves time: records that are not found in this way are searched for as if there
were no index.
"""

import contextlib
import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError, InputError, ModelMissingError
from geneformer_codec.inputs.decompress import open_input
from geneformer_codec.inputs.indexed_fasta import IndexedFasta
from geneformer_codec.inputs.two_bit import SUFFIX, two_bit_sequences
from geneformer_codec.sequence.digests import MD5_BYTES, SHA512T24U_BYTES, refget_id

SEARCH_PATH = "GFZ_REF_PATH"
"""The environment variable with the places in which the records of a panel are looked for."""
CRAM_PATHS = ("REF_CACHE", "REF_PATH")
"""Those in which htslib looks for references by MD5, and their names have no other meaning here."""

_FASTA = re.compile(r"\.((fa|fasta|fna)(\.(gz|bgz|bz2|xz|zst))?|2bit)$", re.IGNORECASE)
_FIELD = re.compile(r"%(\d*)s|%%")
_READ_BYTES = 1 << 20
_SHOWN = 3

_NO_BASE = bytes(octet for octet in range(256) if octet not in b"ACGTUacgtu")
_TEXT = bytes.maketrans(b"acgtuU", b"ACGTTT")
_CODES = bytes.maketrans(b"ACGT", b"\0\1\2\3")
_LOG = logging.getLogger("geneformer_codec")


class Origin(NamedTuple):
    """What is known of a record as it is in a file: its name, residues and MD5, with letters that are no bases."""

    name: str = ""
    residues: int = 0
    md5: bytes = bytes(MD5_BYTES)


def find_records(
    digests: Sequence[bytes], max_bases: int, search_path: str | None = None, origins: Sequence[Origin] = ()
) -> list[NDArray[np.uint8]]:
    """The records of these sha512t24u digests (24 bytes each), in order, each uint8[length] of 0..3.

    ``origins`` help to find them. ``search_path`` replaces the environment's. Memory is a few times ``max_bases``:
    ``FormatError`` when the records together have more bases than that. ``ModelMissingError`` when not all are found:
    it names them, and the places that were searched. Equal records may be one array.
    """
    search = _Search(digests, max_bases)
    path = os.environ.get(SEARCH_PATH, "") if search_path is None else search_path
    places = [place for place in path.split(":") if place]
    known = dict(zip(digests, origins, strict=False))
    for place in places:
        search.look_in_indexed(place, known)
    for place in places:
        if search.missing:
            search.look_in(place)
    by_md5 = {digest: (origin.md5.hex(),) for digest, origin in known.items()}
    for name in CRAM_PATHS if search_path is None else ():
        for place in re.split(":(?!//)", os.environ.get(name, "")):
            if search.missing and place and "://" not in place:  # nothing is fetched
                search.look_up(place, {digest: by_md5[digest] for digest in search.missing if digest in by_md5})
                places.append(place)
    if search.missing:
        raise ModelMissingError(search.complaint(places, known))
    return [search.found[digest] for digest in digests]


class _Search:
    """What is still missing, what was found, and what went wrong on the way."""

    def __init__(self, digests: Sequence[bytes], max_bases: int):
        self.missing = Counter(digests)
        self.found: dict[bytes, NDArray[np.uint8]] = {}
        self._records = len(digests)
        self._max_bases = self._left = max_bases
        self._troubles: list[str] = []
        nothing = hashlib.sha512().digest()[:SHA512T24U_BYTES]
        if nothing in self.missing:  # a record without bases need not be anywhere
            self._take(nothing, [], 0)

    def look_in_indexed(self, place: str, origins: Mapping[bytes, Origin]) -> None:
        """Read records of the lengths of missing ones in indexed FASTA and .2bit files, of one entry of the path."""
        try:
            path = Path(place)
            for file in _sequence_files(path) if path.is_dir() else [path] if path.is_file() else []:
                try:
                    self._read_indexed(file, origins)
                except InputError as error:
                    self._troubles.append(str(error))
                    _LOG.warning("%s (so all of %s is read)", error, file)
        except OSError:
            return  # `look_in` reports it

    def _read_indexed(self, path: Path, origins: Mapping[bytes, Origin]) -> None:
        lengths = Counter(origins[digest].residues for digest in self.missing if digest in origins)
        names = {(origins[digest].name, origins[digest].residues) for digest in self.missing if digest in origins}
        del lengths[0]
        if path.suffix.lower() == SUFFIX:
            with contextlib.suppress(InputError):  # `look_in` reports it
                self._scan_two_bit(path, lengths)
            return
        fasta = IndexedFasta.open(path) if lengths else None
        if fasta is None:
            return
        likely = [record for record in fasta.records if lengths[record.residues]]
        for record in sorted(likely, key=lambda record: (record[:2] not in names, record.first)):
            if lengths[record.residues]:
                lengths[record.residues] -= self._take_text(fasta.read(record))

    def look_in(self, place: str) -> None:
        """Look in one entry of the search path."""
        try:
            path = Path(place)
            if path.is_dir():
                self.look_up(place.rstrip("/").replace("%", "%%") + "/%s", self._names())
                for file in _sequence_files(path):
                    if self.missing:
                        self._scan(file)
            elif path.is_file():
                self._scan(path)
            elif _FIELD.search(place):
                self.look_up(place, self._names())
            else:
                self._troubles.append(f"{place} is not there")
        except OSError as error:
            self._troubles.append(f"{place} cannot be read: {error.strerror}")

    def complaint(self, places: list[str], origins: Mapping[bytes, Origin]) -> str:
        """What is missing, where it was looked for, and what to do."""
        names = [refget_id(digest) for digest in self.missing]
        for number, digest in enumerate(self.missing):
            if digest in origins and (name := origins[digest].name):
                names[number] += f" ({name!r}, {origins[digest].residues:,} letters)"
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        where = f"searched {', '.join(places)}" if places else f"{SEARCH_PATH} is not set"
        troubles = "".join(f"; {trouble}" for trouble in self._troubles[:_SHOWN])
        return (
            f"the model refers to {self._records} training records, of which {self.missing.total()} were not found: "
            f"{shown}; {where}{troubles}; give the FASTA file or the directory that has them in {SEARCH_PATH}, "
            "or use a model that has its panel embedded"
        )

    def _names(self) -> dict[bytes, tuple[str, ...]]:
        """How files with what is missing may be called."""
        names = {digest: refget_id(digest) for digest in self.missing}
        return {digest: (name, name.removeprefix("SQ.")) for digest, name in names.items()}

    def look_up(self, pattern: str, names: Mapping[bytes, tuple[str, ...]]) -> None:
        """Look for files that have these names, by digest."""
        for digest, forms in names.items():
            for form in forms:
                path = Path(_expand(pattern, form))
                if digest in self.missing and path.is_file():
                    self._scan(path)
                    if digest in self.missing:
                        self._troubles.append(f"{path} has other content than its name states")

    def _scan(self, path: Path) -> None:
        """Take what is missing out of a FASTA or .2bit file, or of a file that is one bare sequence."""
        try:
            if path.suffix.lower() == SUFFIX:
                self._scan_two_bit(path)
                return
            with open_input(path) as stream:
                self._scan_stream(stream)
        except InputError as error:
            self._troubles.append(str(error))  # it matters only if the records are nowhere else

    def _scan_two_bit(self, path: Path, sizes: Container[int] | None = None) -> None:
        for sequence in two_bit_sequences(path, sizes):
            self._take_text([sequence])
            if not self.missing:
                return

    def _scan_stream(self, stream: BinaryIO) -> None:
        for _, record in groupby(_residues(stream), itemgetter(0)):
            self._take_text(piece for _, piece in record)
            if not self.missing:
                return

    def _take_text(self, text: Iterable[bytes]) -> bool:
        """Take a record, in pieces that may have line ends; whether it was missing."""
        digest, pieces, size = hashlib.sha512(), list[bytes](), 0
        for piece in text:
            bases = piece.translate(_TEXT, _NO_BASE)
            digest.update(bases)
            size += len(bases)
            if size <= self._left:
                pieces.append(bases)
            else:  # a chromosome, perhaps, beside what is looked for
                pieces.clear()
        return self._take(digest.digest()[:SHA512T24U_BYTES], pieces, size)

    def _take(self, digest: bytes, pieces: list[bytes], size: int) -> bool:
        count = self.missing.get(digest, 0)
        if not count:
            return False
        self._left -= count * size
        if self._left < 0:
            raise FormatError(f"the records of the model's panel have more than the {self._max_bases} bases stated")
        self.found[digest] = np.frombuffer(b"".join(pieces).translate(_CODES), np.uint8)
        del self.missing[digest]
        return True


def _sequence_files(directory: Path) -> list[Path]:
    return sorted(file for file in directory.iterdir() if _FASTA.search(file.name) and file.is_file())


def _residues(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The sequence of a FASTA text in pieces, each with the number of its record, 0 before the first header."""
    number, in_header, held = 0, False, b"\n"  # as if a line had ended: the text may begin with a header
    while chunk := stream.read(_READ_BYTES):
        text = held + chunk
        held = b"\n" if text.endswith(b"\n") else b""  # what follows it tells whether a record begins
        first, *records = text[: len(text) - len(held)].split(b"\n>")
        if in_header:
            _, end, first = first.partition(b"\n")
            in_header = not end
        yield number, first
        for record in records:
            _, end, residues = record.partition(b"\n")
            in_header = not end
            number += 1
            yield number, residues


def _expand(pattern: str, name: str) -> str:
    """``%2s`` takes two letters of the name, ``%s`` all that are left; what no field takes is a file below."""
    rest = name

    def take(field: re.Match[str]) -> str:
        nonlocal rest
        if field[0] == "%%":
            return "%"
        size = int(field[1]) if field[1] else len(rest)
        taken, rest = rest[:size], rest[size:]
        return taken

    path = _FIELD.sub(take, pattern)
    return f"{path}/{rest}" if rest else path
