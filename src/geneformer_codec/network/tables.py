"""Integer tables that every execution of the exact network shares.

Computed with decimal arithmetic of 50 digits, so that no machine's floating point has a say in them.
"""

from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

ATTENTION_STEPS = 64
"""Entries of `attention_table` to a factor of two."""
ATTENTION_ENTRIES = 8 * ATTENTION_STEPS
LOGIT_STEPS = 128
"""Units of a logit to a factor of two."""


def _falling(scale: int, steps: int, entries: int) -> NDArray[np.int32]:
    with localcontext() as context:
        context.prec = 50
        two = Decimal(2)
        return np.array(
            [int((scale * two ** (Decimal(-i) / steps)).to_integral_value()) for i in range(entries)], np.int32
        )


def attention_table() -> NDArray[np.int32]:
    """``round(255 * 2**(-i / 64))`` for i in 0..511: a softmax numerator; further entries are zero."""
    return _falling(255, ATTENTION_STEPS, ATTENTION_ENTRIES)


def logit_table() -> NDArray[np.int32]:
    """``round(2**24 * 2**(-i / 128))`` for i in 0..127: the fraction of a power of two."""
    return _falling(1 << 24, LOGIT_STEPS, LOGIT_STEPS)
