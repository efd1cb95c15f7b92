"""Varints, integer columns and byte streams come back; damage is always a FormatError, within the memory allowed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.errors import FormatError
from geneformer_codec.streams import packing

integers = st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 300), max_size=50)
contents = st.one_of(
    st.binary(max_size=3000),
    st.builds(bytes.__mul__, st.binary(max_size=20), st.integers(0, 300)),
    st.just(b"N" * 70_000),
)


@given(integers)
def test_varints(values: list[int]) -> None:
    data = packing.encode_varints(np.array(values, np.int64))
    assert data == b"".join(map(packing.encode_varint, values))
    assert packing.decode_varints(data, len(values)).tolist() == values
    reader = packing.ByteReader(data, "test")
    assert [reader.varint() for _ in values] == values
    reader.finish()


@given(integers)
def test_integer_columns(values: list[int]) -> None:
    blob = packing.pack_integers(np.array(values, np.int64))
    assert packing.unpack_integers(blob, len(values)).tolist() == values
    if values:
        with pytest.raises(FormatError):
            packing.unpack_integers(blob, len(values) - 1)


@given(st.lists(st.integers(-(2**61), 2**61)))
def test_zigzag(values: list[int]) -> None:
    folded = packing.zigzag(np.array(values, np.int64))
    assert folded.min(initial=0) >= 0
    assert packing.unzigzag(folded).tolist() == values


@given(contents)
def test_pack(data: bytes) -> None:
    blob = packing.pack(data)
    assert packing.unpack(blob, len(data)) == data
    assert len(blob) <= len(data) + 1 + len(packing.encode_varint(len(data)))
    if data:
        for wrong in (blob[:-1], blob + b"\0"):
            with pytest.raises(FormatError):
                packing.unpack(wrong, len(data))
        with pytest.raises(FormatError):
            packing.unpack(blob, len(data) - 1)


@pytest.mark.parametrize("method", [packing.STORED, *packing.LZMA_PROPERTIES, packing.BZ2, packing.ZSTD])
@pytest.mark.parametrize("size", [1, 100, 5000, 5_000_000, 17_000_000])
def test_every_method(method: int, size: int) -> None:
    if size > 5000 and method == packing.STORED:
        pytest.skip("nothing to see")
    data = bytes(range(64)) * (size // 64) + b"x" * (size % 64)
    payload = data if method == packing.STORED else packing._compress(method, data)
    blob = bytes((method,)) + packing.encode_varint(len(data)) + payload
    assert packing.unpack(blob, len(data)) == data
    for wrong in (blob[:-1], blob + b"\0", blob[:2]):
        with pytest.raises(FormatError):
            packing.unpack(wrong, len(data))


@given(contents, st.data())
def test_damaged_pack(data: bytes, draw: st.DataObject) -> None:
    blob = bytearray(packing.pack(data))
    if blob:
        blob[draw.draw(st.integers(0, min(len(blob) - 1, 40)))] ^= draw.draw(st.integers(1, 255))
    try:
        assert len(packing.unpack(bytes(blob), 100_000)) <= 100_000
    except FormatError:
        return


@given(st.binary(max_size=60), st.integers(0, 100))
def test_garbage(data: bytes, most: int) -> None:
    for unpack in (packing.unpack, packing.unpack_integers):
        try:
            assert len(unpack(data, most)) <= most
        except FormatError:
            continue


def test_stated_sizes_are_checked_before_anything_is_allocated() -> None:
    huge = packing.encode_varint(1 << 60)
    for blob in (b"\x01" + huge + b"x", b"\x04" + huge + b"x"):
        with pytest.raises(FormatError):
            packing.unpack(blob, 1 << 20)
    with pytest.raises(FormatError):
        packing.unpack_integers(huge + b"\0\0", 1 << 20)
