"""Records and regions of an archive, for programs: as a mapping, in the manner of pysam, and for Biopython.

>>> import geneformer_codec as gfz  # doctest: +SKIP
>>> with gfz.open("x.gfz") as archive:  # doctest: +SKIP
...     archive["chr1"][100:200]
"""

import contextlib
import functools
import itertools
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from geneformer_codec.archive.coders import Coders, CodingModel
from geneformer_codec.archive.models import Execution, coders_of
from geneformer_codec.archive.random_access import SequenceReader
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.regions import Region, parse_region
from geneformer_codec.coding.interface import Progress

if TYPE_CHECKING:
    from Bio.SeqRecord import SeqRecord

_REFGET = re.compile(r"SQ\.[\w-]{32}", re.ASCII)
_COMPLEMENT = bytes.maketrans(b"ACGTUMRWSYKVHDBNacgtumrwsykvhdbn", b"TGCAAKYWSRMBDHVNtgcaakywsrmbdhvn")


def reverse_complement(residues: bytes) -> bytes:
    """The other strand, of IUPAC codes in either case; other bytes are kept.

    >>> reverse_complement(b"ACGTRn-")
    b'-nYACGT'
    """
    return residues.translate(_COMPLEMENT)[::-1]


class Record:
    """One record of an open archive. Nothing is decoded before residues are needed.

    It is a sequence of characters, those of the text with its lower case and exceptions: ``record[100:200]``,
    ``record[-1]``, ``len(record)``, ``str(record)``.
    """

    def __init__(self, reader: "Reader", number: int):
        self._reader, self._number = reader, number

    @property
    def header(self) -> str:
        """The header line without ``>``."""
        return _text(self._reader.sequences.index.header(self._number))

    @property
    def name(self) -> str:
        """The header up to the first blank."""
        return _text(self._reader.sequences.index.name(self._number))

    @property
    def line_width(self) -> int:
        """Residues in its lines, but for a shorter last one; 0 if all are in one line."""
        return self._reader.sequences.index.line_width(self._number)

    def __len__(self) -> int:
        return int(self._reader.sequences.index.lengths[self._number])

    def __getitem__(self, place: int | slice) -> str:
        if not isinstance(place, slice):
            at = operator.index(place)
            if not -len(self) <= at < len(self):
                raise IndexError(f"residue {at} of a record of {len(self)}")
            return _letters(self.residues(at % len(self), at % len(self) + 1))
        start, stop, step = place.indices(len(self))
        if step > 0:
            return _letters(self.residues(start, max(start, stop))[::step])
        # from high to low places: the lowest is the one above ``stop``
        return _letters(self.residues(min(stop + 1, start + 1), start + 1)[::-1][::-step])

    def __str__(self) -> str:
        return self[:]

    def __bytes__(self) -> bytes:
        return self.residues()

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def __repr__(self) -> str:
        return f"<Record {self.name} of {len(self):,} residues>"

    def residues(self, start: int = 0, stop: int | None = None) -> bytes:
        """Residues from ``start`` to ``stop``, the last excluded, counted from 0, and no further than the record."""
        return b"".join(self.pieces(start, stop))

    def pieces(self, start: int = 0, stop: int | None = None, reverse: bool = False) -> Iterator[bytes]:
        """The same piece by piece, for long records; with ``reverse`` the reverse complement, from its start on.

        A record that is read whole is checked against its digests, which is known when the pieces end.
        """
        region = Region(self.name, start, stop, reverse=reverse)
        return next(self._reader.pieces([(self, region)]))

    def qualities(self, start: int = 0, stop: int | None = None) -> bytes:
        """The qualities of a read as they are in the text; `UsageError` for FASTA. All of its slice are decoded."""
        sequences = self._reader.sequences
        spans = sequences.index.spans(self._number, start, len(self) if stop is None else stop)
        return b"".join(sequences.qualities(spans))

    def to_seqrecord(self) -> "SeqRecord":
        """A Biopython ``SeqRecord`` with the id, name and description that ``Bio.SeqIO`` gives.

        Its sequence is a view: it is decoded where it is looked at, as long as the archive is open.
        """
        from geneformer_codec.biopython import seqrecord

        return seqrecord(self)


