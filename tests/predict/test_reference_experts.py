"""docs/format/experts.md suffices: a decoder written from it gives the bases that kernels encoded."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_model
from panels import Bases, mutated
from reference import ReferenceModel
from reference_experts import Slice, decode_panel, decode_slice
from reference_state import EXP, LOG, ExpertModel, Panel, State, count_log

from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.read import Archive
from geneformer_codec.coding import integers
from geneformer_codec.model.file import Experts, Model
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.initial_states import shipped_initial_state
from geneformer_codec.model.panel import Panel as ModelPanel
from geneformer_codec.model.panel import embed
from geneformer_codec.model.panel_coding import encode_panel
from geneformer_codec.predict.coder import ExpertCoder
from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import _BOUNDS, ExpertSettings, without_panel

GOLDEN = Path(__file__).parents[1] / "archive" / "golden"
LEVELS = ["fast", "balanced", "max"]
MOST = {"fast": 2400, "balanced": 1600, "max": 800}
"""Bases of a slice: the reference takes about a millisecond for a base at the highest level."""


def revcomp(bases: Bases) -> Bases:
    return np.ascontiguousarray(3 - bases[::-1])


ANCESTOR = np.random.default_rng(5).integers(0, 4, 600).astype(np.uint8)
SMALL = ExpertSettings(
    table_bits=10,
    history_seed_length=8,
    history_seed_length_both=8,
    panel_seed_length=8,
    count_orders=(3, 6),
    count_priors=(30, 10),
)
RECORDS = [
    mutated(ANCESTOR, 0.08, 1), revcomp(mutated(ANCESTOR, 0.1, 2)), mutated(ANCESTOR, 0.03, 3), ANCESTOR[:40],
    np.tile(ANCESTOR[:13], 20),
]  # fmt: skip
RELATED = np.concatenate(
    [
        mutated(ANCESTOR, 0.05, 4)[:300], revcomp(mutated(ANCESTOR, 0.02, 5))[-200:], np.tile(ANCESTOR[40:47], 30),
        mutated(ANCESTOR, 0.01, 6), np.zeros(60, np.uint8), revcomp(ANCESTOR)[100:500], mutated(ANCESTOR, 0.01, 8),
    ]
)  # fmt: skip
"""Repeats of this strand and the other, tandem repeats, a run of one base."""


def packed_state(digits: str) -> bytes:
    return (resources.files("geneformer_codec.model.initial_states") / f"{digits}.bin").read_bytes()


def predictor(
    settings: ExpertSettings, records: list[Bases] | None = None, start: InitialState | None = None
) -> Predictor:
    mixer, low = (start.mixer, start.low) if start else (None, None)
    if records is None:
        return Predictor(settings, mixer=mixer, low=low)
    starts = np.cumsum([0, *map(len, records)])[:-1].astype(np.int64)
    return Predictor(settings, PackedPanel.of(np.concatenate(records), starts), mixer, low)


def reference_panel(settings: ExpertSettings, records: list[Bases] | None) -> Panel | None:
    if records is None:
        return None
    return Panel(settings.as_dict(), np.concatenate(records).tolist(), [len(record) for record in records])


def check(settings: ExpertSettings, text: Bases, records: list[Bases] | None = None) -> Counter[str]:
    """Decode what untrained experts encode; gives the branches that were taken."""
    data = predictor(settings, records).encode(text)
    given = settings.as_dict()
    slice_ = Slice(given, State.untrained(given), data, len(text), reference_panel(settings, records))
    assert slice_.decode() == text.tolist()
    return +slice_.taken


def test_the_tables_are_the_ones_described() -> None:
    assert integers.LOG.tolist() == LOG
    assert integers.EXP.tolist() == EXP
    priors = (1, 5, 10, 30, 99, 100, 777, 1000)
    tables = Predictor(ExpertSettings(count_orders=(3,) * 8, count_priors=priors))._panel_tables().count_logs
    assert tables.tolist() == [count_log(count, prior) for prior in priors for count in range(16)]


@pytest.mark.parametrize(
    ("level", "both"), [("fast", False), ("fast", True), ("balanced", False), ("balanced", True), ("max", True)]
)
def test_slices_without_a_model(level: str, both: bool) -> None:
    settings, text = without_panel(level, both), RELATED[: MOST[level]]
    start = shipped_initial_state(settings)
    (data,) = ExpertCoder(predictor(settings, None, start), "experts", 1).encode(text, [len(text)])
    assert len(data) < 0.97 * len(text) / 4
    given = settings.as_dict()
    state = State.read(given, packed_state(settings.initial_state))
    assert decode_slice(Slice(given, state, data, len(text))) == text.tolist()


def test_what_the_other_strand_counts_is_there_for_the_next_base() -> None:
    """Where bases are as many words of both strands, one after the other ask for the same counts."""
    random = np.random.default_rng(11)
    text = np.concatenate([np.tile([0, 3], 60), random.integers(0, 4, 300), 3 * random.integers(0, 2, 400)])
    settings = replace(SMALL, both_strands=True, count_orders=(2, 3, 12), count_priors=(30, 30, 10))
    check(settings, text.astype(np.uint8))


@pytest.mark.parametrize("bit", range(0, 8, 3))
def test_damage_is_not_decoded_to_the_same(bit: int) -> None:
    settings, text = replace(SMALL, match_run_length=8), RELATED[:700]
    data = bytearray(predictor(settings).encode(text))
    data[len(data) // 2] ^= 1 << bit
    given = settings.as_dict()
    decoded = Slice(given, State.untrained(given), bytes(data), len(text)).decode()
    assert decoded[:100] == text[:100].tolist()
    assert decoded != text.tolist()


@pytest.fixture(scope="module", params=[False, True], ids=["one strand", "both strands"])
def model(request: pytest.FixtureRequest) -> Model:
    settings = ExpertSettings(both_strands=request.param, table_bits=14, frame_orders=(2, 3), count_orders=(6, 9, 16),
                              count_priors=(30, 10, 5), long_history_weight=8)  # fmt: skip
    pupil = predictor(replace(settings, attention_rate=12), RECORDS)
    mixer, low = pupil.mixer.copy(), pupil.low.copy()
    pupil.adapt(mutated(ANCESTOR, 0.1, 7), mixer, low)
    coded = replace(without_panel("balanced", request.param), table_bits=16)
    source = embed(ModelPanel.of(RECORDS), lambda bases: encode_panel(bases, coded, 1, slice_=900))
    return Model.of(None, Experts(InitialState(settings, mixer, low), source), {"name": "species"})


def test_model_files_are_read_as_described(model: Model) -> None:
    reference = ExpertModel(model.data)
    assert reference.id == reference.stated_id == model.id
    bases = decode_panel(reference.coded, reference.panel["bases"], packed_state)
    assert bases == np.concatenate(RECORDS).tolist()
    assert reference.lengths == [len(record) for record in RECORDS]
    assert reference.panel_digest(bases) == reference.panel["digest"]


@pytest.mark.parametrize("level", LEVELS)
def test_slices_with_a_model(model: Model, level: str) -> None:
    settings = model.expert_settings(level)
    assert settings
    slices = [RELATED[: MOST[level]], mutated(ANCESTOR, 0.05, 8)[:300]]
    coded = model.coder(settings, "cpu", 1).encode(np.concatenate(slices), [len(slice_) for slice_ in slices])
    reference, given = ExpertModel(model.data), settings.as_dict()
    state, panel = reference.state.converted(reference.settings, given), reference_panel(settings, RECORDS)
    for text, data in zip(slices, coded, strict=True):
        assert len(data) < 0.8 * len(text) / 4
        assert Slice(given, state.copy(), data, len(text), panel).decode() == text.tolist()


def odd_settings(seed: int) -> ExpertSettings:
    """Any settings that an archive may state, their ends more often than what lies between."""
    rng = np.random.default_rng(seed)

    def number(low: int, high: int) -> int:
        return int(rng.choice([low, high, rng.integers(low, high + 1)]))

    values: dict[str, Any] = {name: number(*ends) for name, ends in _BOUNDS.items()}
    values |= {
        "table_bits": number(8, 16),
        "panel_seed_length": number(8, 14),
        "history_seed_length": number(8, 14),
        "history_seed_length_both": 9,
    }
    values |= {
        "search_interval": number(1, 20),
        "search_interval_few": number(1, 9),
        "match_run_length": int(rng.choice([0, 1, 20, 1 << 30])),
    }
    values |= {
        "max_start_mismatches": min(values["max_start_mismatches"], values["max_mismatches"]),
        "match_run_length_noisy": int(rng.choice([0, 1, 5, 12, 1 << 30])),
    }
    values |= {"history_sampling": int(rng.choice([0, 1, 3, 1024])), "shift_misses": int(rng.integers(0, 9))}
    counts = int(rng.integers(0, 4))
    values["low_orders"] = tuple(rng.integers(1, 6, int(rng.integers(0, 4))).tolist())
    values["count_orders"] = tuple(rng.integers(1, 32, counts).tolist())
    values["count_priors"] = tuple(rng.integers(1, 1001, counts).tolist())
    values["frame_orders"] = tuple(rng.integers(1, 4, int(rng.integers(0, 3))).tolist())
    return ExpertSettings(**values, both_strands=bool(rng.integers(2)))


@pytest.mark.parametrize("seed", range(16))
def test_whatever_settings_an_archive_may_state(seed: int) -> None:
    settings = odd_settings(seed)
    assert ExpertSettings.from_dict(settings.as_dict()) == settings
    begin = 100 * (seed % 5)
    check(settings, RELATED[begin : begin + 300], RECORDS if seed % 2 else None)


NOISE = np.random.default_rng(9).integers(0, 4, 1500).astype(np.uint8)
FEW = np.random.default_rng(10).integers(0, 2, 1000).astype(np.uint8)
"""Two letters only: seeds come again and again."""
FAILING = np.concatenate([NOISE[:250], mutated(NOISE[:250], 0.03, 1), revcomp(mutated(NOISE[:250], 0.03, 2))])
LONG = np.concatenate([NOISE[:900], NOISE[:500], NOISE[:900]])
LONG[[1200, 1800]] ^= 2
ENDS = np.concatenate([NOISE[600:760], revcomp(NOISE[:120]), NOISE[:80], NOISE[650:790]])
BLOCK = np.resize(NOISE, 1 << 14)
GAPPED = np.insert(np.delete(NOISE[:900], np.r_[100:102, 300, 500:504, 800:803]), [200, 400, 400, 650], 1)
CODONS = np.tile(np.array([0, 3, 2, 0, 1, 2, 0, 2, 2], np.uint8), 40)
CODONS[2::3] = NOISE[:120]


CROSSING = np.concatenate([BLOCK[-200:], NOISE[:200]])


@dataclass(frozen=True)
class Case:
    """What makes the branches happen that a usual slice seldom comes to."""

    name: str
    changes: dict[str, Any]
    text: Bases
    records: list[Bases] | None
    branches: set[str]


CASES = [
    Case(
        "long lists of both strands",
        {"max_candidates": 9, "max_candidates_both": 2, "search_interval": 1, "both_strands": True},
        FEW[:500], [FEW[500:]], {"candidates run out in the panel", "candidates run out in the history"},
    ),
    Case(
        "long lists", {"max_candidates": 2, "search_interval": 1}, FEW[:500], [FEW[500:]],
        {"candidates run out in the panel", "candidates run out in the history", "forward copies"},
    ),
    Case(
        "many copies", {"copies": 17, "search_interval": 1, "max_start_mismatches": 16, "long_history_weight": 16},
        FEW[:400], [FEW[400:800]],
        {"copies replaced", "copies that score too low", "copies known already", "copies dropped"},
    ),
    Case(
        "counts that are full", {"history_seed_length": 20, "count_orders": (1, 2), "rate": 127, "trust_limit": 1},
        np.concatenate([NOISE[:200], np.ones(500, np.uint8)]), None,
        {"counts halved", "seen 255 times", "trust at its limit", "least trust"},
    ),
    Case("hashed seeds", {"history_seed_length": 14, "search_interval": 1, "max_candidates": 64}, NOISE, None,
        {"other seeds in the list"}),
    Case("attention", {"search_interval": 1, "attention_rate": 255, "copies": 64}, RELATED[:500], RECORDS,
        {"attention learns"}),
    Case(
        "copies that begin badly", {"max_start_mismatches": 24, "max_mismatches": 24, "search_interval": 2,
        "copies": 20}, FEW[:500], [FEW[600:900]],
        {"copies replaced"},
    ),
    Case(
        "ends of texts", {"both_strands": True, "search_interval": 1}, ENDS, [NOISE[:700], revcomp(NOISE[:90]),
        NOISE[700:760]],
        {"copies at an end", "copies that left", "reverse copies"},
    ),
    Case(
        "a panel of whole blocks", {"both_strands": True, "search_interval": 1},
        np.concatenate([BLOCK[-150:], revcomp(BLOCK[:150]), NOISE[:99]]), [BLOCK], {"copies at an end"},
    ),
    Case(
        "blocks that take over scores", {"both_strands": True, "search_interval": 1, "match_run_length": 12},
        np.concatenate([mutated(CROSSING, 0.02, 1), mutated(revcomp(CROSSING), 0.02, 2)]),
        [BLOCK, NOISE[:300], mutated(CROSSING, 0.02, 3)],
        {"copies in another block", "match runs", "match runs at the end of a block"},
    ),
    Case(
        "match runs", {"both_strands": True, "search_interval": 1, "match_run_length": 8}, FAILING, None,
        {"match runs", "match runs that missed", "copies that disagree"},
    ),
    Case(
        "match runs among misses", {"both_strands": True, "search_interval": 1, "match_run_length": 30,
        "match_run_length_noisy": 9}, FAILING, None,
        {"match runs", "match runs after fewer bases"},
    ),
    Case(
        "short match runs", {"both_strands": True, "search_interval": 1, "match_run_length": 30,
        "match_run_length_noisy": 2}, FAILING, None,
        {"short match runs", "match runs after fewer bases", "match runs halved"},
    ),
    Case(
        "long match runs", {"search_interval": 1, "match_run_length": 20, "search_run_limit": 40},
        np.concatenate([NOISE, NOISE, mutated(NOISE, 0.01, 8), np.zeros(2200, np.uint8)]), None,
        {"match runs seen often", "searches left out", "hits left out"},
    ),
    Case(
        "sampled seeds", {"both_strands": True, "history_sampling": 2, "history_seed_length_both": 12}, FAILING, None,
        {"forward copies", "reverse copies"},
    ),
    Case(
        "sampled seeds of one strand", {"history_sampling": 1, "max_candidates": 2}, np.concatenate([FEW, FEW[:300]]),
        None,
        {"forward copies", "candidates run out in the history"},
    ),
    Case(
        "sampled seeds beside a panel", {"history_sampling": 3, "search_interval": 5, "match_run_length": 12,
        "match_run_length_noisy": 3, "search_run_limit": 40}, RELATED[:900], RECORDS,
        {"short match runs", "match runs", "forward copies", "hits left out"},
    ),
    Case(
        "shifted copies", {"both_strands": True, "history_seed_length_both": 14, "shift_misses": 3},
        np.concatenate([NOISE[:900], GAPPED, revcomp(GAPPED)]), None,
        {"forward shifts", "reverse shifts"},
    ),
    Case(
        "copies of a panel shifted", {"shift_misses": 2, "panel_sampling": 1}, GAPPED,
        [NOISE[:900], revcomp(NOISE[:900])], {"forward shifts"},
    ),
    Case(
        "reading frames", {"both_strands": True, "frame_orders": (1, 2)},
        np.concatenate([CODONS, NOISE[:50], revcomp(CODONS)]), None, {"frame changes"},
    ),
    Case("long runs", {"search_interval": 150, "search_interval_few": 150}, LONG, None, {"runs measured",
        "trust by distance"}),
    Case(
        "a run of more than is measured", {"search_interval": 1024, "search_interval_few": 1024},
        np.concatenate([NOISE, FEW[:549], NOISE[:1100]]), None, {"longest run"},
    ),
    Case(
        "reverse copies of one strand", {"search_interval": 2, "reverse_rarity": 4}, FAILING,
        [NOISE[100:200], revcomp(NOISE[600:700])], {"reverse copies", "searches after a reverse copy"},
    ),
    Case(
        "long rows of the panel", {"panel_sampling": 1, "max_candidates": 3}, np.tile(NOISE[:20], 20),
        [np.tile(NOISE[:20], 100)], {"long rows of the panel", "candidates run out in the panel"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rare_cases(case: Case) -> None:
    taken = check(replace(SMALL, **case.changes), case.text, case.records)
    assert case.branches <= set(taken), taken


@pytest.mark.parametrize("seed", range(4))
def test_states_at_their_bounds(seed: int) -> None:
    """Kernels compute in 32 and 64 bits, the reference without bounds."""
    rng = np.random.default_rng(seed)
    settings = replace(SMALL, low_orders=(1, 2), frame_orders=(1,), both_strands=True, attention_rate=255,
    search_interval=2,
                       match_run_length=(0, 30)[seed % 2])  # fmt: skip
    start = InitialState.untrained(settings)
    limits = {"weights": (1 << 21) - 1, "final": 1 << 18, "attention": 1 << 22}
    arrays = {name: rng.choice([-most, 0, most], start.arrays[name].size) for name, most in limits.items()}
    arrays |= {name: rng.choice([0, (1 << 22) - 1], start.arrays[name].size) for name in ("map_one", "map_two")}
    trust = start.arrays["trust"].size
    arrays["trust"] = rng.choice([64, 15 << 18], trust) << 10 | rng.choice([0, 1022], trust)
    arrays["substitutions"] = np.eye(4, dtype=np.int64)[rng.integers(0, 4, 32)].reshape(-1) * 65536
    low = rng.choice([0, 65535], start.low.size).reshape(-1, 8)
    low[:, 4:] = rng.choice([0, 255], len(low))[:, None] * np.array([1, 0, 0, 0])
    arrays["low"] = low.reshape(-1)
    start = start.with_arrays({name: values.astype(start.arrays[name].dtype) for name, values in arrays.items()})
    given, text, packed = settings.as_dict(), RELATED[:350], start.to_bytes()
    data = predictor(settings, RECORDS, InitialState.from_bytes(settings, packed)).encode(text)
    slice_ = Slice(given, State.read(given, packed), data, len(text), reference_panel(settings, RECORDS))
    assert slice_.decode() == text.tolist()
    assert slice_.taken["certain"]
    assert slice_.taken["attention at its limit"]


class Hearing:
    """What a network, of the stream form, says of the next base of a slice."""

    def __init__(self, network: ReferenceModel) -> None:
        self.printed, self.heard = network.stream_frequencies(), 0
        self.now = next(self.printed)

    def __call__(self, bases: list[int]) -> list[int]:
        for base in bases[self.heard :]:
            self.now = self.printed.send(base)
        self.heard = len(bases)
        return self.now


@pytest.mark.parametrize("run_length", [0, 8])
def test_experts_that_hear_a_network(run_length: int) -> None:
    settings = replace(SMALL, network=True, attention_rate=8, frame_orders=(2,))
    network = random_model("stream")
    source = embed(ModelPanel.of(RECORDS), lambda bases: encode_panel(bases, SMALL, 1))
    model = Model.of(network.network, Experts(InitialState.untrained(settings), source), {"name": "both"})
    at_work, text = replace(settings, match_run_length=run_length), RELATED[:300]
    (data,) = model.coder(at_work, "cpu", 1).encode(text, [300])
    given = at_work.as_dict()
    hearing = Hearing(ReferenceModel(network.data))
    slice_ = Slice(given, State.untrained(given), data, 300, reference_panel(at_work, RECORDS), hearing)
    assert slice_.decode() == text.tolist()
    assert bool(slice_.taken["match runs"]) == bool(run_length)


class ReferenceCoder:
    """The reference in the place of the experts, to decode slices of an archive."""

    def __init__(self, settings: dict[str, Any], state: State, panel: Panel | None) -> None:
        self.model_id, self._make = "", lambda data, length: Slice(settings, state.copy(), data, length, panel)

    def decode(self, slices: list[bytes], lengths: list[int], *_: object) -> Bases:
        decoded = [decode_slice(self._make(data, length)) for data, length in zip(slices, lengths, strict=True)]
        return np.concatenate([np.array(bases, np.uint8) for bases in decoded])


@pytest.mark.parametrize("name", ["balanced", "model-fast", "fast", "self-panel"])
def test_golden_archives(name: str) -> None:
    with Archive(GOLDEN / f"{name}.gfz") as archive:
        settings = archive.manifest.settings.experts
        assert settings
        given, panel = settings.as_dict(), None
        given["both_strands"] = archive.blocks[0].strands == 2
        if archive.manifest.model.id == "experts":
            state = State.read(given, packed_state(settings.initial_state))
        else:
            model = ExpertModel(archive.model_data() or (GOLDEN / "species.gfmodel").read_bytes())
            assert model.id == archive.manifest.model.id
            assert not any(block.without_model for block in archive.blocks)
            bases = decode_panel(model.coded, model.panel["bases"], packed_state)
            if model.state is None:
                state = State.read(given, packed_state(settings.initial_state))
            else:
                state = model.state.converted(model.settings, given)
            panel = Panel(settings.as_dict(), bases, model.lengths)
        coder: Any = ReferenceCoder(given, state, panel)
        decoded = archive.decode_all(Coders(archive.manifest.model.id, lambda _: coder))
        text = b"".join(part.texts[0] for part in decoded)
    assert hashlib.sha256(text).hexdigest() == json.loads((GOLDEN / f"{name}.json").read_text())["info"]["sha256"]
