"""Qualities to bytes and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError

from .tree import LEAST, MOST, Alphabet

_SETS = {"fast": 1, "balanced": 2, "max": 4}
_SAMPLE = {"fast": 1 << 16, "balanced": 1 << 17, "max": 1 << 17}
"""Qualities that choose the profile."""
_PROFILES = 3
_HEADER = 2
_MOST_LINES = 1 << 16


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
    sets = _SETS[level]
    # The profile that suits reads from all over best: an eighth of them, or so many as make up a sample.
    some = np.arange(len(lengths)) % max(8, len(values) // _SAMPLE[level]) == 0
    here = np.repeat(some, lengths)
    sizes = [
        len(_run(symbols[here], lengths[some], bases[here], alphabet, profile, sets, None))
        for profile in range(_PROFILES)
    ]
    profile = sizes.index(min(sizes))
    return bytes((profile, sets)) + alphabet.packed() + _run(symbols, lengths, bases, alphabet, profile, sets, None)


def decode_qualities(data: bytes, lengths: NDArray[np.int64], residues: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Inverse of :func:`encode_qualities`; FormatError where ``data`` cannot be its result."""
    if not len(residues):
        if data:
            raise FormatError("damaged qualities: there are some, and no residues")
        return np.zeros(0, np.uint8)
    if len(data) < _HEADER or data[0] >= _PROFILES or data[1] not in _SETS.values():
        raise FormatError("damaged qualities: coded in an unknown way")
    # Each by itself first: sums of damaged lengths may wrap around.
    wrong = len(lengths) == 0 or int(lengths.min()) < 0 or int(lengths.max()) > len(residues)
    if wrong or int(lengths.sum()) != len(residues):
        raise FormatError("damaged qualities: the reads' lengths do not add up to their residues")
    alphabet, taken = Alphabet.read(data[_HEADER:])
    symbols = np.zeros(len(residues), np.uint8)
    _run(symbols, lengths, _BASES[residues], alphabet, data[0], data[1], data[_HEADER + taken :])
    return alphabet.values[symbols]


def _run(
    symbols: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    bases: NDArray[np.uint8],
    alphabet: Alphabet,
    profile: int,
    sets: int,
    stream: bytes | None,
) -> bytes:
    """Encode symbols, or decode the stream into them."""
    from geneformer_codec.coding.decisions import PLACE, coder_state, finish, new_mixer

    from .contexts import MEMORY
    from .kernels import NODES, ROWS, run

    if stream is None:
        data = np.empty(16 + 2 * alphabet.decisions(symbols), np.uint8)
    else:
        data = np.frombuffer(stream, np.uint8).copy()  # kernels take arrays that can be written to
    mixer = new_mixer(len(symbols), _MOST_LINES, sets, ROWS, NODES, NODES * NODES)
    memory, around, state = np.zeros(MEMORY, np.int64), np.zeros(4, np.int64), coder_state()
    decoding = stream is not None
    run(symbols, lengths, bases, profile, alphabet.tree, mixer, memory, around, state, data, decoding)
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
