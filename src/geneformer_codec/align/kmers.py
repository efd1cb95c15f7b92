"""k-mers of reads, counted in bounded memory, and contigs walked along those that are frequent.

A k-mer and its reverse complement are one: the lesser number, its *canonical* form. It enters a hash table when it is
seen for the second time, as most that are seen once are errors; a blocked Bloom filter knows what was seen. Contigs
grow base by base from a frequent k-mer, each time to the most frequent one that is in no contig yet, as Inchworm does
(Grabherr et al. 2011, the first step of Trinity).
"""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import hashed
from geneformer_codec.coding.jit import Int, inline, kernels, prefetch
from geneformer_codec.sequence.seeds import next_seed

kernel = kernels()

MOST_K = 25
COUNT_BITS = 14
"""Of an entry of the table: the count, and above it the k-mer."""
USED = 1 << 13
"""In the count: the k-mer is in a contig."""
MOST_COUNT = USED - 1
AHEAD = 16
"""k-mers between asking for memory and its use, a power of two."""


@inline
def filter_bits(mixed: Int) -> Int:
    """The three bits of a word of the filter that stand for a k-mer."""
    one = np.uint64(1)
    first, second, third = mixed & np.uint64(63), (mixed >> np.uint64(6)) & np.uint64(63), mixed >> np.uint64(12)
    return (one << first) | (one << second) | (one << (third & np.uint64(63)))


@inline
def slot_of(table: NDArray[np.uint64], mixed: Int) -> Int:
    """Where the search for a k-mer with this hash begins."""
    return np.int64((mixed >> np.uint64(24)) & np.uint64(table.shape[0] - 1))


@inline
def find(table: NDArray[np.uint64], kmer: Int, mixed: Int) -> Int:
    """The slot of a canonical k-mer, or the empty one where it belongs."""
    at = slot_of(table, mixed)
    while table[at] != np.uint64(0) and (table[at] >> np.uint64(COUNT_BITS)) != kmer:
        at = (at + 1) & (table.shape[0] - 1)
    return at


@kernel
def count_kmers(
    bases: NDArray[np.uint8], lengths: NDArray[np.int64], k: Int, seen: NDArray[np.uint64], table: NDArray[np.uint64],
    entered: Int, most: Int, growing: bool, state: NDArray[np.int64], ring: NDArray[np.uint64],
) -> Int:  # fmt: skip
    """Count the k-mers of reads of ``lengths``, from read ``state[0]`` on; gives how many are in the table.

    Stops between two reads when ``most`` are in the table, which then has to grow; unless ``growing``, only k-mers that
    are there are counted. ``state`` is the read that is next,
    and its first base. ``ring`` [2, AHEAD] is empty.
    """
    ring[0, :] = np.uint64(0)
    turn = 0
    words = np.uint64(seen.shape[0] - 1)
    read, first = state[0], state[1]
    while read < lengths.shape[0] and entered < most:
        seed, reverse = np.uint64(0), np.uint64(0)
        for at in range(first, first + lengths[read]):
            seed, reverse = next_seed(seed, reverse, bases[at], k)
            if at - first + 1 < k:
                continue
            kmer = min(seed, reverse)
            mixed = hashed(kmer)
            prefetch(seen, np.int64((mixed >> np.uint64(32)) & words))
            prefetch(table, slot_of(table, mixed))
            slot = turn & (AHEAD - 1)
            old, old_mixed = ring[0, slot], ring[1, slot]
            ring[0, slot], ring[1, slot] = kmer + np.uint64(1), mixed
            turn += 1
            if old:
                entered += count_one(seen, table, old - np.uint64(1), old_mixed, growing)
        first += lengths[read]
        read += 1
    for slot in range(AHEAD):
        if ring[0, slot]:
            entered += count_one(seen, table, ring[0, slot] - np.uint64(1), ring[1, slot], growing)
    state[0], state[1] = read, first
    return entered


