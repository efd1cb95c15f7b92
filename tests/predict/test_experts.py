"""The experts: every base back, whatever the settings, and nothing that depends on how the work is cut."""

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panels import mutated

from geneformer_codec.archive.settings import LEVELS
from geneformer_codec.coding import integers
from geneformer_codec.coding.jit import kernels
from geneformer_codec.errors import FormatError
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.initial_states import digest, shipped_initial_state
from geneformer_codec.predict import predictor
from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import INITIAL_STATES, NEVER, ExpertSettings, with_level, without_panel
from geneformer_codec.predict.state import COPIES, LOW_ROW, POSITION, TRUST_ROWS, MixerState, untrained_low

ANCESTOR = np.random.default_rng(1).integers(0, 4, 4000).astype(np.uint8)
PANEL = np.concatenate([mutated(ANCESTOR, 0.05, seed) for seed in range(2, 12)])
STARTS = np.arange(0, len(PANEL), len(ANCESTOR)).astype(np.int64)
RELATIVES = PackedPanel.of(PANEL, STARTS)
CHILD = mutated(ANCESTOR, 0.05, 99)


def small(**changes: object) -> ExpertSettings:
    return replace(ExpertSettings(table_bits=14), **changes)


@pytest.fixture(scope="module")
def related() -> Predictor:
    return Predictor(small(), RELATIVES)


def test_relatives_in_the_panel_are_found(related: Predictor) -> None:
    data = related.encode(CHILD)
    assert np.array_equal(related.decode(data, len(CHILD)), CHILD)
    alone = Predictor(small()).encode(CHILD)
    assert len(alone) > 0.97 * len(CHILD) / 4  # random bases: 2 bits each
    assert len(data) < 0.5 * len(alone)


@pytest.mark.parametrize("both", [False, True])
def test_reverse_complements_are_found_in_the_panel(both: bool) -> None:
    related = mutated(ANCESTOR, 0.005, 98)
    reverse = np.ascontiguousarray(3 - related[::-1])
    coder = Predictor(small(both_strands=both), PackedPanel.of(ANCESTOR))
    data = coder.encode(reverse)
    assert np.array_equal(coder.decode(data, len(reverse)), reverse)
    assert len(data) < 3 * len(coder.encode(related))


@pytest.mark.parametrize("sampling", [0, 2])
@pytest.mark.parametrize("both", [False, True])
def test_reverse_complements_are_found_in_the_history(both: bool, sampling: int) -> None:
    related = mutated(CHILD, 0.005, 5)
    text = np.concatenate([CHILD, 3 - related[::-1]])
    coder = Predictor(small(both_strands=both, history_sampling=sampling))
    data = coder.encode(text)
    assert np.array_equal(coder.decode(data, len(text)), text)
    assert len(data) < 1.1 * len(coder.encode(np.concatenate([CHILD, related])))


def test_nothing_is_copied_from_the_place_that_is_coded() -> None:
    random = np.random.default_rng(7).integers(0, 4, 2000).astype(np.uint8)
    coder = Predictor(small(history_seed_length=16, search_interval=1))
    slice_ = coder.slice_coder(len(random), random)
    for stop in range(50, len(random), 50):
        slice_.run(stop)
        assert slice_.slice_.state.numbers[COPIES] == 0


def test_match_runs_are_coded_without_the_mixer() -> None:
    text = np.concatenate([ANCESTOR, *(mutated(ANCESTOR, 0.002, seed) for seed in range(9))])
    mixed, in_runs = Predictor(small()), Predictor(small(match_run_length=16))
    stream = in_runs.encode(text)
    assert np.array_equal(in_runs.decode(stream, len(text)), text)
    assert stream != mixed.encode(text)
    assert len(stream) < 1.1 * len(mixed.encode(text))
    learned = Predictor(small(match_run_length=NEVER))  # learns from match runs, but codes none
    mixer = learned.mixer.copy()
    assert learned.adapt(text, mixer, None) == mixed.encode(text)
    assert np.any(mixer.trust[TRUST_ROWS:] != learned.mixer.trust[TRUST_ROWS:])


