"""Compiled loops over FASTQ; see ``kernels.py``, whose conventions these share.

A *read* here is a regular one: header, sequence lines, a ``+`` line and as many quality lines of the same lengths, all
with the same line end. All else is unparsed text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import helper, kernels
from geneformer_codec.sequence.kernels import CR, HEADER, LF, Bytes, Integers, _push, copy_bytes

kernel = kernels(makes_arrays=True)
Flags = NDArray[np.bool_]

AT, PLUS, SPACE = 64, 43, 32
ZERO, ONE, SLASH, DOT, UNDERSCORE, LETTER_R = b"01/._R"
LEAST, MOST = 33, 126  # qualities; lines with other bytes are none


@helper
def _has_cr(text: Bytes, start: int, stop: int) -> bool:
    """Whether the line from ``start`` to its line feed at ``stop`` ends in CR LF; the last line may have no end."""
    return start < stop < len(text) and text[stop - 1] == CR


@helper
def _same(one: Bytes, start: int, other: Bytes, begin: int, size: int) -> bool:
    """Whether as many bytes of two texts are the same, from these places on."""
    for step in range(size):  # noqa: SIM110 - compiled, and numba has no all() of a generator
        if one[start + step] != other[begin + step]:
            return False
    return True


@helper
def _read_at(text: Bytes, ends: Integers, first: int) -> tuple[int, bool]:
    """Sequence lines of the read whose header is line ``first``, and whether it is named twice; -1 if it is none."""
    start = ends[first - 1] + 1 if first > 0 else 0
    stop = ends[first]
    if stop == len(text) or stop == start or text[start] != AT:
        return -1, False
    crlf = _has_cr(text, start, stop)
    line = first + 1
    while line < len(ends):
        begin, end = ends[line - 1] + 1, ends[line]
        if end == len(text) or _has_cr(text, begin, end) != crlf:
            return -1, False
        if end > begin and (text[begin] == AT or text[begin] == HEADER):
            return -1, False
        if end > begin and text[begin] == PLUS:
            break
        line += 1
    if line >= len(ends):
        return -1, False
    lines = line - first - 1
    begin, size = ends[line - 1] + 1, ends[line] - ends[line - 1] - 2 - crlf
    named = size > 0
    if named and (size != stop - start - 1 - crlf or not _same(text, start + 1, text, begin + 1, size)):
        return -1, False
    if line + lines >= len(ends):
        return -1, False
    for step in range(lines):
        here, there = first + 1 + step, line + 1 + step
        size, found = ends[here] - ends[here - 1], ends[there] - ends[there - 1]
        if ends[there] == len(text):  # the last line, without an end
            found += crlf
        elif _has_cr(text, ends[there - 1] + 1, ends[there]) != crlf:
            return -1, False
        if size != found:
            return -1, False
        for place in range(ends[there - 1] + 1, ends[there] - (crlf if ends[there] < len(text) else 0)):
            if text[place] < LEAST or text[place] > MOST:
                return -1, False
    return lines, named


@kernel
def scan_reads(text: Bytes, ends: Integers) -> tuple[Integers, Integers, Integers, Integers, Integers, Integers]:
    """The reads of a text whose lines end at ``ends`` (its length, if the last line has no end).

    Returns, of each: where it starts, where its ``+`` line does, where its qualities do, and where it stops; its
    sequence lines; whether its name is repeated.
    """
    starts, pluses, bodies = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    stops, counts, repeats = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    reads = 0
    line = 0
    while line < len(ends):
        lines, named = _read_at(text, ends, line)
        if lines < 0:
            line += 1
            continue
        plus, last = line + lines + 1, line + 2 * lines + 1
        starts = _push(starts, reads, ends[line - 1] + 1 if line > 0 else 0)
        pluses = _push(pluses, reads, ends[plus - 1] + 1)
        bodies = _push(bodies, reads, ends[plus] + 1)
        stops = _push(stops, reads, min(ends[last] + 1, len(text)))
        counts = _push(counts, reads, lines)
        repeats = _push(repeats, reads, 1 if named else 0)
        reads += 1
        line = last + 1
    return starts[:reads], pluses[:reads], bodies[:reads], stops[:reads], counts[:reads], repeats[:reads]


@helper
def _name_stop(text: Bytes, start: int) -> int:
    """Where the name that begins at ``start`` ends: at the first blank."""
    stop = start
    while stop < len(text) and text[stop] > SPACE:
        stop += 1
    return stop


@kernel
def find_odd_mates(one: Bytes, starts: Integers, other: Bytes, mates: Integers) -> tuple[int, int]:
    """How many pairs of reads have names that do not match, and the number of the first of them.

    Reads begin at ``starts`` and ``mates``. Names match up to the first blank, but for ``/1`` and ``/2`` at their ends,
    and a 1 at the end of the first and a 2 of the second behind ``.``, ``_`` or ``R``.
    """
    odd, first = 0, -1
    for pair in range(min(len(starts), len(mates))):
        start, mate = starts[pair] + 1, mates[pair] + 1
        stop, end = _name_stop(one, start), _name_stop(other, mate)
        first_of_two = stop > start + 1 and one[stop - 1] == ONE
        second_of_two = end > mate + 1 and other[end - 1] == ONE + 1
        if first_of_two and second_of_two and one[stop - 2] in (DOT, UNDERSCORE, LETTER_R):
            stop, end = stop - 1, end - 1
        if first_of_two and one[stop - 2] == SLASH:
            stop -= 2
        if second_of_two and other[end - 2] == SLASH:
            end -= 2
        size = stop - start
        if size != end - mate or not _same(one, start, other, mate, size):
            first = pair if odd == 0 else first
            odd += 1
    return odd, first


@helper
def _fnv(text: Bytes, start: int, stop: int) -> np.uint64:
    """The FNV-1a hash of a range of a text."""
    found = np.uint64(0xCBF29CE484222325)
    for place in range(start, stop):
        found = (found ^ np.uint64(text[place])) * np.uint64(0x100000001B3)
    return found


@kernel
def sum_hashes(text: Bytes, sizes: Integers) -> np.uint64:
    """The sum of the hashes of ranges that follow one another, which does not depend on their order."""
    found, start = np.uint64(0), 0
    for size in sizes:
        found += _fnv(text, start, start + size)
        start += size
    return found


@kernel
def name_keys(text: Bytes, starts: Integers, paired: bool, keys: Bytes) -> None:
    """Keys [reads, bytes], zero before, that sort as names up to the first blank do, numbers in them by value.

    Before its digits, a number has how many these are. A name that is too long for its key has a hash (FNV-1a) in the
    last 8 bytes. With ``paired``, a ``/1`` or ``/2`` at the end of a name is left out.
    """
    most = keys.shape[1]
    for read in range(len(starts)):
        start = starts[read] + 1
        stop, filled = _name_stop(text, start), 0
        if paired and stop > start + 1 and text[stop - 2] == SLASH and ONE <= text[stop - 1] <= ONE + 1:
            stop -= 2
        place, digits_stop = start, start
        while place < stop and filled < most:
            if place == digits_stop:
                while digits_stop < stop and ZERO <= text[digits_stop] <= ZERO + 9:
                    digits_stop += 1
                if digits_stop > place:
                    keys[read, filled] = ZERO + min(digits_stop - place, MOST - ZERO)
                    filled += 1
                else:
                    digits_stop += 1
                if filled == most:
                    break
            keys[read, filled] = text[place]
            place, filled = place + 1, filled + 1
        if place < stop:
            name_hash = _fnv(text, start, stop)
            for step in range(8):
                keys[read, most - 1 - step] = name_hash & np.uint64(255)
                name_hash >>= np.uint64(8)


@kernel
def match_names(one: Bytes, other: Bytes, matched: Flags, others_matched: Flags) -> None:
    """Which rows of two sorted tables [rows, bytes] have one in the other that no row before them has."""
    here = there = 0
    while here < len(one) and there < len(other):
        order = np.int64(0)
        for step in range(one.shape[1]):
            order = np.int64(one[here, step]) - np.int64(other[there, step])
            if order != 0:
                break
        if order == 0:
            matched[here] = others_matched[there] = True
        here += 1 if order <= 0 else 0
        there += 1 if order >= 0 else 0


@kernel
def take_ranges(text: Bytes, starts: Integers, sizes: Integers, out: Bytes) -> None:
    """Copy ranges of a text, one after the other."""
    filled = 0
    for number in range(len(starts)):
        start, size = starts[number], sizes[number]
        copy_bytes(text[start : start + size], out[filled : filled + size])
        filled += size


@kernel
def map_ranges(text: Bytes, starts: Integers, stops: Integers, table: Bytes) -> None:
    """Replace the bytes of ranges by ``table``."""
    for number in range(len(starts)):
        for place in range(starts[number], stops[number]):
            text[place] = table[text[place]]


@kernel
def gather_qualities(text: Bytes, pluses: Integers, bodies: Integers, stops: Integers) -> Bytes:
    """The quality lines of reads, without their ends; ``pluses`` are used to find the line end of a read."""
    out, filled = np.empty(np.sum(stops - bodies), np.uint8), 0
    for number in range(len(bodies)):
        start, crlf = bodies[number], text[pluses[number] - 2] == CR
        for place in range(bodies[number], stops[number]):
            if text[place] == LF:
                size = place - crlf - start
                copy_bytes(text[start : start + size], out[filled : filled + size])
                filled += size
                start = place + 1
        if start < stops[number]:  # the last line, without an end
            size = stops[number] - start
            copy_bytes(text[start : stops[number]], out[filled : filled + size])
            filled += size
    return out[:filled]


@kernel
def write_reads(
    fasta: Bytes,
    place: int,
    qualities: Bytes,
    used: int,
    reads: int,
    repeats: Integers,
    gaps: Integers,
    lengths: Integers,
    unparsed: Bytes,
    out: Bytes,
) -> tuple[int, int, int, int]:
    """Write so many reads, from ``place`` of their FASTA text and ``used`` of their qualities on.

    ``repeats`` are the reads where it changes whether names are repeated; unparsed stretches are ``gaps`` reads apart.
    Returns the bytes written, where the next read and its qualities are, and the length of the last line end; all -1 if
    it does not fit. ``out`` has room for twice the FASTA text and the unparsed text.
    """
    filled, change, named, stretch, taken, crlf = 0, 0, False, 0, 0, 0
    next_stretch = gaps[0] if len(gaps) > 0 else -1
    for read in range(reads + 1):
        while stretch < len(gaps) and next_stretch == read:
            out[filled : filled + lengths[stretch]] = unparsed[taken : taken + lengths[stretch]]
            filled += lengths[stretch]
            taken += lengths[stretch]
            stretch += 1
            next_stretch += gaps[stretch] if stretch < len(gaps) else 0
        if read == reads:
            break
        while change < len(repeats) and repeats[change] == read:
            named = not named
            change += 1
        first, here = place, place
        if place >= len(fasta) or fasta[place] != HEADER:
            return -1, -1, -1, -1
        while fasta[here] != LF:
            here += 1
        crlf = 1 if fasta[here - 1] == CR else 0
        here += 1
        header = here - first
        lines = here
        while here < len(fasta) and fasta[here] != HEADER:
            while fasta[here] != LF:
                here += 1
            here += 1
        out[filled] = AT
        for step in range(1, here - first):
            out[filled + step] = fasta[first + step]
        filled += here - first
        out[filled] = PLUS
        filled += 1
        for step in range(1 if named else header - 1 - crlf, header):
            out[filled] = fasta[first + step]
            filled += 1
        start = lines
        while start < here:
            stop = start
            while fasta[stop] != LF:
                stop += 1
            size = stop - start - crlf
            if size < 0 or used + size > len(qualities):
                return -1, -1, -1, -1
            copy_bytes(qualities[used : used + size], out[filled : filled + size])
            filled += size
            used += size
            for step in range(stop - crlf, stop + 1):
                out[filled] = fasta[step]
                filled += 1
            start = stop + 1
        place = here
    return filled, place, used, 1 + crlf


@kernel
def find_changes(names: Bytes, split: int, changes: Integers, from_end: Integers, from_blank: Integers) -> None:
    """Compare the names before ``split`` with those after it, each followed by LF; there are ``len(changes)`` of both.

    ``changes``: how many bytes differ, 2 if it is more than one, or not a 1 that becomes a 2. Where one differs:
    ``from_end``, its distance from the end of the name; ``from_blank``, how far it is behind the first blank, or behind
    the end if there is none; negative before it. Elsewhere both are 0.
    """
    one, other = 0, split
    for number in range(len(changes)):
        found, place, blank = 0, -1, -1
        step = 0
        while names[one + step] != LF and names[other + step] != LF:
            octet = names[one + step]
            if blank < 0 and (octet == 32 or octet == 9):
                blank = step
            if octet != names[other + step]:
                found += 1 if octet == 49 and names[other + step] == 50 else 2
                place = step
            step += 1
        if names[one + step] != names[other + step]:
            found = 2
        changes[number] = min(found, 2)
        from_end[number] = step - place if found == 1 else 0
        from_blank[number] = place - (blank if blank >= 0 else step) if found == 1 else 0
        while names[one] != LF:
            one += 1
        while names[other] != LF:
            other += 1
        one += 1
        other += 1


@kernel
def apply_changes(names: Bytes, which: Integers, from_blank: Integers, distances: Integers, out: Bytes) -> None:
    """Copy names, each followed by LF, and make a byte of each a 2, by rule ``which``; 0 is no rule.

    A rule is a distance, as `find_changes` counts it, and whether it is from the blank; for 0, and where there is no
    such byte, nothing is changed.
    """
    start = 0
    for number in range(len(which)):
        stop = start
        blank = -1
        while names[stop] != LF:
            if blank < 0 and (names[stop] == 32 or names[stop] == 9):
                blank = stop
            out[stop] = names[stop]
            stop += 1
        out[stop] = LF
        rule = which[number] - 1
        if rule >= 0 and distances[rule] != 0:
            place = stop - distances[rule]
            if from_blank[rule]:
                place = (blank if blank >= 0 else stop) + distances[rule]
            if start <= place < stop:
                out[place] = 50
        start = stop + 1
