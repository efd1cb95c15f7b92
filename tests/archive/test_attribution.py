"""What an archive's bytes are spent on: all of them, and each on its cause."""

from pathlib import Path

import numpy as np
import pytest

import geneformer_codec as gfz
from geneformer_codec.archive.attribution import attribute, main
from geneformer_codec.archive.read import Archive


@pytest.mark.slow
def test_bytes_are_attributed_to_causes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genome = np.random.default_rng(6).choice(np.frombuffer(b"ACGT", np.uint8), 6000)
    other = genome.copy()
    other[[1000, 2000, 3000]] = [ord("C") if base != ord("C") else ord("G") for base in other[[1000, 2000, 3000]]]
    shorter, longer = np.delete(genome, range(4000, 4020)), np.insert(genome, 4000, genome[500:520])
    source, archive = tmp_path / "in.fa", tmp_path / "a.gfz"
    records = [b">%d\n%b\n" % (k, text.tobytes()) for k, text in enumerate((genome, other, shorter, longer))]
    source.write_bytes(b"".join(records))
    gfz.compress(source, archive, strands="one", digests="always")
    with Archive(archive) as opened:
        rows = {row.what: row for row in attribute(opened)}
        size = opened.file_bytes
    assert abs(sum(row.bytes for row in rows.values()) - size) < 1e-3
    assert abs(rows["ends of slices"].bytes) < 8
    assert rows["digests"].bytes == 160
    assert sum(row.bases for row in rows.values()) == 24_000
    events = {what: row.events for what, row in rows.items() if row.events}
    # a leader in the record with the three changes misses where the others have none
    assert 3 <= events.pop("mismatch") <= 9
    assert events == {"record start": 4, "deletion": 1, "insertion": 1}
    assert rows["unpredicted"].bytes > 0.9 * 6000 / 4
    assert main([str(archive)]) == 0
    assert "mismatch" in capsys.readouterr().out
    assert main([str(source)]) == 1
    assert "not a .gfz archive" in capsys.readouterr().err
