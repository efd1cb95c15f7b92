"""Copies in plain Python, by sections 5 to 7, 10 and 12 of docs/format/experts.md; `reference_experts` has the rest."""

from collections import Counter
from functools import cache

from reference_state import (
    DIV,
    Counts,
    Panel,
    Settings,
    State,
    Vector,
    clamp,
    digits,
    log2,
    low_bit,
    mix,
    ones,
    row,
    within,
)

MASK_32 = (1 << 32) - 1
SHIFTS = (2, 4, 6, 8)


@cache
def decayed(gain: int, h: int, age: int) -> int:
    return gain * ((1 << SHIFTS[h]) - 1) ** age >> SHIFTS[h] * age


START_SUMS = [[[decayed(gain, h, age) for age in range(32)] for gain in (-205, -18432)] for h in range(4)]


def start_sum(h: int, misses: int) -> int:
    """A(h, misses)."""
    hit, miss = START_SUMS[h]
    return sum(miss[i] if misses >> i & 1 else hit[i] for i in range(32))


def run_rate(seen: int) -> int:
    return 10 * 2**24 // (10 * (seen + 7 * max(seen - 512, 0)) + 16)


class Slot:
    """Room for a copy. What follows `gain_sums` holds for one base."""

    def __init__(self) -> None:
        self.place = self.step = self.flip = self.misses = self.run = 0
        self.gain_sums = [0] * 4
        self.noisy = self.predicted = self.trust = self.miss = self.hit_log = self.miss_log = self.gain = 0
        self.features = [0] * 6
        self.weights = [0] * 3

    def take(self, other: "Slot") -> None:
        self.place, self.step, self.flip = other.place, other.step, other.flip
        self.misses, self.run, self.gain_sums = other.misses, other.run, list(other.gain_sums)


