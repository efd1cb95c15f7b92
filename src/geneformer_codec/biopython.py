"""Records of an archive as Biopython's ``SeqRecord``, decoded when they are used."""

from typing import Any, Protocol

from geneformer_codec.errors import UsageError

try:
    from Bio.Seq import Seq, SequenceDataAbstractBaseClass
    from Bio.SeqRecord import SeqRecord
except ModuleNotFoundError as error:
    raise UsageError("views need Biopython: pip install 'geneformer-rules[biopython]'") from error


class Record(Protocol):
    """What a view needs of a record of an open archive."""

    @property
    def name(self) -> str:
        """The header up to the first blank."""

    @property
    def header(self) -> str:
        """The header line."""

    def __len__(self) -> int: ...
    def __bytes__(self) -> bytes: ...
    def __getitem__(self, place: Any, /) -> str: ...


class _View(SequenceDataAbstractBaseClass):
    """The residues of a record, for ``Bio.Seq``."""

    def __init__(self, record: Record) -> None:
        self._record = record
        super().__init__()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self._record)

    def __bytes__(self) -> bytes:
        return bytes(self._record)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return self._record[place].encode("ascii", "surrogateescape")
        return ord(self._record[place].encode("ascii", "surrogateescape"))


def seqrecord(record: Record) -> SeqRecord:
    """What ``Bio.SeqIO.parse(..., "fasta")`` gives for the record, but for the sequence, which is a view."""
    return SeqRecord(Seq(_View(record)), id=record.name, name=record.name, description=record.header)
