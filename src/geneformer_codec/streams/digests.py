"""The stream ``digests``: MD5 and sha512t24u of records of FASTA, 40 bytes each, as they are."""

from __future__ import annotations

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.digests import DIGEST_BYTES
from geneformer_codec.streams.interface import Coding, PartContent, Stream


class DigestsStream(Stream):
    """Digests of the records that end in the part."""

    id = "digests"
    counted_as = "index"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """Those that were made when the sample was split, as records may begin in parts before."""
        return part.digests

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``digests``."""
        if len(data) % DIGEST_BYTES or (part.is_reads and data):
            raise FormatError("damaged digests: not whole ones, or digests of reads")
        part.digests = data
