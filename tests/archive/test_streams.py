"""Streams in place of paths."""

import gzip
import io
import os
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from geneformer_codec import api
from geneformer_codec.errors import FormatError, InputError

from .conftest import Write, make_fasta

TEXT = make_fasta(20, 900)


def pipe(data: bytes, buffered: bool) -> BinaryIO:
    """The reading end of a pipe that is fed with data."""
    there, here = os.pipe()

    def feed() -> None:
        with open(here, "wb") as out:  # noqa: PTH123
            out.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return open(there, "rb", buffering=-1 if buffered else 0)  # type: ignore[call-overload, no-any-return]  # noqa: PTH123


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_pipes(tmp_path: Path, write: Write, packed: bool, buffered: bool) -> None:
    api.compress(write("in.fa", TEXT), tmp_path / "a.gfz", part_bases=5000)
    with pipe(gzip.compress(TEXT) if packed else TEXT, buffered) as source, (tmp_path / "b.gfz").open("wb") as out:
        info = api.compress(source, out, part_bases=5000, name="in.fa", verify=True)
        assert not source.closed
        assert not out.closed
    data = (tmp_path / "b.gfz").read_bytes()
    assert data == (tmp_path / "a.gfz").read_bytes()
    assert info == api.info(tmp_path / "a.gfz")
    text = io.BytesIO()
    with pipe(data, buffered) as archive:
        api.decompress(archive, text)
    assert text.getvalue() == TEXT
    with pipe(data, buffered) as archive:
        assert api.verify(archive) == info


def test_names_of_streams(tmp_path: Path, write: Write) -> None:
    out = io.BytesIO()
    with write("in.fa.gz", gzip.compress(TEXT)).open("rb") as source:
        api.compress(source, out)
    assert api.info(out).sample == "in.fa"
    api.compress(io.BytesIO(TEXT), tmp_path / "a.gfz")
    assert api.info(tmp_path / "a.gfz").sample == "-"


def test_streams_at_fault() -> None:
    with pytest.raises(InputError, match="the stream: the gzip compression is truncated"):
        api.compress(io.BytesIO(gzip.compress(TEXT)[:-10]), io.BytesIO())
    with pytest.raises(FormatError, match=r"not a \.gfz archive"):
        api.info(io.BytesIO(TEXT))


def test_nothing_is_written_of_what_fails(write: Write, tmp_path: Path) -> None:
    api.compress(io.BytesIO(TEXT), tmp_path / "a.gfz")
    data = bytearray((tmp_path / "a.gfz").read_bytes())
    data[500] ^= 1
    out = io.BytesIO()
    with pytest.raises(FormatError):
        api.decompress(io.BytesIO(bytes(data)), out)
    assert out.getvalue() == b""
