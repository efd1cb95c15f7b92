"""The panel: a species' training records, and the two ways in which a model carries them.

A model either embeds its panel, coded by functions that the caller passes, or refers to it: then it holds one refget
digest per record, and the records are searched for (`panel_references`). Both state the digest of the whole panel,
which is checked once the bases are read. `panel_cache` keeps unpacked panels for the next job on the machine.
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
from geneformer_codec.model.panel_references import Origin, find_records
from geneformer_codec.predict.panel_tables import (
    MAX_BASES,
    PackedPanel,
    pack_words,
    unpacked_words,
    words_of,
)
from geneformer_codec.sequence.digests import MD5_BYTES, SHA512T24U_BYTES, refget_id

Bases = NDArray[np.uint8]
Encode = Callable[[Bases], bytes]
Decode = Callable[[bytes, int], Bases]

MAX_RECORDS = 1 << 27
MAX_RECORD_BASES = (1 << 32) - 1
"""Of an embedded panel, whose lengths have 32 bits."""

MAX_ORIGINS = 10_000
"""Records up to which names and lengths are stated; they would be much of the file beyond."""
MAX_NAME = 200
_AT_ONCE = 1 << 20
"""Bases that are unpacked at a time."""
_LETTERS = np.frombuffer(b"ACGT", np.uint8)


def starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets int64[records + 1] of records of these lengths, laid end to end."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))


@dataclass(frozen=True, eq=False)
class Panel:
    """Training records, packed end to end in ``words`` (`panel_tables.packed_words`), and their ``starts``.

    ``starts`` is int64[records + 1], 0 first, the number of bases last. Nobody may write to them.
    """

    words: NDArray[np.uint64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[Bases]) -> "Panel":
        """A panel of these records, each uint8[length] of 0..3; ``ValueError`` for other numbers."""
        starts = starts_of(np.array([len(record) for record in records], np.int64))
        words = np.zeros(words_of(int(starts[-1])), np.uint64)
        for record, start in zip(records, starts.tolist(), strict=False):
            if len(record) and record.max() > 3:
                raise ValueError("bases must be 0..3")
            pack_words(np.ascontiguousarray(record), words, start)
        return cls(words, starts)

    @property
    def length(self) -> int:
        """Bases of all records."""
        return int(self.starts[-1])

    @property
    def bases(self) -> Bases:
        """All bases, uint8[length] of 0..3: unpacked anew each time."""
        return unpacked_words(self.words, self.length)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bases of each record, int64[records]."""
        return np.diff(self.starts)

    @property
    def packed(self) -> PackedPanel:
        """As the experts take it."""
        return PackedPanel(self.words, self.length, self.starts[self.starts < self.length])

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the lengths and then the words that hold bases, all little-endian 64-bit integers."""
        digest = hashlib.sha256(np.ascontiguousarray(self.lengths, "<i8").data)
        digest.update(np.ascontiguousarray(self.words[: -(-self.length // 32)], "<u8").data)
        return digest.hexdigest()

    @cached_property
    def refget_digests(self) -> NDArray[np.uint8]:
        """The sha512t24u of each record's text of A, C, G and T: uint8[records, 24]."""
        digests = np.empty((len(self.starts) - 1, SHA512T24U_BYTES), np.uint8)
        for record, (start, stop) in enumerate(zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)):
            digest = hashlib.sha512()
            for at in range(start, stop, _AT_ONCE):
                digest.update(_LETTERS[unpacked_words(self.words, min(_AT_ONCE, stop - at), at)].data)
            digests[record] = np.frombuffer(digest.digest(), np.uint8, SHA512T24U_BYTES)
        return digests

    @property
    def refget(self) -> list[str]:
        """The refget name of each record, ``SQ.`` and 32 letters."""
        return [refget_id(digest.tobytes()) for digest in self.refget_digests]


@dataclass(frozen=True, eq=False)
class EmbeddedPanel:
    """A panel inside its model: ``lengths`` int64[records] and the ``coded`` bases, ``bases`` of them.

    Raises ``FormatError`` for invalid sizes, and those above `MAX_BASES` and `MAX_RECORDS`.
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
        """What it holds as tensors, both uint8[bytes]: ``coded``, and ``lengths``, 32 bits per record, packed."""
        lengths = pack(to_planes(self.lengths.astype(np.uint32)))
        return {"coded": np.frombuffer(self.coded, np.uint8), "lengths": np.frombuffer(lengths, np.uint8)}


@dataclass(frozen=True, eq=False)
class ReferencedPanel:
    """A panel outside its model: ``refget`` uint8[records, 24], the sha512t24u of each record.

    ``md5`` uint8[records, 16] is that of each whole sequence, with letters that are no bases, as in SAM headers; zeros
    where it is not known. ``names`` and ``residues``, letters of whole sequences, are of each record, "" and 0 where
    they are not known, or empty. Checked as above.
    """

    KIND: ClassVar[str] = "referenced"

    digest: str
    bases: int
    refget: NDArray[np.uint8]
    md5: NDArray[np.uint8]
    names: Sequence[str] = ()
    residues: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.md5.dtype != np.uint8 or self.md5.shape != (len(self.refget), MD5_BYTES):
            raise FormatError("the MD5s of the model's panel are not 16 bytes for each record")
        if self.refget.dtype != np.uint8 or self.refget.ndim != 2 or self.refget.shape[1] != SHA512T24U_BYTES:
            raise FormatError("the digests of the model's panel are not 24 bytes for each record")
        _check(self.digest, self.bases, len(self.refget))
        for values, kind in ((self.names, str), (self.residues, int)):
            if not isinstance(values, list | tuple) or len(values) not in (0, len(self.refget)):
                raise FormatError("the names and lengths of the model's panel are not one of each record")
            if not all(type(value) is kind for value in values):
                raise FormatError("the names and lengths of the model's panel are not texts and numbers")

    @property
    def records(self) -> int:
        """How many records the panel has."""
        return len(self.refget)

    @property
    def origins(self) -> list[Origin]:
        """What is known of each record."""
        names, residues = self.names or [""] * self.records, self.residues or [0] * self.records
        md5s = [row.tobytes() for row in self.md5]
        return [Origin(*known) for known in zip(names, residues, md5s, strict=True)]

    def settings(self) -> dict[str, Any]:
        """What the model file holds as JSON."""
        known = {"names": list(self.names), "residues": list(self.residues)}
        return _settings(self) | {name: values for name, values in known.items() if values}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What it holds as tensors: ``refget`` uint8[records, 24] and ``md5`` uint8[records, 16]."""
        return {"refget": self.refget, "md5": self.md5}