@inline
def count_one(seen: NDArray[np.uint64], table: NDArray[np.uint64], kmer: Int, mixed: Int, growing: bool) -> Int:
    """Count a k-mer; 1 if it is new in the table."""
    word = np.int64((mixed >> np.uint64(32)) & np.uint64(seen.shape[0] - 1))
    bits = filter_bits(mixed)
    if seen[word] & bits != bits:
        seen[word] |= bits
        return 0
    at = find(table, kmer, mixed)
    if table[at] == np.uint64(0):
        if not growing:
            return 0
        table[at] = (kmer << np.uint64(COUNT_BITS)) | np.uint64(2)
        return 1
    if table[at] & np.uint64(MOST_COUNT) != np.uint64(MOST_COUNT):
        table[at] += np.uint64(1)
    return 0


@kernel
def move_entries(old: NDArray[np.uint64], table: NDArray[np.uint64], least: Int) -> Int:
    """Enter what ``old`` has at least ``least`` times in an empty ``table``; gives how many these are."""
    count = 0
    for k in range(old.shape[0]):
        entry = old[k]
        if np.int64(entry & np.uint64(MOST_COUNT)) >= max(least, 1):
            kmer = entry >> np.uint64(COUNT_BITS)
            table[find(table, kmer, hashed(kmer))] = entry
            count += 1
    return count


@inline
def best_next(table: NDArray[np.uint64], seed: Int, reverse: Int, k: Int, least: Int, used: Int) -> tuple[Int, Int]:
    """The most frequent k-mer after this one, of those not ``used``: its base and slot; else base 4."""
    best, best_at, best_count = np.int64(4), np.int64(0), np.int64(least - 1)
    for base in range(4):
        after, before = next_seed(seed, reverse, base, k)
        prefetch(table, slot_of(table, hashed(min(after, before))))
    for base in range(4):
        after, before = next_seed(seed, reverse, base, k)
        kmer = min(after, before)
        at = find(table, kmer, hashed(kmer))
        count = np.int64(table[at] & np.uint64(MOST_COUNT))
        if table[at] & np.uint64(used) == np.uint64(0) and count > best_count:
            best, best_at, best_count = np.int64(base), at, count
    return best, best_at


@inline
def walk(
    table: NDArray[np.uint64], k: Int, seed: Int, reverse: Int, least: Int, overlap: Int, out: NDArray[np.uint8],
    end: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """Go on with a contig as far as it goes, and then ``overlap`` bases along other contigs, if they go on there.

    Writes bases to ``out`` from ``end`` on; gives the end of its own, and the end of all.
    """
    used, own = USED, end
    stop = np.int64(out.shape[0])
    while end < stop:
        base, slot = best_next(table, seed, reverse, k, least, used)
        if base == 4:
            if used == 0:
                break
            used = 0
            stop = min(stop, end + overlap)
            continue
        if used:
            table[slot] |= np.uint64(USED)
            own = end + 1
        seed, reverse = next_seed(seed, reverse, base, k)
        out[end] = np.uint8(base)
        end += 1
    return own, end


@kernel
def walk_contig(
    table: NDArray[np.uint64], k: Int, start: Int, least_start: Int, least: Int, overlap: Int, right: NDArray[np.uint8],
    left: NDArray[np.uint8], found: NDArray[np.int64],
) -> Int:  # fmt: skip
    """The next slot from ``start`` on whose k-mer begins a contig; -1 if there is none.

    The contig is the reverse complement of ``left``, then ``right``; ``found`` is their lengths, and how many
    bases are in no other contig.
    """
    for at in range(start, table.shape[0]):
        entry = table[at]
        if entry & np.uint64(USED) or np.int64(entry & np.uint64(MOST_COUNT)) < least_start:
            continue
        table[at] |= np.uint64(USED)
        kmer, reverse = entry >> np.uint64(COUNT_BITS), np.uint64(0)
        for j in range(k):
            base = (kmer >> np.uint64(2 * (k - 1 - j))) & np.uint64(3)
            right[j] = np.uint8(base)
            reverse |= (np.uint64(3) - base) << np.uint64(2 * j)
        found[2], found[0] = walk(table, k, kmer, reverse, least, overlap, right, k)
        own, found[1] = walk(table, k, reverse, kmer, least, overlap, left, 0)
        found[2] += own
        return at
    return -1