class Copies:
    """The copies of a slice of ``length`` bases, and what they are made of. ``state`` is changed."""

    def __init__(self, settings: Settings, state: State, length: int, panel: Panel | None) -> None:
        self.settings, self.state, self.panel = settings, state, panel
        self.taken: Counter[str] = Counter()  # how often the rarer branches were taken
        self.heads = settings["heads"]
        self.both = settings["both_strands"]
        self.history_seed_length: int = (
            settings["history_seed_length_both"] if self.both else settings["history_seed_length"]
        )
        both_candidates = settings["max_candidates_both"] if self.both else 0
        self.candidates: int = both_candidates or settings["max_candidates"]
        self.panel_bases = panel.bases if panel else []
        self.n_panel = len(self.panel_bases)
        self.origin = -(-self.n_panel // (1 << 14)) << 14
        self.counts = panel.counts if panel and self.n_panel else Counts(settings)
        self.bases: Vector = []
        self.history = self.reverse_complement = self.miss_history = self.previous = self.guess = self.turn = self.n = 0
        self.votes = [[1 << 22] * 4 for _ in range(self.heads)]
        self.frequencies: Vector = []
        self.lists: dict[int, Vector] = {}
        self.sampling = settings["history_sampling"]
        self.bits = digits(length // max(self.sampling, 1))
        self.reverse_until = 0
        self.in_hand = (0, 0)  # the end of a seed and the number of its list
        self.scores: Counter[int] = Counter()
        self.slots = [Slot() for _ in range(64)]
        starts = panel.starts if panel else []
        count = min(len(starts), settings["copies"])
        for k in range(count):
            self.add_copy(starts[k * len(starts) // count], 1, 0)

    def base(self, place: int) -> int:
        if place < self.origin:
            return self.panel_bases[place]
        place -= self.origin
        return self.bases[place] if place < len(self.bases) else 0

    def context(self, k: int) -> int:
        return self.history & ((1 << 2 * k) - 1)

    def reverse_context(self, k: int) -> int:
        return self.reverse_complement >> (64 - 2 * k)

    # 6. Match runs

    def find_run(self) -> bool:
        """Whether the copies agree on a base, the guess, and one has a long run."""
        copies, failed = self.slots[: self.n], ones(self.miss_history)
        longest = self.longest = max((copy.run for copy in copies), default=0)
        noisy = self.settings["match_run_length_noisy"] if failed >= 6 else 0
        self.coded_length = max(noisy or self.settings["match_run_length"], 2)
        if not self.settings["match_run_length"] or not copies or longest < min(8, self.coded_length):
            return False
        for copy in copies:
            copy.predicted = self.base(copy.place) ^ copy.flip
        if any(copy.predicted != copies[0].predicted for copy in copies):
            self.taken["copies that disagree"] += 1
            return False
        self.guess, top = copies[0].predicted, longest.bit_length() - 1
        if longest < 8:
            self.taken["short match runs"] += 1
            self.run_rows = 4128 + 4 * longest
            return True
        length = min(2 * top + (longest >> (top - 1) & 1) - 6, 15)
        density, crowd = sum(failed >= some for some in (1, 2, 4)), sum(self.n >= some for some in (2, 4, 8))
        self.run_rows = 4160 + 64 * length + 16 * density + 4 * crowd
        return True

    def look_ahead(self) -> Vector:
        """The next bases that all copies have in their blocks and agree on."""
        texts = []
        for copy in self.slots[: self.n]:
            here = copy.place if copy.place < self.origin else copy.place - self.origin
            if copy.step > 0:
                end = self.n_panel - 1 if copy.place < self.origin else len(self.bases)
                left = min(16383 - copy.place % 16384, end - here, 32)
            else:
                left = min(copy.place % 16384, 32) if here >= 31 else 0
            texts.append([self.base(copy.place + i * copy.step) ^ copy.flip for i in range(left)])
        count = 0
        while all(len(text) > count and text[count] == texts[0][count] for text in texts):
            count += 1
        return texts[0][:count]

    def move_on(self, hits: int) -> None:
        copies = self.slots[: self.n]
        for copy in copies:
            copy.place += hits * copy.step
            copy.misses = copy.misses << hits & MASK_32
            copy.run += hits
            copy.gain_sums = [
                mark * ((2**a - 1) ** hits * 65536 // 2 ** (a * hits)) >> 16
                for mark, a in zip(copy.gain_sums, SHIFTS, strict=True)
            ]
        self.rebase()

    def learn_hits(self, base: int, count: int) -> None:
        state, row = self.state, self.run_rows + base
        p, seen = state.probability[row], state.seen[row]
        p = max(p - (p * count * run_rate(seen if seen >= 512 else min(seen + count - 1, 512)) >> 24), 64)
        state.probability[row], state.seen[row] = p, self.more_seen(seen, count, p)

    def learn_miss(self, base: int) -> None:
        state, row = self.state, self.run_rows + base
        p, seen = state.probability[row], state.seen[row]
        p = min(p + (((1 << 22) - p) * run_rate(seen) >> 24), 15 << 18)
        state.probability[row], state.seen[row] = p, self.more_seen(seen, 1, p)

    def more_seen(self, seen: int, count: int, p: int) -> int:
        self.taken["match runs seen often"] += seen >= 512
        return min(seen + count, 512) if seen < 512 else min(seen + (count + p % 8 >> 3), 1000)

    # 7. Inputs: heads

    def ask_copies(self) -> None:
        state, previous, copies = self.state, self.previous, self.slots[: self.n]
        for copy in copies:
            copy.noisy = int(ones(copy.misses & 0xFFFF) > 1)
            copy.predicted = self.base(copy.place) ^ copy.flip
            r = copy.misses & 0xFFF
            if r == 0 and copy.misses:
                r = 4128 + (low_bit(copy.misses >> 12) >> 2)
                self.taken["trust by distance"] += 1
            elif r == 0:
                r = 4096 + max((copy.run | 1).bit_length() - 4, 0)
            copy.trust, p = r, state.probability[r]
            copy.miss = p >> 6
            copy.hit_log, copy.miss_log = log2((1 << 22) - p) - 22528, log2(p) - 22528
            copy.features = [
                *(clamp(mark >> 4, 8191) for mark in copy.gain_sums),
                clamp(self.scores[copy.place >> 14] >> 3, 2047),
                (copy.hit_log - copy.miss_log) >> 2,
            ]
        for head in range(self.heads):
            a = [value >> 8 for value in state.attention[6 * head : 6 * head + 6]]
            s = [sum(x * f for x, f in zip(a, copy.features, strict=True)) >> 12 for copy in copies]
            most = max(s)
            total, lost = [0] * 4, [[0] * 4, [0] * 4]
            for copy, score in zip(copies, s, strict=True):
                fall = most - score
                part = fall & 255
                weight = ((1 << 20) - (part * (44040 - 44 * part) >> 4)) >> min(fall >> 8, 30)
                copy.weights[head] = weight
                total[copy.predicted] += weight
                lost[copy.noisy][copy.predicted] += weight * copy.miss >> 12
            vote = self.votes[head]
            for b in range(4):
                vote[b] = 16 * total[b] + 1600
                for e in range(2):
                    substitution = 64 * e + 4 * previous + b
                    gained = sum(lost[e][x] * state.substitutions[substitution + 16 * x] for x in range(4) if x != b)
                    vote[b] += (gained >> 16) - lost[e][b]

    # 10. Learning: copies

    def learn_copies(self, b: int) -> None:
        t, copies = len(self.bases), self.slots[: self.n]
        self.learn_gains(b)
        for slot in copies:
            slot.gain_sums = [mark + slot.gain - (mark >> a) for mark, a in zip(slot.gain_sums, SHIFTS, strict=True)]
            slot.misses = (slot.misses << 1 | (slot.predicted != b)) & MASK_32
            slot.run = 0 if slot.predicted != b else slot.run + 1
            slot.place += slot.step
            self.taken["copies at an end"] += slot.place in (self.n_panel, self.origin - 1) or slot.place < 0
        for slot in copies:
            before, after = slot.place - slot.step >> 14, slot.place >> 14
            if before != after and slot.place >= 0:
                self.taken["copies in another block"] += 1
                self.scores[after] += (self.scores[before] - self.scores[after]) >> 1
        self.drop(t)
        if t % 8 == 7:
            self.rebase()

    def rebase(self) -> None:
        live = self.slots[: self.n]
        for h in range(4):
            best = max((slot.gain_sums[h] for slot in live), default=0)
            for slot in live:
                self.taken["least gain sum"] += slot.gain_sums[h] - best < -122880
                slot.gain_sums[h] = max(slot.gain_sums[h] - best, -122880)

    def learn_trust(self, b: int) -> None:
        state, limit, t = self.state, self.settings["trust_limit"], len(self.bases)
        for k, copy in enumerate(self.slots[: self.n]):
            hit = copy.predicted == b
            if hit and (k + t) % 4:
                continue
            p, seen = state.probability[copy.trust], state.seen[copy.trust]
            for _ in range(4 if hit else 1):
                if hit:
                    p -= (p * DIV[seen] + (1 << 15)) >> 16
                else:
                    p += ((1 << 22) - p) * DIV[seen] >> 16
                self.taken["trust at its limit"] += seen >= limit
                seen += seen < limit
            self.taken["least trust"] += p < 256
            self.taken["most trust"] += p > 15 << 18
            state.probability[copy.trust], state.seen[copy.trust] = within(256, p, 15 << 18), seen

    def learn_gains(self, b: int) -> None:
        substitutions, previous, copies = self.state.substitutions, self.previous, self.slots[: self.n]
        for copy in copies:
            copy.gain = 4 * copy.hit_log
            if copy.predicted != b:
                substitution = substitutions[64 * copy.noisy + 16 * copy.predicted + 4 * previous + b]
                copy.gain = 4 * (copy.miss_log + log2(substitution + 1) - 16384)
        if all(copy.predicted == b for copy in copies):
            return
        mean = sum(copy.gain for copy in copies) // len(copies)
        for copy in copies:
            q = copy.place >> 14
            self.scores[q] += (within(-16384, copy.gain - mean, 8192) >> 4) - (self.scores[q] >> 9)
            if copy.predicted != b:
                at = 64 * copy.noisy + 16 * copy.predicted + 4 * previous
                for x in range(4):
                    if x != copy.predicted:
                        substitutions[at + x] += ((65536 if x == b else 0) - substitutions[at + x]) >> 9

    def drop(self, t: int) -> None:
        kept, before = 0, self.n
        for number in range(self.n):
            slot = self.slots[number]
            inside = 0 <= slot.place < self.n_panel or self.origin <= slot.place <= self.origin + t
            self.taken["copies that left"] += not inside
            if inside and ones(slot.misses & 0xFFFFFF) <= self.settings["max_mismatches"]:
                if kept != number:
                    self.slots[kept].take(slot)
                kept += 1
        self.taken["copies dropped"] += before - kept
        self.n = kept

    # 12. Search

    def search(self, coded: bool) -> None:
        """Indexes, and searches unless the base was of a match run that was ``coded``, or none is needed."""
        cfg, t = self.settings, len(self.bases)
        seeking = self.both or t < self.reverse_until
        if self.sampling:
            self.sample(coded, seeking)
        elif t >= self.history_seed_length:
            self.lists.setdefault(
                row(self.history_seed_length, self.context(self.history_seed_length), self.bits), []
            ).insert(0, t)
        if coded:
            return
        self.taken["searches after a reverse copy"] += seeking and not self.both
        if self.settings["shift_misses"]:
            self.shift_copies(self.settings["shift_misses"])
        seed = cfg["panel_seed_length"]
        if t >= seed and self.panel and self.n_panel:
            self.search_panel(self.panel, mix(self.context(seed)), 1, 1, False)
            rarity = 1 if seeking else cfg["reverse_rarity"]
            self.search_panel(self.panel, mix(self.reverse_context(seed)), -1, rarity, not seeking)
        if t % cfg["search_interval"] and not (self.n < 4 and t % cfg["search_interval_few"] == 0):
            return
        k = self.history_seed_length
        if t >= k and not self.sampling:
            self.search_history(row(k, self.context(k), self.bits), 1, False)
            if seeking or t % (cfg["search_interval"] * cfg["reverse_rarity"]) == 0:
                self.search_history(row(k, self.reverse_context(k), self.bits), -1, not seeking)

    def sample(self, coded: bool, seeking: bool) -> None:
        t, (taken, number), k = len(self.bases), self.in_hand, self.history_seed_length
        if not taken:
            h = mix(min(self.context(k), self.reverse_context(k)))
            if t >= k and (h & 0xFFFF) * self.sampling < 1 << 16:
                self.in_hand = t, h >> (64 - self.bits)
        elif t == taken + 1:
            self.lists.setdefault(number, []).insert(0, taken)
        else:
            self.in_hand = 0, 0
            places, candidates = self.lists[number][1:], 0 if coded else self.candidates
            close = (1 << min(k, 11)) - 1 << 2
            self.taken["candidates run out in the history"] += len(places) > candidates > 0
            for place in places[:candidates]:
                if self.forward_misses(self.bases, place + 2) & close:
                    self.look(self.bases, place - 2, -1, k, close if seeking else MASK_32, True)
                else:
                    self.look(self.bases, place + 2, 1, k, close, True)

    def shift_copies(self, needed: int) -> None:
        for copy in self.slots[: self.n]:
            for r in (4, 5, 6, 7, 8):
                lowest = (1 << r) - 1
                often = ones(copy.misses >> r) > 4
                if copy.misses >> (r - 1) & 1 and ones(copy.misses & lowest) >= needed + often:
                    self.taken["shifts of often missing copies"] += often
                    break
            else:
                continue
            for s in (1, -1, 2, -2, 3, -3, 4, -4):
                p = copy.place + s
                if self.misses_at(p, copy.step) & lowest >> 1:
                    continue
                if any(other.place == p and other.step == copy.step for other in self.slots[: self.n]):
                    self.taken["shifts to another copy"] += 1
                    break
                self.taken["forward shifts" if copy.step > 0 else "reverse shifts"] += 1
                copy.place, copy.run = p, r - 1
                copy.misses = copy.misses & ~lowest | 1 << (r - 1)
                copy.gain_sums = [max(copy.gain_sums[h], start_sum(h, copy.misses)) for h in range(4)]
                break

    def misses_at(self, place: int, step: int) -> int:
        text, p, end = self.panel_bases, place, self.n_panel
        if place >= self.origin:
            text, p, end = self.bases, place - self.origin, len(self.bases)
        if p >= end or (p < 32 if step > 0 else p < 0 or p + 33 > end):
            return MASK_32
        return self.forward_misses(text, p) if step > 0 else self.reverse_misses(text, p + 1)

    def reverse_misses(self, text: Vector, f: int) -> int:
        return sum((text[f + i] != self.reverse_complement >> (62 - 2 * i) & 3) << i for i in range(32))

    def search_panel(self, panel: Panel, h: int, step: int, rarity: int, exact: bool) -> None:
        if (h & 0xFFFF) * self.settings["panel_sampling"] * rarity >= 1 << 16:
            return
        places, candidates = panel.lists.get(h >> (64 - panel.bits), []), self.candidates
        at = 0
        if len(places) > candidates:
            self.turn += candidates
            at = self.turn % len(places)
        self.taken["long rows of the panel"] += len(places) > 64
        row_ = (places[at:] + places[:at])[:64]
        found = [place for tag, place in row_ if tag == h >> 16 & 0xFF]
        self.taken["candidates run out in the panel"] += len(found) > candidates
        for place in found[:candidates]:
            self.look(panel.bases, place, step, panel.seed, MASK_32 if exact else 0, place < self.n_panel)

    def search_history(self, number: int, step: int, exact: bool) -> None:
        places, candidates, k = self.lists.get(number, []), self.candidates, self.history_seed_length
        if step > 0 and places[0] == len(self.bases):
            places = places[1:]  # the base to come
        self.taken["candidates run out in the history"] += len(places) > candidates
        for place in places[:candidates]:
            self.look(self.bases, place, step, k, MASK_32 if exact else (1 << min(k, 11)) - 1, True)

    def forward_misses(self, text: Vector, p: int) -> int:
        t = len(self.bases)
        return sum((text[p - 1 - i] != self.bases[t - 1 - i]) << i for i in range(min(32, p, t)))

    def look(self, text: Vector, p: int, step: int, seed: int, close: int, there: bool) -> None:
        misses, target = 0, p
        if step > 0:
            misses = self.forward_misses(text, p)
        else:
            f = p - seed
            target = f - 1
            there = target >= 0
            if f + 32 > len(text):
                misses = MASK_32
            elif there:
                misses = self.reverse_misses(text, f)
        if there and ones(misses & 0xFFFFFF) <= self.settings["max_start_mismatches"]:
            if misses & close:
                self.taken["other seeds in the list"] += 1
            else:
                self.add_copy(target + (self.origin if text is self.bases else 0), step, misses)

    def add_copy(self, place: int, step: int, misses: int) -> None:
        copies = self.slots[: self.n]
        if any(copy.place == place and copy.step == step for copy in copies):
            self.taken["copies known already"] += 1
            return
        run = self.exact_run(place) if misses == 0 and step > 0 else 0
        gain_sums = [start_sum(h, misses) - 4096 for h in range(4)]
        for h in (2, 3):
            gain_sums[h] += decayed(-18432, h, 16 * (run >> 4) + 8)
        full = self.n == self.settings["copies"]
        worths = [self.score(copy.place, copy.gain_sums) for copy in copies]
        if full and self.score(place, gain_sums) <= min(worths):
            self.taken["copies that score too low"] += 1
            return
        if full:
            self.taken["copies replaced"] += 1
            slot = copies[worths.index(min(worths))]
        else:
            slot = self.slots[self.n]
            self.n += 1
        self.taken["forward copies" if step > 0 else "reverse copies"] += 1
        if step < 0:
            self.reverse_until = len(self.bases) + 4096
        slot.place, slot.step, slot.flip = place, step, 0 if step > 0 else 3
        slot.misses, slot.run, slot.gain_sums = misses, run, gain_sums

    def score(self, place: int, gain_sums: Vector) -> int:
        longer = (gain_sums[2] + gain_sums[3]) * self.settings["long_history_weight"] >> 4
        return gain_sums[1] + (self.scores[place >> 14] * 13 >> 3) + longer

    def exact_run(self, place: int) -> int:
        text, p = (self.panel_bases, place) if place < self.origin else (self.bases, place - self.origin)
        t, run = len(self.bases), 32
        for _ in range(30):
            if p - run < 32 or t - run < 32:
                break
            equal = 0
            while equal < 32 and text[p - run - 1 - equal] == self.bases[t - run - 1 - equal]:
                equal += 1
            run += equal
            if equal < 32:
                self.taken["runs measured"] += 1
                break
        else:
            self.taken["longest run"] += 1
        return run