PanelSource = EmbeddedPanel | ReferencedPanel


def embed(panel: Panel, encode: Encode) -> EmbeddedPanel:
    """The panel as a model carries it, its bases coded by ``encode``."""
    return EmbeddedPanel(panel.digest, panel.length, panel.lengths, encode(panel.bases))


def refer(panel: Panel, origins: Sequence[Origin] = ()) -> ReferencedPanel:
    """The panel as a model names it; ``origins`` describe its records, if known."""
    known = origins or [Origin()] * len(panel.lengths)
    md5 = np.frombuffer(b"".join(origin.md5 for origin in known), np.uint8).reshape(-1, MD5_BYTES)
    stated = origins if len(origins) <= MAX_ORIGINS else ()
    names, residues = [origin.name[:MAX_NAME] for origin in stated], [origin.residues for origin in stated]
    return ReferencedPanel(panel.digest, panel.length, panel.refget_digests, md5, names, residues)


def panel_source(settings: object, tensors: Mapping[str, NDArray[Any]]) -> PanelSource:
    """The inverse of ``settings()`` and ``tensors()``. Raises ``FormatError`` for anything else."""
    kind = settings.get("kind") if isinstance(settings, dict) else None
    names = {"embedded": {"coded", "lengths"}, "referenced": {"refget", "md5"}}
    if not isinstance(settings, dict) or not isinstance(kind, str) or kind not in names:
        raise FormatError(f"the model's panel is of a kind {str(kind)[:40]!r} that this version does not support")
    known = {"names", "residues"} & set(settings) if kind == "referenced" else set()
    if set(settings) != {"kind", "digest", "bases", "records"} | known or set(tensors) != names[kind]:
        raise FormatError("the settings or tensors of the model's panel are not those of its kind")
    digest, bases, records = settings["digest"], settings["bases"], settings["records"]
    _check(digest, bases, records)
    if kind == "referenced":
        refget = tensors["refget"]
        if refget.ndim == 0 or len(refget) != records:
            raise FormatError(f"the model's panel has {records} records but tensors of shape {list(refget.shape)}")
        return ReferencedPanel(digest, bases, refget, tensors["md5"], **{name: settings[name] for name in known})
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
        bases = np.ascontiguousarray(decode(source.coded, source.bases))
        if bases.dtype != np.uint8 or bases.shape != (source.bases,) or (source.bases and bases.max() > 3):
            raise FormatError(f"the model's panel is damaged: it does not decode to {source.bases} bases")
        found = np.split(bases, starts_of(source.lengths)[1:-1]) if source.records else []
    else:
        digests = [row.tobytes() for row in source.refget]
        found = find_records(digests, source.bases, search_path, source.origins)
        check_lengths(np.array([len(record) for record in found], np.int64), source.bases)
    panel = Panel.of(found)
    if panel.digest != source.digest:
        raise FormatError(f"the model's panel is damaged: its digest is {panel.digest}, not {source.digest}")
    return panel


def panel_bytes(bases: int, records: int) -> int:
    """What a panel takes in memory until it is packed and indexed."""
    return 3 * bases + (64 << 20) + 40 * records


def check_lengths(lengths: NDArray[np.int64], bases: int) -> None:
    """Raise ``FormatError`` unless ``lengths`` is int64[records] of records that have ``bases`` bases together."""
    if lengths.dtype != np.int64 or lengths.ndim != 1:
        raise FormatError(f"the lengths of the model's panel are {lengths.dtype}{list(lengths.shape)}, not int64")
    # each is bounded before they are summed, so that the sum cannot wrap
    if len(lengths) and (lengths.min() < 0 or lengths.max() > min(bases, MAX_RECORD_BASES)):
        raise FormatError(
            "a record of the model's panel has a length below 0, above that of the panel, or above "
            f"{MAX_RECORD_BASES:,} bases"
        )
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
