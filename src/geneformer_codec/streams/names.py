"""Names (header lines) packed well: accession-like names share most of their text.

They are packed as a table or as plain text, whichever is smaller; or, if that is clearly smaller, every byte is coded
by what names before it foretell, or by that and a primer. UUIDs that they begin with are taken off.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from geneformer_codec.errors import FormatError
from geneformer_codec.limits import reserve
from geneformer_codec.streams.name_table import pack_table, unpack_table
from geneformer_codec.streams.packing import ByteReader, encode_varint, pack, unpack
from geneformer_codec.streams.uuids import UUID_LETTERS, begins_with_uuid, put_before, read_uuids, split_uuids

_PLAIN, _TABLE, _TABLE_PADDED, _MIXED, _UUIDS, _PRIMED = range(6)
# So many bytes of names choose the kind. Mixing is the slowest kind: it is tried where there is something to gain,
# and taken where it saves a 32nd; in a hurry, an eighth.
_TRIAL_BYTES, _QUICK_TRIAL_BYTES = 1 << 17, 1 << 15
# Before that, a glance at some leaves out what is more than a quarter larger; in a hurry, an eighth.
_GLANCE_BYTES = 1 << 13
_LEAST_MIXED = 1024
# So many bytes take no time in any way. A primer saves some ten bytes: worth another trial only where that is much.
_FEW = 1 << 14
# Names that have more bytes than this on average are none.
_LONG = 1 << 12
_MIXED_SHARE, _QUICK_MIXED_SHARE = 32, 8


def pack_names(names: bytes, quick: bool = False) -> bytes:
    """Pack names that are each followed by a line feed (no names: empty) into a side stream; never fails.

    ``quick`` chooses by fewer names, searches less, and favours what is quick to unpack: not so where names are few.
    """
    if not names:
        return b""
    if len(names) > _LONG * names.count(b"\n") and len(names) > _TRIAL_BYTES:
        # No names but text, in lines that trials would have to take whole: no kind suits them, and most are slow.
        return bytes((_PLAIN,)) + pack(names, True, patient=False)
    quick = quick and len(names) > _FEW
    kinds = [_PLAIN] if re.search(rb"[\x01\x02]", names) else [_PLAIN, _TABLE, _TABLE_PADDED]
    kinds += [_MIXED] if len(names) >= _LEAST_MIXED else []
    kinds += [_PRIMED] if _LEAST_MIXED <= len(names) <= _FEW else []
    kinds += [_UUIDS] if begins_with_uuid(names) else []
    while True:
        best = _choose(names, kinds, quick)
        packed = best.packed or _pack_as(names, best.kind, quick)
        if packed:
            return packed
        kinds.remove(best.kind)  # what suits the beginning may not suit the rest


def _choose(names: bytes, kinds: list[int], quick: bool) -> _Trial:
    """The kind that suits the beginning best, and all names packed so if the beginning is all of them."""
    share = _QUICK_MIXED_SHARE if quick else _MIXED_SHARE
    near = kinds
    if len(names) > 2 * _GLANCE_BYTES:
        glances = _try(_beginning(names, _GLANCE_BYTES), [kind for kind in kinds if kind != _TABLE_PADDED], share, True)
        most = glances[0].price * (1 + 1 / (8 if quick else 4))
        close = {glance.kind for glance in glances if glance.price <= most}
        near = [kind for kind in kinds if (_TABLE if kind == _TABLE_PADDED else kind) in close]
    sample = _beginning(names, _QUICK_TRIAL_BYTES if quick else _TRIAL_BYTES)
    if len(sample) == len(names):
        return _try(names, near, share, quick)[0]
    kind = _try(sample, near, share, quick)[0].kind if len(near) > 1 else near[0]
    return _Trial(0, kind, b"")


class _Trial(NamedTuple):
    """Names packed in one way, and what that is compared by."""

    price: int
    kind: int
    packed: bytes


def _try(names: bytes, kinds: list[int], share: int, quick: bool) -> list[_Trial]:
    """Pack in several ways; the best first."""
    trials = []
    for kind in kinds:
        packed = _pack_as(names, kind, quick)
        size = len(packed or names)
        trials.append(_Trial(size + (size // share + 16 if kind in (_MIXED, _PRIMED) else 0), kind, packed))
    return sorted(trials)


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
    elif data[0] == _PLAIN:
        names = unpack(data[1:], max_bytes + 1)
    elif data[0] in (_TABLE, _TABLE_PADDED):
        names = unpack_table(ByteReader(data[1:], "names"), count, max_bytes + 1)
    elif data[0] in (_MIXED, _PRIMED):
        names = _unmix(ByteReader(data[1:], "names"), max_bytes + 1, data[0] == _PRIMED)
    elif data[0] == _UUIDS:
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
    if kind == _PLAIN:
        return bytes((_PLAIN,)) + pack(names, quick)
    if kind in (_MIXED, _PRIMED):
        from geneformer_codec.streams.name_model import foretell

        octets = np.frombuffer(names, np.uint8)
        none_known = np.zeros(len(names), np.bool_)
        return bytes((kind,)) + encode_varint(len(names)) + foretell(octets, none_known, kind == _PRIMED)
    if kind == _UUIDS:
        uuids, rests = split_uuids(names)
        fits = uuids and not begins_with_uuid(rests)
        return bytes((_UUIDS,)) + uuids + pack_names(rests, quick) if fits else b""
    table = pack_table(names, kind == _TABLE_PADDED, quick)
    return bytes((kind,)) + table if table else b""


def _unmix(reader: ByteReader, max_bytes: int, primed: bool) -> bytes:
    from geneformer_codec.streams.name_model import recover

    size = reader.varint(max_bytes)
    reserve(5 * size, size)
    return recover(reader.rest(), np.zeros(size, np.uint8), np.zeros(size, np.bool_), primed, "names").tobytes()


def _unpack_uuids(reader: ByteReader, count: int, max_bytes: int) -> bytes:
    if not 0 < count <= max_bytes // UUID_LETTERS:
        raise FormatError("damaged names: they are longer than the text")
    uuids, rests = read_uuids(reader, count), reader.rest()
    if rests[:1] == bytes((_UUIDS,)):
        raise FormatError("damaged names: more than one UUID before a name")
    return put_before(uuids, unpack_names(rests, count, max_bytes - uuids.size))
