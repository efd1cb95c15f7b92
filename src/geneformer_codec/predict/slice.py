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
    LEAST_RUN,
    agree,
    code_run,
    learn_hits_of,
    learn_miss,
    longest_run,
    prepare_copies,
    run_length,
    run_row,
)
from geneformer_codec.predict.mixer import TOTAL_BITS, choose_weights, correct, inputs_used, learn_weights, mix
from geneformer_codec.predict.sampling import sample, sample_hits
from geneformer_codec.predict.search import (
    Candidate,
    Worst,
    add,
    append,
    append_hits,
    enter,
    enter_hits,
    extended,
    extended_by,
    is_copy,
    panel_seeds,
    prefetch_chain,
    prefetch_chains,
    prefetch_places,
    prefetch_rows,
    search,
)
from geneformer_codec.predict.shifts import shift_copies
from geneformer_codec.predict.state import (
    COPIES,
    DONE,
    GUESS,
    HISTORY,
    HITS,
    HITS_LEFT,
    LOW,
    MISS_HISTORY,
    MISS_LEFT,
    POSITION,
    REVERSE_COMPLEMENT,
    SAMPLE,
    WIDTH,
    Recent,
    Scratch,
    Settings,
    Slice,
    SliceState,
)

kernel = kernels(announced="compiling the experts for this machine, once; about 25 seconds")

FEW = 4
"""Copies below which searches come at `search_interval_few`."""
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
def needs_none(settings: Settings, longest: Int) -> Int:
    """Whether no more copies are needed where the longest run is this."""
    return settings.search_run_limit != 0 and longest >= settings.search_run_limit


@inline
def take_hits(slice_: Slice, recent: Recent, symbols: NDArray[np.uint8], hits: Int, decoding: bool) -> Recent:
    """The next ``hits`` bases, which are those of the match run: into history and index."""
    settings, _, state, _, _ = slice_
    done, bases = state.numbers[DONE], state.registers[HITS]
    entered = not needs_none(settings, longest_run(state))
    if entered and settings.history_sampling == 0:  # all rows that come are known, so that none is waited for
        prefetch_chains(settings, state, recent.history, bases, hits)
    append_hits(state, bases, hits)
    if decoding:
        for place in range(done, done + hits):
            symbols[u(place)] = state.bases[u(place)]
    if not entered:  # what is in a long run is found where that copies from
        state.numbers[SAMPLE] = 0
        recent = extended_by(recent, bases, hits)
    elif settings.history_sampling:
        recent = sample_hits(settings, state, recent, bases, hits)
    else:
        recent = enter_hits(settings, state, recent, bases, hits)
    state.registers[HITS] = (bases << np.uint64(hits)) << np.uint64(hits)
    state.numbers[HITS_LEFT] -= hits
    return Recent(recent.history, recent.reverse_complement, recent.miss_history << np.uint64(hits))


@inline
def take_miss(state: SliceState, scratch: Scratch, symbols: NDArray[np.uint8], decoding: bool) -> Int:
    """The base that ended a match run."""
    base = state.numbers[MISS_LEFT] - 1
    state.numbers[MISS_LEFT] = 0
    scratch.recall[GUESS] = np.int64(state.registers[HITS] >> np.uint64(62))
    if decoding:
        symbols[u(state.numbers[DONE])] = base
    return base


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
        if numbers[HITS_LEFT]:  # of a match run that is coded
            hits = min(numbers[HITS_LEFT], stop - numbers[DONE])
            recent = take_hits(slice_, recent, symbols, hits, decoding)
            to_search = settings.search_interval - numbers[DONE] % settings.search_interval
            to_search_few = settings.search_interval_few - numbers[DONE] % settings.search_interval_few
            continue
        done, previous = numbers[DONE], np.int64(recent.history & np.uint64(3))
        in_run, longest = numbers[MISS_LEFT] != 0, longest_run(state)
        quiet = in_run or needs_none(settings, longest)
        in_order, run_base = False, np.int64(0)
        # Memory is slower than a base takes: what the next base will read is prefetched as soon as it is known.
        row = np.int64(0) if settings.history_sampling else prefetch_chain(settings, state, recent.history)
        if in_run:  # its end
            base = take_miss(state, scratch, symbols, decoding)
        else:
            # Most of a genome like the panel is match runs: neither contexts nor mixer are needed.
            if settings.match_run_length:
                coded_length = run_length(settings, recent.miss_history)
                in_order = (longest >= LEAST_RUN or longest >= coded_length) and agree(panel, state, scratch)
                if in_order and longest >= coded_length:
                    coder = code_run(
                        slice_, coder, longest, recent.miss_history, previous, symbols, stream, stream_end, decoding
                    )
                    continue
                run_base = scratch.recall[GUESS]

            # Predict and code. All that follows is the same for encoder and decoder.
            if panel.count_orders.shape[0]:
                prefetch_counts(settings, panel, recent.history)
            predict(slice_, recent, previous, inputs)
            coder, base = code_base(scratch, coder, symbols, done, stream, stream_end, decoding)

        # Learn. A run updates its row where it is not coded, too; the copies always learn.
        if in_order:
            rows = run_row(longest, recent.miss_history, numbers[COPIES])
            if run_base == base:
                learn_hits_of(mixer, rows + base, np.int64(1))
            else:
                learn_miss(mixer, rows + run_base)
        after = extended(recent, base)
        to_search -= 1
        to_search_few -= 1
        due = to_search == 0 or (to_search_few == 0 and numbers[COPIES] < FEW)
        seeds = panel_seeds(settings, panel, state, after, done + 1)
        if not quiet:
            prefetch_rows(settings, panel, state, after, seeds, due and settings.history_sampling == 0)
        if in_run:
            prepare_copies(state)
            learn_copies(slice_, previous, base, False)
        else:
            learn(slice_, previous, base, inputs)
            if not quiet:
                prefetch_places(settings, panel, state, after, seeds, due and settings.history_sampling == 0)
            learn_contexts(slice_, recent, after, base)
            learn_frames(settings, state, recent, after, base)
        missed = np.uint64(0 if scratch.recall[GUESS] == base else 1)
        recent = Recent(after.history, after.reverse_complement, (recent.miss_history << np.uint64(1)) | missed)

        # Index and search; nothing is searched where no better copy is needed.
        append(state, base)
        if settings.history_sampling:
            sample(slice_, recent, not quiet, seeds.seeking)
        else:
            enter(settings, state, state.numbers[DONE], row + base)
        if not quiet:
            if settings.shift_misses:
                shift_copies(settings, panel, state, recent)
            due = to_search == 0 or (to_search_few == 0 and numbers[COPIES] < FEW)  # copies may have ended
            search(slice_, recent, seeds, due and settings.history_sampling == 0)
        if to_search == 0:
            to_search = settings.search_interval
        if to_search_few == 0:
            to_search_few = settings.search_interval_few
    registers[HISTORY], registers[REVERSE_COMPLEMENT] = recent.history, recent.reverse_complement
    registers[MISS_HISTORY] = recent.miss_history
    registers[LOW], registers[WIDTH], numbers[POSITION] = coder.low, coder.width, coder.position
