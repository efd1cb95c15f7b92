"""The experts as a coder: slices on their own, in any order and number of threads, and safe from damage."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.predict.coder import ExpertCoder
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import _BOUNDS, ExpertSettings, without_panel

SMALL = replace(without_panel("fast"), table_bits=12, count_orders=(8,), count_priors=(30,))


def coder(threads: int = 1, expert_settings: ExpertSettings = SMALL) -> ExpertCoder:
    return ExpertCoder(Predictor(expert_settings), "experts", threads)


def sequence(lengths: list[int], seed: int = 1) -> np.ndarray:
    """Every other slice repeats itself, so that it is stored as the experts code it, and the others plain."""
    rng = np.random.default_rng(seed)
    slices = []
    for number, length in enumerate(lengths):
        unit = rng.integers(0, 4, 40 if number % 2 == 0 else length + 1).astype(np.uint8)
        slices.append(np.resize(unit, length))
    return np.concatenate([np.zeros(0, np.uint8), *slices])


LENGTHS = [3000, 1, 500, 0, 2000, 64, 4000, 700]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads: int) -> None:
    bases = sequence(LENGTHS)
    wanted = coder().encode(bases, LENGTHS)
    assert coder(threads).encode(bases, LENGTHS) == wanted
    assert (coder(threads).decode(wanted, LENGTHS) == bases).all()


def test_arrays_that_must_not_be_written() -> None:
    bases = sequence([500])
    wanted = coder().encode(bases, [500])
    bases.flags.writeable = False
    assert coder().encode(bases, [500]) == wanted


RANGES = {name: st.sampled_from(ends) for name, ends in _BOUNDS.items() if name != "table_bits"}


def bounded(**values: Any) -> ExpertSettings:
    return ExpertSettings(
        **values | {"max_start_mismatches": min(values["max_start_mismatches"], values["max_mismatches"])}
    )


BOUNDED = st.builds(
    bounded,
    **RANGES,
    table_bits=st.sampled_from([8, 9, 20]),
    both_strands=st.booleans(),
    low_orders=st.lists(st.integers(1, 8), max_size=4).map(tuple),
    count_orders=st.lists(st.integers(1, 31), min_size=2, max_size=2).map(tuple),
    count_priors=st.lists(st.sampled_from([1, 1000]), min_size=2, max_size=2).map(tuple),
)


@given(chosen=BOUNDED, seed=st.integers(0, 1000))
def test_whatever_settings_an_archive_may_state(chosen: ExpertSettings, seed: int) -> None:
    assert ExpertSettings.from_dict(chosen.as_dict()) == chosen
    bases = sequence([2000, 300], seed)
    able = coder(1, chosen)
    assert (able.decode(able.encode(bases, [2000, 300]), [2000, 300]) == bases).all()
    assert len(able.decode([random.Random(seed).randbytes(100)], [2000])) == 2000
