"""Qualities to bytes and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.slices import Run, are_slice_bits, bits_for, code_slices, read_edges
from geneformer_codec.errors import FormatError
from geneformer_codec.streams.packing import ByteReader, frame_slices
from geneformer_codec.streams.qualities.slices import EFFORTS, QualityCodec, QualitySlice, cut_slices
from geneformer_codec.streams.qualities.tree import LEAST, MOST, Alphabet

_EFFORT_OF = {"fast": 0, "balanced": 2, "max": 4}
_SAMPLE = 1 << 16
"""Qualities that choose the profile."""
_SHORT = 512
"""Bases of the longest read, where all count as short."""
_HEAD_START = 0.08
"""On so few, short reads look dearer than they are by the contexts of the profile made for them, which learn longer."""
_PROFILES = 3
_HEADER = 2
_EFFORT_BITS = 3
"""Of the second byte of the header; those above are the slices' size."""


def encode_qualities(
    values: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    residues: NDArray[np.uint8],
    level: str,
    slice_bits: int = 0,
    run: Run = code_slices,
) -> bytes:
    """Code the qualities of reads, as they stand in the file (33 to 126), given the reads' lengths and residues.

    ``level`` is fast, balanced or max. They are cut into slices of at most 2**``slice_bits``, if that is not 0.
    """
    if len(values) != len(residues) or len(values) != int(lengths.sum()):
        raise ValueError("reads must have as many qualities as residues")
    if not len(values):
        return b""
    if int(values.min()) < LEAST or int(values.max()) > MOST:
        raise ValueError("qualities are bytes 33 to 126")
    alphabet = Alphabet.of(values)
    symbols, bases = alphabet.ranks[values], _BASES[residues]
    effort = _EFFORT_OF[level]
    profile = _choose_profile(symbols, lengths, bases, alphabet)
    bits = bits_for(len(values), slice_bits)
    slices = cut_slices(symbols, lengths, bases, read_edges(lengths, bits))
    coded = run(QualityCodec(profile, effort, alphabet, not bits), slices, None)
    head = bytes((profile, bits << _EFFORT_BITS | effort)) + alphabet.packed()
    return head + frame_slices(coded)


def decode_qualities(
    data: bytes, lengths: NDArray[np.int64], residues: NDArray[np.uint8], run: Run = code_slices
) -> NDArray[np.uint8]:
    """Inverse of :func:`encode_qualities`; FormatError for other ``data``."""
    coded = CodedQualities.read(data, lengths, len(residues))
    return coded.decode(range(len(coded.streams)), residues, run)


class CodedQualities(NamedTuple):
    """Slices of qualities that can be decoded each by itself."""

    codec: QualityCodec
    lengths: NDArray[np.int64]
    reads: list[int]
    """Where slices begin, and the last one ends."""
    places: list[int]
    """The same in qualities."""
    streams: list[bytes]

    @classmethod
    def read(cls, data: bytes, lengths: NDArray[np.int64], count: int) -> CodedQualities:
        """The slices of ``count`` qualities."""
        if not count:
            if data:
                raise FormatError("damaged qualities: there are some, and no residues")
            return cls(QualityCodec(0, 0, Alphabet(np.zeros(0, np.uint8), b"")), lengths, [0], [0], [])
        effort, bits = (data[1] & (1 << _EFFORT_BITS) - 1, data[1] >> _EFFORT_BITS) if len(data) >= _HEADER else (1, 0)
        if effort not in EFFORTS or data[0] >= _PROFILES or not are_slice_bits(bits):
            raise FormatError("damaged qualities: coded in an unknown way")
        # Each by itself first: sums of damaged lengths may wrap around.
        wrong = len(lengths) == 0 or int(lengths.min()) < 0 or int(lengths.max()) > count
        if wrong or int(lengths.sum()) != count:
            raise FormatError("damaged qualities: the reads' lengths do not add up to their residues")
        alphabet, taken = Alphabet.read(data[_HEADER:])
        edges, ends = read_edges(lengths, bits), np.concatenate(([0], np.cumsum(lengths)))
        reader = ByteReader(data[_HEADER + taken :], "qualities")
        streams = reader.slices(len(edges) - 1)
        return cls(QualityCodec(data[0], effort, alphabet, not bits), lengths, edges, ends[edges].tolist(), streams)

    def decode(self, numbers: range, residues: NDArray[np.uint8], run: Run = code_slices) -> NDArray[np.uint8]:
        """The qualities of slices in a row, given the residues of these."""
        symbols, edges = np.zeros(len(residues), np.uint8), self.reads[numbers.start : numbers.stop + 1]
        slices = cut_slices(symbols, self.lengths, _BASES[residues], edges)
        run(self.codec, slices, self.streams[numbers.start : numbers.stop])
        return self.codec.alphabet.values[symbols]


def _choose_profile(
    symbols: NDArray[np.uint8], lengths: NDArray[np.int64], bases: NDArray[np.uint8], alphabet: Alphabet
) -> int:
    """The profile that takes the fewest bytes on reads from all over: an eighth of them, or as many as are a sample."""
    some = np.arange(len(lengths)) % max(8, len(symbols) // _SAMPLE) == 0
    here = np.repeat(some, lengths)
    sample = QualitySlice(symbols[here], lengths[some], bases[here])
    sizes = [float(len(QualityCodec(profile, 0, alphabet).code(sample, None))) for profile in range(_PROFILES)]
    if int(lengths.max()) <= _SHORT:
        sizes[0] *= 1 - _HEAD_START
    return sizes.index(min(sizes))


def _base_codes() -> NDArray[np.uint8]:
    codes = np.full(256, 4, np.uint8)
    for code, letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
        codes[list(letters)] = code
    return codes


_BASES = _base_codes()