@pytest.mark.parametrize("every", [2, 3, 4])
def test_a_stream_fits_where_match_runs_miss_improbably_often(every: int) -> None:
    """The room for a stream is of 3 bytes per base."""
    text = np.tile(ANCESTOR[:600], 3)
    text[600::every] = (text[600::every] + 1) & 3
    settings = small(
        match_run_length=1, max_start_mismatches=24, max_mismatches=24, search_interval=1, history_seed_length=8,
    )  # fmt: skip
    coder = Predictor(settings)
    coder.mixer.trust[:] = 64 << 10 | 1000
    coder.mixer.substitutions[:] = 0
    slice_ = coder.slice_coder(len(text), text)
    slice_.run(len(text))
    assert slice_.slice_.state.numbers[POSITION] <= 3 * len(text)
    assert np.array_equal(coder.decode(slice_.finish(), len(text)), text)


@given(
    pieces=st.lists(
        st.tuples(st.integers(0, len(PANEL) - 1), st.integers(0, 300), st.booleans(), st.integers(0, 99)), max_size=8
    ),
    copies=st.sampled_from([1, 3, 16, 17, 64]),
    both=st.booleans(),
    search_interval=st.sampled_from([1, 7, 16]),
    rate=st.sampled_from([0, 12]),
    match_run_length=st.sampled_from([0, 1, 16, NEVER]),
    with_panel=st.booleans(),
)
def test_any_bases_come_back(
    pieces: list[tuple[int, int, bool, int]],
    copies: int,
    both: bool,
    search_interval: int,
    rate: int,
    match_run_length: int,
    with_panel: bool,
) -> None:
    parts = [np.zeros(0, np.uint8)]
    for start, length, turn, seed in pieces:
        part = mutated(PANEL[start : start + length], 0.02, seed)
        parts.append((3 - part)[::-1] if turn else part)
    bases = np.concatenate(parts)
    chosen = small(
        copies=copies, both_strands=both, search_interval=search_interval, attention_rate=rate,
        match_run_length=match_run_length,
    )  # fmt: skip
    coder = Predictor(chosen, RELATIVES) if with_panel else Predictor(chosen)
    assert np.array_equal(coder.decode(coder.encode(bases), len(bases)), bases)


@pytest.mark.parametrize("level", ["fast", "balanced", "max"])
@pytest.mark.parametrize("both", [False, True])
def test_levels_without_a_panel(level: str, both: bool) -> None:
    coder = Predictor(replace(without_panel(level, both), table_bits=16))
    bases = np.concatenate([CHILD, mutated(CHILD, 0.03, 4)])
    data = coder.encode(bases)
    assert np.array_equal(coder.decode(data, len(bases)), bases)
    assert len(data) < 0.75 * len(bases) / 4


@pytest.mark.parametrize("level", ["fast", "balanced", "max"])
def test_levels_with_a_panel(level: str) -> None:
    coder = Predictor(with_level(small(), level), RELATIVES)
    assert np.array_equal(coder.decode(coder.encode(CHILD), len(CHILD)), CHILD)


