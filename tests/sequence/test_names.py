"""Names come back, accession-like ones in little space; damage is a FormatError."""

import lzma
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence import names as module
from geneformer_codec.sequence.names import pack_names, unpack_names

accessions = st.builds(
    lambda stem, numbers, tail: [b"%b%0*d%b" % (stem, tail % 9, number, b" x-%d" % tail) for number in numbers],
    st.sampled_from([b"NC_", b"gi|", b"x", b""]),
    st.lists(st.integers(0, 10**18 + 5), max_size=30),
    st.integers(0, 30),
)
name_lists = st.one_of(
    accessions,
    st.lists(st.binary(max_size=15).map(lambda name: name.replace(b"\n", b"")), max_size=20),
    st.lists(st.text("a0 9-|", max_size=40).map(str.encode), max_size=30),
    st.lists(st.integers(0, 10**40).map(lambda number: b"%d" % number), max_size=20),
)


def lines(names: list[bytes]) -> bytes:
    return b"".join(name + b"\n" for name in names)


@given(name_lists)
@settings(max_examples=300)
def test_names_come_back(names: list[bytes]) -> None:
    text = lines(names)
    assert unpack_names(pack_names(text), len(names), len(text)) == text


@given(name_lists, st.sampled_from([0, 1, 2]))
@settings(max_examples=300)
def test_every_kind_comes_back(names: list[bytes], kind: int) -> None:
    text = lines(names)
    if not text or b"\1" in text or b"\2" in text:
        return
    packed = module._pack_as(text, kind)
    assert not packed or unpack_names(packed, len(names), len(text)) == text


@given(name_lists, st.sampled_from([1, 2]), st.data())
@settings(max_examples=200)
def test_damage(names: list[bytes], kind: int, data: st.DataObject) -> None:
    text = lines(names)
    if not text or b"\1" in text or b"\2" in text:
        return
    packed = bytearray(module._pack_as(text, kind))
    if not packed:
        return
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert len(unpack_names(bytes(packed), len(names), len(text))) <= len(text) + 1
    except FormatError:
        return


def test_a_copied_field_costs_next_to_nothing() -> None:
    odd = [
        b"cel-mir-%d-%dp MIMAT%07d mir-%d-%dp" % (n * 7919 % 1000, n % 3, n, n * 7919 % 1000, n % 3) for n in range(999)
    ]
    plain = [name.rsplit(b" ", 1)[0] for name in odd]
    assert len(pack_names(lines(odd))) < len(pack_names(lines(plain))) + 40


def test_real_names_are_never_larger_than_with_xz(real_fasta: str, real_data: Callable[[str], bytes]) -> None:
    headers = [line[1:] for line in real_data(real_fasta).replace(b"\r\n", b"\n").split(b"\n") if line[:1] == b">"]
    packed = pack_names(lines(headers))
    rival = len(lzma.compress(b"\n".join(headers), preset=9 | lzma.PRESET_EXTREME))
    assert len(packed) <= rival
    if real_fasta.startswith("odd_rna_tiny"):
        assert len(packed) < rival / 2
    if real_fasta.startswith("sarscov2"):
        assert len(packed) < 0.9 * rival


def test_a_million_names_take_seconds() -> None:
    text = b"".join(b"SRR3927310.%d %d/1\n" % (number, number) for number in range(1_000_000))
    start = time.monotonic()
    packed = pack_names(text)
    assert unpack_names(packed, 1_000_000, len(text)) == text
    assert time.monotonic() - start < 60  # a few seconds on a quiet machine
    assert len(packed) < 1000


def test_counts_must_match() -> None:
    packed = pack_names(b"a1\na2\n")
    for count in (1, 3):
        with pytest.raises(FormatError):
            unpack_names(packed, count, 100)
