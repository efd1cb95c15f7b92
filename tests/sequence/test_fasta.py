"""Text to streams and back gives every byte, for anything; damaged streams give an error and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import FastaText, parse
from geneformer_codec.sequence.parts import Part
from geneformer_codec.streams.interface import Coding, PartContent
from geneformer_codec.streams.table import STREAMS, TEXT_STREAMS

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


CODING = Coding("balanced", 0)
STREAM_OF = {stream.id: stream for stream in STREAMS}


def encoded(text: bytes) -> tuple[PartContent, dict[str, bytes]]:
    """A text as one part, and its streams but the payload."""
    content = PartContent.parse(Part(0, text, b"", True, True))
    return content, {name: STREAM_OF[name].encode(content, CODING) for name in TEXT_STREAMS}


def decoded(content: PartContent, streams: dict[str, bytes], max_text: int | None = None) -> FastaText:
    """The text without its bases, from its streams."""
    counts = content.record_count, content.residue_count, content.base_count
    found = PartContent(content.text_bytes if max_text is None else max_text, False, *counts)
    for name in TEXT_STREAMS:
        STREAM_OF[name].decode(streams[name], found, CODING)
    return found.fasta


def joined(text: bytes) -> bytes:
    content, streams = encoded(text)
    return decoded(content, streams).render(content.bases)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_come_back(text: bytes) -> None:
    assert joined(text) == text


def test_real_files_come_back(real_fasta: str, real_data: Callable[[str], bytes]) -> None:
    text = real_data(real_fasta)
    content, streams = encoded(text)
    found = decoded(content, streams)
    assert found.render(content.bases) == text
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    assert found.headers() == [line[1:] for line in lines if line.startswith(b">")]
    assert found.residue_count == sum(len(line) for line in lines if not line.startswith(b">"))
    assert int(found.fragment_bases.sum()) == len(content.bases)


def test_reads_come_back_too(real_data: Callable[[str], bytes]) -> None:
    text = real_data("reads_sra_SRR3927310_1_10k.fastq")[:500_000]
    assert joined(text) == text


@given(texts, st.data())
def test_any_range_of_residues(text: bytes, data: st.DataObject) -> None:
    content, streams = encoded(text)
    found = decoded(content, streams)
    whole = found.all_residues(content.bases).tobytes()
    start = data.draw(st.integers(0, found.residue_count))
    stop = data.draw(st.integers(start, found.residue_count))
    bases = content.bases[found.bases_before(start) : found.bases_before(stop)]
    assert found.render_residues(bases, start, stop).tobytes() == whole[start:stop]
    assert found.text_bytes == len(text)
    assert np.array_equal(found.fragment_residues, content.fasta.fragment_residues)
    assert np.array_equal(found.fragment_bases, content.fasta.fragment_bases)
    assert found.layout.has_preamble == content.layout.has_preamble
    assert found.base_count == len(content.bases)


def test_regular_layout_takes_a_few_bytes() -> None:
    sequence = b"ACGT" * 25_000
    lines = b"\n".join(sequence[start : start + 60] for start in range(0, len(sequence), 60))
    _, streams = encoded(b"".join(b">record%d\n%b\n" % (number, lines) for number in range(20)))
    assert len(streams["layout"]) < 60
    assert streams["case"] == streams["exceptions"] == b""
    assert len(streams["names"]) < 60


def test_case_ignores_what_has_none() -> None:
    with_gaps, without = (encoded(text)[1] for text in (b">a\nacgt----acgt****acgt\n", b">a\nacgtacgtacgtacgtacgt\n"))
    assert len(with_gaps["case"]) == len(without["case"])


def test_residues_that_are_no_sequence_are_kept_as_they_are() -> None:
    text, bases = parse(b">a\nMKVLAAGIVGLLLAQWERTY\n")
    assert len(bases) == 0
    assert text.fragment_residues.tolist() == [20]


@given(texts, st.sampled_from(TEXT_STREAMS[1:]), st.data())
def test_damage_is_an_error_or_harmless(text: bytes, stream: str, data: st.DataObject) -> None:
    content, streams = encoded(text)
    blob = bytearray(streams[stream])
    for _ in range(data.draw(st.integers(1, 3))):
        if blob:
            place = data.draw(st.integers(0, len(blob) - 1))
            blob[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(0, len(blob))) :]
    try:
        found = decoded(content, {**streams, stream: bytes(blob)}).render(content.bases)
    except FormatError:
        return
    assert len(found) <= len(text)


def test_bases_that_do_not_fit_are_an_error() -> None:
    text, right = parse(b">a\nACGTNACGT\n")
    for bases in (right[1:], np.append(right, 0), np.full(8, 4, np.uint8)):
        with pytest.raises(FormatError):
            text.render(bases.astype(np.uint8))


def test_a_text_longer_than_stated_is_an_error() -> None:
    with pytest.raises(FormatError):
        decoded(*encoded(b">a\nACGTNACGT\n"), max_text=12)
