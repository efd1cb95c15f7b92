"""FASTQ taken apart and put together again."""

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fastq import ParsedReads, is_fastq, parse_reads, render_reads
from geneformer_codec.sequence.parts import Part
from geneformer_codec.sequence.read_parts import split_reads
from geneformer_codec.streams.mate_names import pack_mates, unpack_mates
from geneformer_codec.streams.names import pack_names
from geneformer_codec.streams.read_layout import pack_reads, unpack_reads

from .texts import Trickle, fastq_like

READS = b"@a 1\nACGT\n+\nIII#\n@b 1\nNNAC\n+\n##@+\n"


def check(*texts: bytes) -> ParsedReads:
    reads = parse_reads(texts)
    size = sum(map(len, texts))
    layouts = unpack_reads(pack_reads(reads.layouts), size)
    assert render_reads(layouts, reads.fasta, reads.qualities, size) == texts
    return reads


@given(fastq_like)
@example(b"@a\nAC\n+\nII")
@example(b"@a\r\nAC\r\n+\r\nII")
@example(b"@a\r\nAC\r\n+\r\nII\r")
@example(b"@a\n\n+\n\n@b\n+\n@c\nA\n+c\n@")
@example(b"@\nA\n+\n@\n@\nA\n+\n@")
def test_any_text(text: bytes) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "reads", "unparsed"),
    [
        (READS, 2, b""),
        (READS.replace(b"\n", b"\r\n"), 2, b""),
        (READS.removesuffix(b"\n"), 2, b""),
        (READS.replace(b"+\n", b"+a 1\n", 1), 2, b""),
        (b"\n\n" + READS + b"\n", 2, b"\n\n\n"),
        (b"@a\nAC\nGT\n+\nII\nII\n@b\nA\n+\n@\n", 2, b""),
        (b"@a\nAC\nGT\n+\nIIII\n", 0, b"@a\nAC\nGT\n+\nIIII\n"),
        (READS + b"@c\nACGT\n+\nIII\n", 2, b"@c\nACGT\n+\nIII\n"),
        (b"@c\nACGT\n+\nIII\n" + READS, 2, b"@c\nACGT\n+\nIII\n"),
        (READS + b"@c\nACGT\n+c", 2, b"@c\nACGT\n+c"),
        (READS + b"@c\nAC\n+\nI \n", 2, b"@c\nAC\n+\nI \n"),
        (b"@a\n\n+\n\n@b\n+\n", 2, b""),
    ],
)
def test_what_is_a_read(text: bytes, reads: int, unparsed: bytes) -> None:
    layout = check(text).layouts[0]
    assert (layout.reads, layout.unparsed) == (reads, unparsed)


def test_the_kind_is_detected_from_the_content() -> None:
    assert is_fastq(b" \n@a\n")
    assert not any(map(is_fastq, (b"", b"\n", b">@", b"A@")))


@pytest.mark.parametrize(
    ("turn", "most"),
    [
        (lambda name: name, 8),
        (lambda name: name.replace(b" 1:", b" 2:"), 8),
        (lambda name: name.replace(b"/1", b"/2"), 8),
        (lambda name: name.replace(b"/1", b"/2") if name < b"r5" else name.replace(b" 1:", b" 2:"), 32),
        (lambda name: b"odd" if name.startswith(b"r7:") else name.replace(b" 1:", b" 2:"), 40),
    ],
)
def test_names_of_mates(turn: Callable[[bytes], bytes], most: int) -> None:
    names = [b"r%d:%d/1 1:N:%d" % (number, 11 * number, number**3 % 1111) for number in range(100)]
    mates = list(map(turn, names))
    first, joined = (b"".join(name + b"\n" for name in some) for some in (names, names + mates))
    rules, stored = pack_mates(joined, 100)
    assert len(rules) + len(pack_names(stored)) - len(pack_names(first)) <= most + 1
    found = unpack_mates(rules + b"rest", 100, 100, len(joined))
    assert (found.rest, found.stored) == (b"rest", stored.count(b"\n"))
    assert found.join(stored) == joined


