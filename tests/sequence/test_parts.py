"""Parts are the text, bounded, cut where cutting does no harm; digests are those of whole records."""

import hashlib
import io
import itertools
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geneformer_codec.sequence import parts as module
from geneformer_codec.sequence.digests import DIGEST_BYTES, DIGEST_MIN_RESIDUES, RecordDigest
from geneformer_codec.sequence.fasta import parse
from geneformer_codec.sequence.parts import Part, split

from .texts import Trickle, texts


def naive_digests(text: bytes) -> bytes:
    found = b""
    for record in (b"\n" + text).split(b"\n>")[1:]:
        lines = record.split(b"\n")[1:]
        residues = [line.removesuffix(b"\r") for line in lines[:-1]] + lines[-1:]
        if len(b"".join(residues)) >= DIGEST_MIN_RESIDUES:
            clean = bytes(octet for octet in b"".join(residues).upper() if 33 <= octet <= 126)
            found += hashlib.md5(clean).digest() + hashlib.sha512(clean).digest()[:24]
    return found


def check(text: bytes, size: int) -> list[Part]:
    found = list(split(io.BytesIO(text), size))
    assert b"".join(part.text for part in found) == text
    assert [part.number for part in found] == list(range(len(found)))
    assert b"".join(part.digests for part in found) == naive_digests(text)
    assert found[0].starts_record
    assert found[-1].ends_record
    place = 0
    for part, following in itertools.pairwise(found):
        place += len(part.text)
        assert part.text
        assert text[place - 1 : place + 1] != b"\r\n"
        at_record = text[place - 1 : place + 1] == b"\n>"
        assert part.ends_record == following.starts_record == at_record == (text[place : place + 1] == b">")
    return found


def check_sizes(found: list[Part], size: int, header: int = 0) -> None:
    """No part is shorter than half the size, unless it is the only one, or half as long again, but for a header."""
    sizes = [len(part.text) for part in found]
    assert len(found) == 1 or 2 * min(sizes) >= size
    assert 2 * max(sizes) <= 3 * size + 1 + 2 * header


@given(texts, st.sampled_from([1, 2, 7, 60, 1000]))
@example(b">a\n" + b"acgt" * 64 + b"\n>b\n" + b"ACGT" * 64 + b"\r\n", 7)
@example(b">a\n" + b"acgN \t" * 64 + b"\n>b\n" + b"ACGT" * 64 + b"\r\n", 100)
@example(b"A>>>>>\r\nA", 1)
def test_any_text(text: bytes, size: int) -> None:
    for part in check(text, size)[:10]:
        fasta, bases = parse(part.text)
        assert fasta.render(bases) == part.text


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 300), st.sampled_from([1, 20, 70, 400])), max_size=12),
    st.integers(20, 400),
)
@example([(3, 100, 70)] * 12, 250)
@example([(2, 10, 70), (2, 300, 400)], 100)
@example([(2, 49, 70), (30, 10, 70)], 100)
def test_no_part_is_short(records: list[tuple[int, int, int]], size: int) -> None:
    pieces = []
    for name, residues, line in records:
        lines = [b"A" * min(line, residues - start) for start in range(0, residues, line)]
        pieces.append(b"\n".join([b">" + b"n" * name, *lines, b""]))
    text = b"".join(pieces)
    found = check(text, size)
    check_sizes(found, size, header=32)
    assert list(split(Trickle(text), size)) == found


@pytest.mark.parametrize("records", range(1, 41))
def test_a_short_rest_belongs_to_the_part_before(records: int) -> None:
    text = b"".join(b">%02d\n%b\n" % (number, b"A" * 95) for number in range(records))
    assert [len(part.text) for part in check(text, 1000)] == {
        **{records: [100 * records] for records in range(1, 16)},
        **{records: [1000, 100 * records - 1000] for records in range(16, 26)},
        **{records: [1000, 1000, 100 * records - 2000] for records in range(26, 36)},
        **{records: [1000, 1000, 1000, 100 * records - 3000] for records in range(36, 41)},
    }[records]


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_real_files(real_fasta: str, size: int, real_data: Callable[[str], bytes]) -> None:
    text = real_data(real_fasta)[: min(300 * size, 1_000_000)]
    found = check(text, size)
    for part in found[:: len(found) // 50 + 1]:
        fasta, bases = parse(part.text)
        assert fasta.render(bases) == part.text
    if size >= 1000:
        check_sizes(found, size)


def test_no_text_is_one_empty_part() -> None:
    assert check(b"", 10) == [Part(0, b"", b"", True, True)]


def test_whole_records_stay_whole() -> None:
    text = b"".join(b">%d\n%b\n" % (number, b"ACGT" * 20) for number in range(100))
    assert all(part.starts_record and part.ends_record for part in check(text, 500))


def test_a_huge_line_is_cut() -> None:
    found = check(b">chromosome\n" + b"ACGT" * 100_000 + b"\n", 1000)
    assert {len(part.text) for part in found[1:-1]} == {1000}


def test_a_header_is_not_cut() -> None:
    found = check(b">" + b"name " * 1000 + b"\r\nACGT\n", 10)
    assert found[0].text.endswith(b"\r\n")


@pytest.mark.parametrize("octet", [b">", b"x"])
def test_an_endless_header_does_not_fill_memory(octet: bytes) -> None:
    text = b">" + octet * (3 * module.HEADER_LIMIT)
    found = list(split(io.BytesIO(text), 1000))
    assert b"".join(part.text for part in found) == text
    assert max(len(part.text) for part in found) <= module.HEADER_LIMIT + 1000


def test_memory_is_bounded_by_the_part() -> None:
    class Endless(io.RawIOBase):
        left = 100_000_000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:
            count = min(len(buffer), self.left)
            buffer[:count] = b"A" * count
            self.left -= count
            return count

    for _ in split(io.BytesIO(b">a\nA\n"), 10):
        pass  # compile before memory is watched
    tracemalloc.start()
    for _ in split(io.BufferedReader(Endless()), 1_000_000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


def test_digests_are_the_published_ones() -> None:
    # The examples of the refget and VRS specifications.
    digest = RecordDigest()
    digest.update(b"ac\ng")
    digest.update(b"t ")
    assert RecordDigest.refget(digest.stored()) == "SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2"
    assert RecordDigest.md5(digest.stored()) == "f1f8f4bf413b16ad135722aa4591043e"
    assert len(digest.stored()) == DIGEST_BYTES == 40
