"""What reads are mapped to: the panel, and behind it the bases of reads that are coded by themselves."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.integers import u
from geneformer_codec.coding.jit import Int, inline
from geneformer_codec.predict.panel_tables import base_of
from geneformer_codec.predict.state import PanelTables

OVERHANG = 1 << 10
"""Places so far outside of the reference may be coded: a read may begin before it, or end behind it."""
UNKNOWN = 4
"""Stands for the base outside of the reference."""


class Reference(NamedTuple):
    """The panel and, behind it, the ``bases`` of the reads of a part that are coded by themselves."""

    panel: PanelTables
    bases: NDArray[np.uint8]


@inline
def length_of(reference: Reference) -> Int:
    """How many bases there are."""
    return reference.panel.length + reference.bases.shape[0]


@inline
def predicted(reference: Reference, at: Int, step: Int) -> Int:
    """The base at a place, in the direction of the read."""
    length = reference.panel.length
    if at < 0 or at >= length_of(reference):
        return np.int64(UNKNOWN)
    base = np.int64(base_of(reference.panel.words, at)) if at < length else np.int64(reference.bases[u(at - length)])
    return base if step > 0 else 3 - base
