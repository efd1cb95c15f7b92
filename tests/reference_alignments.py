"""A decoder of mapped reads, written from docs/format/alignments.md alone: plain Python, no package code."""

from itertools import pairwise

from reference_mixing import G, Predictor, Stream, between
from reference_qualities import cut, fields, framed


class Bits:
    """Bits that are coded by single counters, which are made when they are needed."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.counters: dict[object, tuple[int, int]] = {}
        self.nodes: dict[tuple[str, int], tuple[int, int]] = {}

    def bit(self, *name: object) -> int:
        share, seen = self.counters.get(name, (1 << 21, 0))
        bit = self.stream.bit(between(share >> 6, 64, 65472))
        share += ((((1 << 22) - 1) * bit - share) * (65536 * 5 // (5 * seen + 8))) >> 16
        self.counters[name] = share, min(seen + 1, 255)
        return bit

    def number(self, kind: int) -> int:
        node = 1
        for _ in range(5):
            node = 2 * node + self.bit("length", kind, node)
        length, m, top = node - 32, 1, 1
        for _ in range(length):
            bit = self.bit("number", kind, length, top if top < 8 else 0)
            m, top = 2 * m + bit, 2 * top + bit
        return m - 1

    def in_tree(self, tree: str, size: int, counts: int) -> int:
        node = 1
        for level in range(size):
            at = ((node * G & (1 << 64) - 1) >> 31) % counts if level >= 17 else node
            zeros, ones = self.nodes.get((tree, at), (0, 0))
            bit = self.bit(tree, level, zeros, ones)
            zeros, ones = zeros + 1 - bit, ones + bit
            self.nodes[tree, at] = (zeros >> 1, ones >> 1) if max(zeros, ones) > 15 else (zeros, ones)
            node = 2 * node + bit
        return node - (1 << size)


class Mapped:
    """Where a mapped read lies: its place and step, and events as (offset, kind, what, step)."""

    def __init__(self, place: int, step: int) -> None:
        self.place, self.step = place, step
        self.events: list[tuple[int, int, object, int]] = []


def order_of(mode: int, texts: list[int]) -> tuple[list[int], int]:
    """Numbers of the reads in the order of coding, and how many of these are in pairs."""
    count = sum(texts)
    if mode < 2:
        return list(range(count)), mode * (count // 2 * 2)
    pairs = min(texts)
    order = [read for pair in range(pairs) for read in (pair, texts[0] + pair)]
    return order + [read for read in range(count) if read not in order], 2 * pairs


def decode_alignments(
    data: bytes, lengths: list[int], texts: list[int], panel: int, own: int
) -> tuple[list[int], int, dict[int, Mapped]]:
    """The order, how many reads are in pairs, and the mapped reads."""
    mode, at, events, shift = data[0], 1, 0, 0
    while True:
        events |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            break
    order, paired = order_of(mode, texts)
    bits = Bits(Stream(data[at:]))
    size = (panel + own + 2047).bit_length()
    nodes = 1 << min(max(size + 1, 10), 22)
    history, last_kind, before = 0, 0, None
    mapped: dict[int, Mapped] = {}
    for number, read in enumerate(order):
        mate = before if number % 2 and number < paired else None
        is_mapped = bits.bit("mapped", history % 8)
        history = 2 * history + is_mapped
        before = None
        if not is_mapped:
            continue
        near = mate is not None and bits.bit("near mate")
        if near:
            assert mate is not None
            place = mate.place + mate.step * bits.in_tree("distances", 12, 1 << 12)
        else:
            place = bits.in_tree("places", size, nodes) - 1024
        context = 2 + mate.step if near and mate is not None else 0
        step = -1 if bits.bit("strand", context) else 1
        before = mapped[read] = Mapped(place, step)
        offset = 0
        while bits.bit("more", min(len(before.events), 15)):
            gap = bits.number(0)
            offset, place = offset + gap, place + gap * step
            kind = 2 if bits.bit("kind", last_kind, 0) else bits.bit("kind", last_kind, 1)
            last_kind = kind
            if kind == 2:
                if bits.bit("near move"):
                    place += step * (bits.in_tree("moves", 12, 1 << 12) - 2048)
                else:
                    place = bits.in_tree("places", size, nodes) - 1024
                    step = -1 if bits.bit("strand", 4 if step == 1 else 5) else 1
                before.events.append((offset, 2, place, step))
            elif kind == 1:
                deleted = bits.number(2)
                place += deleted * step
                before.events.append((offset, 1, deleted, step))
            else:
                inserted: list[int] = []
                for _ in range(bits.number(1)):
                    b1, b2 = ([0, 0, *inserted][-1 - k] for k in (0, 1))
                    high = bits.bit("inserted", 4 * b2 + b1, 0)
                    inserted.append(2 * high + bits.bit("inserted", 4 * b2 + b1, 1 + high))
                before.events.append((offset, 0, inserted, step))
                offset += len(inserted)
            assert offset <= lengths[read]
            events -= 1
    assert events == 0
    assert sum(lengths[read] for read in order if read not in mapped) == own
    assert bits.stream.left <= 0
    return order, paired, mapped


class Hits(Predictor):
    """The mixed contexts of a hit, which are not hashed."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream, symbols=0, most_lines=0, sets=2, checked=False)

    def line(self, j: int, context: int, part: int) -> list[tuple[int, int]]:
        return self.counters.setdefault((j, context), [(1 << 21, 0)])

    def hit(self, contexts: list[int], rows: list[object]) -> int:
        return self.bit(contexts, node=0, part=0, slot=0, rows=rows, rate=160)


