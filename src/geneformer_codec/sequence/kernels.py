"""Loops over single bytes, compiled on first use; imported only inside functions, as importing numba takes long.

Arrays called ``text``, ``names`` or ``residues`` are 1-D uint8, positions and counts 1-D int64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import helper, kernels

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

LF, CR, HEADER = 10, 13, 62


kernel = kernels(makes_arrays=True)


def _state_tables() -> Bytes:
    """uint8[4, 256]: base code of a byte under state ``lower * 2 + rna``, or 4 when it needs a closer look."""
    tables = np.full((4, 256), 4, np.uint8)
    for state in range(4):
        letters = b"ACGU" if state & 1 else b"ACGT"
        for code, letter in enumerate(letters.lower() if state & 2 else letters):
            tables[state, letter] = code
    return tables


STATES = _state_tables()


@helper
def copy_bytes(source: Bytes, target: Bytes) -> None:
    """The same as ``target[:] = source``, which takes seconds to compile for the sake of its error message."""
    if len(source) != len(target):
        raise ValueError("bytes are copied to a place of another size")
    for place in range(len(source)):
        target[place] = source[place]


@helper
def _take_bases(text: Bytes, bases: Bytes) -> bool:
    """Write the bases of a text of A, C, G and T alone, as most lines are; of another, no matter what.

    There is no table and no branch, so that vectors do the work.
    """
    others = np.uint8(0)
    for place in range(len(text)):
        octet = text[place]
        code = (octet >> np.uint8(1)) & np.uint8(3)  # 0 of A, 1 of C, 3 of G, 2 of T
        bases[place] = code ^ (code >> np.uint8(1))
        others |= (octet != 65) & (octet != 67) & (octet != 71) & (octet != 84)
    return bool(others == 0)


@helper
def _push(array: Integers, count: int, value: int) -> Integers:
    if count == len(array):
        grown = np.empty(2 * count, np.int64)
        for place in range(count):
            grown[place] = array[place]
        array = grown
    array[count] = value
    return array


@kernel
def scan_layout(text: Bytes, ends: Integers) -> tuple[Integers, ...]:
    """Take the lines of a text apart.

    ``ends`` are the places of the line feeds, and the text's length if its last line has none. Returns residues per
    fragment; width, blanks + 1 (0: lines listed) and length of each run of fragments laid out alike; pairs per listed
    fragment; line length and count of each pair; lines between changes of the line end; starts and ends of names.
    """
    residues, n_fragments = np.empty(64, np.int64), 0
    widths, blanks, runs, n_runs = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64), 0
    listed, n_listed = np.empty(64, np.int64), 0
    lengths, counts, n_pairs = np.empty(64, np.int64), np.empty(64, np.int64), 0
    toggles, n_toggles = np.empty(64, np.int64), 0
    starts, stops, n_names = np.empty(64, np.int64), np.empty(64, np.int64), 0
    first_pair, total, crlf, last_toggle, start = 0, 0, False, 0, 0
    open_fragment = False
    line = -1
    while line < len(ends):
        line += 1
        finished = line == len(ends)
        is_header = not finished and ends[line] > start and text[start] == HEADER
        if open_fragment and (finished or is_header):
            # The fragment is complete: is it laid out like the one before, regularly otherwise, or irregularly?
            last = n_pairs
            blank = 0
            if last > first_pair and lengths[last - 1] == 0:
                last -= 1
                blank = counts[last]
            pairs = last - first_pair
            width, regular = 0, True
            if pairs == 0:
                width = -1
            elif pairs == 1 and lengths[first_pair] > 0:
                width = -2 if counts[first_pair] == 1 else lengths[first_pair]
            elif pairs == 2 and counts[last - 1] == 1 and 0 < lengths[last - 1] < lengths[first_pair]:
                width = lengths[first_pair]
            else:
                regular = False
            alike = False
            if n_runs > 0:
                current = widths[n_runs - 1]
                if not regular:
                    alike = blanks[n_runs - 1] == 0
                elif blanks[n_runs - 1] == blank + 1:
                    fits = width == -2 and (current == 0 or lengths[first_pair] <= current)
                    alike = width == -1 or width == current or fits
            if alike:
                runs[n_runs - 1] += 1
            else:
                widths = _push(widths, n_runs, max(width, 0))
                blanks = _push(blanks, n_runs, blank + 1 if regular else 0)
                runs = _push(runs, n_runs, 1)
                n_runs += 1
            if regular:
                n_pairs = first_pair
            else:
                listed = _push(listed, n_listed, n_pairs - first_pair)
                n_listed += 1
            residues = _push(residues, n_fragments, total)
            n_fragments += 1
            open_fragment = False
        if finished:
            break
        stop = ends[line]
        if stop < len(text):
            has_cr = stop > start and text[stop - 1] == CR
            if has_cr != crlf:
                toggles = _push(toggles, n_toggles, line - last_toggle)
                n_toggles += 1
                last_toggle, crlf = line, has_cr
            if has_cr:
                stop -= 1
        if is_header:
            starts = _push(starts, n_names, start + 1)
            stops = _push(stops, n_names, stop)
            n_names += 1
        if is_header or not open_fragment:
            open_fragment, first_pair, total = True, n_pairs, 0
        if not is_header:
            total += stop - start
            if n_pairs > first_pair and lengths[n_pairs - 1] == stop - start:
                counts[n_pairs - 1] += 1
            else:
                lengths = _push(lengths, n_pairs, stop - start)
                counts = _push(counts, n_pairs, 1)
                n_pairs += 1
            # Lines like this one, quickly: a loop that may replace an array counts references all the time.
            span, size = ends[line] + 1 - start, stop - start
            while line + 1 < len(ends) and ends[line + 1] < len(text) and ends[line + 1] - ends[line] == span:
                if text[ends[line] + 1] == HEADER or (text[ends[line + 1] - 1] == CR) != crlf:
                    break
                line += 1
                total += size
                counts[n_pairs - 1] += 1
        start = ends[line] + 1
    return (
        residues[:n_fragments],
        widths[:n_runs],
        blanks[:n_runs],
        runs[:n_runs],
        listed[:n_listed],
        lengths[:n_pairs],
        counts[:n_pairs],
        toggles[:n_toggles],
        starts[:n_names],
        stops[:n_names],
    )


@kernel
def scan_residues(
    text: Bytes, ends: Integers, states: Bytes, total: int
) -> tuple[Bytes, Integers, Integers, Integers, Integers, Integers]:
    """Bases 0..3 of a text with ``total`` residues, and what they leave out.

    Returns the bases; the residues where case changes (beginning upper) and where U and T change (beginning T);
    first residue, length and upper-cased byte of each run of equal bytes that are no bases.
    """
    bases, n_bases = np.empty(total, np.uint8), 0
    cases, n_cases = np.empty(64, np.int64), 0
    uracils, n_uracils = np.empty(64, np.int64), 0
    places, lengths, octets, n_runs = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64), 0
    state, residue, start = 0, 0, 0
    for line in range(len(ends)):
        stop = ends[line]
        first, start = start, stop + 1
        if stop > first and text[first] == HEADER:
            continue
        if stop < len(text) and stop > first and text[stop - 1] == CR:
            stop -= 1
        table = states[state]
        if state == 0 and _take_bases(text[first:stop], bases[n_bases:]):
            n_bases += stop - first
            residue += stop - first
            continue
        for place in range(first, stop):
            octet = text[place]
            code = table[octet]
            if code < 4:
                bases[n_bases] = code
                n_bases += 1
                continue
            here = residue + place - first
            upper = octet & 0xDF
            if 65 <= upper <= 90:
                if (octet != upper) != (state >= 2):
                    cases = _push(cases, n_cases, here)
                    n_cases += 1
                    state ^= 2
                if (upper == 84 and state & 1) or (upper == 85 and not state & 1):
                    uracils = _push(uracils, n_uracils, here)
                    n_uracils += 1
                    state ^= 1
                table = states[state]
                code = table[octet]
                octet = upper
            if code < 4:
                bases[n_bases] = code
                n_bases += 1
            elif n_runs > 0 and octets[n_runs - 1] == octet and places[n_runs - 1] + lengths[n_runs - 1] == here:
                lengths[n_runs - 1] += 1
            else:
                places = _push(places, n_runs, here)
                lengths = _push(lengths, n_runs, 1)
                octets = _push(octets, n_runs, octet)
                n_runs += 1
        residue += stop - first
    return (
        bases[:n_bases],
        cases[:n_cases],
        uracils[:n_uracils],
        places[:n_runs],
        lengths[:n_runs],
        octets[:n_runs],
    )


@kernel
def gather_residues(text: Bytes, ends: Integers, total: int) -> Bytes:
    """The ``total`` residues of a text unchanged: sequence lines without their ends."""
    out, filled, start = np.empty(total, np.uint8), 0, 0
    for line in range(len(ends)):
        stop = ends[line]
        first, start = start, stop + 1
        if stop > first and text[first] == HEADER:
            continue
        if stop < len(text) and stop > first and text[stop - 1] == CR:
            stop -= 1
        copy_bytes(text[first:stop], out[filled : filled + stop - first])
        filled += stop - first
    return out


@kernel
def gather_spans(text: Bytes, starts: Integers, stops: Integers, feeds: bool) -> Bytes:
    """The spans start..stop of a text, one after the other; with ``feeds`` a line feed follows each."""
    out, filled = np.empty(np.sum(stops - starts) + feeds * len(starts), np.uint8), 0
    for span in range(len(starts)):
        size = stops[span] - starts[span]
        copy_bytes(text[starts[span] : stops[span]], out[filled : filled + size])
        filled += size
        if feeds:
            out[filled] = LF
            filled += 1
    return out


@kernel
def scan_records(text: Bytes, ends: Integers) -> tuple[Integers, Integers, Integers]:
    """Of every fragment of a text: where its sequence lines start and stop, and how many residues they hold."""
    fragments = 0
    start = 0
    for line in range(len(ends)):
        fragments += line == 0 or (ends[line] > start and text[start] == HEADER)
        start = ends[line] + 1
    starts, stops = np.zeros(fragments, np.int64), np.zeros(fragments, np.int64)
    residues = np.zeros(fragments, np.int64)
    fragment, start = -1, 0
    for line in range(len(ends)):
        stop = ends[line]
        first, start = start, stop + 1
        is_header = stop > first and text[first] == HEADER
        if is_header or line == 0:
            fragment += 1
            starts[fragment] = min(start, len(text)) if is_header else first
        stops[fragment] = min(start, len(text))
        if is_header:
            continue
        if stop < len(text) and stop > first and text[stop - 1] == CR:
            stop -= 1
        residues[fragment] += stop - first
    return starts, stops, residues
