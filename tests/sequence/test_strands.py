"""One strand or both: what is right for sequences whose nature is known."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.sequence.strands import STRETCH, STRETCHES, WORD, both_strands, stretches, word_pairs


def plainly(bases: list[int]) -> tuple[int, int]:
    words = Counter(tuple(bases[at : at + WORD]) for at in range(len(bases) - WORD + 1))
    pairs = {frozenset((word, tuple(3 - base for base in word[::-1]))) for word in words}
    return sum(count > 1 for count in words.values()), sum(all(word in words for word in pair) for pair in pairs)


@given(st.lists(st.integers(0, 1), max_size=400), st.booleans())
def test_counts_as_the_plainest_code_does(bases: list[int], turn: bool) -> None:
    if turn:
        bases = bases + [3 - base for base in bases[::-1]]
    assert word_pairs(np.array(bases, np.uint8)) == plainly(bases)


def related(genomes: int, turn: bool) -> np.ndarray:
    """Genomes that differ in 2 bases of 100, every other one reversed if requested."""
    rng = np.random.default_rng(1)
    ancestor = rng.integers(0, 4, 20_000).astype(np.uint8)
    out = []
    for number in range(genomes):
        genome = np.where(rng.random(20_000) < 0.02, rng.integers(0, 4, 20_000), ancestor).astype(np.uint8)
        out.append(3 - genome[::-1] if turn and number % 2 else genome)
    return np.concatenate(out)


def test_genomes_of_one_direction_and_of_both() -> None:
    assert not both_strands(related(20, turn=False))
    assert both_strands(related(20, turn=True))
    assert both_strands(related(2, turn=True))


def test_without_repeats_both_do_no_harm() -> None:
    assert both_strands(np.zeros(0, np.uint8))
    assert both_strands(np.random.default_rng(1).integers(0, 4, 3_000_000).astype(np.uint8))


def test_stretches_of_long_parts() -> None:
    part = np.arange(3 * STRETCHES * STRETCH, dtype=np.uint32)
    taken = stretches(part, STRETCHES, STRETCH)
    assert (len(taken), taken[0], taken[-1]) == (STRETCHES * STRETCH, 0, part[-1])
    assert (stretches(part[:1000], STRETCHES, STRETCH) == part[:1000]).all()


@pytest.mark.parametrize(
    ("name", "both"),
    [
        ("corpus_EsCo_NC_000913", True),
        ("mycoplasma_mycoides4", True),
        ("yeast_R64", True),
        ("odd_longline40k_softmask_chr17", True),
        ("dengue_500", False),
        ("sarscov2_400", False),
        ("fish_mt_dev", False),
        ("fish_mt_panel", False),
        ("human_mt_dev", False),
    ],
)
def test_real_sequence(name: str, both: bool, real_data: Callable[[str], bytes]) -> None:
    from geneformer_codec.sequence.fasta import parse

    assert both_strands(parse(real_data(name))[1]) is both


@pytest.mark.parametrize("name", ["illumina_hiseqx_150_10k", "ont_wfalignment_4k", "sra_SRR3927310_1_10k"])
def test_real_reads(name: str, real_data: Callable[[str], bytes]) -> None:
    from geneformer_codec.sequence.fasta import parse

    lines = real_data(f"reads_{name}.fastq").split(b"\n")[1::4]
    assert both_strands(parse(b"".join(b">\n" + line + b"\n" for line in lines))[1])