class Spans:
    """Which bases are likely hits."""

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.classes: dict[tuple[int, ...], tuple[int, int]] = {}

    def miss(self, kind: tuple[int, ...]) -> int:
        return self.classes.get(kind, (1 << 21, 0))[0]

    def learn(self, kind: tuple[int, ...], miss: bool) -> None:
        p, s = self.classes.get(kind, (1 << 21, 0))
        p += (((1 << 22) - 1) * miss - p) * ((1 << 17) // (2 * s + 3)) >> 16
        self.classes[kind] = p, min(s + 1, 1023)

    def has_miss(self, total: int, recent: int, misses: int) -> int:
        k = quarter(total + 1)
        name = ("span", k, recent, min(misses, 3))
        self.bits.counters.setdefault(name, (min(((9 + 2 * (k % 4)) << k // 4) >> 3, 1 << 21), 30))
        return self.bits.bit(*name)


def quarter(value: int) -> int:
    e = value.bit_length() - 1
    return 4 * e + (4 * value >> e & 3)


def decode_reads(
    alignments: bytes, differences: bytes, lengths: list[int], texts: list[int], panel: list[int], own: list[int],
    qualities: list[list[int]],
) -> list[list[int]]:  # fmt: skip
    """The bases of all reads; ``qualities`` are the bytes of each base."""
    order, paired, mapped = decode_alignments(alignments, lengths, texts, len(panel), len(own))
    seconds = {read for number, read in enumerate(order[:paired]) if number % 2}
    reads: dict[int, list[int]] = {}
    if not differences[0]:
        slices = [order]
    else:
        groups, ends = cut(lengths, 1 << differences[0]), [0]
        for group in groups:
            ends.append(ends[-1] + len(group))
        slices = [list(range(*pair)) for pair in pairwise(ends)]
    for some, stream in zip(slices, framed(differences[1:], len(slices)), strict=True):
        reads |= decode_slice(Stream(stream), some, seconds, mapped, lengths, panel + own, qualities)
    done = 0
    for read in sorted(set(order) - set(reads)):
        reads[read] = own[done : done + lengths[read]]
        done += lengths[read]
    return [reads[read] for read in range(len(order))]


def decode_slice(
    stream: Stream, order: list[int], seconds: set[int], mapped: dict[int, Mapped], lengths: list[int],
    reference: list[int], qualities: list[list[int]],
) -> dict[int, list[int]]:  # fmt: skip
    """The bases of the mapped reads of a slice."""
    hits, bits = Hits(stream), Bits(stream)
    spans = Spans(bits)
    size = 1 << min(max(len(reference).bit_length(), 10), 24)
    seen: dict[int, list[int]] = {}

    def at_place(place: int, step: int) -> int:
        if not 0 <= place < len(reference):
            return 4
        return reference[place] if step == 1 else 3 - reference[place]

    def look(place: int, step: int) -> tuple[list[int], int, int, int, int]:
        """How often each base was seen at a place, the best one, n, o and own."""
        counts = seen.setdefault(place % size, [0] * 4)
        times = counts if step == 1 else counts[::-1]
        points = [2 * times[base] + 3 * (base == at_place(place, step)) for base in range(4)]
        best = points.index(max(points))
        return times, best, times[best], sum(times) - times[best], int(best == at_place(place, step))

    reads: dict[int, list[int]] = {}
    for read in order:
        if read not in mapped:
            continue
        second = int(read in seconds)
        place, step, events = mapped[read].place, mapped[read].step, list(mapped[read].events)
        bases: list[int] = []
        history = misses = since = q1 = 0
        while len(bases) < lengths[read] or (events and events[0][0] == len(bases)):
            if events and events[0][0] == len(bases):
                _, kind, what, after = events.pop(0)
                if kind == 0:
                    assert isinstance(what, list)
                    bases += what
                else:
                    assert isinstance(what, int)
                    place, step = (place + what * step, step) if kind == 1 else (what, after)
                since = 16
                continue
            spanned: list[tuple[tuple[int, ...], int]] = []  # the class of each base of the span, and its p
            stop = events[0][0] if events else lengths[read]
            while len(spanned) < 64 and len(bases) + len(spanned) < stop:
                ahead_by = len(spanned)
                _, _, n, o, own_base = look(place + step * ahead_by, step)
                q = min(qualities[read][len(bases) + ahead_by] - 33, 63)
                past = history << ahead_by
                recent = 3 if since > ahead_by else min((past & 1) + 2 * (past & 254 != 0), 2)
                kind_ = (min(n, 7), min(o, 3), own_base, q, recent)
                p = spans.miss(kind_)
                if spanned and (p > 1 << 16 or sum(one[1] for one in spanned) + p > 1 << 20):
                    break
                spanned.append((kind_, p))
                if p > 1 << 16:
                    break
            many = len(spanned) > 1
            has_miss = not many or spans.has_miss(sum(one[1] for one in spanned), spanned[0][0][4], misses)
            for here, (kind_, p) in enumerate(spanned):
                at, q, recent = len(bases), kind_[3], kind_[4]
                times, best, n, o, own_base = look(place, step)
                hit = 1
                if has_miss and many and here == len(spanned) - 1:
                    hit = 0
                elif has_miss:
                    q2 = min(qualities[read][at + 1] - 33, 63) if at + 1 < lengths[read] else q
                    ahead = at_place(place + step, step) % 4
                    previous = fields(0, *((base, 2) for base in bases[-3:]))
                    f, n7, o3 = min(misses, 15), min(n, 7), min(o, 3)
                    contexts = [
                        fields(history & 255, (q, 6)),
                        fields(n7, (o3, 2), (own_base, 1), (q, 6), (recent, 2)),
                        fields(min(at, 511), (second, 1), (q >> 2, 4)),
                        fields(previous, (best, 2), (ahead, 2), (q >> 2, 4)),
                        fields(f, (q, 6), (q2 >> 3, 3)),
                        fields(min(n, 15), (min(o, 15), 4), (best, 2), (own_base, 1), (q >> 3, 3), (recent != 0, 1)),
                        fields(q1, (q, 6), (q2 >> 3, 3)),
                        0,
                    ]
                    rows: list[object] = [4 * q + recent, fields(n7, (o3, 2), (own_base, 1))]
                    if many:
                        left = sum(one[1] for one in spanned[here:])
                        w = min(quarter(left + 1) - quarter(p + 1), 31)
                        contexts[7] = fields(w, (len(spanned) - 1 - here, 6))
                        contexts = [context + (1 << 15) for context in contexts]
                        rows = [256 + 4 * q + recent, 256 + w]
                    hit = hits.hit(contexts, rows)
                spans.learn(kind_, not hit)
                base = best
                if not hit:
                    others = [other for other in range(4) if other != best]
                    while len(others) > 1:
                        base = max(others, key=lambda other: (times[other], -other))
                        if bits.bit("other", len(others) == 3, best, base, min(times[base], 7)):
                            break
                        others.remove(base)
                        base = others[0]
                    misses += 1
                bases.append(base)
                counts = seen[place % size]
                forward = base if step == 1 else 3 - base
                if counts[forward] == 15:
                    counts[:] = [count >> 1 for count in counts]
                counts[forward] += 1
                history, q1, since = 2 * history + 1 - hit, q, max(since - 1, 0)
                place += step
                if not hit:
                    break
        reads[read] = bases
    assert stream.left <= 0
    return reads
