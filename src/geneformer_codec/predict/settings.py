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
"""A value of ``sure`` with which claims are learned but not coded."""
_ADAPTED = 2 << 20
"""Bytes of weights, maps and trust that a slice adapts, about."""
_ADDED = frozenset({"brief", "sampled"})
"""Settings that the first archives and models do not name; 0 is what those do."""
_START = re.compile("([0-9a-f]{16})?")
_BOUNDS = {
    "copies": (1, MAX_COPIES),
    "seed": (8, 31),
    "own_seed": (8, 31),
    "own_seed_both": (8, 31),
    "every": (1, 1024),
    "hungry": (1, 1024),
    "tries": (1, 1024),
    "accept": (0, 24),
    "drop": (0, 24),
    "reach": (0, 16),
    "rate": (0, 127),
    "final_rate": (0, 1024),
    "attention_rate": (0, 255),
    "trust_limit": (1, 1022),
    "table_bits": (8, 28),
    "heads": (1, HEADS),
    "sets": (1, SETS),
    "sure": (0, NEVER),
    "brief": (0, NEVER),
    "sampled": (0, 1024),
}


@dataclass(frozen=True)
class ExpertSettings:
    """How to predict. All of it is in the archive, so that a level may come to mean something better later.

    ``copies`` at once at most; a new one shares ``seed`` bases with the slice in the panel, ``own_seed`` in the slice's
    past (``own_seed_both`` where both strands count), is looked for ``every`` so many bases among ``tries`` places,
    starts with at most ``accept`` and ends with more than ``drop`` misses in 24; ``reach`` sixteenths of its longer
    past count when it is compared with others. ``low_orders`` are contexts with adaptive probabilities,
    ``count_orders`` those with counts, direct up to ``table_bits``/2 bases and hashed beyond; ``count_priors`` are
    added to each count, in hundredths. Rates say how fast a slice adapts. Where no copy disagrees and one has been
    right for ``sure`` bases, it is believed without asking the others (`runs`); with 0 never; for ``brief``, if not 0,
    is enough where guesses failed often lately. With ``sampled``, the slice's past is searched at one seed in so many
    only, chosen by what it is, and only these are entered there.
    """

    copies: int = 16
    seed: int = 12
    own_seed: int = 12
    own_seed_both: int = 16
    every: int = 8
    hungry: int = 2
    tries: int = 16
    accept: int = 12
    drop: int = 16
    reach: int = 0
    both_strands: bool = False
    rate: int = 25
    final_rate: int = 16
    attention_rate: int = 0
    trust_limit: int = 500
    table_bits: int = 24
    heads: int = HEADS
    sets: int = SETS
    sure: int = 0
    brief: int = 0
    sampled: int = 0
    low_orders: tuple[int, ...] = (2, 3)
    count_orders: tuple[int, ...] = (12,)
    count_priors: tuple[int, ...] = (10,)
    frame_orders: tuple[int, ...] = ()
    network: bool = False
    start: str = ""

    def __post_init__(self) -> None:
        if len(self.count_orders) != len(self.count_priors):
            raise ValueError("each of count_orders needs one of count_priors")  # kernels would read past their table
        if self.accept > self.drop:
            raise ValueError("a copy cannot be accepted with more misses than end it")

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without what is `_ADDED` and 0, so that older models keep their digests."""
        values = {name: value for name, value in asdict(self).items() if value or name not in _ADDED}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """From JSON. Raises ``FormatError`` for anything that `as_dict` cannot have given."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or names - set(values) - _ADDED:
            raise FormatError("the settings of its experts are not complete; the file is damaged")
        if strange := sorted(map(str, set(values) - names)):
            raise FormatError(
                f"the settings of its experts have {strange[0][:40]!r}, which needs a newer version of gfz"
            )
        given: dict[str, Any] = dict.fromkeys(_ADDED, 0) | {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        for name, (low, high) in _BOUNDS.items():
            _check(name, given[name], low, high)
        for name in ("both_strands", "network"):
            if not isinstance(given[name], bool):
                raise FormatError(f"the experts' {name} is neither true nor false")
        if not isinstance(given["start"], str) or not _START.fullmatch(given["start"]):
            raise FormatError(f"the experts' start is {str(given['start'])[:40]!r}, not the digest of a start state")
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
    def kinds(self) -> tuple[Any, ...]:
        """What a start state is made for."""
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
    def start_bytes(self) -> int:
        """Memory that it takes to unpack a start state: its numbers, several times, of up to 64 bits."""
        return 40 * self.low_numbers

    def slice_bytes(self, length: int) -> int:
        """Memory of a slice of ``length`` bases but for counts: what it adapts, its past, and how to find in it."""
        bits = min(24, max(12, (length // max(self.sampled, 1)).bit_length()))
        past = 21 * length // 4 + (4 << bits) + (33 * length if self.network else 0)
        return past + 2 * self.low_numbers + _ADAPTED

    def kernel(self, own_counts: bool) -> Settings:
        """For compiled code; ``own_counts`` when there is no panel that taught the counts."""
        own_seed = self.own_seed_both if self.both_strands else self.own_seed
        return Settings(
            self.copies, self.seed, own_seed, self.every, self.hungry, self.tries, self.accept, self.drop, self.reach,
            int(self.both_strands), self.rate, self.final_rate, self.attention_rate, self.trust_limit, self.table_bits,
            self.heads, self.sets, self.sure, self.brief, self.sampled, int(own_counts),
        )  # fmt: skip


def with_level(trained: ExpertSettings, level: str) -> ExpertSettings:
    """What a level makes of a model's settings: more copies, looked for more often.

    At ``fast`` copies are alone: where there is a panel, contexts would save a twenty-fifth, and take a sixth of the
    time. A network, if there is one, is left out of all but ``max``: it takes far more time than all the rest. To look
    often at few places serves better than seldom at many.
    """
    trained = replace(trained, tries=4)
    if level == "fast":
        return replace(
            trained, copies=4, every=10, hungry=5, sampled=4, attention_rate=0, heads=1, sets=1, low_orders=(),
            count_orders=(), count_priors=(), frame_orders=(), network=False, sure=8, brief=2,
        )  # fmt: skip
    if level == "max":
        return replace(
            trained, copies=32, every=2, attention_rate=8, trust_limit=1000, rate=max(trained.rate, 35), sure=256
        )
    return replace(trained, copies=8, every=3, attention_rate=4, heads=2, sets=2, network=False, sure=32)


STARTS = {"fast": "a21a451c61074e67", "balanced": "c79f33c56d28798e", "max": "3be2179e3bb6e989"}
"""The start states of parts without a model, shipped in `model/initial_states`, made by `training.initial_states`."""


def without_panel(level: str, both_strands: bool = True) -> ExpertSettings:
    """The settings for parts that no model is given for, by level."""
    # where both strands help, relatives are few and passages long: short seeds would find chance only
    common = ExpertSettings(
        own_seed=12, own_seed_both=16, reach=8, both_strands=both_strands, trust_limit=1000, rate=50,
        start=STARTS[level],
    )  # fmt: skip
    if level == "fast":
        return replace(
            common, copies=4, own_seed=15, sampled=4, tries=2, heads=1, sets=1, low_orders=(5,), count_orders=(),
            count_priors=(), sure=12, brief=2,
        )  # fmt: skip
    if level == "max":
        return replace(
            common, copies=16, every=2, hungry=1, tries=4, attention_rate=8, low_orders=(1, 2, 3, 4, 6, 8),
            frame_orders=(3, 5, 8), count_orders=(9, 10, 11, 12, 13, 14, 16, 18, 20, 22),
            count_priors=(100, 100, 100, 100, 100, 100, 20, 20, 5, 5),
        )  # fmt: skip
    return replace(
        common, copies=8, every=2, hungry=2, tries=2, attention_rate=8, heads=2, sets=3, low_orders=(2,),
        frame_orders=(3, 5), count_orders=(11,), count_priors=(30,), sure=20,
    )  # fmt: skip


def _check(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FormatError(f"the experts' {name} is {str(value)[:40]!r}, not a number from {low} to {high}")
