"""Qualities to bytes and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.qualities.tree import LEAST, MOST, Alphabet


class _Effort(NamedTuple):
    """Contexts and sets of weights; and how many reads are coded in turns, by the profile."""

    contexts: int
    sets: int
    reads: tuple[int, int, int]


_EFFORTS = {0: _Effort(4, 1, (2, 4, 2)), 2: _Effort(8, 2, (1, 4, 1)), 4: _Effort(8, 4, (1, 4, 1))}
_EFFORT_OF = {"fast": 0, "balanced": 2, "max": 4}
_SAMPLE = 1 << 16
"""Qualities that choose the profile."""
_SHORT = 512
"""Bases of the longest read, where all count as short."""
_HEAD_START = 0.08
"""On so few, short reads look dearer than they are by the contexts of the profile made for them, which learn longer."""
_PROFILES = 3
_HEADER = 2
_MOST_LINES = 1 << 16, 1 << 18, 1 << 16
"""Of each context, by the profile: k-mers need many."""


def encode_qualities(
    values: NDArray[np.uint8], lengths: NDArray[np.int64], residues: NDArray[np.uint8], level: str
) -> bytes:
    """Code the qualities of reads, as they stand in the file (33 to 126), given the reads' lengths and residues.

    ``level`` is fast, balanced or max.
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
    return bytes((profile, effort)) + alphabet.packed() + _run(symbols, lengths, bases, alphabet, profile, effort, None)


def decode_qualities(data: bytes, lengths: NDArray[np.int64], residues: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Inverse of :func:`encode_qualities`; FormatError for other ``data``."""
    if not len(residues):
        if data:
            raise FormatError("damaged qualities: there are some, and no residues")
        return np.zeros(0, np.uint8)
    if len(data) < _HEADER or data[0] >= _PROFILES or data[1] not in _EFFORTS:
        raise FormatError("damaged qualities: coded in an unknown way")
    # Each by itself first: sums of damaged lengths may wrap around.
    wrong = len(lengths) == 0 or int(lengths.min()) < 0 or int(lengths.max()) > len(residues)
    if wrong or int(lengths.sum()) != len(residues):
        raise FormatError("damaged qualities: the reads' lengths do not add up to their residues")
    alphabet, taken = Alphabet.read(data[_HEADER:])
    symbols = np.zeros(len(residues), np.uint8)
    _run(symbols, lengths, _BASES[residues], alphabet, data[0], data[1], data[_HEADER + taken :])
    return alphabet.values[symbols]


def _choose_profile(
    symbols: NDArray[np.uint8], lengths: NDArray[np.int64], bases: NDArray[np.uint8], alphabet: Alphabet
) -> int:
    """The profile that takes the fewest bytes on reads from all over: an eighth of them, or as many as are a sample."""
    some = np.arange(len(lengths)) % max(8, len(symbols) // _SAMPLE) == 0
    here = np.repeat(some, lengths)
    sizes = [
        float(len(_run(symbols[here], lengths[some], bases[here], alphabet, profile, 0, None)))
        for profile in range(_PROFILES)
    ]
    if int(lengths.max()) <= _SHORT:
        sizes[0] *= 1 - _HEAD_START
    return sizes.index(min(sizes))


def _run(
    symbols: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    bases: NDArray[np.uint8],
    alphabet: Alphabet,
    profile: int,
    effort: int,
    stream: bytes | None,
) -> bytes:
    """Encode symbols, or decode the stream into them."""
    from geneformer_codec.coding.mixing import PLACE, coder_state, finish, new_mixer
    from geneformer_codec.streams.qualities.kernels import NODES, ROWS, new_reads, run

    contexts, sets, turns = _EFFORTS[effort]
    if stream is None:
        data = np.empty(16 + 2 * alphabet.bits(symbols), np.uint8)
    else:
        data = np.frombuffer(stream, np.uint8).copy()  # kernels take arrays that can be written to
    mixer = new_mixer(len(symbols), _MOST_LINES[profile], contexts, sets, ROWS, NODES)
    reads, state, decoding = new_reads(turns[profile], contexts), coder_state(), stream is not None
    if len(alphabet.values) > 1:
        run(symbols, lengths, bases, profile, alphabet.tree, mixer, reads, state, data, decoding)
    if stream is None:
        return finish(state, data)
    if int(state[PLACE]) < len(data):
        raise FormatError("damaged qualities: bytes are left over")
    return b""


def _base_codes() -> NDArray[np.uint8]:
    codes = np.full(256, 4, np.uint8)
    for code, letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
        codes[list(letters)] = code
    return codes


_BASES = _base_codes()
