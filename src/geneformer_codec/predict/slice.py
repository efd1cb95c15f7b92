"""One slice, base by base: predict, code, learn, index and search. Encoding and decoding are the same loop."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import u
from geneformer_codec.coding.jit import Int, inline, kernels
from geneformer_codec.coding.range_coder import RangeCoder, decode_base, encode_base
from geneformer_codec.predict.codon_phase import learn_frames, predict_frames
from geneformer_codec.predict.copies import learn_attention, learn_copies, predict_copies, refresh_all, summarise
from geneformer_codec.predict.counts import learn_contexts, predict_counts, predict_low, prefetch_counts, put
from geneformer_codec.predict.match_run import (
    can_run_on,
    find_run,
    learn_run,
    look_ahead,
    move_copies,
    predict_run,
    prepare_copies,
    run_length,
    run_row,
)
from geneformer_codec.predict.mixer import TOTAL_BITS, choose_weights, correct, inputs_used, learn_weights, mix
from geneformer_codec.predict.sampling import sample
from geneformer_codec.predict.search import (
    Candidate,
    Worst,
    add,
    append,
    chain_row,
    enter,
    is_copy,
    panel_seeds,
    prefetch_chain,
    prefetch_chains,
    prefetch_places,
    prefetch_rows,
    search,
)
from geneformer_codec.predict.state import (
    COPIES,
    DONE,
    GUESS,
    HISTORY,
    LOW,
    MISS_HISTORY,
    POSITION,
    REVERSE_COMPLEMENT,
    RUN_ROW,
    WIDTH,
    Recent,
    Scratch,
    Slice,
)

kernel = kernels(announced="compiling the experts for this machine, once; about 25 seconds")

FEW = 4
"""Copies below which searches come at `search_interval_few`."""
MOST_HITS = 30
"""Hits of a match run after which the copies are moved on: their misses, a bit each, are shifted by as many."""
CERTAIN = 15 << 18
"""A probability of 2**22 (15/16) above which attention learns next to nothing from a base."""


@kernel
def begin(slice_: Slice) -> None:
    """The first copies: the panel's records from their first base, spread over the panel."""
    settings, panel, state, mixer, scratch = slice_
    refresh_all(mixer, scratch)
    records = panel.starts.shape[0]
    count = min(records, settings.copies)
    for k in range(count):
        place = panel.starts[k * records // count]
        if not is_copy(state, place, 1):
            add(settings, panel, state, Candidate(place, np.int64(1), np.uint32(0)), Worst(np.int64(0), np.int64(0)))


@inline
def predict(slice_: Slice, recent: Recent, previous: Int, inputs: Int) -> None:
    """The slow path: all experts predict, and the mixer combines them."""
    settings, panel, state, mixer, scratch = slice_
    predict_copies(slice_, previous)
    at = predict_low(state, scratch, recent.history, settings.heads)
    at = predict_counts(settings, panel, scratch, recent.history, at)
    at = predict_frames(state, scratch, recent.history, at)
    if state.network_logs.shape[0]:
        logs, first = state.network_logs, 4 * state.numbers[DONE]
        put(scratch, at, logs[u(first)], logs[u(first + 1)], logs[u(first + 2)], logs[u(first + 3)])
    summarise(scratch, state.numbers[COPIES])
    choose_weights(settings, state, scratch, recent, panel.count_orders.shape[0])
    mix(settings, mixer, scratch, inputs)
    correct(mixer, scratch, recent.history)


@inline
def learn(slice_: Slice, previous: Int, base: Int, inputs: Int) -> None:
    """The mixer, the attention and the copies learn ``base``."""
    settings, _, state, mixer, scratch = slice_
    learn_weights(settings, mixer, scratch, base, inputs)
    uncertain = scratch.frequencies[u(scratch.recall[GUESS])] < CERTAIN
    if settings.attention_rate and state.numbers[COPIES] and uncertain:
        learn_attention(settings, state, mixer, scratch, base, previous)
    learn_copies(slice_, previous, base, True)


@inline
def code_base(
    scratch: Scratch, coder: RangeCoder, symbols: NDArray[np.uint8], done: Int, stream: NDArray[np.uint8],
    stream_end: Int, decoding: bool,
) -> tuple[RangeCoder, Int]:  # fmt: skip
    """The coder after the base, and the base, which is read from ``symbols`` or, decoding, written there."""
    if decoding:
        coder, base = decode_base(coder, stream, stream_end, scratch.frequencies, TOTAL_BITS)
        symbols[u(done)] = base
        return coder, base
    base = np.int64(symbols[u(done)])
    if base > 3:  # any will do
        base = scratch.recall[GUESS]
    return encode_base(coder, stream, scratch.frequencies, base, TOTAL_BITS), base


@inline
def extended(recent: Recent, base: Int) -> Recent:
    """The history with ``base``; that of misses follows when all have learned."""
    return Recent(
        (recent.history << np.uint64(2)) | np.uint64(base),
        (recent.reverse_complement >> np.uint64(2)) | (np.uint64(3 - base) << np.uint64(62)),
        recent.miss_history,
    )


@kernel
def run(
    slice_: Slice, symbols: NDArray[np.uint8], stop: Int, stream: NDArray[np.uint8], stream_end: Int, decoding: bool
) -> None:
    """Code on up to base ``stop`` of ``symbols``: from them into ``stream``, or the other way when ``decoding``."""
    settings, panel, state, mixer, scratch = slice_
    registers, numbers = state.registers, state.numbers
    recent = Recent(registers[HISTORY], registers[REVERSE_COMPLEMENT], registers[MISS_HISTORY])
    coder = RangeCoder(registers[LOW], registers[WIDTH], numbers[POSITION])
    inputs = inputs_used(slice_)
    to_search = settings.search_interval - numbers[DONE] % settings.search_interval
    to_search_few = settings.search_interval_few - numbers[DONE] % settings.search_interval_few
    while numbers[DONE] < stop:
        done, previous = numbers[DONE], np.int64(recent.history & np.uint64(3))
        # Memory is slower than a base takes: what the next base will read is prefetched as soon as it is known.
        row = np.int64(0) if settings.history_sampling else prefetch_chain(settings, state, recent.history)
        if panel.count_orders.shape[0]:
            prefetch_counts(settings, panel, recent.history)

        # Predict. In a match run, which most of a genome like the panel is, neither contexts nor mixer are needed.
        coded_length = run_length(settings, recent.miss_history)
        longest = find_run(panel, state, scratch, recent.miss_history, coded_length) if settings.match_run_length else 0
        in_run, run_base = longest >= coded_length, scratch.recall[GUESS]
        if in_run:
            predict_run(mixer, scratch, previous)
        else:
            predict(slice_, recent, previous, inputs)

        # Code. All that follows is the same for encoder and decoder.
        coder, base = code_base(scratch, coder, symbols, done, stream, stream_end, decoding)
        if in_run and base == run_base and done + 1 < stop and can_run_on(settings, recent.miss_history):
            # What copies predict next needs no look at each of them, as long as all agree and the guesses hit.
            ahead = look_ahead(panel, state)
            most, hits = min(ahead.count - 1, stop - done - 1, MOST_HITS), np.int64(0)
            if settings.history_sampling == 0:  # the copies tell which rows come, so that none is waited for
                prefetch_chains(settings, state, recent.history, ahead.bases, most + 1)
            while base == run_base and hits < most:
                learn_run(mixer, scratch.recall[RUN_ROW], True)
                after = extended(recent, base)
                recent = Recent(after.history, after.reverse_complement, recent.miss_history << np.uint64(1))
                append(state, base)
                if settings.history_sampling:
                    sample(slice_, recent, False, False)
                else:
                    enter(settings, state, row + base)
                    row = chain_row(settings, state, recent.history)
                hits, done, previous = hits + 1, done + 1, base
                run_base = np.int64((ahead.bases >> np.uint64(62 - 2 * hits)) & np.uint64(3))
                scratch.recall[RUN_ROW] = run_row(longest + hits, recent.miss_history, numbers[COPIES], run_base)
                scratch.recall[GUESS] = run_base
                predict_run(mixer, scratch, previous)
                coder, base = code_base(scratch, coder, symbols, done, stream, stream_end, decoding)
            if hits:
                move_copies(state, hits, run_base)
                to_search = (to_search - 1 - hits) % settings.search_interval + 1
                to_search_few = (to_search_few - 1 - hits) % settings.search_interval_few + 1

        # Learn. A run updates its own row even where it was not coded; the copies always learn.
        if longest:
            learn_run(mixer, scratch.recall[RUN_ROW], run_base == base)
        after = extended(recent, base)
        to_search -= 1
        to_search_few -= 1
        due = to_search == 0 or (to_search_few == 0 and numbers[COPIES] < FEW)
        seeds = panel_seeds(settings, panel, state, after, done + 1)
        if not in_run:
            prefetch_rows(settings, panel, state, after, seeds, due and settings.history_sampling == 0)
        if in_run:
            prepare_copies(state)
            learn_copies(slice_, previous, base, False)
        else:
            learn(slice_, previous, base, inputs)
            prefetch_places(settings, panel, state, after, seeds, due and settings.history_sampling == 0)
            learn_contexts(slice_, recent, after, base)
            learn_frames(settings, state, recent, after, base)
        missed = np.uint64(0 if scratch.recall[GUESS] == base else 1)
        recent = Recent(after.history, after.reverse_complement, (recent.miss_history << np.uint64(1)) | missed)

        # Index and search. In a match run a better copy is not needed, so nothing is searched.
        append(state, base)
        if settings.history_sampling:
            sample(slice_, recent, not in_run, seeds.seeking)
        else:
            enter(settings, state, row + base)
        if not in_run:
            due = to_search == 0 or (to_search_few == 0 and numbers[COPIES] < FEW)  # copies may have ended
            search(slice_, recent, seeds, due and settings.history_sampling == 0)
        if to_search == 0:
            to_search = settings.search_interval
        if to_search_few == 0:
            to_search_few = settings.search_interval_few
    registers[HISTORY], registers[REVERSE_COMPLEMENT] = recent.history, recent.reverse_complement
    registers[MISS_HISTORY] = recent.miss_history
    registers[LOW], registers[WIDTH], numbers[POSITION] = coder.low, coder.width, coder.position
