"""What the bytes of archives are spent on: ``python -m geneformer_codec.archive.attribution ARCHIVE...``.

For developers. Bases are attributed to causes (`predict.attribution`), all else to streams, and the sum is the size of
the archive. Takes ten times as long as decoding.
"""

import sys
from typing import NamedTuple

import numpy as np

from geneformer_codec.archive.info import archive_info
from geneformer_codec.archive.models import coders_of
from geneformer_codec.archive.read import Archive
from geneformer_codec.errors import GfzError


class Row(NamedTuple):
    """What some bytes are spent on: of bases at which ``events`` are ``first``, of others ``after``."""

    what: str
    bytes: float
    events: int = 0
    bases: int = 0
    first: float = 0.0


def attribute(archive: Archive) -> list[Row]:
    """What an archive's bytes are spent on, which sum to its size; ``ValueError`` if not experts alone predict it."""
    from geneformer_codec.predict.attribution import CAUSES, nothing_spent
    from geneformer_codec.predict.attribution import attribute as attribute_slice
    from geneformer_codec.predict.coder import ExpertCoder

    coders, spent, plain, coded = coders_of(archive), nothing_spent(), 0, 0
    for block in archive.blocks:
        content = archive.decode(block, coders)
        coder = coders.coder(block.choice)
        if not isinstance(coder, ExpertCoder):
            raise ValueError(f"{archive.label}: its bases are not coded by experts")
        starts = np.append(0, np.cumsum(content.own_lengths))[:-1][0 if block.starts_record else 1 :]
        begin = 0
        for length, size in zip(content.slices.lengths, content.slices.sizes, strict=True):
            end = begin + length
            if size == -(-length // 4):
                plain += size
            else:
                here = starts[(starts >= begin) & (starts < end)] - begin
                stream = attribute_slice(coder.predictor, content.own_bases[begin:end].copy(), here, spent)
                if len(stream) != size:
                    raise RuntimeError(f"a slice of {size} bytes takes {len(stream)} when it is encoded again")
                coded += size
            begin = end
    rows = [
        Row(cause, (spent.first[k] + spent.after[k]) / 8, int(spent.events[k]), int(spent.bases[k]), spent.first[k] / 8)
        for k, cause in enumerate(CAUSES)
    ]
    rows.append(Row("ends of slices", coded - sum(row.bytes for row in rows)))
    rows.append(Row("bases at 2 bits each", plain, 0, 4 * plain))
    info = archive_info(archive)
    rows += [Row(name, size) for name, size in info.streams.items() if name != "payload"]
    return [*rows, Row("model", info.model_bytes), Row("container", info.container_bytes)]


def main(paths: list[str]) -> int:
    """Print a table for each archive."""
    for path in paths:
        try:
            with Archive(path) as archive:
                rows, total = attribute(archive), archive.file_bytes
        except (GfzError, OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
        print(f"{path}: {total:,} bytes")
        print(f"{'':22}{'bytes':>12}{'share':>7}{'events':>10}{'first':>12}{'bits':>6}{'after':>12}{'bases':>13}")
        for row in rows:
            if row.bytes or row.bases:
                each = f"{8 * row.first / row.events:6.1f}" if row.events else " " * 6
                line = f"{row.what:22}{row.bytes:12,.1f}{row.bytes / total:7.1%}{row.events:10,}{row.first:12,.1f}"
                print(f"{line}{each}{row.bytes - row.first:12,.1f}{row.bases:13,}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
