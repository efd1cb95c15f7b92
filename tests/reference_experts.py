"""A decoder of slices coded by experts, from docs/format/experts.md alone: plain Python integers, no package code.

It is slow and proves that the description suffices. Names and the order of things are those of the description.
`reference_state` has its sections 2 to 4, `reference_copies` what concerns copies.
"""

import json
from collections.abc import Callable, Sequence

from reference_copies import Copies
from reference_state import (
    DIV,
    MASK_64,
    SET_ROWS,
    Matrix,
    Panel,
    Settings,
    State,
    Vector,
    add,
    clamp,
    count_log,
    exp2,
    inputs_of,
    log2,
    ones,
    padded,
    within,
)


class RangeDecoder:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.range, self.code = MASK_64, 0
        for _ in range(8):
            self.code = self.code << 8 | self.next_byte()

    def next_byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def symbol(self, frequencies: Vector) -> int:
        step, b = self.range >> 22, 0
        while b < 3 and self.code >= step * frequencies[b]:
            self.code -= step * frequencies[b]
            b += 1
        self.narrow(0, step * frequencies[b])
        return b

    def bit(self, zero: int) -> bool:
        width = (self.range >> 22) * zero
        bit = self.code >= width
        self.narrow(width if bit else 0, self.range - width if bit else width)
        return bit

    def share(self, shares: Vector) -> int:
        step, number, below = self.range // sum(shares), 0, 0
        value = min(self.code // step, sum(shares) - 1)
        while value >= below + shares[number]:
            below += shares[number]
            number += 1
        self.narrow(step * below, step * shares[number])
        return number

    def narrow(self, start: int, width: int) -> None:
        self.code, self.range = min(self.code - start, width - 1), width
        while self.range < 1 << 48:
            self.code = self.code << 8 | self.next_byte()
            self.range <<= 8


Network = Callable[[Vector], Vector]
"""Gives the frequencies of the next base from those before it."""


class Slice(Copies):
    """A slice of ``length`` bases, to be decoded from ``data``. ``panel`` is None where there is none."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        data: bytes,
        length: int,
        panel: Panel | None = None,
        network: Network | None = None,
    ) -> None:
        super().__init__(settings, state, length, panel)
        self.data, self.length, self.network = data, length, network
        self.sets, self.width = settings["sets"], padded(inputs_of(settings))
        self.count_logs = [[count_log(c, prior) for c in range(16)] for prior in settings["count_priors"]]
        short = settings["low_orders"]
        sizes = [4**k for k in short] + [8 * 4**k for k in settings["frame_orders"]]
        at = [8 * sum(sizes[:number]) for number in range(len(sizes))]
        self.low_at, self.frame_at = at[: len(short)], at[len(short) :]
        self.frame_scores, self.best = [0] * 6, 0

    def decode(self, stop: int | None = None) -> Vector:
        """The first bases, all if ``stop`` is not given."""
        decoder, limit = RangeDecoder(self.data), self.settings["search_run_limit"]
        stop = self.length if stop is None else stop
        while len(self.bases) < stop:
            self.previous = self.history & 3
            found = self.find_run()
            quiet = 0 < limit <= self.longest
            self.taken["searches left out"] += quiet
            if found and self.longest >= self.coded_length:
                self.taken["match runs after fewer bases"] += self.longest < self.settings["match_run_length"]
                self.code_run(decoder)
                continue
            run_base = self.guess
            self.predict()
            b = decoder.symbol(self.frequencies)
            if found and b == run_base:
                self.learn_hits(b, 1)
            elif found:
                self.learn_miss(run_base)
            self.reverse_complement = self.reverse_complement >> 2 | (3 - b) << 62
            self.learn_mixer(b)
            self.learn_trust(b)
            self.learn_copies(b)
            self.learn_contexts(b)
            self.take(b, b != self.guess, quiet)
        return self.bases[:stop]

    def take(self, b: int, missed: bool, quiet: bool, left_out: bool = False) -> None:
        self.miss_history = (self.miss_history << 1 | missed) & MASK_64
        self.history = (self.history << 2 | b) & MASK_64
        self.bases.append(b)
        if not left_out:
            self.search(quiet)

    # 6. Match runs

    def code_run(self, decoder: RangeDecoder) -> None:
        ahead = self.look_ahead()
        leaving = not ahead
        guesses = [self.guess] if leaving else ahead
        self.taken["match runs"] += 1
        self.taken["match runs at the end of a block"] += leaving
        m = min(len(guesses), self.longest, self.length - len(self.bases))
        p = [self.state.probability[self.run_rows + g] for g in guesses]
        while m > 1 and sum(p[:m]) > 1 << 20:
            m >>= 1
            self.taken["match runs halved"] += 1
        e = sum(p[:m])
        hits, base = m, self.guess
        missed = decoder.bit((1 << 22) - (e if m == 1 else e - (e * e >> 23)))
        if missed:
            hits = decoder.share(p[:m])
            g, previous = guesses[hits], guesses[hits - 1] if hits else self.previous
            at = 16 * g + 4 * previous
            frequencies = [(self.state.substitutions[at + x] * ((1 << 22) - 8192) >> 16) + 2048 for x in range(4)]
            frequencies[g] = 2048
            base = decoder.symbol(frequencies)
            self.taken["match runs that missed"] += 1
        for x in range(4):
            if count := guesses[:hits].count(x):
                self.learn_hits(x, count)
        if missed:
            self.learn_miss(guesses[hits])
        elif leaving:
            hits = 0
        if hits:
            self.move_on(hits)
        left_out = 0 < self.settings["search_run_limit"] <= self.longest + hits
        self.taken["hits left out"] += left_out
        if left_out and hits:
            self.in_hand = 0, 0
        for b in guesses[:hits]:
            self.reverse_complement = self.reverse_complement >> 2 | (3 - b) << 62
            self.take(b, False, True, left_out)
        if missed or leaving:
            self.end_run(guesses[hits], base)

    def end_run(self, guess: int, b: int) -> None:
        self.guess, self.previous = guess, self.history & 3
        for copy in self.slots[: self.n]:
            copy.predicted, copy.noisy, copy.hit_log, copy.miss_log = guess, 0, 0, -8192
        self.reverse_complement = self.reverse_complement >> 2 | (3 - b) << 62
        self.learn_copies(b)
        self.take(b, b != guess, True)

    # 7. Inputs

    def put(self, values: Sequence[int]) -> None:
        mean = sum(values) >> 2
        for column, value in zip(self.inputs, values, strict=True):
            column.append(clamp(value - mean, 2047))

    def predict(self) -> None:
        cfg = self.settings
        self.inputs: Matrix = [[], [], [], []]
        self.votes = [[1 << 22] * 4 for _ in range(self.heads)]
        if self.n:
            self.ask_copies()
        for vote in self.votes:
            self.put([log2(v) >> 3 for v in vote])
        for k, at in zip(cfg["low_orders"], self.low_at, strict=True):
            self.put_low(at + 8 * self.context(k))
        self.steady = 0
        for number, k in enumerate(cfg["count_orders"]):
            self.steady = (self.steady & 15) * 16 + self.put_counts(number, self.context(k))
        self.frame, self.phase = 0, 3
        if cfg["frame_orders"]:
            y = self.frame_class(self.best, len(self.bases) % 3)
            lead = self.frame_scores[self.best] - max(s for g, s in enumerate(self.frame_scores) if g != self.best)
            confidence = (lead >= 600) + (lead >= 3200) + (lead >= 6600)
            self.frame = 4 * y + confidence
            self.phase = y % 3 if confidence >= 2 else 3
            for k, at in zip(cfg["frame_orders"], self.frame_at, strict=True):
                self.put_low(at + 8 * (8 * self.context(k) + y))
        if cfg["network"]:
            assert self.network is not None
            self.put([log2(f + 1) >> 3 for f in self.network(self.bases)])
        for column in self.inputs:
            column += [0] * (self.width - len(column))
        self.choose()
        self.mix()
        self.correct()

    def put_low(self, at: int) -> None:
        self.put([log2(p + 1) >> 3 for p in self.state.low[at : at + 4]])

    def put_counts(self, number: int, context: int) -> int:
        counts = self.counts.of(number, context)
        total, most = sum(counts), max(counts)
        if total == 0:
            self.put([0] * 4)
            return 3
        self.put([self.count_logs[number][count] for count in counts])
        confidence = 3 if most == total else 2 if 10 * most > 9 * total else 1 if 10 * most > 6 * total else 0
        return 4 * (1 if total < 2 else 2 if total < 4 else 3) + confidence

    @staticmethod
    def frame_class(g: int, i: int) -> int:
        return (i - g) % 3 if g < 3 else 3 + (g - 3 - i) % 3

    # 8. Mixing

    def choose(self) -> None:
        history, vote = self.history, self.votes[0]
        v, q = sum(vote), max(vote) << 10
        self.confidence = 1 + sum(q >= share * v for share in (512, 717, 870, 952, 993, 1014)) if self.n else 0
        self.top_vote = vote.index(max(vote)) if self.n else 0
        self.crowd = sum(self.n >= some for some in (2, 4, 8, 14, 24))
        failed = ones(self.miss_history)
        self.density = sum(failed >= some for some in (1, 2, 3, 5, 8, 13, 21))
        confidence, crowd = self.confidence, self.crowd
        z = [
            16 * confidence + (history & 15),
            self.steady,
            32 * self.density + (self.miss_history & 31),
            8 * (4 * confidence + self.top_vote) + crowd,
        ]
        if self.settings["frame_orders"]:
            z += [8 * (8 * (history & 15) + (6 if self.phase == 3 else self.frame >> 2)) + confidence, self.frame]
            y = self.phase
        else:
            z += [8 * (history & 127) + confidence, 0]
            y = self.miss_history & 3
        before = [sum(SET_ROWS[:which]) for which in range(6)]
        self.rows = [(first + own) * self.width for first, own in zip(before, z, strict=True)][: self.sets]
        self.final_row = 6 * (4 * (8 * confidence + crowd) + y)

    def mix(self) -> None:
        state, width = self.state, self.width
        self.logits, self.shares = [], []
        for at in self.rows:
            w = [value >> 6 for value in state.weights[at : at + width]]
            logit = [sum(map(int.__mul__, w, column)) >> 11 for column in self.inputs]
            most = max(logit)
            e = [exp2(most - value) for value in logit]
            scale = (1 << 46) // sum(e)
            self.logits.append(logit)
            self.shares.append([value * scale >> 30 for value in e])
        parts = state.final[self.final_row : self.final_row + self.sets]
        total = [sum(part * logit[b] for part, logit in zip(parts, self.logits, strict=True)) >> 16 for b in range(4)]
        if self.sets == 1:
            total = self.logits[0]
        most = max(total)
        e = [exp2(most - value) for value in total]
        scale = (1 << 52) // sum(e)
        self.mixed = [value * scale >> 30 for value in e]
        if self.sets == 1:
            self.shares = [[value >> 6 for value in self.mixed]]

    # 9. What is coded

    def correct(self) -> None:
        mixed, confidence = self.mixed, self.confidence
        share = max(mixed)
        guess = self.guess = mixed.index(share)
        rest = max((1 << 22) - share, 16)
        odds = within(0, log2(share) - log2(rest) + 12288, 24575)
        self.cell, self.slant = divmod(odds, 768)
        one = 4 * (4 * (8 * self.density + confidence) + (self.history & 3)) + guess
        two = 4 * (4 * (8 * (4 * confidence + self.top_vote) + self.crowd) + self.phase) + guess
        self.one, self.two = 33 * one + self.cell, 33 * two + self.cell
        mapped = 0
        for table, at in ((self.state.map_one, self.one), (self.state.map_two, self.two)):
            mapped += table[at] * (768 - self.slant) + table[at + 1] * self.slant
        moved = (2 * share + mapped // 768) >> 2
        self.taken["certain"] += moved > (1 << 22) - 12
        moved = min(moved, (1 << 22) - 12)
        scale = (((1 << 22) - moved - 12) << 20) // rest
        self.frequencies = [(value * scale >> 20) + 4 for value in mixed]
        self.frequencies[guess] = 0
        self.frequencies[guess] = (1 << 22) - sum(self.frequencies)

    # 10. Learning: mixer and copies

    def learn_mixer(self, b: int) -> None:
        state, rate, limit = self.state, self.settings["rate"], (1 << 21) - 1
        columns = list(zip(*self.inputs, strict=True))
        for at, share in zip(self.rows, self.shares, strict=True):
            e0, e1, e2, e3 = ((65536 if x == b else 0) - share[x] for x in range(4))
            for j, (x0, x1, x2, x3) in enumerate(columns, at):
                push = e0 * x0 + e1 * x1 + e2 * x2 + e3 * x3
                value = state.weights[j] + (((push >> 6) * rate + 512) >> 10)
                state.weights[j] = value if -limit <= value <= limit else clamp(value, limit)
        for which, logit in enumerate(self.logits if self.sets > 1 else ()):
            push = sum(((65536 if x == b else 0) - (self.mixed[x] >> 6)) * logit[x] for x in range(4))
            at = self.final_row + which
            state.final[at] = clamp(state.final[at] + ((push * self.settings["final_rate"] + (1 << 23)) >> 24), 1 << 18)
        held = (1 << 22) - 1 if self.guess == b else 0
        for table, at in ((state.map_one, self.one), (state.map_two, self.two)):
            table[at] += (held - table[at]) * (768 - self.slant) * 109 >> 22
            table[at + 1] += (held - table[at + 1]) * self.slant * 109 >> 22
        if self.settings["attention_rate"] and self.n and self.frequencies[self.guess] < 15 << 18:
            for head in range(self.heads):
                self.learn_attention(head, b)

    def learn_attention(self, head: int, b: int) -> None:
        state, copies, vote, previous = self.state, self.slots[: self.n], self.votes[head], self.previous
        self.taken["attention learns"] += 1
        slope_scale = sum(
            state.final[self.final_row + which] * state.weights[at + head] >> 20 for which, at in enumerate(self.rows)
        )
        share = [max((v << 16) // sum(vote), 16) for v in vote]
        error = [(65536 if x == b else 0) - (self.frequencies[x] >> 6) for x in range(4)]
        pull = [clamp((error[x] << 16) // share[x], 1 << 26) for x in range(4)]

        def escape(e: int, a: int) -> int:
            substitution = 64 * e + 16 * a + 4 * previous
            return sum(pull[x] * state.substitutions[substitution + x] >> 16 for x in range(4) if x != a) - pull[a]

        escapes = [[escape(e, a) for a in range(4)] for e in range(2)]
        scale = (1 << 42) // sum(copy.weights[head] for copy in copies)
        slopes = [0] * 6
        for copy in copies:
            score = pull[copy.predicted] + (escapes[copy.noisy][copy.predicted] * copy.miss >> 16)
            part = (score * (copy.weights[head] * scale >> 26) + (1 << 15)) >> 16
            slopes = [slope + part * feature for slope, feature in zip(slopes, copy.features, strict=True)]
        for i, slope in enumerate(slopes):
            slope = clamp((((slope + 128) >> 8) * slope_scale + (1 << 19)) >> 20, 1 << 14)
            moved = state.attention[6 * head + i] + ((slope * self.settings["attention_rate"] + 8) >> 4)
            self.taken["attention at its limit"] += abs(moved) > 1 << 22
            state.attention[6 * head + i] = clamp(moved, 1 << 22)

    # 11. Learning: contexts

    def teach(self, at: int, x: int) -> None:
        low = self.state.low
        rate = DIV[low[at + 4]]
        for y in range(4):
            low[at + y] += ((65535 if y == x else 0) - low[at + y]) * rate >> 16
        self.taken["seen 255 times"] += low[at + 4] == 255
        low[at + 4] = min(low[at + 4] + 1, 255)

    def learn_contexts(self, b: int) -> None:
        cfg, t = self.settings, len(self.bases)
        with_base = self.history << 2 | b

        def back(k: int) -> int:
            return 3 - (with_base >> 2 * k & 3)

        for k, at in zip(cfg["low_orders"], self.low_at, strict=True):
            self.teach(at + 8 * self.context(k), b)
            if self.both and t >= k:
                self.teach(at + 8 * self.reverse_context(k), back(k))
        if self.n_panel == 0:
            for number, k in enumerate(cfg["count_orders"]):
                self.taken["counts halved"] += add(self.counts.of(number, self.context(k)), b)
                if self.both and t >= k:
                    self.taken["counts halved"] += add(self.counts.of(number, self.reverse_context(k)), back(k))
        if cfg["frame_orders"]:
            self.learn_frames(b, back)

    def learn_frames(self, b: int, back: Callable[[int], int]) -> None:
        orders, t, scores = self.settings["frame_orders"], len(self.bases), self.frame_scores
        first = self.frame_at[0] + 64 * self.context(orders[0]) + b
        for g in range(6):
            p = self.state.low[first + 8 * self.frame_class(g, t % 3)]
            scores[g] += log2(p + 8) - 16384 - (scores[g] >> 7)
        before, m = self.best, scores[self.best] + 2048
        for g in range(6):
            if scores[g] > m:
                self.best, m = g, scores[g]
        self.taken["frame changes"] += self.best != before
        g = self.best
        for k, at in zip(orders, self.frame_at, strict=True):
            self.teach(at + 8 * (8 * self.context(k) + self.frame_class(g, t % 3)), b)
            if self.both and t >= k:
                there = self.frame_class(g, (t - k) % 3) + (3 if g < 3 else -3)
                self.teach(at + 8 * (8 * self.reverse_context(k) + there), back(k))


def decode_slice(slice_: Slice) -> Vector:
    """The bases of a slice as an archive stores it: plain, or coded."""
    if len(slice_.data) == -(-slice_.length // 4):
        return [slice_.data[i // 4] >> 2 * (i % 4) & 3 for i in range(slice_.length)]
    return slice_.decode()


def decode_panel(coded: bytes, count: int, shipped: Callable[[str], bytes]) -> Vector:
    """The bases of an embedded panel; ``shipped`` gives the initial state of some digits."""
    head, streams = coded.split(b"\n", 1)
    header = json.loads(head)
    settings, bases = header["settings"], list[int]()
    digits = settings["initial_state"]
    state = State.read(settings, shipped(digits)) if digits else State.untrained(settings)
    for size in header["sizes"]:
        bases += Slice(settings, state.copy(), streams[:size], min(header["slice"], count - len(bases))).decode()
        streams = streams[size:]
    return bases
