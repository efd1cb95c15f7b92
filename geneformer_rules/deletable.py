"""Which files cannot be deleted after archiving, found before anything starts."""

import os
from collections.abc import Sequence
from pathlib import Path

from geneformer_codec.errors import GfzError
from geneformer_codec.inputs.decompress import open_input
from geneformer_codec.inputs.import_formats import origin_of
from geneformer_codec.sequence.fastq import HEAD_BYTES


def why_not_deletable(files: Sequence[str]) -> str | None:
    """A reason not to delete files of a sample once they are archived; None if there is none."""
    for file in files:
        path = Path(file)
        if not path.is_file():
            continue
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return f"'{file}' cannot be deleted, as its directory is not writable"
        try:
            with open_input(path) as stream:
                origin = origin_of(stream.peek(HEAD_BYTES)[:HEAD_BYTES])
        except (GfzError, OSError):
            continue  # the job that reads it reports what is wrong with it
        if origin is not None:
            return f"'{file}' is {origin.format}, of which the archive keeps the sequences only"
    return None
