"""Regions of records as people write them: ``name:start-end`` as samtools reads it, and BED."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from geneformer_codec.errors import InputError, UsageError

_CLOSED = re.compile(r"\}(?=:|$)")
_NUMBER = re.compile(r"[0-9][0-9,]*")


@dataclass(frozen=True)
class Region:
    """Residues ``start`` to ``stop`` of a record, from 0, the last excluded; ``stop`` None is its end.

    ``title`` is what the region is called in the output.
    """

    name: str
    start: int = 0
    stop: int | None = None
    title: str = ""
    reverse: bool = False


def parse_region(text: str, known: Callable[[str], bool]) -> Region:
    """A region as samtools reads it: ``name``, ``name:start``, ``name:start-end`` or ``name:-end``, from 1, inclusive.

    Thousands may be parted by commas. A name may contain colons: if all of the text is ``known`` as a name it is one,
    and ``{name}:start-end`` says where a name ends. A name that has such braces itself counts before the one in them.

    >>> parse_region("chr1:1,001-2,000", {"chr1"}.__contains__)
    Region(name='chr1', start=1000, stop=2000, title='chr1:1,001-2,000', reverse=False)
    >>> parse_region("HLA:DRB1:5", {"HLA:DRB1"}.__contains__)
    Region(name='HLA:DRB1', start=4, stop=None, title='HLA:DRB1:5', reverse=False)
    """
    name, colon, place = text.rpartition(":")
    if not colon or known(text):
        if colon and known(text) and known(name):
            raise UsageError(f"region {text!r} can be read in two ways; write {{{text}}} or {{{name}}}:{place}")
        if known(text) or not text.startswith("{"):
            return Region(text, title=text)
    if text.startswith("{") and not (colon and known(name)):
        # a brace within the name closes nothing: the last one that may does, unless only an earlier one gives a name
        closing = [match.start() for match in _CLOSED.finditer(text)]
        if not closing:
            raise UsageError(f"region {text!r}: a name in braces is written {{name}} or {{name}}:start-end")
        end = next((at for at in reversed(closing) if known(text[1:at])), closing[0])
        name, place = text[1:end], text[end + 2 :]
    if not place:
        return Region(name, title=text)
    if not known(name):
        return Region(text, title=text)  # of no record, and it is the whole that was asked for
    start, stop = _places(text, place)
    return Region(name, start, stop, text)


def read_regions(lines: Iterable[str]) -> Iterator[str]:
    """The regions of a list, one per line; empty lines are skipped."""
    return (line for line in (line.strip("\r\n") for line in lines) if line.strip())


def read_bed(lines: Iterable[str], place: str) -> Iterator[Region]:
    """The regions of a BED file: name, start from 0, end, and in the sixth column ``-`` for the reverse complement.

    Titles are ``name:start-end`` from 1, as in samtools. ``place`` names the file in messages.
    """
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) < 3 or not (columns[1].isdecimal() and columns[2].isdecimal()):
            raise InputError(f"{place}: line {number} is not BED; it needs name, start and end, parted by tabs")
        start, stop = int(columns[1]), int(columns[2])
        if start > stop:
            raise InputError(f"{place}: line {number}: the region ends before it starts")
        reverse = len(columns) > 5 and columns[5] == "-"
        yield Region(columns[0], start, stop, f"{columns[0]}:{start + 1}-{stop}", reverse)


def _places(region: str, text: str) -> tuple[int, int | None]:
    """Start from 0 and end, of ``start``, ``start-``, ``start-end`` or ``-end``."""
    first, _, last = text.partition("-")
    if any(number and not _NUMBER.fullmatch(number) for number in (first, last)) or text == "-":
        raise UsageError(f"region {region!r}: {text!r} is not start-end; give whole numbers from 1, such as 1-1000")
    start, stop = (int(number.replace(",", "")) if number else None for number in (first, last))
    if start == 0:
        raise UsageError(f"region {region!r}: places count from 1")
    begin = 0 if start is None else start - 1
    if stop is not None and stop <= begin:
        raise UsageError(f"region {region!r} ends before it starts")
    return begin, stop