class Reader(Mapping[str, Record], contextlib.AbstractContextManager["Reader"]):
    """An archive opened for random access: a mapping from names to records, in the order of the text.

    Of records of one name, the first is found by it; iterate over `records` for all. Use a reader in one thread at a
    time.
    """

    def __init__(
        self,
        source: str | Path | BinaryIO | Archive,
        model: str | Path | CodingModel | None = None,
        execution: Execution | None = None,
        progress: Progress | None = None,
        max_memory: int | None = None,
    ):
        self.archive = source if isinstance(source, Archive) else Archive(source, max_memory=max_memory)

        @functools.cache
        def coders() -> Coders:
            return coders_of(self.archive, model, execution)

        @functools.cache
        def record_of(refget: str) -> int | None:
            entries = self.sequences.index.entries(self.archive, coders())
            return next((number for number, entry in enumerate(entries) if entry.refget == refget), None)

        self._record_of = record_of
        try:
            self.sequences = SequenceReader(self.archive, coders, progress)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the archive."""
        self.archive.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.sequences.index)

    def __iter__(self) -> Iterator[str]:
        return map(_text, self.sequences.index.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __getitem__(self, name: str) -> Record:
        record = self.find(name)
        if record is None:
            raise KeyError(name)
        return record

    def find(self, name: str, which: int = 0) -> Record | None:
        """The record of a name; of several, such as mates, that with the number ``which``, from 0.

        A refget digest (``SQ.`` and 32 letters) that is no name finds the first record whose sequence has it. Where
        digests are not stored, they are computed: parts are decoded up to that of the record.
        """
        number = self.sequences.index.find(_octets(name), which)
        if number is None and which == 0 and _REFGET.fullmatch(name):
            number = self._record_of(name)
        return None if number is None else Record(self, number)

    def records(self) -> Iterator[Record]:
        """All records in order, also those that share a name."""
        return (Record(self, number) for number in range(len(self)))

    @property
    def references(self) -> tuple[str, ...]:
        """The names of all records."""
        return tuple(self)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The residues of each record."""
        return tuple(self.sequences.index.lengths.tolist())

    @property
    def nreferences(self) -> int:
        """The number of records."""
        return len(self)

    def get_reference_length(self, reference: str) -> int:
        """The length of a record; KeyError when there is none of this name."""
        return len(self[reference])

    def fetch(
        self,
        reference: str | None = None,
        start: int | None = None,
        end: int | None = None,
        region: str | None = None,
    ) -> str:
        """A stretch of a record, as ``pysam.FastaFile.fetch``: ``start`` and ``end`` from 0, ``end`` excluded.

        Or a ``region`` as samtools writes it, from 1: ``chr1:1001-2000``. A stretch that goes beyond the record is cut
        off at its end. An unknown name is a KeyError, an invalid range a ValueError.
        """
        if region is not None:
            place = self.region(region)
            reference, start, end = place.name, place.start, place.stop
        if reference is None:
            raise ValueError("give a reference or a region")
        if (start or 0) < 0 or (end is not None and end < (start or 0)):
            raise ValueError(f"invalid range: start {start or 0}, end {end}")
        return _letters(self[reference].residues(start or 0, end))

    def region(self, text: str) -> Region:
        """A region as samtools reads it; ``UsageError`` for an invalid one. Its record need not exist."""
        return parse_region(text, self.__contains__)

    def pieces(self, wanted: Iterable[tuple[Record, Region]]) -> Iterator[Iterator[bytes]]:
        """The residues of each region of a record, piece by piece; slices of many regions are decoded together.

        Use each iterator up before you take the next.
        """
        index = self.sequences.index
        planned, ahead = itertools.tee(
            (record, region, index.spans(record._number, region.start, _stop(record, region)))
            for record, region in wanted
        )
        pieces = self.sequences.pieces(
            span for _, region, spans in ahead for span in (reversed(spans) if region.reverse else spans)
        )
        for record, region, spans in planned:
            residues: Iterator[bytes] = itertools.islice(pieces, len(spans))
            if region.reverse:
                residues = map(reverse_complement, residues)
            elif region.start == 0 and _stop(record, region) >= len(record):
                residues = self.sequences.checked(record._number, residues)
            yield residues


def open(
    source: str | Path | BinaryIO,
    *,
    model: str | Path | CodingModel | None = None,
    execution: Execution | None = None,
    max_memory: int | None = None,
) -> Reader:
    """Open an archive for random access: a path, a URL (``https://``, ``s3://``), or a binary stream.

    ``max_memory``, in bytes, limits the memory for reading (default: in proportion to the archive). ``model`` is
    needed as for ``decompress``. Reading residues decodes the slices that hold them; an archive made without a model
    has one slice a part.

    >>> with open("x.gfz") as archive:  # doctest: +SKIP
    ...     for record in archive.records():
    ...         print(record.name, len(record), record[:10])
    """
    return Reader(source, model, execution, max_memory=max_memory)


def _stop(record: Record, region: Region) -> int:
    return len(record) if region.stop is None else region.stop


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _octets(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _letters(residues: bytes) -> str:
    """One character a residue, whatever the residue."""
    return residues.decode("ascii", "surrogateescape")
