"""Simulated genomes are related, odd enough to test with, the same everywhere, and say what they are."""

import hashlib
import io
from pathlib import Path

import pytest

from geneformer_codec.sequence.fasta import parse
from geneformer_codec.sequence.simulate import simulate, write_fasta
from geneformer_codec.sequence.simulate_reads import write_fastq


def test_a_seed_gives_the_same_bytes_everywhere(tmp_path: Path) -> None:
    write_fasta(tmp_path / "a.fa", 5, 3000, 0.02, seed=3)
    stream = io.BytesIO()
    write_fasta(stream, 5, 3000, 0.02, seed=3)
    assert stream.getvalue() == (tmp_path / "a.fa").read_bytes()
    assert (
        hashlib.sha256(stream.getvalue()).hexdigest()
        == "beebfb68116a3a0d86f78389ab0930596fba6f626f58c695f5b0bf9eb8e5fa84"
    )
    other = io.BytesIO()
    write_fasta(other, 5, 3000, 0.02, seed=4)
    assert other.getvalue() != stream.getvalue()


def test_names_say_that_it_is_simulated() -> None:
    names = [name for name, _ in simulate(12, 500, seed=1)]
    assert names[7].startswith("sim1_007 simulated genome")
    assert len({name.split()[0] for name in names}) == 12


def test_genomes_are_related_and_of_the_requested_length() -> None:
    genomes = [sequence.upper() for _, sequence in simulate(6, 20_000, 0.01, 2)]
    assert all(abs(len(genome) - 20_000) < 600 for genome in genomes)
    words = [{genome[place : place + 16] for place in range(len(genome) - 15)} for genome in genomes]
    for other in words[1:]:
        assert len(words[0] & other) > 0.5 * len(words[0])
    assert set(b"".join(genomes)) <= set(b"ACGTN")
    assert 0.3 < sum(base in b"GC" for base in genomes[0]) / len(genomes[0]) < 0.6


def test_odd_letters_come_and_go() -> None:
    letters = set(b"".join(sequence for _, sequence in simulate(20, 5000, seed=5)))
    assert letters >= set(b"ACGTacgtN")


@pytest.mark.parametrize("length", [0, 1, 30, 999, 2500])
def test_small_ones_round_trip(length: int) -> None:
    stream = io.BytesIO()
    write_fasta(stream, 3, length, 0.5)
    assert stream.getvalue().count(b">") == 3
    text, bases = parse(stream.getvalue())
    assert text.render(bases) == stream.getvalue()


def test_impossible_settings() -> None:
    for settings in ({"genomes": -1}, {"genomes": 1, "length": -1}, {"genomes": 1, "divergence": 0.9}):
        with pytest.raises(ValueError, match="must"):
            list(simulate(**settings))  # type: ignore[arg-type]


def test_reads_are_the_same_everywhere_and_pair() -> None:
    alone, first, second = io.BytesIO(), io.BytesIO(), io.BytesIO()
    write_fastq([alone], 500, length=100, genome=5000, seed=7)
    write_fastq([first, second], 500, length=100, genome=5000, seed=7)
    assert hashlib.sha256(alone.getvalue()).hexdigest() == (
        "09d8530d65b4b8b3624ae121c950997afb1f38ca3f58ca92c078808a46f911f2"
    )
    lines = [text.getvalue().split(b"\n") for text in (first, second)]
    assert lines[0][0].replace(b" 1:", b" 2:") == lines[1][0]
    assert b"simulated" in lines[0][0]
    assert len(lines[0]) == 4 * 500 + 1
    words = [{line[at : at + 20] for line in text[1::4] for at in range(80)} for text in lines]
    reverse = {word.translate(bytes.maketrans(b"ACGT", b"TGCA"))[::-1] for word in words[1]}
    assert len(words[0] & reverse) > len(words[0]) // 3
    for residues, qualities in zip(lines[0][1::4], lines[0][3::4], strict=True):
        assert [base == 78 for base in residues] == [value == 35 for value in qualities]
