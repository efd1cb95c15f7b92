"""How the experts predict, as the archive states it, and what the levels mean."""

import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from geneformer_codec.errors import FormatError
from geneformer_codec.predict.state import (
    HEADS,
    MAX_COUNT_ORDERS,
    MAX_FRAME_ORDERS,
    MAX_LOW_ORDERS,
    ROOM,
    SETS,
    Settings,
    low_places,
)

MAX_COPIES = ROOM
NEVER = 1 << 30
"""A ``match_run_length`` with which match runs are learned but not coded."""
_ADAPTED = 2 << 20
"""Bytes of weights, maps and trust that a slice adapts, about."""
_DIGEST = re.compile("([0-9a-f]{16})?")
_BOUNDS = {
    "copies": (1, MAX_COPIES),
    "panel_seed_length": (8, 31),
    "panel_sampling": (1, 64),
    "history_seed_length": (8, 31),
    "history_seed_length_both": (8, 31),
    "search_interval": (1, 1024),
    "search_interval_few": (1, 1024),
    "max_candidates": (1, 1024),
    "max_candidates_both": (0, 1024),
    "max_start_mismatches": (0, 24),
    "max_mismatches": (0, 24),
    "long_history_weight": (0, 16),
    "reverse_rarity": (1, 1024),
    "rate": (0, 127),
    "final_rate": (0, 1024),
    "attention_rate": (0, 255),
    "trust_limit": (1, 1022),
    "table_bits": (8, 28),
    "heads": (1, HEADS),
    "sets": (1, SETS),
    "match_run_length": (0, NEVER),
    "match_run_length_noisy": (0, NEVER),
    "search_run_limit": (0, NEVER),
    "history_sampling": (0, 1024),
    "shift_misses": (0, 8),
}


