"""The panel: a species' training records, and the two ways in which a model carries them.

A model either embeds its panel, coded by whatever the caller injects, or refers to it: then it holds one refget digest
a record, and the records are looked for on a search path (`panel_search`). Both say the digest of the whole panel,
which is checked once the bases are there. `panel_cache` keeps unpacked panels for the next job on the machine.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.model.packed_integers import from_planes, pack, to_planes, unpack
from geneformer_codec.model.panel_references import find_records
from geneformer_codec.sequence.digests import SHA512T24U_BYTES, refget_id

Bases = NDArray[np.uint8]
Encode = Callable[[Bases], bytes]
Decode = Callable[[bytes, int], Bases]

MAX_BASES = 1 << 31
MAX_RECORDS = 1 << 27
"""With these bounds lengths fit into 32 bits, and sums of them into 64."""

_STEP = 1 << 18  # packed bytes at a time: they and what they become stay in a core's cache
_LETTERS = np.frombuffer(b"ACGT", np.uint8)
_QUADS = ((np.arange(256)[:, None] >> np.arange(0, 8, 2)) & 3).astype(np.uint8).view(np.uint32).ravel()


def pack_bases(bases: Bases) -> Bases:
    """Two bits a base: uint8[n] of 0..3 to uint8[(n + 3) // 4], first base in the low bits, padded with 0."""
    bases = np.ascontiguousarray(bases)
    whole = len(bases) // 4
    packed = np.empty((len(bases) + 3) // 4, np.uint8)
    quads = bases[: 4 * whole].view("<u4")
    for start in range(0, whole, _STEP):
        quad = quads[start : start + _STEP]
        # the low byte of this is what is wanted, the rest is cut off
        packed[start : min(start + _STEP, whole)] = (quad | quad >> 6 | quad >> 12 | quad >> 18).astype(np.uint8)
    if whole < len(packed):
        packed[whole] = sum(int(base) << 2 * place for place, base in enumerate(bases[4 * whole :]))
    return packed


def unpack_bases(packed: Bases, count: int) -> Bases:
    """Inverse of `pack_bases`: uint8[count]. Raises ``FormatError`` for another size, or a padding that is not 0."""
    if count < 0 or packed.shape != ((count + 3) // 4,):
        raise FormatError(f"{packed.size} packed bytes do not hold {count} bases")
    if count % 4 and int(packed[-1]) >> 2 * (count % 4):
        raise FormatError("the last packed byte holds more than the last bases")
    quads = np.empty(len(packed), np.uint32)
    for start in range(0, len(packed), _STEP):
        stop = min(start + _STEP, len(packed))
        np.take(_QUADS, packed[start:stop], out=quads[start:stop], mode="clip")
    return quads.view(np.uint8)[:count]


def starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets int64[records + 1] of records of these lengths, laid end to end."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))


def panel_digest(lengths: NDArray[np.int64], packed: Bases) -> str:
    """SHA-256, in hex, of the lengths as little-endian 64-bit integers and then the packed bases."""
    digest = hashlib.sha256(np.ascontiguousarray(lengths, "<i8").data)
    digest.update(np.ascontiguousarray(packed).data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Panel:
    """Training records: ``bases`` uint8[n] of 0..3, all end to end, and ``starts`` int64[records + 1], 0 first, n last.

    Both are C-contiguous; nobody may write to them. Raises ``ValueError`` for arrays that are no panel.
    """

    bases: Bases
    starts: NDArray[np.int64]

    def __post_init__(self) -> None:
        bases, starts = self.bases, self.starts
        if bases.dtype != np.uint8 or bases.ndim != 1 or not bases.flags.c_contiguous:
            raise ValueError(f"bases must be contiguous uint8[n], not {bases.dtype}{list(bases.shape)}")
        if starts.dtype != np.int64 or starts.ndim != 1 or not len(starts) or not starts.flags.c_contiguous:
            raise ValueError(f"starts must be contiguous int64[records + 1], not {starts.dtype}{list(starts.shape)}")
        if starts[0] != 0 or starts[-1] != len(bases) or np.any(starts[1:] < starts[:-1]):
            raise ValueError(f"starts must rise from 0 to the number of bases, {len(bases)}")
        if len(bases) and bases.max() > 3:
            raise ValueError("bases must be 0..3")

    @classmethod
    def of(cls, records: Sequence[Bases]) -> "Panel":
        """A panel of these records, each uint8[length] of 0..3."""
        bases = np.concatenate([np.zeros(0, np.uint8), *records])
        return cls(bases, starts_of(np.array([len(record) for record in records], np.int64)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bases of each record, int64[records]."""
        return np.diff(self.starts)

    @cached_property
    def digest(self) -> str:
        """See `panel_digest`."""
        return panel_digest(self.lengths, pack_bases(self.bases))

    @cached_property
    def refget_digests(self) -> NDArray[np.uint8]:
        """The sha512t24u of each record's text of A, C, G and T: uint8[records, 24]."""
        digests = np.empty((len(self.starts) - 1, SHA512T24U_BYTES), np.uint8)
        for record, (start, stop) in enumerate(zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)):
            text = _LETTERS[self.bases[start:stop]]
            digests[record] = np.frombuffer(hashlib.sha512(text.data).digest(), np.uint8, SHA512T24U_BYTES)
        return digests

    @property
    def refget(self) -> list[str]:
        """The refget name of each record, ``SQ.`` and 32 letters."""
        return [refget_id(digest.tobytes()) for digest in self.refget_digests]


@dataclass(frozen=True, eq=False)
class EmbeddedPanel:
    """A panel inside its model: ``lengths`` int64[records] and the ``coded`` bases, ``bases`` of them.

    Raises ``FormatError`` for sizes that cannot be, or are more than `MAX_BASES` and `MAX_RECORDS`.
    """

    KIND: ClassVar[str] = "embedded"

    digest: str
    bases: int
    lengths: NDArray[np.int64]
    coded: bytes

    def __post_init__(self) -> None:
        _check(self.digest, self.bases, len(self.lengths))
        check_lengths(self.lengths, self.bases)

    @property
    def records(self) -> int:
        """How many records the panel has."""
        return len(self.lengths)

    def settings(self) -> dict[str, Any]:
        """What the model file holds as JSON."""
        return _settings(self)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What it holds as tensors, both uint8[bytes]: ``coded``, and ``lengths``, 32 bits a record, packed."""
        lengths = pack(to_planes(self.lengths.astype(np.uint32)))
        return {"coded": np.frombuffer(self.coded, np.uint8), "lengths": np.frombuffer(lengths, np.uint8)}


@dataclass(frozen=True, eq=False)
class ReferencedPanel:
    """A panel outside its model: ``refget`` uint8[records, 24], the sha512t24u of each record. Checked as above."""

    KIND: ClassVar[str] = "referenced"

    digest: str
    bases: int
    refget: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.refget.dtype != np.uint8 or self.refget.ndim != 2 or self.refget.shape[1] != SHA512T24U_BYTES:
            raise FormatError("the digests of the model's panel are not 24 bytes for each record")
        _check(self.digest, self.bases, len(self.refget))

    @property
    def records(self) -> int:
        """How many records the panel has."""
        return len(self.refget)

    def settings(self) -> dict[str, Any]:
        """What the model file holds as JSON."""
        return _settings(self)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What it holds as tensors: ``refget`` uint8[records, 24]."""
        return {"refget": self.refget}


PanelSource = EmbeddedPanel | ReferencedPanel


def embed(panel: Panel, encode: Encode) -> EmbeddedPanel:
    """The panel as a model carries it, its bases coded by ``encode``."""
    return EmbeddedPanel(panel.digest, len(panel.bases), panel.lengths, encode(panel.bases))


def refer(panel: Panel) -> ReferencedPanel:
    """The panel as a model names it."""
    return ReferencedPanel(panel.digest, len(panel.bases), panel.refget_digests)


def panel_source(settings: object, tensors: Mapping[str, NDArray[Any]]) -> PanelSource:
    """The inverse of ``settings()`` and ``tensors()``. Raises ``FormatError`` for anything else."""
    kind = settings.get("kind") if isinstance(settings, dict) else None
    names = {"embedded": {"coded", "lengths"}, "referenced": {"refget"}}
    if not isinstance(settings, dict) or not isinstance(kind, str) or kind not in names:
        raise FormatError(f"the model's panel is of a kind {str(kind)[:40]!r} that this version does not know")
    if set(settings) != {"kind", "digest", "bases", "records"} or set(tensors) != names[kind]:
        raise FormatError("the settings or tensors of the model's panel are not those of its kind")
    digest, bases, records = settings["digest"], settings["bases"], settings["records"]
    _check(digest, bases, records)
    if kind == "referenced":
        refget = tensors["refget"]
        if refget.ndim == 0 or len(refget) != records:
            raise FormatError(f"the model's panel has {records} records but tensors of shape {list(refget.shape)}")
        return ReferencedPanel(digest, bases, refget)
    coded, packed = tensors["coded"], tensors["lengths"]
    for tensor in (coded, packed):
        if tensor.dtype != np.uint8 or tensor.ndim != 1:
            raise FormatError(f"a tensor of the model's panel is {tensor.dtype}{list(tensor.shape)}, not bytes")
    lengths = from_planes(unpack(packed.tobytes(), 4 * records, "the lengths of the model's panel")).astype(np.int64)
    return EmbeddedPanel(digest, bases, lengths, coded.tobytes())


def load(source: PanelSource, decode: Decode, search_path: str | None = None) -> Panel:
    """The panel itself: ``decode(coded, bases)`` gives uint8[bases] of 0..3, or its records are looked for.

    ``search_path`` replaces the environment's. Raises ``FormatError`` when what comes out is not the panel of the
    digest, ``ModelMissingError`` when records that are referred to are not found.
    """
    if isinstance(source, EmbeddedPanel):
        bases, lengths = np.ascontiguousarray(decode(source.coded, source.bases)), source.lengths
        if bases.dtype != np.uint8 or bases.shape != (source.bases,) or (source.bases and bases.max() > 3):
            raise FormatError(f"the model's panel is damaged: it does not decode to {source.bases} bases")
    else:
        found = find_records([digest.tobytes() for digest in source.refget], source.bases, search_path)
        lengths = np.array([len(record) for record in found], np.int64)
        check_lengths(lengths, source.bases)
        bases = np.concatenate([np.zeros(0, np.uint8), *found])
    panel = Panel(bases, starts_of(lengths))
    if panel.digest != source.digest:
        raise FormatError(f"the model's panel is damaged: its digest is {panel.digest}, not {source.digest}")
    return panel


def panel_bytes(bases: int, records: int) -> int:
    """What a panel takes in memory, ready to be searched: bases, the same packed, the place of each, an index."""
    return 21 * bases // 4 + (64 << 20) + 40 * records


def check_lengths(lengths: NDArray[np.int64], bases: int) -> None:
    """Raise ``FormatError`` unless ``lengths`` is int64[records] of records that have ``bases`` bases together."""
    if lengths.dtype != np.int64 or lengths.ndim != 1:
        raise FormatError(f"the lengths of the model's panel are {lengths.dtype}{list(lengths.shape)}, not int64")
    # each is bounded before they are summed, so that the sum cannot wrap
    if len(lengths) and (lengths.min() < 0 or lengths.max() > bases):
        raise FormatError("a record of the model's panel has a length below 0 or above that of the panel")
    if int(lengths.sum()) != bases:
        raise FormatError(f"the records of the model's panel have {int(lengths.sum())} bases, not the {bases} stated")


def _check(digest: object, bases: object, records: object) -> None:
    # the digest becomes the name of a file
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise FormatError(f"the model's panel has a digest {str(digest)[:70]!r} that is no SHA-256")
    for name, value, most in (("bases", bases, MAX_BASES), ("records", records, MAX_RECORDS)):
        if type(value) is not int or not 0 <= value <= most:
            raise FormatError(f"the model's panel has {str(value)[:40]!r} {name}; 0 to {most} are possible")


def _settings(source: PanelSource) -> dict[str, Any]:
    return {"kind": source.KIND, "digest": source.digest, "bases": source.bases, "records": source.records}
