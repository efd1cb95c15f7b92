"""Make the initial states of slices without a model (`model.initial_states`).

    python -m geneformer_codec.training.initial_states -o src/geneformer_codec/model/initial_states FASTA ...
learns from the first bases of each file, one after the other, for every level, and prints the digests that
`predict.settings.INITIAL_STATES` names.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from geneformer_codec.files import atomic_output
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.initial_states import digest
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import INITIAL_STATES, NEVER, without_panel
from geneformer_codec.training.data import Bases, read_records

BASES = 1_500_000
"""Of each file."""
TRUST_SEEN = 60
"""Observations of trust that a slice takes over: few, so that it soon learns its own."""
ATTENTION_RATE = 12


def learn_initial_state(level: str, texts: Sequence[Bases]) -> InitialState:
    """The state that slices of ``texts`` lead to, without their short contexts."""
    settings = replace(without_panel(level, both_strands=False), initial_state="")
    rate = ATTENTION_RATE if settings.attention_rate else 0
    run = NEVER if settings.match_run_length else 0
    coder = Predictor(replace(settings, attention_rate=rate, match_run_length=run, match_run_length_noisy=0))
    mixer = coder.mixer.copy()
    for text in texts:
        coder.adapt(text, mixer, coder.low.copy())
    mixer.trust[:] = mixer.trust >> 10 << 10 | np.minimum(mixer.trust & 1023, TRUST_SEEN)
    return InitialState(settings, mixer, coder.low)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fasta", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the initial states")
    options = parser.parse_args()
    texts = [np.concatenate(read_records([path]))[:BASES] for path in options.fasta]
    options.output.mkdir(parents=True, exist_ok=True)
    for level in INITIAL_STATES:
        data = learn_initial_state(level, texts).to_bytes()
        with atomic_output(options.output / f"{digest(data)}.bin", True) as stream:
            stream.write(data)
        print(f"{level}: {digest(data)}, {len(data):,} bytes")


if __name__ == "__main__":
    main()
