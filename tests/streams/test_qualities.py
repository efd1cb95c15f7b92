"""Qualities come back, in little space; the description suffices to decode them; damage is a FormatError."""

import functools
import hashlib
import itertools
import lzma
from collections.abc import Callable

import numpy as np
import pytest
import reference_qualities
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geneformer_codec.coding import slices as coding_slices
from geneformer_codec.coding.slices import Run, code_slices, read_edges
from geneformer_codec.errors import FormatError
from geneformer_codec.streams.packing import ByteReader
from geneformer_codec.streams.qualities import coder
from geneformer_codec.streams.qualities.coder import decode_qualities, encode_qualities
from geneformer_codec.streams.qualities.slices import QualityCodec, QualitySlice, cut_slices
from geneformer_codec.streams.qualities.tree import Alphabet

LEVELS = ["fast", "balanced", "max"]
Reads = list[tuple[bytes, bytes]]
"""Residues and qualities."""


def arrays(reads: Reads) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    residues, values = (
        np.frombuffer(b"".join(part), np.uint8) for part in (list(zip(*reads, strict=True)) or [(), ()])
    )
    return values, np.array([len(read) for read, _ in reads], np.int64), residues


def simulated(kind: str, reads: int) -> Reads:
    """Reads of a kind, from nothing but a linear congruential generator."""
    state, made = 1, []
    choices = {"binned": b"#,:F", "many": bytes(range(33, 127)), "steady": b"I"}[kind]
    for number in range(reads):
        residues, values, value = bytearray(), bytearray(), 0
        for _ in range(number % 7 * 9):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            residues.append(b"AACGTNacgu-"[(state >> 33) % 11])
            if state >> 60 < 5:
                value = (state >> 40) % len(choices)
            values.append(choices[value])
        made.append((bytes(residues), bytes(values)))
    return made


@st.composite
def any_reads(draw: st.DrawFn) -> Reads:
    alphabet = draw(st.lists(st.integers(33, 126), min_size=1, max_size=94, unique=True))
    letters = draw(st.sampled_from([b"ACGT", b"A", b"ACGTNacgturyk-* \0"]))
    reads = []
    for length in draw(st.lists(st.integers(0, 40), max_size=8)):
        residues = draw(st.lists(st.sampled_from(letters), min_size=length, max_size=length))
        values = draw(st.lists(st.sampled_from(alphabet), min_size=length, max_size=length))
        reads.append((bytes(residues), bytes(values)))
    return reads


@given(any_reads(), st.sampled_from(LEVELS), st.integers(0, 8))
def test_qualities_come_back(reads: Reads, level: str, bits: int) -> None:
    values, lengths, residues = arrays(reads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coding_slices, "_LEAST_BITS", 1)
        packed = encode_qualities(values, lengths, residues, level, bits)
        assert decode_qualities(packed, lengths, residues).tobytes() == values.tobytes()
    assert (packed[1:2] >= b"\10") == (len(values) > 1 << bits > 1)
    if packed:
        assert reference_qualities.decode(packed, lengths.tolist(), residues.tobytes()) == values.tobytes()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(1, 6))
def test_slices_have_as_many_reads_as_fit(lengths: list[int], bits: int) -> None:
    values = np.arange(sum(lengths), dtype=np.uint8)
    reads = np.array(lengths, np.int64)
    slices = cut_slices(values, reads, values, read_edges(reads, bits))
    held = [one.lengths.tolist() for one in slices]
    assert [length for reads in held for length in reads] == lengths
    assert b"".join(one.symbols.tobytes() for one in slices) == values.tobytes()
    for one, after in itertools.zip_longest(held, held[1:]):
        assert len(one) == 1 or sum(one) <= 1 << bits
        assert after is None or sum(one) + after[0] > 1 << bits


@pytest.mark.parametrize(("profile", "effort"), [(0, 0), (0, 2), (1, 0), (1, 4), (2, 0), (2, 2)])
def test_slices_begin_anew(profile: int, effort: int) -> None:
    """A slice is the stream that its reads alone have, and is coded on any number of threads."""
    values, lengths, residues = arrays(simulated("many", 120))
    packed = packed_as(profile, effort, values, lengths, residues, 10)
    assert packed[:2] == bytes((profile, 10 << 3 | effort))
    assert decode_qualities(packed, lengths, residues, threads(3)).tobytes() == values.tobytes()
    assert packed_as(profile, effort, values, lengths, residues, 10, threads(3)) == packed
    assert reference_qualities.decode(packed, lengths.tolist(), residues.tobytes()) == values.tobytes()
    first = int(np.searchsorted(np.cumsum(lengths), 1024, "right"))
    size, alphabet = int(lengths[:first].sum()), Alphabet.of(values)
    some = QualitySlice(alphabet.ranks[values[:size]], lengths[:first], coder._BASES[residues[:size]])
    alone = QualityCodec(profile, effort, alphabet, whole=False).code(some, None)
    assert ByteReader(packed[14 + len(alphabet.values) :], "qualities").framed() == alone


