"""Fit experts to a species: choose how they predict by measurement, and learn the state that slices start from.

Some records are held out. The others are the panel, as a finished model's whole panel is; the held-out ones are coded
as slices, as in use. Half of them train the initial state, the other half measure. What each choice saves is recorded.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geneformer_codec import __version__
from geneformer_codec.errors import UsageError
from geneformer_codec.model.file import Experts, Model
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.panel import Panel, ReferencedPanel, embed, refer
from geneformer_codec.model.panel_coding import encode_panel
from geneformer_codec.model.panel_references import Origin
from geneformer_codec.predict.panel_tables import PackedPanel, SeedIndex
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import NEVER, ExpertSettings, with_level, without_panel
from geneformer_codec.sequence.strands import both_strands
from geneformer_codec.training.data import SLICE_BASES, Bases
from geneformer_codec.training.relatives import relatives_of

HELD_OUT = 0.08
"""The share of a panel's bases that is held out, up to `HELD_OUT_BASES`."""
HELD_OUT_BASES = 3 << 19
TAUGHT_BASES, MEASURED_BASES = 1 << 17, 1 << 19
"""Bases that teach, and that measure, one choice."""
MEASURED_BYTES = 1 << 14
"""Bytes that these become, which are enough as well."""
ORDERED_BASES = 1 << 17
"""Bases by which one order of the heads is measured."""
ATTENTION_RATES = (12, 4)
"""How fast attention learns in the first and the second pass over the training records."""
LEAST_SAVING = 0.002
"""The share of the payload that a choice must save to be kept; smaller savings are noise."""
CHOOSING_BASES = 1 << 24
TEACHING_BASES = 1 << 26
"""Of the panel, the nearest relatives, by which choices are measured, and the initial state is learned."""
SMALL_PANEL = 1 << 26
"""Bases up to which the index may have every second seed, and 3.25 bytes per base instead of 1.5."""
LONGEST = 1 << 20
"""Bases of a piece that is held out."""
PIECES = 20
_HELD_TABLES = 3
"""Of the best settings, of those just tried, and of those before: the tables of one kind."""
FEW_RECORDS = 10


@dataclass(frozen=True)
class Choice:
    """One line of the table of decisions."""

    choice: str
    bits_per_base: float
    saves: float  # share of the payload, against the best before it
    bases_per_second: float
    state_bytes: int  # of initial state and network in the model, about
    kept: bool


def train_experts(
    records: list[Bases],
    name: str,
    *,
    network: Model | None = None,
    refer_panel: bool = False,
    base: Model | None = None,
    sample: list[Bases] | None = None,
    origins: Sequence[Origin] = (),
    seed: int = 0,
    threads: int = 1,
) -> Model:
    """Train experts on the records of a panel.

    The panel goes into the model, or with ``refer_panel`` stays outside and is named by the refget digests of its
    records. ``base`` is a model whose panel is extended and whose state goes on learning, with its settings. ``sample``
    are records as they will be coded, such as reads; without them some records of the panel are held out for that.
    ``origins`` are those of the records, by which they may be found as well.
    ``network`` is a model whose network becomes one more expert, if that pays. The same panel and seed give the same
    bytes but for the times in the metadata.
    """
    if sample:
        rest, teaching, measuring = records, sample[::2], sample[1::2] or sample
    else:
        rest, teaching, measuring = hold_out(records, seed)
    expert = NetworkExpert(network) if network else None
    begin, choices = base.experts.initial_state if base and base.experts else None, list[Choice]()
    known = base.panel_records(threads) if base else []
    rest, records = known + rest, known + records
    if begin:
        settings = begin.settings
    else:
        held = [*slices(teaching, TAUGHT_BASES), *slices(measuring, MEASURED_BASES)]
        few = Relatives(relatives_of(held, rest, CHOOSING_BASES))
        dense = sum(map(len, records)) <= SMALL_PANEL
        settings, choices = choose(few, teaching, measuring, expert, dense)
        del few
    relatives = Relatives(relatives_of([*teaching, *measuring], rest, TEACHING_BASES))
    start = fit(settings, relatives, [*teaching, *measuring], network=expert, begin=begin)
    start = order_heads(start, relatives, measuring)
    del relatives
    panel = Panel.of(records)

    def encode(bases: Bases) -> bytes:
        return encode_panel(bases, without_panel("balanced", both_strands(bases)), threads)

    earlier = base.experts.panel if base and base.experts else None
    if origins and known:
        before = earlier.origins if isinstance(earlier, ReferencedPanel) else [Origin()] * len(known)
        origins = [*before, *origins]
    source = refer(panel, origins) if refer_panel else embed(panel, encode)
    metadata = {
        "name": name,
        "version": __version__,
        "settings": {"seed": seed, "experts": settings.as_dict()},
        "records": len(records),
        "bases": panel.length,
        "decisions": [vars(choice) for choice in choices],
    }
    kept = expert.network if expert and settings.network else None
    return Model.of(kept, Experts(start, source), metadata)


