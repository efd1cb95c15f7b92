"""How a model is trained: the paper's recipe, and one that gets further in the same time."""

from dataclasses import dataclass
from typing import Literal

from geneformer_codec.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """``batch`` crops of ``crop`` bases a step (the paper's form: windows, of one base each) from every species."""

    optimiser: Literal["rmsprop", "adamw"]
    learning_rate: float
    batch: int
    crop: int
    dropout: float
    scheduled: bool
    rounding: float
    """Share of the budget, at its end, in which the network is trained as the integers will see it."""
    epochs: float
    """When neither epochs nor minutes are given."""


RECIPES = {
    # section on training: RMSProp, 0.001, 64 at a time, no schedule, 70 epochs, dropout 0.1
    "paper": Recipe("rmsprop", 1e-3, 64, 512, 0.1, False, 0.1, 70),
    "default": Recipe("adamw", 4e-3, 8, 512, 0.0, True, 0.3, 8),
}
HYBRID_LEARNING_RATE = 2e-3
"""The paper's, for several species in one batch."""


def recipe(name: str) -> Recipe:
    """The recipe called ``name``; raises ``UsageError`` with the names there are."""
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