def packed_as(
    profile: int,
    effort: int,
    values: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    residues: NDArray[np.uint8],
    bits: int = 0,
    run: Run = code_slices,
) -> bytes:
    """The qualities, coded in a way of which no level may make use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coder, "_choose_profile", lambda *_: profile)
        patch.setitem(coder._EFFORT_OF, "max", effort)
        return encode_qualities(values, lengths, residues, "max", bits, run)


def threads(number: int) -> Run:
    """On so many threads."""
    return functools.partial(code_slices, threads=number)


@pytest.mark.parametrize("kind", ["binned", "many", "steady"])
@pytest.mark.parametrize("profile", [0, 1, 2])
@pytest.mark.parametrize("effort", [0, 2, 4])
def test_the_description_suffices(kind: str, profile: int, effort: int) -> None:
    values, lengths, residues = arrays(simulated(kind, 16))
    packed = packed_as(profile, effort, values, lengths, residues)
    assert packed[:2] == bytes((profile, effort))
    assert reference_qualities.decode(packed, lengths.tolist(), residues.tobytes()) == values.tobytes()


GOLDEN = {
    ("binned", 0, 10 << 3 | 2): (294, "f87b9f71a6324929"),
    ("many", 1, 10 << 3 | 0): (1200, "37b70b048a8b4c01"),
    ("binned", 1, 0): (266, "865490a3338530c2"),
    ("binned", 1, 2): (266, "7ece9da8e694e9a5"),
    ("binned", 1, 4): (266, "6292688b8ff6ecb6"),
    ("many", 2, 0): (1255, "8529ccb0188490e7"),
    ("many", 2, 2): (950, "e952ece65860c612"),
    ("many", 2, 4): (943, "56dc728db4562e76"),
}


@pytest.mark.parametrize(("kind", "profile", "effort"), sorted(GOLDEN))
def test_what_was_written_once_is_read_for_ever(kind: str, profile: int, effort: int) -> None:
    values, lengths, residues = arrays(simulated(kind, 60))
    packed = packed_as(profile, effort & 7, values, lengths, residues, effort >> 3)
    assert (len(packed), hashlib.sha256(packed).hexdigest()[:16]) == GOLDEN[kind, profile, effort]
    assert decode_qualities(packed, lengths, residues).tobytes() == values.tobytes()


@pytest.mark.parametrize("kind", ["binned", "many"])
def test_reads_share_slices_as_they_end(kind: str) -> None:
    # One long read beside all of the others, empty ones among them, and the other way round.
    residues, values = b"ACGT" * 75, bytes(33 + 7 * i % 40 for i in range(300))
    short = [read for read in simulated(kind, 9) if len(read[0]) < 40]
    for reads in ([(residues, values), *short], [*short, (residues, values), (b"", b"")]):
        arranged = arrays(reads)
        packed = encode_qualities(*arranged, "fast")
        assert packed[1] == 0
        decoded = reference_qualities.decode(packed, arranged[1].tolist(), arranged[2].tobytes())
        assert decoded == arranged[0].tobytes() == decode_qualities(packed, *arranged[1:]).tobytes()


@pytest.mark.parametrize(
    ("file", "profile"),
    [
        ("reads_illumina_hiseqx_150_10k.fastq", 0),
        ("reads_illumina_novaseq_metagenome_R1_30k.fastq", 0),
        ("reads_illumina_novaseq_metagenome_R2_30k.fastq", 0),
        ("reads_sra_SRR3927310_1_10k.fastq", 0),
        ("reads_ont_wfalignment_4k.fastq", 1),
        ("reads_pacbio_hifi_ecoli_1k.fastq", 2),
    ],
)
def test_the_profile_is_that_which_is_smallest_in_the_end(
    file: str, profile: int, real_data: Callable[[str], bytes]
) -> None:
    lines = real_data(file).split(b"\n")
    values, lengths, residues = arrays(list(zip(lines[1::4], lines[3::4], strict=False)))
    alphabet = Alphabet.of(values)
    assert coder._choose_profile(alphabet.ranks[values], lengths, coder._BASES[residues], alphabet) == profile


def test_a_single_value_takes_no_space() -> None:
    values, lengths, residues = arrays(simulated("steady", 60))
    assert len(encode_qualities(values, lengths, residues, "max")) == 15


def test_no_reads_and_empty_reads() -> None:
    nothing = np.zeros(0, np.uint8)
    for lengths in (np.zeros(0, np.int64), np.zeros(3, np.int64)):
        assert encode_qualities(nothing, lengths, nothing, "max") == b""
        assert len(decode_qualities(b"", lengths, nothing)) == 0
    with pytest.raises(FormatError):
        decode_qualities(b"\0", np.zeros(0, np.int64), nothing)


@given(st.data())
def test_damage(data: st.DataObject) -> None:
    values, lengths, residues = arrays(simulated(data.draw(st.sampled_from(["binned", "many", "steady"])), 60))
    packed = bytearray(encode_qualities(values, lengths, residues, "balanced", data.draw(st.sampled_from([0, 10]))))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    del packed[data.draw(st.integers(0, len(packed))) :]
    try:
        assert len(decode_qualities(bytes(packed), lengths, residues)) == len(values)
    except FormatError:
        return


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda packed: b"", "unknown way"),
        (lambda packed: b"\3" + packed[1:], "unknown way"),
        (lambda packed: packed[:1] + b"\3" + packed[2:], "unknown way"),
        (lambda packed: packed[:2] + bytes(12) + packed[14:], "impossible values"),
        (lambda packed: packed[:13] + b"\xff" + packed[14:], "impossible values"),
        (lambda packed: packed[:15], "impossible values"),
        (lambda packed: packed + bytes(9), "left over"),
        (lambda packed: packed[:1] + bytes([9 << 3]) + packed[2:], "unknown way"),
        (lambda packed: packed[:1] + bytes([31 << 3]) + packed[2:], "unknown way"),
    ],
)
def test_what_cannot_be_is_refused(damage: Callable[[bytes], bytes], message: str) -> None:
    values, lengths, residues = arrays(simulated("binned", 24))
    packed = encode_qualities(values, lengths, residues, "fast")
    with pytest.raises(FormatError, match=message):
        decode_qualities(damage(packed), lengths, residues)


def test_streams_of_slices_must_be_whole() -> None:
    values, lengths, residues = arrays(simulated("binned", 120))
    packed = packed_as(0, 2, values, lengths, residues, 10)
    at = 14 + len(Alphabet.of(values).values)
    for wrong, message in (
        (packed[:at], "ends too early"),
        (packed[: at + 20], "ends too early"),
        (packed[:at] + b"\xff" * 8 + b"\x7f" + packed[at + 1 :], "ends too early"),
        (packed + bytes(9), "left over"),
    ):
        with pytest.raises(FormatError, match=message):
            decode_qualities(wrong, lengths, residues)


def test_lengths_must_add_up() -> None:
    values, lengths, residues = arrays(simulated("binned", 24))
    packed = encode_qualities(values, lengths, residues, "fast")
    for wrong in (
        lengths[2:],
        lengths + 1,
        np.array([-5, len(residues) + 5]),
        np.zeros(0, np.int64),
        np.array([2**62] * 4 + [len(residues)]),
    ):
        with pytest.raises(FormatError):
            decode_qualities(packed, wrong, residues)
        with pytest.raises(ValueError, match="as many"):
            encode_qualities(values[1:], lengths, residues, "fast")
    with pytest.raises(ValueError, match="33 to 126"):
        encode_qualities(values * 0, lengths, residues, "fast")


@given(st.lists(st.tuples(st.integers(33, 126), st.integers(1, 10**9)), min_size=1, unique_by=lambda one: one[0]))
def test_every_value_has_a_place_in_the_tree(counts: list[tuple[int, int]]) -> None:
    counts.sort()
    values = np.array([value for value, _ in counts], np.uint8)
    one = Alphabet.of(values)
    alphabet = Alphabet(one.values, bytes(min(255, count.bit_length() * 8) for _, count in counts))
    again, taken = Alphabet.read(alphabet.packed() + b"more")
    assert (again.values.tolist(), again.codes, taken) == (values.tolist(), alphabet.codes, 12 + len(values))
    for rank in range(len(values)):
        node = 0 if len(values) > 1 else -1
        while node >= 0:
            node = int(alphabet.tree[1 + (rank >= alphabet.tree[0, node]), node])
        assert node == -1 - rank


def test_real_qualities_are_smaller_than_with_xz(real_fastq: str, real_data: Callable[[str], bytes]) -> None:
    lines = real_data(real_fastq).split(b"\n")[: 4 * 800]
    reads, size = list(zip(lines[1::4], lines[3::4], strict=True)), 0
    kept = [read for read in reads if (size := size + len(read[0])) < 60_000]
    values, lengths, residues = arrays(kept)
    packed = encode_qualities(values, lengths, residues, "balanced")
    rival = lzma.compress(b"\n".join(read[1] for read in kept), preset=9 | lzma.PRESET_EXTREME)
    assert len(packed) < 0.9 * len(rival)
    assert decode_qualities(packed, lengths, residues).tobytes() == values.tobytes()
