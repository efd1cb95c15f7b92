"""Sequences of .2bit files, in which UCSC keeps genomes: https://genome.ucsc.edu/FAQ/FAQformat.html#format7."""

from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import InputError
from geneformer_codec.files import input_error

SUFFIX = ".2bit"
_SIGNATURE = 0x1A412743
_LETTERS = np.frombuffer(b"TCAG", np.uint8)[(np.arange(256)[:, None] >> np.array([6, 4, 2, 0])) & 3].copy()
"""[256, 4] the letters of a packed byte."""


def two_bit_sequences(path: Path, sizes: Container[int] | None = None) -> Iterator[bytes]:
    """The sequence of each record, upper-case, with N where it is unknown; only records of these ``sizes``, if given.

    Raises ``InputError`` when the file is not readable, or not a .2bit file of version 0.
    """
    try:
        data = np.memmap(path, np.uint8, "r")
        for order in "<>":
            if len(data) >= 16 and data[:4].view(f"{order}u4")[0] == _SIGNATURE:
                yield from _sequences(data, order, sizes)
                return
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} is not a valid .2bit file ({error}); get it again") from error
    except OSError as error:
        raise input_error(path, error) from error
    raise InputError(f"{path} is not a .2bit file: it does not begin with its signature")


def _sequences(data: NDArray[np.uint8], order: str, sizes: Container[int] | None) -> Iterator[bytes]:
    def numbers(at: int, count: int) -> list[int]:
        held: list[int] = data[at : at + 4 * count].view(f"{order}u4").tolist()
        if len(held) != count:
            raise ValueError("it ends too early")
        return held

    version, records = numbers(4, 2)
    if version:
        raise ValueError(f"it has version {version}, and 0 can be read")
    at = 16
    for _ in range(records):
        at += 1 + int(data[at])  # its name
        place, at = numbers(at, 1)[0], at + 4
        size, unknown = numbers(place, 2)
        if sizes is not None and size not in sizes:
            continue
        starts, lengths = numbers(place + 8, unknown), numbers(place + 8 + 4 * unknown, unknown)
        place += 8 + 8 * unknown
        place += 8 + 8 * numbers(place, 1)[0]  # lower case, and a reserved number
        packed = data[place : place + (size + 3) // 4]
        if len(packed) != (size + 3) // 4:
            raise ValueError("it ends too early")
        letters = _LETTERS[packed].reshape(-1)[:size]
        for start, length in zip(starts, lengths, strict=True):
            letters[start : start + length] = ord("N")
        yield letters.tobytes()