def test_the_same_bytes_however_the_work_is_cut(related: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    data = related.encode(CHILD)
    for chunk in (1, 37, 1000):
        monkeypatch.setattr(predictor, "CHUNK", chunk)
        assert related.encode(CHILD) == data
        assert np.array_equal(related.decode(data, len(CHILD)), CHILD)


def test_a_slice_leaves_the_predictor_as_it_was(related: Predictor) -> None:
    data = related.encode(CHILD)
    related.encode(PANEL[:3000])
    related.decode(b"\x55" * 100, 500)
    assert related.encode(CHILD) == data


def test_training_lets_the_next_slice_start_better(related: Predictor) -> None:
    mixer, low = related.mixer.copy(), related.low.copy()
    for seed in range(20, 26):
        related.adapt(mutated(ANCESTOR, 0.05, seed), mixer, low)
    trained = Predictor(small(), RELATIVES, mixer, low)
    assert len(trained.encode(CHILD)) < len(related.encode(CHILD))
    assert np.array_equal(trained.decode(trained.encode(CHILD), len(CHILD)), CHILD)
    assert isinstance(mixer, MixerState)


@given(data=st.binary(max_size=200), length=st.integers(0, 800))
def test_any_bytes_decode_to_something(related: Predictor, data: bytes, length: int) -> None:
    out = related.decode(data, length)
    assert len(out) == length
    assert out.max(initial=0) <= 3


def test_reports_cover_all_bases(related: Predictor) -> None:
    done: list[int] = []
    data = related.encode(PANEL, done.append)
    related.decode(data, len(PANEL), done.append)
    assert sum(done) == 2 * len(PANEL)


@kernels()
def log2_q10(value: int) -> int:
    return integers.log2_q10(value)  # type: ignore[no-any-return]


@given(st.integers(1, (1 << 62) - 1))
def test_log2(value: int) -> None:
    found = log2_q10(value)
    # 2**found <= value < 2**(found + a bit): compared in integers, by the 1024th power
    assert abs(found - 1024 * (value.bit_length() - 1)) <= 1024
    assert abs(value / 2.0 ** (found / 1024) - 1) < 0.0015


def test_tables_are_what_they_say() -> None:
    steps = np.arange(1024)
    assert np.abs(integers.LOG - 1024 * np.log2(1 + steps / 1024)).max() <= 0.5001
    assert np.abs(integers.EXP - 2.0 ** (30 - steps / 1024)).max() <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("copies", 0), ("copies", 65), ("copies", True), ("copies", "16"), ("panel_seed_length", 32),
        ("search_interval", 0), ("max_mismatches", 25),
        ("table_bits", 40), ("low_orders", [0]), ("low_orders", [11]), ("low_orders", [1] * 9), ("count_orders", [32]),
        ("count_orders", [1, 2]), ("count_priors", [0]), ("both_strands", 1), ("count_orders", 12), ("rate", 128),
        ("trust_limit", 1023), ("long_history_weight", 17), ("max_mismatches", 11), ("max_start_mismatches", 17),
        ("match_run_length_noisy", -1),
        ("history_sampling", -1), ("history_sampling", 1025), ("shift_misses", 9),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(FormatError):
        ExpertSettings.from_dict(ExpertSettings().as_dict() | {name: value})


def test_settings_of_other_versions_are_refused() -> None:
    for values in ({}, None, ExpertSettings().as_dict() | {"more": 1}):
        with pytest.raises(FormatError):
            ExpertSettings.from_dict(values)


def test_a_setting_of_a_newer_version_is_named() -> None:
    with pytest.raises(FormatError, match="'novel', which needs a newer version"):
        ExpertSettings.from_dict(ExpertSettings().as_dict() | {"novel": 1})


def test_initial_states_that_would_break_the_coder_are_refused() -> None:
    state = InitialState.untrained(small())
    assert np.array_equal(
        InitialState.from_bytes(small(), state.to_bytes()).mixer.substitutions, state.mixer.substitutions
    )
    state.mixer.substitutions[1:4] = 1 << 15  # of A into all others: one and a half
    with pytest.raises(FormatError, match="substitutions that sum to more than one"):
        InitialState.from_bytes(small(), state.to_bytes())
    for more in ({"heads": 3}, {"sets": 6}, {"low_orders": (2,)}, {"count_orders": (11,)}, {"frame_orders": (3,)}):
        with pytest.raises(FormatError, match="other contexts, heads or sets"):
            InitialState.untrained(small(heads=2, sets=3)).at(small(**{"heads": 2, "sets": 3} | more))


def test_a_panel_may_end_with_an_empty_record() -> None:
    ended = PackedPanel.of(PANEL, np.append(STARTS, len(PANEL)))
    settings = small(copies=64)
    assert Predictor(settings, ended).encode(CHILD) == Predictor(settings, RELATIVES).encode(CHILD)


def genes(codons: int, seed: int) -> np.ndarray:
    """Codons drawn from a biased table, in genes on both strands and in all frames."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(64, 0.3))
    pieces = []
    for _ in range(codons // 300):
        gene = rng.choice(64, 300, p=table)
        bases = np.stack([gene >> 4, gene >> 2 & 3, gene & 3], axis=1).reshape(-1).astype(np.uint8)
        pieces += [3 - bases[::-1] if rng.random() < 0.5 else bases, rng.integers(0, 4, rng.integers(5, 50), np.uint8)]
    return np.concatenate(pieces)


@pytest.mark.parametrize("both", [True, False])
def test_reading_frames_are_found_by_themselves(both: bool) -> None:
    text = genes(12_000, 3)
    plain = small(low_orders=(2, 3, 5), both_strands=both)
    framed = replace(plain, frame_orders=(3, 4))
    without, coder = len(Predictor(plain).encode(text)), Predictor(framed)
    stream = coder.encode(text)
    assert len(stream) < 0.97 * without
    np.testing.assert_array_equal(coder.decode(stream, len(text)), text)


def test_levels_start_from_shipped_states() -> None:
    text = np.concatenate([CHILD, *(mutated(CHILD, 0.002, seed) for seed in range(12))])
    chosen = replace(without_panel("balanced", False), table_bits=16)
    start = shipped_initial_state(chosen)
    began = Predictor(chosen, mixer=start.mixer, low=start.low)
    stream = began.encode(text)
    assert len(stream) < len(Predictor(chosen).encode(text))
    assert np.array_equal(began.decode(stream, len(text)), text)


def test_every_level_names_an_initial_state_of_its_shape_and_no_others_are_shipped() -> None:
    files = resources.files("geneformer_codec.model.initial_states").iterdir()
    assert {file.name for file in files if file.name.endswith(".bin")} == {
        f"{name}.bin" for name in INITIAL_STATES.values()
    }
    for level in LEVELS:
        start = shipped_initial_state(without_panel(level))
        assert start.settings.kinds == without_panel(level).kinds
        assert digest(start.to_bytes()) == without_panel(level).initial_state


def test_initial_state_of_another_version_is_named() -> None:
    with pytest.raises(FormatError, match="0123456789abcdef, which this version does not have"):
        shipped_initial_state(replace(without_panel("fast"), initial_state="0123456789abcdef"))


@pytest.mark.parametrize(
    ("kind", "inputs"), [("low", [0, 3, 4, 5]), ("count", [0, 1, 2, 4, 5]), ("frame", [0, 1, 2, 3, 5])]
)
def test_contexts_that_are_left_out_leave_the_others_as_they_were(kind: str, inputs: list[int]) -> None:
    trained = small(heads=1, low_orders=(1, 2), frame_orders=(2,), network=True)
    start = InitialState.untrained(trained)
    start.mixer.weights.reshape(-1, 8)[:, :6] = range(6)
    start.low.reshape(-1, LOW_ROW)[:, 0] = range(4 + 16 + 8 * 16)
    without = {f"{kind}_orders": ()} | ({"count_priors": ()} if kind == "count" else {})
    kept = start.at(replace(trained, **without))
    assert (kept.mixer.weights.reshape(-1, 8)[:, : len(inputs)] == inputs).all()
    short, framed = np.split(start.low, [LOW_ROW * (4 + 16)])
    tables = {"low": framed, "count": start.low, "frame": short}
    np.testing.assert_array_equal(kept.low, tables[kind])


def test_seeds_that_are_sampled_find_passages_of_both_strands() -> None:
    rng = np.random.default_rng(3)
    once = rng.integers(0, 4, 40_000).astype(np.uint8)
    reverse = np.ascontiguousarray(3 - once[::-1])
    settings = replace(without_panel("fast"), table_bits=16)
    size = {
        name: len(Predictor(settings).encode(np.concatenate(parts)))
        for name, parts in {"once": [once], "again": [once, once], "reverse": [once, reverse]}.items()
    }
    assert size["again"] < 1.02 * size["once"]
    assert size["reverse"] < 1.02 * size["once"]


def test_fewer_heads_and_sets_do_the_work_of_all() -> None:
    trained = small(frame_orders=(2,))
    mixer = Predictor(trained).mixer.copy()
    low = untrained_low(trained.low_orders, trained.frame_orders)
    Predictor(trained, RELATIVES).adapt(CHILD, mixer, low)
    fewer = replace(trained, heads=1, sets=1)
    given = InitialState(trained, mixer, low).at(fewer)
    taught = Predictor(fewer, RELATIVES, given.mixer, given.low)
    stream = taught.encode(CHILD)
    assert len(stream) < len(Predictor(fewer, RELATIVES).encode(CHILD))
    np.testing.assert_array_equal(taught.decode(stream, len(CHILD)), CHILD)