def test_damage() -> None:
    reads = parse_reads([READS + b"stray\n" + READS, READS])
    packed, size = pack_reads(reads.layouts), 3 * len(READS) + 6
    rng = random.Random(1)
    for _ in range(300):
        wrong = bytearray(packed)
        wrong[rng.randrange(len(wrong))] = rng.randrange(256)
        try:
            layouts = unpack_reads(bytes(wrong[: rng.randrange(1, len(wrong) + 1)]), size)
            render_reads(layouts, reads.fasta, reads.qualities, size)
        except FormatError:
            continue
    with pytest.raises(FormatError):
        render_reads(reads.layouts, reads.fasta[:-1], reads.qualities, size)
    with pytest.raises(FormatError):
        render_reads(reads.layouts, reads.fasta, reads.qualities[:-1], size)
    with pytest.raises(FormatError):
        render_reads(reads.layouts, reads.fasta, reads.qualities, size - 1)


@given(st.lists(fastq_like, min_size=1, max_size=2), st.sampled_from([1, 20, 200]))
def test_parts_of_any_text(texts: list[bytes], part_bases: int) -> None:
    parts = list(split_reads([io.BytesIO(text) for text in texts], part_bases))
    assert [b"".join(pieces) for pieces in zip(*(part.texts for part in parts), strict=True)] == texts
    assert [part.number for part in parts] == list(range(len(parts)))
    check_sizes(parts, part_bases)
    assert list(split_reads([Trickle(text) for text in texts], part_bases)) == parts


def check_sizes(parts: list[Part], part_bases: int) -> None:
    """No part is shorter than half of the size, unless it is the only one, or half as long again."""
    sizes = [sum(map(len, part.texts)) for part in parts]
    assert len(parts) == 1 or min(sizes) >= part_bases
    assert max(sizes) <= part_bases * 3


@given(
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 150)), max_size=30),
    st.integers(0, 20),
    st.sampled_from([100, 150, 400]),
)
@example([(0, 97), (150, 150)], 2, 400)
def test_parts_of_reads_are_whole(lengths: list[tuple[int, int]], extra: int, part_bases: int) -> None:
    texts = [
        b"".join(b"@r%d\n%b\n+\n%b\n" % (number, b"A" * size, b"I" * size) for number, size in enumerate(sizes))
        for sizes in ([one for one, _ in lengths], [other for _, other in lengths] + [90] * extra)
    ]
    for pair in (texts[1:], texts):
        parts = list(split_reads([io.BytesIO(text) for text in pair], part_bases))
        assert [b"".join(pieces) for pieces in zip(*(part.texts for part in parts), strict=True)] == pair
        check_sizes(parts, part_bases)
        if part_bases == 400:  # no read is longer than half of this
            assert all(text.startswith(b"@r") for part in parts for text in part.texts if text)


def test_mates_are_in_the_same_part() -> None:
    first = [b"@r%d\n%b\n+\n%b\n" % (number, b"A" * 26, b"I" * 26) for number in range(500)]
    second = [b"@r%d\n%b\n+\n%b\n" % (number, b"C" * size, b"I" * size) for number, size in enumerate([90, 20] * 250)]
    parts = list(split_reads([io.BytesIO(b"".join(text)) for text in (first, second)], 2000))
    assert len(parts) > 10
    for part in parts:
        assert part.mate is not None
        names = [text.split(b"\n")[::4] for text in part.texts]
        assert names[0] == names[1]
    check_sizes(parts, 2000)
    assert 3500 < min(len(part.text) + len(part.mate or b"") for part in parts[:-1]) <= 4000


def test_real_reads(real_data: Callable[[str], bytes], real_fastq: str) -> None:
    text = real_data(real_fastq)[: 1 << 20]
    reads = check(text)
    assert len(reads.layouts[0].unparsed) < 100_000
    assert len(reads.fasta) + len(reads.qualities) > 0.8 * len(text)
    assert int(np.bincount(reads.qualities, minlength=128)[33:127].sum()) == len(reads.qualities)