@dataclass(frozen=True)
class ExpertSettings:
    """How to predict. All of it is in the archive, so that the meaning of a level may change later.

    At most ``copies`` at once; a new one shares ``panel_seed_length`` bases with the slice in the panel, one in
    ``panel_sampling`` of whose seeds are searched, or ``history_seed_length`` in the slice's history
    (``history_seed_length_both`` where both strands count), which is searched every ``search_interval`` bases
    (``search_interval_few`` while copies are few). A search compares at most ``max_candidates`` places
    (``max_candidates_both``, if not 0, where both strands count); unless
    ``both_strands``, one in ``reverse_rarity`` looks at the other strand. A copy starts with at most
    ``max_start_mismatches`` in 24 bases and ends with more than ``max_mismatches``; ``long_history_weight`` sixteenths
    of its longer history count when it is compared with others.
    ``low_orders`` are contexts with adaptive probabilities, ``count_orders`` those with counts, direct up to
    ``table_bits``/2 bases and hashed beyond; ``count_priors`` are added to each count, in hundredths. Rates say how
    fast a slice adapts. Where no copy disagrees and one has predicted ``match_run_length`` bases, the next ones are
    coded without the mixer (`match_run`); with 0 never; ``match_run_length_noisy``, if not 0, holds where guesses
    missed often lately. While one has predicted ``search_run_limit`` bases, if not 0, none is searched, and seeds of
    match runs are not entered. With ``history_sampling``, one seed of the history in so many is entered and searched.
    A copy that missed ``shift_misses`` times lately, if not 0, moves by up to four bases where that helps.
    """

    copies: int = 16
    panel_seed_length: int = 12
    panel_sampling: int = 5
    history_seed_length: int = 12
    history_seed_length_both: int = 16
    search_interval: int = 8
    search_interval_few: int = 2
    max_candidates: int = 16
    max_candidates_both: int = 0
    max_start_mismatches: int = 12
    max_mismatches: int = 16
    long_history_weight: int = 0
    both_strands: bool = False
    reverse_rarity: int = 16
    rate: int = 25
    final_rate: int = 16
    attention_rate: int = 0
    trust_limit: int = 500
    table_bits: int = 24
    heads: int = HEADS
    sets: int = SETS
    match_run_length: int = 0
    match_run_length_noisy: int = 0
    search_run_limit: int = 0
    history_sampling: int = 0
    shift_misses: int = 0
    low_orders: tuple[int, ...] = (2, 3)
    count_orders: tuple[int, ...] = (12,)
    count_priors: tuple[int, ...] = (10,)
    frame_orders: tuple[int, ...] = ()
    network: bool = False
    initial_state: str = ""

    def __post_init__(self) -> None:
        if len(self.count_orders) != len(self.count_priors):
            raise ValueError("each of count_orders needs one of count_priors")  # kernels would read past their table
        if self.max_start_mismatches > self.max_mismatches:
            raise ValueError("a copy cannot start with more mismatches than end it")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """From JSON. Raises ``FormatError`` for anything that `as_dict` cannot have given."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or names - set(values):
            raise FormatError("the settings of its experts are not complete; the file is damaged")
        if strange := sorted(map(str, set(values) - names)):
            raise FormatError(
                f"the settings of its experts have {strange[0][:40]!r}, which needs a newer version of gfz"
            )
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        for name, (low, high) in _BOUNDS.items():
            _check(name, given[name], low, high)
        for name in ("both_strands", "network"):
            if not isinstance(given[name], bool):
                raise FormatError(f"the experts' {name} is neither true nor false")
        digest = given["initial_state"]
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise FormatError(f"the experts' initial_state is {str(digest)[:40]!r}, not a digest")
        for name, most, low, high in (
            ("low_orders", MAX_LOW_ORDERS, 1, 10),
            ("count_orders", MAX_COUNT_ORDERS, 1, 31),
            ("count_priors", MAX_COUNT_ORDERS, 1, 1000),
            ("frame_orders", MAX_FRAME_ORDERS, 1, 9),
        ):
            if not isinstance(given[name], tuple) or len(given[name]) > most:
                raise FormatError(f"the experts' {name} is not a list of at most {most} numbers")
            for value in given[name]:
                _check(name, value, low, high)
        try:
            return cls(**given)
        except ValueError as error:
            raise FormatError(f"the settings of its experts do not go together: {error}") from error

    @property
    def tables(self) -> tuple[Any, ...]:
        """What the tables of a panel are made for."""
        counts = self.count_orders, self.count_priors, self.table_bits, self.both_strands
        return self.panel_seed_length, self.panel_sampling, counts

    @property
    def kinds(self) -> tuple[Any, ...]:
        """What an initial state is made for."""
        return self.low_orders, self.count_orders, self.frame_orders, self.network, self.heads, self.sets

    @property
    def contexts(self) -> int:
        """How many inputs of the mixer are contexts of any kind."""
        return len(self.low_orders) + len(self.count_orders) + len(self.frame_orders) + self.network

    @property
    def table_bytes(self) -> int:
        """Memory of the counts of long contexts: those of a panel, or of each slice without a panel."""
        return sum(2 << min(2 * order, self.table_bits) for order in self.count_orders)

    @property
    def low_numbers(self) -> int:
        """How many numbers the tables of short contexts have."""
        return int(low_places(self.low_orders, self.frame_orders)[-1])

    @property
    def initial_state_bytes(self) -> int:
        """Memory that it takes to unpack an initial state: its numbers, several times, of up to 64 bits."""
        return 40 * self.low_numbers

    def slice_bytes(self, length: int) -> int:
        """Memory of a slice of ``length`` bases but for counts: what it adapts, its history and hash chains."""
        bits = index_bits(length // max(self.history_sampling, 1))
        history = 21 * length // 4 + (4 << bits) + (33 * length if self.network else 0)
        return history + 2 * self.low_numbers + _ADAPTED

    def kernel(self, own_counts: bool) -> Settings:
        """For compiled code; ``own_counts`` when there is no panel that trained the counts."""
        seed_length = self.history_seed_length_both if self.both_strands else self.history_seed_length
        candidates = (self.both_strands and self.max_candidates_both) or self.max_candidates
        named = {name: int(getattr(self, name)) for name in Settings._fields if name != "learn_counts"}
        chosen = {"history_seed_length": seed_length, "max_candidates": candidates}
        return Settings(**named | chosen | {"learn_counts": int(own_counts)})


def index_bits(length: int) -> int:
    """log2 of the rows of an index of ``length`` seeds."""
    return min(24, max(12, length.bit_length()))


def with_level(trained: ExpertSettings, level: str) -> ExpertSettings:
    """A level's settings, given those of a model: more copies, and more searches for them.

    ``fast`` has copies only: where there is a panel, contexts would save a twenty-fifth and take a sixth of the time.
    A network, if there is one, is left out of all but ``max``: it takes far more time than all the rest. Frequent
    searches of few candidates pay more than rare ones of many.
    """
    trained = replace(trained, max_candidates=8, shift_misses=3)
    if level == "fast":
        return replace(
            trained, copies=4, search_interval=10, search_interval_few=5, history_sampling=4, attention_rate=0, heads=1,
            sets=1, low_orders=(), count_orders=(), count_priors=(), frame_orders=(), network=False,
            match_run_length=8, match_run_length_noisy=2,
        )  # fmt: skip
    if level == "max":
        return replace(
            trained, copies=40, search_interval=2, attention_rate=8, trust_limit=1000, rate=max(trained.rate, 35),
            match_run_length=256,
        )  # fmt: skip
    return replace(
        trained, copies=10, search_interval=3, attention_rate=4, heads=2, sets=2, network=False, match_run_length=32
    )


INITIAL_STATES = {"fast": "a21a451c61074e67", "balanced": "c79f33c56d28798e", "max": "3be2179e3bb6e989"}
"""The initial states of parts without a model, in `model/initial_states`, made by `training.initial_states`."""


def without_panel(level: str, both_strands: bool = True) -> ExpertSettings:
    """The settings for parts that no model is given for, by level."""
    # where both strands help, relatives are few and passages long: short seeds would match at random
    common = ExpertSettings(
        history_seed_length=12, history_seed_length_both=16, long_history_weight=8, both_strands=both_strands,
        trust_limit=1000, rate=50, shift_misses=3, initial_state=INITIAL_STATES[level],
    )  # fmt: skip
    if level == "fast":
        return replace(
            common, copies=4, history_seed_length=15, history_sampling=4, max_candidates=2, heads=1, sets=1,
            low_orders=(5,), count_orders=(), count_priors=(), match_run_length=12, match_run_length_noisy=2,
        )  # fmt: skip
    if level == "max":
        return replace(
            common, copies=16, search_interval=2, search_interval_few=1, max_candidates=4, attention_rate=8,
            low_orders=(1, 2, 3, 4, 6, 8), frame_orders=(3, 5, 8), count_orders=(9, 10, 11, 12, 13, 14, 16, 18, 20, 22),
            count_priors=(100, 100, 100, 100, 100, 100, 20, 20, 5, 5),
        )  # fmt: skip
    return replace(
        common, copies=8, search_interval=2, search_interval_few=2, max_candidates=4, max_candidates_both=2,
        attention_rate=8, heads=2, sets=3, low_orders=(2,), frame_orders=(3, 5), count_orders=(11,), count_priors=(30,),
        match_run_length=20,
    )  # fmt: skip


def with_panel_alone(level: str) -> ExpertSettings:
    """The settings for parts that a panel is given for, but no experts that were trained on it."""
    # longer seeds have half as many places to look at, at the same size; match runs are what most of a part is
    alone = without_panel(level)
    return replace(
        alone, panel_seed_length=16, panel_sampling=2, match_run_length=alone.match_run_length or 256,
        search_run_limit=128 if level == "fast" else 1000,
    )  # fmt: skip


def _check(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FormatError(f"the experts' {name} is {str(value)[:40]!r}, not a number from {low} to {high}")
