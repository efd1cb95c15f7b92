"""Compiled loops that take numbers out of fields of names and put them back; ``names.py`` describes templates."""

from __future__ import annotations

import numpy as np

from geneformer_codec.coding.jit import kernels
from geneformer_codec.sequence.kernels import LF, Bytes, Integers

kernel = kernels(makes_arrays=True)

# In templates: a number written without leading zeros; a number of so many digits (the next byte, less 32).
_NATURAL, _PADDED = 1, 2
_MOST_DIGITS = 18


@kernel
def split_numbers(text: Bytes, pad_all: bool) -> tuple[Bytes, Integers, Integers]:
    """Templates and numbers of fields that are each followed by a line feed, and how many numbers each field has.

    Digits are taken at most 18 at a time. With ``pad_all`` the number of digits is in the template whenever there is
    more than one, else only where leading zeros make it necessary.
    """
    fields, digits = 0, 0
    for place in range(len(text)):
        fields += text[place] == LF
        digits += 48 <= text[place] <= 57
    # A number of two digits or more takes at most two bytes of template, one of one digit takes one.
    templates, filled = np.empty(len(text), np.uint8), 0
    numbers, n_numbers = np.empty(digits, np.int64), 0
    counts, field, place, before = np.zeros(fields, np.int64), 0, 0, 0
    while place < len(text):
        octet = text[place]
        if not 48 <= octet <= 57:
            templates[filled] = octet
            filled += 1
            place += 1
            if octet == LF:
                counts[field] = n_numbers - before
                before = n_numbers
                field += 1
            continue
        number, size = 0, 0
        while size < _MOST_DIGITS and place < len(text) and 48 <= text[place] <= 57:
            number = number * 10 + (text[place] - 48)
            size += 1
            place += 1
        if size > 1 and (pad_all or octet == 48):
            templates[filled] = _PADDED
            templates[filled + 1] = 32 + size
            filled += 2
        else:
            templates[filled] = _NATURAL
            filled += 1
        numbers[n_numbers] = number
        n_numbers += 1
    return templates[:filled], numbers[:n_numbers], counts


@kernel
def count_numbers(templates: Bytes, fields: int) -> Integers:
    """How many numbers each of ``fields`` templates has; an empty array when one is damaged."""
    counts, field, place = np.zeros(fields, np.int64), 0, 0
    while place < len(templates):
        octet = templates[place]
        if octet == LF:
            field += 1
        elif octet == _NATURAL:
            counts[field] += 1
        elif octet == _PADDED:
            place += 1
            if not 32 < templates[place] <= 32 + _MOST_DIGITS:
                return np.zeros(0, np.int64)
            counts[field] += 1
        place += 1
    return counts


@kernel
def join_numbers(templates: Bytes, numbers: Integers, most: int) -> Bytes:
    """Put numbers into checked templates; empty when a number has too many digits or the text exceeds ``most``."""
    nothing = np.zeros(0, np.uint8)
    sizes, number, size, place = np.zeros(len(numbers), np.int64), 0, 0, 0
    while place < len(templates):
        octet = templates[place]
        if octet in (_NATURAL, _PADDED):
            digits, left = 1, numbers[number] // 10
            while left > 0:
                digits += 1
                left //= 10
            if octet == _PADDED:
                place += 1
                width = templates[place] - 32
                if digits > width:
                    return nothing
                digits = width
            sizes[number] = digits
            number += 1
            size += digits
        else:
            size += 1
        place += 1
        if size > most:
            return nothing
    out, filled, number, place = np.empty(size, np.uint8), 0, 0, 0
    while place < len(templates):
        octet = templates[place]
        if octet in (_NATURAL, _PADDED):
            left = numbers[number]
            for step in range(sizes[number]):
                out[filled + sizes[number] - 1 - step] = 48 + left % 10
                left //= 10
            filled += sizes[number]
            number += 1
            place += 1 if octet == _NATURAL else 2
        else:
            out[filled] = octet
            filled += 1
            place += 1
    return out
