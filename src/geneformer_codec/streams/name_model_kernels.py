"""The compiled loop that codes names byte by byte, each bit by mixed contexts.

A byte is predicted from the bytes before it, the name before at the same place, that name with its numbers counted on,
the last place where the same bytes stood, and what follows the first hyphen of the same name. The first bytes are
those of a primer, which are learned from but not coded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import clamp, u
from geneformer_codec.coding.jit import Int, inline, kernels, prefetch
from geneformer_codec.coding.mixing import (
    INPUTS,
    LINE,
    PLACE,
    Mixer,
    coder_state,
    decode,
    encode,
    finish,
    hash_contexts,
    line_of,
    new_mixer,
    predict,
    spread,
    start_decoding,
    update,
)

kernel = kernels()

LF, HYPHEN = 10, 45
COLUMNS, EXPECTED = 64, 64
"""Columns of fields; room for an expected field."""
MOST_HITS = 15
_SETS, _ROWS, _MOST_LINES = 4, 1024, 1 << 16
_MATCHES = 1 << 16

# What is remembered, in one array: of the name and the field at hand, then of each column.
COLUMN, FIELD, NAME, TAIL, TAILED, WORD, OLD, OLD_END = range(8)
EXPECTED_LENGTH, SAME, LIKE_EXPECTED, MATCH, MATCHED, PREFIX = range(8, 14)
OLDS = 16  # where each field of the name before begins
OLD_ENDS = OLDS + COLUMNS  # ... and what follows it begins; 0: there was none
VALUES = OLD_ENDS + COLUMNS  # the number at the end of each field
STEPS = VALUES + COLUMNS  # how it changed last
HITS = STEPS + COLUMNS  # how often of late the field was the one before, expected on
EXPECTED_BYTES = HITS + COLUMNS
MEMORY = EXPECTED_BYTES + EXPECTED + 1


@inline
def _is_letter(octet: Int) -> Int:
    return 48 <= octet <= 57 or 65 <= octet <= 90 or 97 <= octet <= 122


@inline
def _begin_field(memory: NDArray[np.int64], text: NDArray[np.uint8], place: Int) -> None:
    """Make the expected field at ``place``: the one of the name before, with its last number counted on."""
    column = memory[COLUMN]
    memory[FIELD] = place
    memory[OLD], memory[OLD_END] = memory[OLDS + column], memory[OLD_ENDS + column]
    memory[SAME] = memory[LIKE_EXPECTED] = 1
    memory[PREFIX] = 0
    length = clamp(memory[OLD_END] - memory[OLD] - 1, 0, EXPECTED - 20)
    digits = np.int64(0)
    while digits < 18 and digits < length and 48 <= text[u(memory[OLD] + length - 1 - digits)] <= 57:
        digits += 1
    for j in range(length - digits):
        memory[EXPECTED_BYTES + j] = text[u(memory[OLD] + j)]
    at = EXPECTED_BYTES + length - digits
    if digits:
        value: Int = memory[VALUES + column] + memory[STEPS + column]
        if value < 0:
            value = memory[VALUES + column]
        width, power = np.int64(1), np.int64(10)
        while width < 19 and value >= power:
            power *= 10
            width += 1
        width = max(width, digits) if text[u(memory[OLD] + length - digits)] == 48 else width
        for j in range(width):
            memory[at + width - 1 - j] = 48 + value % 10
            value = value // 10
        at += width
    # The byte after the field is that of the name before.
    memory[at] = text[u(memory[OLD_END] - 1)] if memory[OLD_END] else 0
    memory[EXPECTED_LENGTH] = at + 1 - EXPECTED_BYTES


@inline
def _end_field(memory: NDArray[np.int64], text: NDArray[np.uint8], place: Int) -> None:
    """Take in the field that ends before ``place``."""
    column, first = memory[COLUMN], memory[FIELD]
    value, power, at = np.int64(0), np.int64(1), place - 1
    digits = 0
    while digits < 18 and at >= first and 48 <= text[u(at)] <= 57:
        value += (np.int64(text[u(at)]) - 48) * power
        power *= 10
        digits += 1
        at -= 1
    memory[STEPS + column] = value - memory[VALUES + column]
    memory[VALUES + column] = value
    memory[HITS + column] = clamp(memory[HITS + column] + (1 if memory[LIKE_EXPECTED] else -8), 0, MOST_HITS)
    memory[OLDS + column], memory[OLD_ENDS + column] = first, place + 1


@inline
def _take(memory: NDArray[np.int64], text: NDArray[np.uint8], matches: NDArray[np.int64], place: Int) -> None:
    """Take in the byte at ``place``."""
    octet = np.int64(text[u(place)])
    offset = place - memory[FIELD]
    if memory[OLD] + offset >= memory[OLD_END] or text[u(memory[OLD] + offset)] != octet:
        memory[SAME] = 0
    if offset >= memory[EXPECTED_LENGTH] or memory[EXPECTED_BYTES + offset] != octet:
        memory[LIKE_EXPECTED] = 0
    memory[PREFIX] = (memory[PREFIX] + octet + 1) * 0x2F0B4C47 & 0xFFFFFFFFFF
    if memory[TAILED] and text[u(memory[TAIL] + place - memory[WORD])] != octet:
        memory[TAILED] = 0
    if octet == HYPHEN and memory[TAIL] == memory[NAME]:
        memory[TAIL] = place + 1
        memory[TAILED] = 0
    if not _is_letter(octet):
        _end_field(memory, text, place)
        memory[COLUMN] = min(memory[COLUMN] + 1, COLUMNS - 1)
        if octet == 32 or octet == 9:
            memory[WORD] = place + 1
            memory[TAILED] = 1
        if octet == LF:
            memory[COLUMN] = 0
            memory[NAME] = memory[TAIL] = memory[WORD] = place + 1
            memory[TAILED] = 0
        _begin_field(memory, text, place + 1)
    # The last place where the five bytes before stood.
    if memory[MATCHED] and text[u(memory[MATCH])] == octet:
        memory[MATCHED] = min(memory[MATCHED] + 1, 31)
        memory[MATCH] += 1
    else:
        memory[MATCHED] = 0
    if place >= 4:
        key = np.uint64(0)
        for j in range(5):
            key = key << np.uint64(8) | np.uint64(text[u(place - j)])
        spot = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48)
        if memory[MATCHED] == 0 and matches[spot] > 0:
            before = matches[spot]
            length = np.int64(0)
            while length < 16 and length < before and text[u(before - 1 - length)] == text[u(place - length)]:
                length += 1
            if length >= 5:
                memory[MATCH], memory[MATCHED] = before, length
        matches[spot] = place + 1


@inline
def _find_contexts(
    memory: NDArray[np.int64], text: NDArray[np.uint8], place: Int, contexts: NDArray[np.uint64]
) -> None:
    """The contexts of the byte at ``place``."""
    column, offset = memory[COLUMN], place - memory[FIELD]
    past = np.uint64(0)
    for j in range(min(place, 6)):
        past |= np.uint64(text[u(place - 1 - j)]) << np.uint64(8 * j)
    reach = memory[OLD_END] - memory[OLD] - offset
    old = np.int64(text[u(memory[OLD] + offset)]) if reach > 0 else 0
    older = np.int64(text[u(memory[OLD] + offset + 1)]) if reach > 1 else 0
    expected = memory[EXPECTED_BYTES + offset] if offset < memory[EXPECTED_LENGTH] else 0
    tail = np.int64(text[u(memory[TAIL] + place - memory[WORD])]) if memory[TAILED] else 0
    match = np.int64(text[u(memory[MATCH])]) if memory[MATCHED] else 0
    contexts[0] = ((old << 8 | older) << 1 | memory[SAME]) << 6 | column
    contexts[1] = memory[PREFIX] << 6 | column
    contexts[2] = np.uint64(column) << np.uint64(16) | (past & np.uint64(0xFFFF))
    contexts[3] = past & np.uint64(0xFFFFFFFF)
    contexts[4] = past
    contexts[5] = match << 5 | memory[MATCHED]
    contexts[6] = ((expected << 8 | old) << 2 | memory[SAME] << 1 | memory[LIKE_EXPECTED]) << 4 | memory[HITS + column]
    contexts[7] = (tail << 6 | column) << 6 | min(offset, 63)


@inline
def _find_lines(mixer: Mixer, contexts: NDArray[np.uint64], cells: NDArray[np.int64], node: Int) -> None:
    """The lines of counters of the next four bits; one that other bits used is begun anew."""
    for j in range(INPUTS):
        cells[u(j)] = line_of(mixer, spread(contexts[u(j)], node))
        prefetch(mixer.counters, j * mixer.counters.shape[1] + cells[u(j)])
    for j in range(INPUTS):
        value = spread(contexts[u(j)], node)
        cell = cells[u(j)]
        check = np.uint32((value >> np.uint64(8)) & np.uint64(0xFFFFFFFF))
        if mixer.counters[u(j), u(cell)] != check:
            mixer.counters[u(j), u(cell)] = check
            for k in range(1, LINE):
                mixer.counters[u(j), u(cell + k)] = 1 << 31


@kernel
def _run(
    text: NDArray[np.uint8],
    primed: int,
    size: int,
    mixer: Mixer,
    contexts: NDArray[np.uint64],
    cells: NDArray[np.int64],
    matches: NDArray[np.int64],
    memory: NDArray[np.int64],
    state: NDArray[np.uint64],
    data: NDArray[np.uint8],
    decoding: bool,
) -> None:
    """Encode ``text[primed:size]`` into ``data``, or decode it; ``text`` has a byte more, and a primer ends with LF."""
    if decoding:
        start_decoding(state, data)
    _begin_field(memory, text, 0)
    place: Int = np.int64(0)
    while place < size:
        _find_contexts(memory, text, place, contexts)
        hash_contexts(mixer, contexts)
        rate = 128 + (400 << 12) // ((1 << 12) + place)
        octet = np.int64(text[u(place)])
        column, length = memory[COLUMN], memory[EXPECTED_LENGTH]
        trusted = memory[SAME] << 1 | memory[LIKE_EXPECTED]
        before = np.int64(text[u(place - 1)]) if place else np.int64(0)
        # Where fields were as expected of late, one bit states whether all of this one is.
        likely = place == memory[FIELD] and memory[HITS + column] == MOST_HITS and place + length <= size
        node: Int = np.int64(0 if likely else 1)
        bit_place = -1 if likely else 0
        while bit_place < 8:
            if bit_place <= 0 or bit_place == 4:
                _find_lines(mixer, contexts, cells, node)
            slot = max(node, 1) if bit_place < 4 else node & ((1 << (bit_place - 4)) - 1) | 1 << (bit_place - 4)
            mixer.rows[0] = node
            mixer.rows[1] = _ROWS + column * 16 + max(bit_place, 0) * 2 + memory[TAILED]
            mixer.rows[2] = 2 * _ROWS + (min(memory[MATCHED], 15) * 4 + trusted) * 8 + (memory[HITS + column] >> 1)
            mixer.rows[3] = 3 * _ROWS + before * 4 + trusted
            probability = predict(mixer, cells, slot, node)
            given = place < primed
            if decoding and not given:
                bit = decode(state, data, probability)
            else:
                bit = (octet >> (7 - max(bit_place, 0))) & 1
                if bit_place < 0:
                    bit = np.int64(1)
                    for j in range(length):
                        if text[u(place + j)] != memory[EXPECTED_BYTES + j]:
                            bit = np.int64(0)
                if not given:
                    encode(state, data, probability, bit)
            update(mixer, cells, slot, node, bit, rate)
            if bit_place < 0 and bit:
                break
            node = 2 * node + bit if bit_place >= 0 else 1
            bit_place += 1
        if bit_place < 0:
            for j in range(length):
                text[u(place + j)] = memory[EXPECTED_BYTES + j]
        else:
            text[u(place)] = node & 255
            length = 1
        for _ in range(length):
            _take(memory, text, matches, place)
            place += 1


def _start(
    text: NDArray[np.uint8], primed: int, state: NDArray[np.uint64], data: NDArray[np.uint8], decoding: bool
) -> NDArray[np.uint8]:
    size = len(text)
    mixer = new_mixer(size, _MOST_LINES, INPUTS, _SETS, _ROWS, 256)
    contexts, cells = np.zeros(INPUTS, np.uint64), np.zeros(INPUTS, np.int64)
    matches, memory = np.zeros(_MATCHES, np.int64), np.zeros(MEMORY, np.int64)
    octets = np.append(text, np.uint8(0))
    _run(octets, primed, size, mixer, contexts, cells, matches, memory, state, data, decoding)
    return octets[:size]


def encode_text(text: NDArray[np.uint8], primed: int) -> bytes:
    """The coded bytes of ``text`` from ``primed`` on."""
    state, data = coder_state(), np.empty(16 * len(text) + 16, np.uint8)
    _start(text, primed, state, data, False)
    return finish(state, data)


def decode_text(stream: bytes, text: NDArray[np.uint8], primed: int) -> NDArray[np.uint8] | None:
    """Inverse of :func:`encode_text`, given the first ``primed`` bytes of ``text``; None if bytes are left over."""
    state, data = coder_state(), np.frombuffer(stream, np.uint8).copy()
    octets = _start(text, primed, state, data, True)
    return None if int(state[PLACE]) < len(data) else octets
