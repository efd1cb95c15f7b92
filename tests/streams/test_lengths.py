"""Lengths of records coded beside their names: every one back, small, and as the description says."""

import contextlib
import lzma
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import reference_names
from hypothesis import given, settings
from hypothesis import strategies as st

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Streams, parse, render
from geneformer_codec.streams.name_model import pack_lengths, unpack_lengths
from geneformer_codec.streams.names import pack_names
from geneformer_codec.streams.packing import ByteReader, pack_integers

HEADERS = ("human_mt_dev", "fish_mt_dev", "dengue_500", "corpus_EsCo_NC_000913", "yeast_R64")


def projects(count: int) -> tuple[bytes, list[int]]:
    """Records of two projects, of which each has its own lengths."""
    some = random.Random(5)
    which = [some.random() < 0.5 for _ in range(count)]
    names = b"".join(b"%s%06d\n" % (b"KY" if first else b"FJ", some.randrange(1_000_000)) for first in which)
    return names, [some.choice((10_690, 10_679, 10_707) if first else (2_341, 2_338)) for first in which]


def fasta(names: bytes, lengths: list[int], width: int = 70) -> bytes:
    records = []
    for name, length in zip(names.split(), lengths, strict=False):
        lines = [b"A" * min(width, length - at) for at in range(0, length, width)]
        records.append(b">" + name + b"\n" + b"".join(line + b"\n" for line in lines))
    return b"".join(records)


NAMES, LENGTHS = projects(200)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=6).map(lambda name: name.replace(b"\n", b"")),
            st.one_of(st.integers(0, 30), st.integers(0, 10**18 - 1)),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_any_lengths_beside_any_names(records: list[tuple[bytes, int]]) -> None:
    names = b"".join(name + b"\n" for name, _ in records)
    lengths = np.array([length for _, length in records], np.int64)
    assert np.array_equal(unpack_lengths(pack_lengths(lengths, names), names), lengths)


def test_the_name_tells_of_the_length() -> None:
    packed = pack_lengths(np.array(LENGTHS), NAMES)
    assert len(packed) < 0.8 * len(pack_integers(np.array(LENGTHS)))
    unrelated = b"".join(b"X%d\n" % number for number in range(len(LENGTHS)))
    assert len(packed) < 0.8 * len(pack_lengths(np.array(LENGTHS), unrelated))


def test_the_description_suffices() -> None:
    text = fasta(NAMES, LENGTHS)
    reader = ByteReader(parse(text).layout, "layout")
    assert reader.take(1)[0] == 4
    assert [reader.varint() for _ in range(3)] == [len(LENGTHS), 70, 1]
    assert reference_names.lengths(reader.rest(), NAMES.split()) == LENGTHS


@pytest.mark.parametrize("end", [0, 1])
def test_even_layouts_come_back(end: int) -> None:
    text = fasta(NAMES, LENGTHS)
    text = text[: len(text) - end]
    streams = parse(text)
    assert streams.layout[0] == 4 + 2 * end
    assert render(streams, len(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        b"ACGT\n" + fasta(NAMES, LENGTHS),
        fasta(NAMES, LENGTHS) + b">x\nAC\nA\nACGT\n",
        fasta(NAMES, LENGTHS).replace(b"\n", b"\r\n", 3),
    ],
    ids=["preamble", "uneven", "line ends"],
)
def test_other_layouts_are_columns(text: bytes) -> None:
    streams = parse(text)
    assert streams.layout[0] < 4
    assert render(streams, len(text)) == text


def damaged(layout: bytes, text: bytes) -> Streams:
    streams = parse(text)
    return Streams(streams.bases, streams.names, layout, streams.case, streams.exceptions)


@pytest.mark.parametrize("change", ["flags", "no records", "one more", "no form", "no digits", "end", "much"])
def test_damage_is_told(change: str) -> None:
    text = fasta(NAMES, LENGTHS)
    layout = parse(text).layout
    other = {
        "flags": bytes((5,)) + layout[1:],
        "no records": layout[:1] + b"\0" + layout[3:],
        "one more": layout[:1] + bytes((layout[1] + 1,)) + layout[2:],
        "no form": layout[:4] + b"\0" + layout[5:],
        "no digits": layout[:5] + b"\0" + layout[6:],
        "end": layout + b"\1" * 16,
        "much": layout[:1] + b"\xff\xff\xff\x7f" + layout[3:],
    }[change]
    with pytest.raises(FormatError):
        render(damaged(other, text), len(text))


@settings(max_examples=100)
@given(st.data())
def test_no_damage_breaks_the_reader(data: st.DataObject) -> None:
    text = fasta(NAMES, LENGTHS)
    layout = bytearray(parse(text).layout)
    layout[data.draw(st.integers(0, len(layout) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FormatError):
        render(damaged(bytes(layout), text), len(text))


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", HEADERS)
def test_side_streams_are_not_larger_than_xz_of_the_headers(
    name: str, quick: bool, real_data: Callable[[str], bytes]
) -> None:
    text = real_data(name)
    streams = parse(text, pack=partial(pack_names, quick=quick))
    headers = b"".join(line for line in text.splitlines(keepends=True) if line.startswith(b">"))
    side = sum(map(len, (streams.names, streams.layout, streams.case, streams.exceptions)))
    assert side <= len(lzma.compress(headers, preset=9 | lzma.PRESET_EXTREME))
