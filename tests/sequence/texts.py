"""Texts that try everything FASTA and FASTQ can be, for hypothesis, and a stream of them."""

import io

from hypothesis import strategies as st

from geneformer_codec.inputs.decompress import detect_compression

_ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"", b"\n\n", b"\r\n\r\n"])
_names = st.one_of(
    st.from_regex(rb"\A[a-zA-Z]{0,3}[0-9]{0,22}( [a-z]{0,3}[-|_/][0-9]{0,3})?\Z"),
    st.binary(max_size=12),
    st.sampled_from([b"", b">", b"NC_000913.3 x-1 x-1", b"a-b7 M1 b7", b"a\r", b"\x01\x02", b"\xff\xfe"]),
)
_sequences = st.one_of(
    st.text("ACGT", max_size=90).map(str.encode),
    st.text("ACGTacgtNnUu-*>", max_size=60).map(str.encode),
    st.text("ACGUacgu", max_size=60).map(str.encode),
    st.binary(max_size=20),
    st.builds(
        lambda letter, count: letter * count,
        st.sampled_from([b"N", b"n", b"A", b"-", b"U", b"\0"]),
        st.integers(0, 300),
    ),
)


def _is_text(data: bytes) -> bool:
    """Not what is decompressed first: hypothesis knows the constants of the code that it tests."""
    return detect_compression(data[:10]) is None


class Trickle(io.BytesIO):
    """A stream that gives a byte at a time, and so does not say until it is asked again that it is at its end."""

    def read(self, count: int | None = -1) -> bytes:
        return super().read(1 if count else count)


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    header = b">" + draw(_names) + draw(_ends) if draw(st.integers(0, 9)) else b""
    sequence, end = draw(_sequences) * draw(st.integers(1, 9)), draw(_ends)
    width = draw(st.sampled_from([1, 7, 60, 1000]))
    lines = [sequence[start : start + width] for start in range(0, len(sequence), width)]
    return header + end.join(lines) + draw(_ends)


fasta_like = st.lists(_records(), max_size=8).map(b"".join)
texts = st.one_of(fasta_like, st.binary(max_size=300), st.text(">\n\rACgtN", max_size=80).map(str.encode)).filter(
    _is_text
)


@st.composite
def _reads(draw: st.DrawFn) -> bytes:
    end = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"]))
    name = draw(_names).replace(b"\n", b"")
    residues = draw(st.one_of(_sequences, st.text("ACGTN", max_size=40).map(str.encode))).replace(b"\n", b"")
    width = draw(st.sampled_from([7, 1000, 1000]))
    spans = [slice(start, start + width) for start in range(0, max(len(residues), draw(st.integers(0, 1))), width)]
    values = draw(st.sampled_from([b"I", b"#5I~", b"!@+>I", bytes(range(30, 130))]))
    qualities = bytes(values[(place * place) % len(values)] for place in range(len(residues)))
    lines = [b"@" + name, *(residues[span] for span in spans), b"+" + draw(st.sampled_from([b"", name, b"x"]))]
    lines += [qualities[span] for span in spans]
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(lines) - 1))
        lines[place : place + draw(st.integers(0, 1))] = [draw(st.sampled_from([b"", b"@", b"+", b">x", b"AC", b"\r"]))]
    return end.join(lines) + draw(st.sampled_from([end, end, end, end, b"", end + end]))


fastq_like = st.lists(_reads(), max_size=8).map(b"".join)
anything = st.one_of(fasta_like, fastq_like, fastq_like, st.binary(max_size=200)).filter(_is_text)
