"""A decoder of mapped reads, written from docs/format/alignments.md alone: plain Python, no package code."""

from reference_mixing import G, Predictor, Stream, between
from reference_qualities import fields


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

    def hit(self, contexts: list[int], rows: list[object], q: int) -> int:
        return self.bit(contexts, node=0, part=0, slot=0, rows=rows, map_row=q, rate=160)


def decode_reads(
    alignments: bytes, differences: bytes, lengths: list[int], texts: list[int], panel: list[int], own: list[int],
    qualities: list[list[int]],
) -> list[list[int]]:  # fmt: skip
    """The bases of all reads; ``qualities`` are the bytes of each base."""
    order, paired, mapped = decode_alignments(alignments, lengths, texts, len(panel), len(own))
    reference = panel + own
    stream = Stream(differences)
    hits, bits = Hits(stream), Bits(stream)
    size = 1 << min(max(len(reference).bit_length(), 10), 24)
    seen: dict[int, list[int]] = {}

    def at_place(place: int, step: int) -> int:
        if not 0 <= place < len(reference):
            return 4
        return reference[place] if step == 1 else 3 - reference[place]

    reads: dict[int, list[int]] = {}
    for number, read in enumerate(order):
        if read not in mapped:
            continue
        second = int(number % 2 and number < paired)
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
            at = len(bases)
            q = min(qualities[read][at] - 33, 63)
            q2 = min(qualities[read][at + 1] - 33, 63) if at + 1 < lengths[read] else q
            counts = seen.setdefault(place % size, [0] * 4)
            times = counts if step == 1 else counts[::-1]
            points = [2 * times[base] + 3 * (base == at_place(place, step)) for base in range(4)]
            best = points.index(max(points))
            n, o, own_base = times[best], sum(times) - times[best], int(best == at_place(place, step))
            ahead = at_place(place + step, step) % 4
            recent = 3 if since else min((history & 1) + 2 * (history & 254 != 0), 2)
            previous = fields(0, *((base, 2) for base in bases[-3:]))
            f, n7, o3 = min(misses, 15), min(n, 7), min(o, 3)
            contexts = [
                fields(history & 255, (q, 6)),
                fields(n7, (o3, 2), (own_base, 1), (q, 6), (recent, 2)),
                fields(min(at, 511), (second, 1), (q >> 2, 4)),
                fields(previous, (best, 2), (ahead, 2), (q >> 2, 4)),
                fields(f, (q, 6), (q2 >> 3, 3)),
                fields(min(n, 15), (min(o, 15), 4), (best, 2), (own_base, 1), (q >> 3, 3), (int(recent != 0), 1)),
                fields(q1, (q, 6), (q2 >> 3, 3)),
            ]
            base, hit = best, hits.hit(contexts, [4 * q + recent, fields(n7, (o3, 2), (own_base, 1))], q)
            if not hit:
                left = [other for other in range(4) if other != best]
                while len(left) > 1:
                    base = max(left, key=lambda other: (times[other], -other))
                    if bits.bit("other", len(left) == 3, best, base, min(times[base], 7)):
                        break
                    left.remove(base)
                    base = left[0]
                misses += 1
            bases.append(base)
            forward = base if step == 1 else 3 - base
            if counts[forward] == 15:
                counts[:] = [count >> 1 for count in counts]
            counts[forward] += 1
            history, q1, since = 2 * history + 1 - hit, q, max(since - 1, 0)
            place += step
        reads[read] = bases
    assert stream.left <= 0
    done = 0
    for read in sorted(set(order) - set(reads)):
        reads[read] = own[done : done + lengths[read]]
        done += lengths[read]
    return [reads[read] for read in range(len(order))]
