"""Compiled loops that render residues and text; ``kernels.py`` has those that parse."""

from __future__ import annotations

import numpy as np

from geneformer_codec.coding.jit import helper, kernels
from geneformer_codec.sequence.kernels import CR, HEADER, LF, Bytes, Integers

kernel = kernels(makes_arrays=True)


@kernel
def measure_layout(
    residues: Integers,
    widths: Integers,
    blanks: Integers,
    listed: Integers,
    lengths: Integers,
    counts: Integers,
    most: int,
) -> tuple[int, int]:
    """Check a layout of at most ``most`` bytes; return (sequence lines, their residues), or (-1, 0) when impossible.

    ``widths`` and ``blanks`` (-1: lines listed) are one per fragment. No sum here can overflow: each term is compared
    with what is left of ``most`` before it is added.
    """
    lines, total, next_listed, pair = 0, 0, 0, 0
    for fragment in range(len(residues)):
        size = residues[fragment]
        if size > most - total - lines:
            return -1, 0
        if blanks[fragment] >= 0:
            if widths[fragment] == 0:
                add = 1 if size > 0 else 0
            else:
                add = size // widths[fragment] + (1 if size % widths[fragment] else 0)
            if blanks[fragment] > most:
                return -1, 0
            add += blanks[fragment]
            # The last line may lack its end, so that one line more than there are bytes left is still possible.
            if add > most - total - lines - size + 1:
                return -1, 0
            lines += add
        else:
            if next_listed == len(listed) or listed[next_listed] > len(lengths) - pair:
                return -1, 0
            left = size
            for _ in range(listed[next_listed]):
                if counts[pair] > most - total - lines + 1:
                    return -1, 0
                if lengths[pair] > 0 and counts[pair] > left // lengths[pair]:
                    return -1, 0
                left -= lengths[pair] * counts[pair]
                lines += counts[pair]
                pair += 1
            if left != 0:
                return -1, 0
            next_listed += 1
        total += size
    if next_listed != len(listed) or pair != len(lengths) or total + lines > most + 1:
        return -1, 0
    return lines, total


@kernel
def write_text(
    residues: Bytes,
    names: Bytes,
    sizes: Integers,
    widths: Integers,
    blanks: Integers,
    listed: Integers,
    lengths: Integers,
    counts: Integers,
    toggles: Integers,
    preamble: bool,
    out: Bytes,
) -> int:
    """Write a checked layout into ``out``, which has room for every line's end; return the bytes written.

    ``names`` are all followed by a line feed; ``toggles`` are the lines where the line end changes.
    """
    filled, taken, name, line, toggle, crlf = 0, 0, 0, 0, 0, False
    next_listed, pair = 0, 0
    for fragment in range(len(sizes)):
        if fragment > 0 or not preamble:
            out[filled] = HEADER
            filled += 1
            while names[name] != LF:
                out[filled] = names[name]
                filled += 1
                name += 1
            name += 1
            filled, toggle, crlf = end_line(out, filled, toggles, toggle, line, crlf)
            line += 1
        regular = blanks[fragment] >= 0
        left = sizes[fragment]
        # A regular fragment is two pairs of line length and count, made up here: its lines, then the blank ones.
        pairs = 2 if regular else listed[next_listed]
        for step in range(pairs):
            if not regular:
                size, count = lengths[pair], counts[pair]
                pair += 1
            elif step == 1:
                size, count = 0, blanks[fragment]
            elif widths[fragment] == 0 or left == 0:
                size, count = left, 1 if left > 0 else 0
            else:
                size = widths[fragment]
                count = left // size + (1 if left % size else 0)
            for _ in range(count):
                size = min(size, left)
                for place in range(size):
                    out[filled + place] = residues[taken + place]
                filled += size
                taken += size
                left -= size
                filled, toggle, crlf = end_line(out, filled, toggles, toggle, line, crlf)
                line += 1
        if not regular:
            next_listed += 1
    return filled


@helper
def end_line(out: Bytes, filled: int, toggles: Integers, toggle: int, line: int, crlf: bool) -> tuple[int, int, bool]:
    """Write the end of a line; gives the place after it, the next toggle, and whether lines end in CR LF."""
    while toggle < len(toggles) and toggles[toggle] == line:
        crlf = not crlf
        toggle += 1
    if crlf:
        out[filled] = CR
        filled += 1
    out[filled] = LF
    return filled + 1, toggle, crlf


@helper
def _flip(out: Bytes, start: int, changes: Integers, low: int, high: int, mask: int) -> None:
    """XOR ``mask`` onto the letters low..high of ``out`` (residues from ``start``) where the state is on."""
    stop = start + len(out)
    first = np.searchsorted(changes, start, "right")
    on = first % 2 == 1
    here = start
    while here < stop:
        there = min(changes[first], stop) if first < len(changes) else stop
        if on:
            for place in range(here - start, there - start):
                octet = out[place]
                out[place] = octet ^ (np.uint8(mask) if low <= octet <= high else np.uint8(0))
        on = not on
        here = there
        first += 1


@kernel
def write_residues(
    bases: Bytes,
    places: Integers,
    lengths: Integers,
    octets: Bytes,
    filled: Bytes,
    cases: Integers,
    uracils: Integers,
    start: int,
    out: Bytes,
) -> int:
    """Fill ``out`` with the residues from ``start`` on; return how many of ``bases`` it took.

    Runs that are ``filled`` have bases as well, which are passed over. -1 when there are too few bases or one is
    not 0..3. Places are checked by the caller: ascending, not overlapping.
    """
    letters = np.array([65, 67, 71, 84], np.uint8)
    stop = start + len(out)
    run = np.searchsorted(places, start, "right")
    if run > 0 and places[run - 1] + lengths[run - 1] > start:
        run -= 1
    here, taken = start, 0
    while here < stop:
        there = min(places[run], stop) if run < len(places) else stop
        if there > here:
            if there - here > len(bases) - taken:
                return -1
            wrong = np.uint8(0)
            for step in range(there - here):
                code = bases[taken + step]
                wrong |= code
                out[here - start + step] = letters[code & 3]
            if wrong > 3:
                return -1
            taken += there - here
            here = there
        if run < len(places):
            there = min(places[run] + lengths[run], stop)
            for place in range(here - start, there - start):
                out[place] = octets[run]
            if filled[run] and there > here:
                taken += there - here
                if taken > len(bases):
                    return -1
            here = max(here, there)
            run += 1
    _flip(out, start, uracils, 84, 84, 1)
    _flip(out, start, cases, 65, 90, 32)
    return taken
