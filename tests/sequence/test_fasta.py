"""Text to streams and back gives every byte, for anything; damaged streams give an error and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Sides, parse, render

from .texts import texts

ODD = [
    b"",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n\r\n\n",
    b">",
    b">\n",
    b">\r\n>\r>\n",
    b">a",
    b">a\n",
    b">a\nACGT",
    b">a\nACGT\n",
    b">a\r\nACGT\r\nAC\r\n",
    b">a\nACGT\r\nACGT\nAC\n",
    b">a\nAC\rGT\n",
    b">a\nACGT\n\n>b\nACGT\n\n",
    b">a\n\nACGT\n",
    b">a\nACGT\n\nACGT\n",
    b"text before\nACGT\n>a\nAC",
    b">a\nACGU\nacgu\nACGT\nTTUU\n",
    b">a\nACGTNNNNnnnnRYKMacgtacgtNNacgt-*\0\xff>>\n",
    b">a\nMKVLAAGIVGLLLAQWERTY\n>b\nMSTNPKPQRKTKRNTNRRPQ\n",
    b"@read\nACGT\n+\n!!!!\n",
    b">a\nAC GT \t\n; comment\n",
    b">one\n" + b"ACGT" * 40 + b"\n>two\n" + b"\n".join([b"ACGTACGTAC"] * 9) + b"\n>three\nAC\n",
]


def joined(text: bytes) -> bytes:
    return render(parse(text), len(text))


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_come_back(text: bytes) -> None:
    assert joined(text) == text


@given(texts)
@settings(max_examples=400)
def test_any_text_comes_back(text: bytes) -> None:
    assert joined(text) == text


def test_real_files_come_back(real_fasta: str, real_data: Callable[[str], bytes]) -> None:
    text = real_data(real_fasta)
    streams = parse(text)
    assert render(streams, len(text)) == text
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    names = Sides(streams.names, streams.layout, streams.case, streams.exceptions, len(text)).names()
    assert names == [line[1:] for line in lines if line.startswith(b">")]
    assert int(streams.record_residues.sum()) == sum(len(line) for line in lines if not line.startswith(b">"))
    assert int(streams.record_bases.sum()) == len(streams.bases)


def test_reads_come_back_too(real_data: Callable[[str], bytes]) -> None:
    text = real_data("reads_sra_SRR3927310_1_10k.fastq")[:500_000]
    assert joined(text) == text


@given(texts, st.data())
@settings(max_examples=200)
def test_any_range_of_residues(text: bytes, data: st.DataObject) -> None:
    streams = parse(text)
    sides = Sides(streams.names, streams.layout, streams.case, streams.exceptions, len(text))
    whole = sides.render_residues(streams.bases, 0, sides.residues)
    start = data.draw(st.integers(0, sides.residues))
    stop = data.draw(st.integers(start, sides.residues))
    bases = streams.bases[sides.bases_before(start) : sides.bases_before(stop)]
    assert sides.render_residues(bases, start, stop) == whole[start:stop]
    assert sides.text_bytes == len(text)
    assert np.array_equal(sides.record_residues, streams.record_residues)
    assert np.array_equal(sides.record_bases, streams.record_bases)
    assert sides.has_preamble == streams.has_preamble
    assert sides.bases == len(streams.bases)


def test_regular_layout_takes_a_few_bytes() -> None:
    sequence = b"ACGT" * 25_000
    lines = b"\n".join(sequence[start : start + 60] for start in range(0, len(sequence), 60))
    streams = parse(b"".join(b">record%d\n%b\n" % (number, lines) for number in range(20)))
    assert len(streams.layout) < 60
    assert streams.case == streams.exceptions == b""
    assert len(streams.names) < 60


def test_case_ignores_what_has_none() -> None:
    assert len(parse(b">a\nacgt----acgt****acgt\n").case) == len(parse(b">a\nacgtacgtacgtacgtacgt\n").case)


def test_residues_that_are_no_sequence_are_kept_as_they_are() -> None:
    streams = parse(b">a\nMKVLAAGIVGLLLAQWERTY\n")
    assert len(streams.bases) == 0
    assert streams.record_residues.tolist() == [20]


@given(texts, st.sampled_from(["names", "layout", "case", "exceptions"]), st.data())
@settings(max_examples=600)
def test_damage_is_an_error_or_harmless(text: bytes, stream: str, data: st.DataObject) -> None:
    streams = parse(text)
    blob = bytearray(getattr(streams, stream))
    for _ in range(data.draw(st.integers(1, 3))):
        if blob:
            place = data.draw(st.integers(0, len(blob) - 1))
            blob[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(0, len(blob))) :]
    damaged = replace(streams, **{stream: bytes(blob)})
    try:
        found = render(damaged, len(text))
    except FormatError:
        return
    assert len(found) <= len(text)


def test_bases_that_do_not_fit_are_an_error() -> None:
    streams = parse(b">a\nACGTNACGT\n")
    for bases in (streams.bases[1:], np.append(streams.bases, 0), np.full(8, 4, np.uint8)):
        with pytest.raises(FormatError):
            render(replace(streams, bases=bases.astype(np.uint8)), 100)


def test_a_text_longer_than_told_is_an_error() -> None:
    with pytest.raises(FormatError):
        render(parse(b">a\nACGTNACGT\n"), 12)
