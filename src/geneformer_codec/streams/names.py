"""The stream ``names``: header lines, most like the one before.

They are packed as a table, as plain text, or byte by byte with a context-mixing model (`name_model`), whichever is
smaller on a sample; the model, which is slow, only if it is clearly smaller. UUIDs at their beginning are split off.
"""

from __future__ import annotations

import re

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.mate_names import pack_mates, unpack_mates
from geneformer_codec.streams.name_table import pack_table, unpack_table
from geneformer_codec.streams.packing import ByteReader, pack, unpack
from geneformer_codec.streams.uuids import UUID_LETTERS, begins_with_uuid, put_before, read_uuids, split_uuids

PLAIN, TABLE, MODEL, UUIDS = range(4)
PADDED_TABLE = 4
"""A choice of the writer: a table as well, with the number of digits of every number in its templates."""
_SAMPLE_BYTES, _QUICK_SAMPLE_BYTES = 1 << 16, 1 << 15
"""So many bytes of names choose the kind."""
_UUID_SAMPLE_BYTES = 1 << 13
"""Of UUIDs, which tables take long for."""
_LEAST_MODEL = 1024
_MODEL_SHARE, _QUICK_MODEL_SHARE = 32, 8
"""The model is taken where it saves so large a part: a 32nd, or when quick an eighth."""
_FEW = 1 << 14
"""So many bytes take no time in any way."""
_LONG = 1 << 12
"""Names that have more bytes than this on average are none."""


def pack_names(names: bytes, quick: bool = False) -> bytes:
    """Pack names that are each followed by a line feed (no names: empty); never fails.

    ``quick`` searches less and favours what is quick to unpack: not so where names are few.
    """
    if not names:
        return b""
    if len(names) > _LONG * names.count(b"\n") and len(names) > _SAMPLE_BYTES:
        # No names but text, in lines that trials would have to take whole: no kind suits them, and most are slow.
        return bytes((PLAIN,)) + pack(names, True, patient=False)
    quick = quick and len(names) > _FEW
    share = _QUICK_MODEL_SHARE if quick else _MODEL_SHARE
    size = _QUICK_SAMPLE_BYTES if quick else _SAMPLE_BYTES
    sample = _beginning(names, _UUID_SAMPLE_BYTES if begins_with_uuid(names) else size)
    trials = []
    for kind in _kinds(names):
        packed = _pack_as(sample, kind, quick)
        size = len(packed or sample)
        trials.append((size + (size // share if kind == MODEL else 0), kind, packed))
    for _, kind, packed in sorted(trials):
        # what suits the sample may not suit the rest
        if packed := packed if sample is names else _pack_as(names, kind, quick):
            return packed
    raise AssertionError("any names can be packed as plain text")


def _kinds(names: bytes) -> list[int]:
    """Those that are worth a trial."""
    kinds = [PLAIN] if re.search(rb"[\x01\x02]", names) else [PLAIN, TABLE, PADDED_TABLE]
    kinds += [MODEL] if len(names) >= _LEAST_MODEL else []
    return kinds + ([UUIDS] if begins_with_uuid(names) else [])


def _beginning(names: bytes, size: int) -> bytes:
    """The first names, of so many bytes and the rest of a line, which is cut off if it is as long again."""
    if len(names) <= size:
        return names
    end = names.find(b"\n", size - 1, 2 * size) + 1
    return names[:end] if end else names[: 2 * size] + b"\n"


def unpack_names(data: bytes, count: int, max_bytes: int) -> bytes:
    """Inverse of :func:`pack_names`: ``count`` names, each with its line feed, of at most ``max_bytes`` in all."""
    if not data:
        names = b""
    elif data[0] == PLAIN:
        names = unpack(data[1:], max_bytes + 1)
    elif data[0] == TABLE:
        names = unpack_table(ByteReader(data[1:], "names"), count, max_bytes + 1)
    elif data[0] == MODEL:
        from geneformer_codec.streams.name_model import unpack_text

        names = unpack_text(ByteReader(data[1:], "names"), max_bytes + 1)
    elif data[0] == UUIDS:
        names = _unpack_uuids(ByteReader(data[1:], "names"), count, max_bytes)
    else:
        raise FormatError(f"damaged names: unknown kind {data[0]}")
    if len(names) > max_bytes + 1:
        raise FormatError("damaged names: they are longer than the text")
    if names.count(b"\n") != count or (names and not names.endswith(b"\n")):
        raise FormatError("damaged names: there are not as many as the layout has headers")
    return names


def _pack_as(names: bytes, kind: int, quick: bool = False) -> bytes:
    """The packed names, or nothing where they are not of that kind."""
    if kind == PLAIN:
        return bytes((PLAIN,)) + pack(names, quick)
    if kind == MODEL:
        from geneformer_codec.streams.name_model import pack_text

        return bytes((MODEL,)) + pack_text(names)
    if kind == UUIDS:
        uuids, rests = split_uuids(names)
        fits = uuids and not begins_with_uuid(rests)
        return bytes((UUIDS,)) + uuids + pack_names(rests, quick) if fits else b""
    table = pack_table(names, kind == PADDED_TABLE, quick)
    return bytes((TABLE,)) + table if table else b""


def _unpack_uuids(reader: ByteReader, count: int, max_bytes: int) -> bytes:
    if not 0 < count <= max_bytes // UUID_LETTERS:
        raise FormatError("damaged names: they are longer than the text")
    uuids, rests = read_uuids(reader, count), reader.rest()
    if rests[:1] == bytes((UUIDS,)):
        raise FormatError("damaged names: more than one UUID before a name")
    most = max_bytes - uuids.size
    return put_before(uuids, unpack_names(rests, count, most), most + 1)


class NamesStream(Stream):
    """Header lines; of a pair, those of mates follow from those of the first reads where they can."""

    id = "names"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """See `pack_names`."""
        names, quick = part.names, coding.level == "fast"
        if len(part.read_layouts) < 2:
            return pack_names(names, quick)
        rules, stored = pack_mates(names, part.read_layouts[0].reads)
        return rules + pack_names(stored, quick)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``names``."""
        count, most = part.layout.records, part.text_bytes
        reads = [layout.reads for layout in part.read_layouts]
        if reads and sum(reads) != count:
            raise FormatError("damaged reads: not as many as the layout has headers")
        if len(reads) < 2:
            part.names = unpack_names(data, count, most)
        else:
            mates = unpack_mates(data, reads[0], reads[1], most)
            part.names = mates.join(unpack_names(mates.rest, mates.stored, most))
