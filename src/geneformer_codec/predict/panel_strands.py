"""Which strand a part has in a panel."""

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import hashed, u
from geneformer_codec.coding.jit import Int, inline, kernels
from geneformer_codec.predict.search import (
    MOST_SCANNED,
    forward_misses,
    forward_seed,
    is_chosen,
    panel_place,
    panel_row,
    panel_tag,
    reverse_misses,
    reverse_seed,
)
from geneformer_codec.predict.state import PanelTables, Recent, Settings

kernel = kernels()


@inline
def is_found(settings: Settings, panel: PanelTables, recent: Recent, mixed: Int, step: Int) -> Int:
    """Whether the panel has a place after the seed of hash ``mixed`` where the last 32 bases are equal."""
    row, tag = panel_row(panel, mixed), panel_tag(mixed)
    begin, end = np.int64(panel.rows[u(row)]), np.int64(panel.rows[u(row + 1)])
    for at in range(begin, min(end, begin + MOST_SCANNED)):
        if panel.tags[u(at)] != tag:
            continue
        place = panel_place(panel, at)
        if step > 0:
            misses = forward_misses(panel.words, place, recent.history, np.int64(32))
        elif place < settings.panel_seed_length:
            continue
        else:
            first = place - settings.panel_seed_length
            misses = reverse_misses(panel.words, first, panel.length, recent.reverse_complement)
        if misses == 0 and place >= 32:
            return True
    return False


@kernel
def count_hits(settings: Settings, panel: PanelTables, bases: NDArray[np.uint8], hits: NDArray[np.int64]) -> None:
    """Count the seeds of ``bases`` that the panel has: on this strand in ``hits[0]``, on the other in ``hits[1]``."""
    recent = Recent(np.uint64(0), np.uint64(0), np.uint64(0))
    length, sampling = settings.panel_seed_length, settings.panel_sampling
    for k in range(bases.shape[0]):
        base = np.int64(bases[k])
        recent = Recent(
            (recent.history << np.uint64(2)) | np.uint64(base),
            (recent.reverse_complement >> np.uint64(2)) | (np.uint64(3 - base) << np.uint64(62)),
            recent.miss_history,
        )
        if k < 31:
            continue
        forward, reverse = hashed(forward_seed(recent, length)), hashed(reverse_seed(recent, length))
        if is_chosen(forward, sampling):
            hits[0] += is_found(settings, panel, recent, forward, 1)
        if is_chosen(reverse, sampling):
            hits[1] += is_found(settings, panel, recent, reverse, -1)
