"""The streams of a part. To add one, see ``interface.py``."""

from __future__ import annotations

from geneformer_codec.streams.alignments import AlignmentsStream, DifferencesStream
from geneformer_codec.streams.case import CaseStream
from geneformer_codec.streams.digests import DigestsStream
from geneformer_codec.streams.exceptions import ExceptionsStream
from geneformer_codec.streams.interface import Stream
from geneformer_codec.streams.layout import LayoutStream
from geneformer_codec.streams.names import NamesStream
from geneformer_codec.streams.payload import PayloadStream
from geneformer_codec.streams.qualities import QualitiesStream
from geneformer_codec.streams.read_layout import ReadsStream
from geneformer_codec.streams.slices import SlicesStream

STREAMS: tuple[Stream, ...] = (
    ReadsStream(),
    LayoutStream(),
    NamesStream(),
    CaseStream(),
    ExceptionsStream(),
    SlicesStream(),
    AlignmentsStream(),
    PayloadStream(),
    QualitiesStream(),
    DifferencesStream(),
    DigestsStream(),
)
"""In the order of the file, in which they are decoded; they are encoded in the reverse order."""

STREAM_IDS = tuple(stream.id for stream in STREAMS)
SIDE_STREAMS = tuple(stream.id for stream in STREAMS if stream.counted_as == "side")
PAYLOAD_STREAMS = tuple(stream.id for stream in STREAMS if stream.counted_as == "payload")
INDEX_STREAMS = tuple(stream.id for stream in STREAMS if stream.counted_as == "index")
RECORD_STREAMS = ("reads", "layout", "names")
"""What an index of records is made of."""
TEXT_STREAMS = (*RECORD_STREAMS, "case", "exceptions")
"""All of a FASTA text but its bases."""
