"""Runs of unknown bases that are filled, so that copies go on behind them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import geneformer_codec as gfz
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Exceptions, parse
from geneformer_codec.sequence.fills import MOST_BASES, filled_runs
from geneformer_codec.streams.exceptions import pack_exceptions, unpack_exceptions

GENOME = np.random.default_rng(3).choice(np.frombuffer(b"ACGT", np.uint8), 3000)
RUNS = {2: [(0, 40), (700, 60)], 3: [(700, 60), (2990, 10)], 5: [(100, 1), (1400, 300)], 6: [(1400, 300)]}
"""Of each record, where it has N, and how many; the first two have none."""


def text(width: int = 70) -> bytes:
    records = []
    for number in range(8):
        residues = GENOME.copy()
        for start, length in RUNS.get(number, []):
            residues[start : start + length] = ord("N")
        if number == 7:
            residues = np.insert(residues, 1000, np.full(200, ord("N"), np.uint8))  # where no other has bases
        lines = [residues[at : at + width].tobytes() for at in range(0, len(residues), width)]
        records.append(b">genome%d\n%b\n" % (number, b"\n".join(lines)))
    return b"".join(records)


def test_runs_are_filled_where_others_have_bases() -> None:
    fasta, bases = parse(text())
    runs = fasta.exceptions.cut(fasta.residue_edges)
    filled = filled_runs(bases, runs.bases_before(runs.places), runs.lengths)
    assert runs.lengths.tolist() == [40, 60, 60, 10, 1, 300, 300, 200]
    assert filled.tolist() == [1, 1, 1, 1, 1, 1, 1, 0]


def test_long_runs_are_not_filled() -> None:
    bases = np.random.default_rng(4).integers(0, 4, 3 * MOST_BASES).astype(np.uint8)
    for length, wanted in ((MOST_BASES, 1), (MOST_BASES + 1, 0)):
        again = np.concatenate([bases, bases[:500], bases[500 + length :]])
        assert filled_runs(again, np.array([len(bases) + 500]), np.array([length])).tolist() == [wanted]


@pytest.mark.parametrize("options", [{}, {"level": "fast"}, {"level": "max"}, {"access": 2000}, {"part_bases": 9000}])
def test_archives_of_filled_runs(tmp_path: Path, options: dict[str, object]) -> None:
    source, archive, back = tmp_path / "in.fa", tmp_path / "a.gfz", tmp_path / "out.fa"
    source.write_bytes(text())
    info = gfz.compress(source, archive, verify=True, **options)
    gfz.decompress(archive, back)
    assert back.read_bytes() == text()
    unknown = text().count(b"N")
    assert (info.bases, info.residues) == (8 * 3000 + 200 - unknown, 8 * 3000 + 200)
    with gfz.open(archive) as opened:
        assert opened["genome5"][1390:1710] == GENOME[1390:1400].tobytes().decode() + 300 * "N" + (
            GENOME[1700:1710].tobytes().decode()
        )
        assert opened["genome5"][1450:1460] == 10 * "N"
        assert opened["genome6"][1695:1705] == 5 * "N" + GENOME[1700:1705].tobytes().decode()
        assert opened["genome3"][2980:] == GENOME[2980:2990].tobytes().decode() + 10 * "N"
    entries = gfz.read_index(archive)
    assert [entry.bases for entry in entries] == [3000, 3000, 2900, 2930, 3000, 2699, 2700, 3000]


def test_filled_runs_save_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.fa"
    source.write_bytes(text())
    filled = gfz.compress(source, tmp_path / "a.gfz").payload_bytes
    monkeypatch.setattr("geneformer_codec.sequence.fills.MOST_BASES", 0)
    monkeypatch.setattr("geneformer_codec.sequence.fills._fill", lambda *_: None)
    assert filled + 20 < gfz.compress(source, tmp_path / "b.gfz").payload_bytes


FRAGMENTS = st.lists(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 70000), st.booleans()), max_size=4), max_size=9
)


@given(FRAGMENTS, st.booleans())
def test_exceptions_come_back(fragments: list[list[tuple[int, int, bool]]], crossing: bool) -> None:
    places, lengths, filled, residues, at = [], [], [], [], 0
    for runs in fragments:
        begin = at
        for gap, length, fill in runs:
            places.append(at + gap)
            lengths.append(length)
            filled.append(fill)
            at += gap + length
        residues.append(at + 5 - begin)
        at += 5
    if crossing:
        residues = [at]
    runs_ = Exceptions(
        np.array(places, np.int64), np.array(lengths, np.int64), np.full(len(places), 78, np.uint8),
        np.array(filled, np.uint8),
    )  # fmt: skip
    packed = pack_exceptions(runs_, np.array(residues, np.int64))
    back = unpack_exceptions(packed, np.array(residues, np.int64))
    for name in ("places", "lengths", "octets", "filled"):
        assert np.array_equal(getattr(back, name), getattr(runs_, name)), name
    for cut in range(1, len(packed)):
        with pytest.raises(FormatError, match="damaged"):
            unpack_exceptions(packed[:cut], np.array(residues, np.int64))


def test_runs_that_leave_their_fragment_are_damage() -> None:
    residues = np.random.default_rng(5).integers(10, 200, 50)
    places = np.cumsum(residues) - residues + 3
    packed = pack_exceptions(Exceptions.of(places, np.full(50, 5), np.full(50, 78, np.uint8)), residues)
    assert packed[0] == 2
    assert np.array_equal(unpack_exceptions(packed, residues).places, places)
    for other in (np.append(residues[:-1], 7), residues[:-1]):
        with pytest.raises(FormatError, match="damaged"):
            unpack_exceptions(packed, other)