class NetworkExpert:
    """What a stream network predicts of slices; each slice is computed once."""

    def __init__(self, model: Model) -> None:
        if model.network is None or not model.network.config.causal:
            raise UsageError(f"the model {model.name} has no network of the stream form")
        from geneformer_codec.network.backends import make_backend
        from geneformer_codec.network.integer_network import IntegerNetwork

        self.name, self.network = model.name, replace(model.network, floats={})
        self.bytes = sum(tensor.nbytes for tensor in model.network.tensors.values())
        self._net = IntegerNetwork(model.network.config, model.network.tensors, make_backend("cpu"))
        self._known: dict[bytes, NDArray[np.int32]] = {}

    def logs(self, slice_: Bases) -> NDArray[np.int32]:
        """log2 of its probabilities, as experts take them: [4 * n]."""
        from geneformer_codec.predict.lockstep import log_frequencies

        key = hashlib.sha256(slice_.tobytes()).digest()
        if key not in self._known:
            frequencies = np.concatenate(list(self._net.encode(slice_[None])), axis=1)[0, : len(slice_)]
            self._known[key] = np.empty(4 * len(slice_), np.int32)
            log_frequencies(np.ascontiguousarray(frequencies).reshape(-1), self._known[key])
        return self._known[key]


def hold_out(records: list[Bases], seed: int) -> tuple[list[Bases], list[Bases], list[Bases]]:
    """Records for the panel, to teach and to measure; long records, or few, are cut so that each has some."""
    longest = LONGEST
    if len(records) < FEW_RECORDS:
        longest = min(longest, max(64, sum(map(len, records)) // PIECES))
    records = [record[at : at + longest] for record in records for at in range(0, len(record), longest)]
    order = np.random.default_rng(seed).permutation(len(records))
    wanted = min(HELD_OUT * sum(map(len, records)), HELD_OUT_BASES)
    held: list[int] = []
    bases = 0
    for number in order[:-1]:
        if len(held) >= 2 and bases >= wanted:
            break
        held.append(int(number))
        bases += len(records[number])
    without = set(held)
    rest = [record for number, record in enumerate(records) if number not in without]
    halves: tuple[list[Bases], list[Bases]] = [], []
    for number in held:
        min(halves, key=lambda half: sum(map(len, half))).append(records[number])
    return rest, halves[0] or rest[:1], halves[1] or rest[:1]


def slices(records: Sequence[Bases], most: int | None = None) -> Iterator[Bases]:
    """Whole records in slices of at most `SLICE_BASES`, as archives have them, until ``most`` bases were given."""
    held: list[Bases] = []
    given = 0
    for record in records:
        for at in range(0, len(record), SLICE_BASES):
            piece = record[at : at + SLICE_BASES]
            if sum(map(len, held)) + len(piece) > SLICE_BASES:
                yield np.concatenate(held)
                given += sum(map(len, held))
                held = []
                if most is not None and given >= most:
                    return
            held.append(piece)
    if held:
        yield np.concatenate(held)


class Relatives:
    """A panel that predicts while a model is trained; tables that settings share are made once."""

    def __init__(self, records: list[Bases]) -> None:
        self._panel = _TriedPanel.of_packed(Panel.of(records).packed)

    def predictor(self, settings: ExpertSettings) -> Predictor:
        """The experts, untrained, with this panel."""
        return Predictor(settings, self._panel)


@dataclass(frozen=True, eq=False)
class _TriedPanel(PackedPanel):
    """A panel that holds the tables which it made last: those of the best settings, and those just tried."""

    make_index: Callable[[int, int], SeedIndex]
    make_counts: Callable[[tuple[int, ...], int, bool], NDArray[np.uint16]]

    @classmethod
    def of_packed(cls, packed: PackedPanel) -> Self:
        """The same bases."""
        held = lru_cache(_HELD_TABLES)
        return cls(packed.words, packed.length, packed.starts, held(packed.seed_index), held(packed.counts))

    def seed_index(self, seed_length: int, sampling: int) -> SeedIndex:
        """As `PackedPanel.seed_index`."""
        return self.make_index(seed_length, sampling)

    def counts(self, orders: Sequence[int], table_bits: int, both_strands: bool) -> NDArray[np.uint16]:
        """As `PackedPanel.counts`."""
        return self.make_counts(tuple(orders), table_bits, both_strands)


def fit(
    settings: ExpertSettings,
    relatives: Relatives,
    teaching: Sequence[Bases],
    most: int | None = None,
    network: NetworkExpert | None = None,
    begin: InitialState | None = None,
) -> InitialState:
    """The state that two passes over ``teaching`` lead to from ``begin``, or from an untrained one."""
    experts = begin or relatives.predictor(settings)
    mixer, low = experts.mixer.copy(), experts.low.copy()
    for rate in ATTENTION_RATES:
        coder = relatives.predictor(replace(at_work(settings), attention_rate=rate, match_run_length=NEVER))
        for slice_ in slices(teaching, most):
            coder.adapt(slice_, mixer, low, network_logs=network.logs(slice_) if network and settings.network else None)
    return InitialState(settings, mixer, low)


def order_heads(start: InitialState, relatives: Relatives, measuring: Sequence[Bases]) -> InitialState:
    """The heads in the order that serves best the levels that leave the last ones out; training puts them in any."""

    def coded(level: str, begin: InitialState) -> int:
        settings = with_level(begin.settings, level)
        at, experts = begin.at(settings), relatives.predictor(settings)
        pieces = [experts.adapt(slice_, at.mixer.copy(), at.low.copy()) for slice_ in slices(measuring, ORDERED_BASES)]
        return sum(map(len, pieces))

    orders = [start.with_heads(order) for order in permutations(range(start.settings.heads))]
    # the tables of balanced are there, and those of fast are others
    balanced, fast = ([coded(level, begin) for begin in orders] for level in ("balanced", "fast"))
    return orders[min(range(len(orders)), key=lambda order: fast[order] * balanced[order])]


def at_work(settings: ExpertSettings) -> ExpertSettings:
    """How choices are measured: as at the level that is the default, but with all that levels may leave out."""
    level = with_level(settings, "balanced")
    return replace(level, heads=settings.heads, sets=settings.sets, network=settings.network)


def choose(
    relatives: Relatives,
    teaching: Sequence[Bases],
    measuring: Sequence[Bases],
    network: NetworkExpert | None = None,
    dense: bool = False,
) -> tuple[ExpertSettings, list[Choice]]:
    """The settings that measured best, and what was tried; a ``dense`` index is tried only where it may be large."""
    table: list[Choice] = []
    pieces = list(slices(measuring, MEASURED_BASES))
    best, least = ExpertSettings(), 0.0

    def measure(settings: ExpertSettings) -> tuple[float, float, int]:
        start = fit(settings, relatives, teaching, TAUGHT_BASES, network)
        experts = relatives.predictor(at_work(settings))
        coded, bases, seconds = 0, 0, 0.0
        for number, slice_ in enumerate(pieces):
            begun = time.perf_counter()
            logs = network.logs(slice_) if network and settings.network else None
            coded += len(experts.adapt(slice_, start.mixer.copy(), start.low.copy(), network_logs=logs))
            seconds += time.perf_counter() - begun
            bases += len(slice_)
            if not table and coded >= MEASURED_BYTES:
                del pieces[number + 1 :]
        size = len(start.to_bytes(quickly=True)) + (network.bytes if network and settings.network else 0)
        return 8 * coded / bases, bases / seconds, size

    def consider(choice: str, settings: ExpertSettings, saving: float = LEAST_SAVING) -> bool:
        nonlocal best, least
        bits, speed, size = measure(settings)
        saves = 1 - bits / least if least else 0.0
        kept = not least or saves >= saving
        table.append(Choice(choice, round(bits, 6), round(saves, 5), round(speed), size, kept))
        if kept:
            best, least = settings, bits
        return kept

    consider("seeds of 12 bases, counts of order 12, one strand", best)
    for length in (16, 20, 24):
        if not consider(f"seeds of {length} bases", replace(best, panel_seed_length=length)):
            break  # longer ones would find still less
    consider("copies compared by their longer history", replace(best, long_history_weight=8))
    consider("both strands", replace(best, both_strands=True), 0.005)
    consider("reading frames", replace(best, frame_orders=(3, 5)), 0.01)
    consider("weights that adapt faster", replace(best, rate=50))
    consider("counts of order 20 as well", replace(best, count_orders=(12, 20), count_priors=(10, 5)), 0.005)
    consider(
        "counts of orders 11, 16 and 22", replace(best, count_orders=(11, 16, 22), count_priors=(30, 10, 5)), 0.005
    )
    if dense:
        consider("every second seed in the index", replace(best, panel_sampling=2), 0.005)
    if network:
        consider(f"the network {network.name}, at max", replace(best, network=True))
    return best, table
