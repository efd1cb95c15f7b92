"""One slice, base by base: predict, code, learn. Encoding and decoding are the same loop."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.jit import Int, inline, kernels
from geneformer_codec.predict import codon_phase as frames
from geneformer_codec.predict import copies as copying
from geneformer_codec.predict import counts, mixer, sampling
from geneformer_codec.predict import match_run as runs
from geneformer_codec.predict import search as searching
from geneformer_codec.predict.integers import u
from geneformer_codec.predict.state import (
    AT,
    CLAIM,
    CODE,
    COPIES,
    DONE,
    FAILS,
    GUESS,
    HR,
    LOW,
    WIDTH,
    Frozen,
    H,
    Local,
    Mixing,
    Settings,
    Work,
)

kernel = kernels(Path(__file__).parent, announced="compiling the experts for this machine, once; about 25 seconds")

DIVISORS = np.array([(1 << 16) * 10 // (10 * seen + 16) for seen in range(1024)], np.int64)
_BITS = np.uint64(mixer.TOTAL_BITS)
_FLOOR = np.uint64(1 << 48)
_BYTE = np.uint64(8)
_TOP = np.uint64(56)

FEW = 4
"""Copies that are few enough to look for more oftener."""
SURE = 15 << 18
"""A share of 2**22 (15/16) above which a base teaches attention nothing worth the time."""


@inline
def _carry(out: NDArray[np.uint8], end: Int) -> None:
    at = end - 1
    while out[at] == 255:
        out[at] = 0
        at -= 1
    out[at] += 1


@kernel
def begin(cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], mix: Mixing, work: Work) -> None:
    """The first copies: the panel's records from their first base, spread over the panel."""
    copying.refresh_all(mix, work)
    records = frozen.starts.shape[0]
    count = min(records, cfg.copies)
    own = copying.own_start(frozen)
    for k in range(count):
        place = frozen.starts[k * records // count]
        if not searching.held(local, bank, place, 1):
            searching.add(cfg, frozen, local, bank, place, 1, np.uint64(0), own, 0, 0)


@kernel
def run(
    cfg: Settings, frozen: Frozen, local: Local, bank: NDArray[np.int32], mix: Mixing, work: Work,
    symbols: NDArray[np.uint8], stop: Int, stream: NDArray[np.uint8], stream_end: Int, decoding: bool,
) -> None:  # fmt: skip
    """Code on up to base ``stop`` of ``symbols``: from them into ``stream``, or the other way when ``decoding``."""
    own = copying.own_start(frozen)
    panel_bits, own_bits = 0, 0
    while (1 << panel_bits) + 1 < frozen.seeds.shape[0]:
        panel_bits += 1
    while (1 << own_bits) < local.heads.shape[0]:
        own_bits += 1
    past, turned, fails = local.registers[H], local.registers[HR], local.registers[FAILS]
    low, width, code = local.registers[LOW], local.registers[WIDTH], local.registers[CODE]
    at = local.numbers[AT]
    orders = frozen.count_orders.shape[0]
    inputs = mixer.inputs_at_work(cfg, frozen, local, work)
    looks = frozen.places.shape[0] > 0 or cfg.sampled == 0
    to_search = cfg.every - local.numbers[DONE] % cfg.every
    to_hungry = cfg.hungry - local.numbers[DONE] % cfg.hungry
    while local.numbers[DONE] < stop:
        done = local.numbers[DONE]
        previous = np.int64(past & np.uint64(3))
        row = np.int64(0) if cfg.sampled else searching.own_rows(cfg, local, past, own_bits)
        if orders:
            counts.prefetch_counts(cfg, frozen, past)
        wanted = runs.wanted(cfg, fails)
        longest = runs.find(frozen, local, bank, work, own, fails, wanted) if cfg.sure else 0
        claimed = longest >= wanted
        claim = work.recall[GUESS]
        if claimed:
            runs.predict(mix, work, previous)
        else:
            copying.predict(cfg, frozen, local, bank, mix, work, own, previous)
            place = counts.predict_low(local, work, past, cfg.heads)
            place = counts.predict_counts(cfg, frozen, work, past, place)
            place = frames.predict_frames(local, work, past, place)
            if local.outside.shape[0]:
                said, at_said = local.outside, 4 * done
                counts.put(
                    work, place, said[u(at_said)], said[u(at_said + 1)], said[u(at_said + 2)], said[u(at_said + 3)]
                )
            copying.judge(work, local.numbers[COPIES])
            mixer.choose(cfg, local, work, past, fails, orders)
            mixer.mix_all(cfg, mix, work, inputs)
            mixer.correct(mix, work, past)

        step = width >> _BITS
        if decoding:
            base = 0
            size = step * np.uint64(work.coded[0])
            while base < 3 and code >= size:
                code -= size
                base += 1
                size = step * np.uint64(work.coded[u(base)])
            if code >= size:
                code = size - np.uint64(1)  # not what any encoder wrote; a checksum will tell
            width = size
            while width < _FLOOR:
                byte = np.uint64(stream[u(at)]) if at < stream_end else np.uint64(0)
                code = (code << _BYTE) | byte
                at += 1
                width <<= _BYTE
            symbols[u(done)] = base
        else:
            base = np.int64(symbols[u(done)])
            start = np.uint64(0)
            for other in range(base):
                start += np.uint64(work.coded[u(other)])
            moved = low + step * start
            if moved < low:
                _carry(stream, at)
            low = moved
            width = step * np.uint64(work.coded[u(base)])
            while width < _FLOOR:
                stream[u(at)] = np.uint8(low >> _TOP)
                at += 1
                low <<= _BYTE
                width <<= _BYTE

        if longest:
            runs.learn_claim(mix, work.recall[CLAIM], DIVISORS, claim == base)
        turned = (turned >> np.uint64(2)) | (np.uint64(3 - base) << np.uint64(62))
        with_base = (past << np.uint64(2)) | np.uint64(base)
        to_search -= 1
        to_hungry -= 1
        soon = looks and not claimed and (to_search == 0 or (to_hungry == 0 and local.numbers[COPIES] < FEW))
        if soon:
            searching.prefetch_rows(cfg, frozen, local, with_base, turned, panel_bits, own_bits)
        if claimed:
            runs.prepare(local, bank)
            copying.learn(cfg, frozen, local, bank, mix, work, own, previous, base, DIVISORS, False)
        else:
            mixer.learn(cfg, mix, work, base, inputs)
            if cfg.attention_rate and local.numbers[COPIES] and work.coded[u(work.recall[GUESS])] < SURE:
                copying.learn_attention(cfg, local, bank, mix, work, base, previous)
            copying.learn(cfg, frozen, local, bank, mix, work, own, previous, base, DIVISORS, True)
            if soon:
                searching.prefetch_places(cfg, frozen, local, with_base, turned, panel_bits, own_bits)
            counts.learn(cfg, frozen, local, work, DIVISORS, past, turned, done, base)
            frames.learn_frames(cfg, local, DIVISORS, past, turned, done, base)
        fails = (fails << np.uint64(1)) | np.uint64(0 if work.recall[GUESS] == base else 1)
        past = with_base
        searching.remember(local, base)
        if cfg.sampled:
            sampling.sample(cfg, frozen, local, bank, own, past, turned, own_bits, not claimed)
        else:
            searching.enter(cfg, local, row + base)
        if looks and not claimed and (to_search == 0 or (to_hungry == 0 and local.numbers[COPIES] < FEW)):
            searching.search(cfg, frozen, local, bank, own, past, turned, panel_bits, own_bits)
        if to_search == 0:
            to_search = cfg.every
        if to_hungry == 0:
            to_hungry = cfg.hungry
    local.registers[H], local.registers[HR], local.registers[FAILS] = past, turned, fails
    local.registers[LOW], local.registers[WIDTH], local.registers[CODE] = low, width, code
    local.numbers[AT] = at


@kernel
def finish(local: Local, stream: NDArray[np.uint8]) -> Int:
    """End the stream with the fewest bytes that stay inside the interval when zeros follow; gives its length."""
    low, width, end = local.registers[LOW], local.registers[WIDTH], local.numbers[AT]
    zero = np.uint64(0)
    keep, mask = 0, ~zero
    ahead = (zero - low) & mask
    while ahead >= width:
        keep += 1
        mask >>= _BYTE
        ahead = (zero - low) & mask
    value = low + ahead
    if value < low:
        _carry(stream, end)
    for _ in range(keep):
        stream[u(end)] = np.uint8(value >> _TOP)
        value <<= _BYTE
        end += 1
    while end > 0 and stream[u(end - 1)] == 0:
        end -= 1
    return end
