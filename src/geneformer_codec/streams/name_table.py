"""Names as a table: grouped by their separators, split at them into columns of fields, and each field into a template
and the numbers in it. Templates mostly repeat, numbers mostly count up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.limits import reserve
from geneformer_codec.streams.packing import (
    ByteReader,
    frame,
    pack,
    pack_integers,
    unpack,
    unpack_integers,
    unzigzag,
    zigzag,
)

SEPARATORS = b" \t|/:,;="
_SAME, _NEW, _COPY = 0, 1, 2
_MOST_CLASSES = 256
_MOST_FIELDS = 64
_TRIAL_ROWS = 4096
_SMALL_SERIES = 512
_ROW = 60
"""Bytes of memory that a field takes, about: an object and its place in lists."""
_EMPTY = np.zeros(0, np.int64)
_TO_FEEDS = bytes.maketrans(SEPARATORS, b"\n" * len(SEPARATORS))
_NOT_SEPARATORS = bytes(octet for octet in range(256) if octet not in SEPARATORS and octet != 10)


@dataclass
class _Columns:
    """What the table is stored as; each column of fields appends its share, in order, and takes it back in order."""

    quick: bool
    operations: list[bytes] = field(default_factory=list)
    templates: list[bytes] = field(default_factory=list)
    small: list[NDArray[np.int64]] = field(default_factory=list)
    large: list[bytes] = field(default_factory=list)


def pack_table(names: bytes, pad_all: bool, quick: bool) -> bytes:
    """Separator patterns, the class of every name, and the columns of every class; nothing if that makes no sense."""
    patterns = names.translate(None, _NOT_SEPARATORS).split(b"\n")[:-1]
    classes: dict[bytes, int] = {}
    for pattern in patterns:
        classes.setdefault(pattern, len(classes))
    if len(classes) > _MOST_CLASSES or max(map(len, classes)) >= _MOST_FIELDS:
        return b""
    members = np.fromiter(map(classes.__getitem__, patterns), np.int64, len(patterns))
    fields = names.translate(_TO_FEEDS).split(b"\n")
    widths = np.fromiter((len(pattern) + 1 for pattern in classes), np.int64, len(classes))
    starts = np.cumsum(widths[members]) - widths[members]
    columns = _Columns(quick)
    for number, pattern in enumerate(classes):
        rows = starts[members == number]
        tails: list[bytes] = []
        for place in range(len(pattern) + 1):
            if len(classes) == 1:
                values = fields[place : len(fields) - 1 : len(pattern) + 1]
            else:
                values = [fields[row] for row in (rows + place).tolist()]
            _pack_column(values, tails, columns, pad_all)
            if place == 0:
                tails = _tails(values)
    return frame(
        (
            pack(b"".join(pattern + b"\n" for pattern in classes)),
            pack_integers(members, quick) if len(classes) > 1 else b"",
            pack(b"".join(columns.operations), quick),
            pack(b"".join(columns.templates), quick),
            pack_integers(np.concatenate([_EMPTY, *columns.small]), quick),
            *columns.large,
        )
    )


def _pack_column(values: list[bytes], tails: list[bytes], columns: _Columns, pad_all: bool) -> None:
    """Append a column of fields to ``columns``; ``tails`` are those of the first column, or none."""
    from geneformer_codec.streams.name_kernels import split_numbers

    rest, copies = values, None
    trial = list(map(bytes.__eq__, values[:_TRIAL_ROWS], tails))
    if 2 * sum(trial) > len(trial):
        copies = list(map(bytes.__eq__, values, tails))
        rest = [value for value, copy in zip(values, copies, strict=True) if not copy]
    text = b"\n".join([*rest, b""])
    shapes_, numbers, counts = split_numbers(np.frombuffer(text, np.uint8), pad_all)
    shapes = shapes_.tobytes().split(b"\n")[:-1]
    changes = [True, *map(bytes.__ne__, shapes, shapes[1:])][: len(shapes)]
    columns.templates.extend(shape + b"\n" for shape in compress(shapes, changes))
    if copies is None:
        columns.operations.append(bytes(changes))
    else:
        change = iter(changes)
        columns.operations.append(bytes(_COPY if copy else next(change) for copy in copies))
    for index in _series(counts):
        _pack_series(numbers[index], columns)


def _pack_series(series: NDArray[np.int64], columns: _Columns) -> None:
    """Append the numbers at the same place of a column: as they are, or as differences."""
    steps = zigzag(np.diff(series, prepend=0))
    small, quick = len(series) < _SMALL_SERIES, columns.quick
    trial = min(len(series), _TRIAL_ROWS)
    if small:
        use_steps = bool(np.log2(steps + 1.0).sum() < np.log2(series + 1.0).sum())
    else:
        use_steps = len(pack_integers(steps[:trial], quick)) < len(pack_integers(series[:trial], quick))
    chosen = steps if use_steps else series
    if small:
        columns.small.append(np.append(np.int64(use_steps), chosen))
    else:
        columns.large.append(bytes((use_steps,)) + pack_integers(chosen, quick))


def unpack_table(reader: ByteReader, count: int, max_bytes: int) -> bytes:
    """Inverse of :func:`pack_table` for ``count`` names of at most ``max_bytes``; FormatError on damage."""
    patterns = unpack(reader.framed(), _MOST_CLASSES * _MOST_FIELDS).split(b"\n")[:-1]
    if not 0 < len(patterns) <= _MOST_CLASSES or max(map(len, patterns)) >= _MOST_FIELDS:
        raise FormatError("damaged names: impossible separators")
    packed = reader.framed()
    members = unpack_integers(packed, count) if len(patterns) > 1 else np.zeros(count, np.int64)
    if len(members) != count or (count and int(members.max()) >= len(patterns)):
        raise FormatError("damaged names: not every name has its separators")
    sizes = np.bincount(members, minlength=len(patterns)).tolist()
    rows = sum(size * (len(pattern) + 1) for size, pattern in zip(sizes, patterns, strict=True))
    if rows - count > max_bytes:
        raise FormatError("damaged names: they are longer than the text")
    reserve(_ROW * rows, 0)
    operations = unpack(reader.framed(), rows)
    templates = unpack(reader.framed(), 2 * max_bytes)
    small = unpack_integers(reader.framed(), 2 * rows + max_bytes)
    source = _Source(ByteReader(operations, "names"), iter(templates.split(b"\n")[:-1]), small, reader, max_bytes)
    groups = []
    for size, pattern in zip(sizes, patterns, strict=True):
        parts: list[list[bytes]] = []
        tails: list[bytes] = []
        for place in range(len(pattern) + 1):
            values = source.column(size, tails)
            if place == 0:
                tails = _tails(values)
            separator = (pattern + b"\n")[place : place + 1]
            parts += [values, [separator] * size]
        groups.append(map(b"".join, zip(*parts, strict=True)))
    source.finish()
    if len(groups) == 1:
        return b"".join(groups[0])
    return b"".join([next(groups[member]) for member in members.tolist()])


class _Source:
    """Takes the columns of a table back, each with what :func:`_pack_column` appended for it."""

    def __init__(
        self,
        operations: ByteReader,
        templates: Iterator[bytes],
        small: NDArray[np.int64],
        large: ByteReader,
        max_bytes: int,
    ) -> None:
        self._operations = operations
        self._templates = templates
        self._small = small
        self._large = large
        self._left = max_bytes

    def column(self, size: int, tails: list[bytes]) -> list[bytes]:
        """The ``size`` fields of the next column."""
        from geneformer_codec.streams.name_kernels import count_numbers, join_numbers

        operations = self._operations.take(size)
        shapes: list[bytes] = []
        shape: bytes | None = None
        for operation in operations:
            if operation == _NEW:
                shape = next(self._templates, None)
            elif operation == _COPY and tails:
                continue
            elif operation != _SAME:
                raise FormatError("damaged names: an unknown operation")
            if shape is None:
                raise FormatError("damaged names: a template is missing")
            shapes.append(shape)
        # A padded number is two bytes of a template and may be a single digit of the name.
        if sum(map(len, shapes)) > 2 * self._left:
            raise FormatError("damaged names: they are longer than the text")
        text = np.frombuffer(b"\n".join([*shapes, b""]), np.uint8)
        counts = count_numbers(text, len(shapes))
        if len(counts) != len(shapes):
            raise FormatError("damaged names: a damaged template")
        numbers = np.zeros(int(counts.sum()), np.int64)
        for index in _series(counts):
            numbers[index] = self._numbers(len(index))
        joined = join_numbers(text, numbers, self._left + len(shapes))
        if len(joined) == 0 and len(shapes):
            raise FormatError("damaged names: a number is too long")
        values = joined.tobytes().split(b"\n")[:-1]
        if len(values) < size:
            fresh = iter(values)
            values = [tails[row] if operation == _COPY else next(fresh) for row, operation in enumerate(operations)]
        self._left -= sum(map(len, values))
        if self._left < 0:
            raise FormatError("damaged names: they are longer than the text")
        return values

    def _numbers(self, count: int) -> NDArray[np.int64]:
        if count < _SMALL_SERIES:
            taken, self._small = self._small[: count + 1], self._small[count + 1 :]
            use_steps, series = int(taken[0]) if len(taken) else 2, taken[1:]
        else:
            packed = self._large.framed()
            use_steps, series = packed[0] if packed else 2, unpack_integers(packed[1:], count)
        if len(series) != count or use_steps > 1:
            raise FormatError("damaged names: numbers are missing")
        if use_steps:
            # Sums may wrap around in a damaged stream; a negative number shows it.
            series = np.cumsum(unzigzag(series))
        if count and int(series.min()) < 0:
            raise FormatError("damaged names: a negative number")
        return series

    def finish(self) -> None:
        """FormatError unless everything was taken."""
        self._operations.finish()
        self._large.finish()
        if next(self._templates, None) is not None or len(self._small):
            raise FormatError("damaged names: something is left over")


def _tails(values: list[bytes]) -> list[bytes]:
    """Of every field what follows its first hyphen; all of it if there is none."""
    return [value[value.find(b"-") + 1 :] for value in values]


def _series(counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The places of the first numbers of all fields, then of the second ones, and so on; given: numbers per field."""
    starts = np.cumsum(counts) - counts
    place = 0
    while len(starts):
        here = counts > place
        starts, counts = starts[here], counts[here]
        if len(starts):
            yield starts + place
        place += 1
