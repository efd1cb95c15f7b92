"""Whether a part is coded with the archive's model, and which strands it learns from, is measured for each part."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geneformer_codec import api
from geneformer_codec.cli.formatting import info_table, summary
from geneformer_codec.model.file import Experts, Model
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.panel import Panel, embed
from geneformer_codec.model.panel_coding import encode_panel
from geneformer_codec.predict.settings import ExpertSettings, without_panel
from geneformer_codec.reader import Reader

Write = Callable[[str, bytes], Path]
LETTERS = np.frombuffer(b"ACGT", np.uint8)
ANCESTOR = np.random.default_rng(1).integers(0, 4, 30_000).astype(np.uint8)
OTHER = np.random.default_rng(2).integers(0, 4, 30_000).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    panel = Panel.of([ANCESTOR])
    settings = ExpertSettings(table_bits=16)
    source = embed(panel, lambda bases: encode_panel(bases, without_panel("fast")))
    path = tmp_path_factory.mktemp("model") / "m.gfmodel"
    path.write_bytes(Model.of(None, Experts(InitialState.untrained(settings), source), {"name": "m"}).to_bytes())
    return path


def fasta(*records: np.ndarray) -> bytes:
    return b"".join(b">%d\n%b\n" % (number, LETTERS[record].tobytes()) for number, record in enumerate(records))


def reverse_complement(bases: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(3 - bases[::-1])


def test_a_part_that_the_model_does_not_help_is_coded_without_it(tmp_path: Path, write: Write, model: Path) -> None:
    source = write("in.fa", fasta(ANCESTOR, OTHER, ANCESTOR))
    info = api.compress(source, tmp_path / "a.gfz", model=model, part_bases=30_000, verify=True)
    assert (info.parts, info.without_model_blocks) == (3, 1)
    assert "model use    1 of 3 parts without the model, as it does not help them" in info_table(info)
    alone = api.compress(write("other.fa", fasta(OTHER)), tmp_path / "alone.gfz")
    given = api.compress(write("other.fa", fasta(OTHER)), tmp_path / "given.gfz", model=model)
    assert given.without_model_blocks == 1
    assert given.payload_bytes == alone.payload_bytes
    assert (info.model_needed, given.model_needed) == (True, False)
    assert "not included, not needed" in summary(given)
    api.decompress(tmp_path / "given.gfz", tmp_path / "back.fa")
    assert (tmp_path / "back.fa").read_bytes() == fasta(OTHER)
    api.compress(write("own.fa", fasta(ANCESTOR)), tmp_path / "own.gfz", model=model)
    for files in (["given", "own", "given"], ["own", "given", "own"]):
        sources = [tmp_path / f"{name}.gfz" for name in files]
        merged = api.merge(sources, tmp_path / "merged.gfz", model=model, force=True)
        assert (merged.model_needed, merged.without_model_blocks) == (True, files.count("given"))
        api.verify(tmp_path / "merged.gfz", model=model)
    with Reader(tmp_path / "a.gfz", model=model) as archive:
        assert [str(archive[str(number)][100:200]) for number in range(3)] == [
            LETTERS[record[100:200]].tobytes().decode() for record in (ANCESTOR, OTHER, ANCESTOR)
        ]


def test_repeats_count_when_the_model_is_judged(tmp_path: Path, write: Write, model: Path) -> None:
    """Its first copy would be smaller with the model, all together are smaller without it, or at least no larger."""
    half = np.concatenate([OTHER[:25_000], ANCESTOR[:5_000]])
    source = write("in.fa", fasta(*[half] * 8))
    given = api.compress(source, tmp_path / "a.gfz", model=model, verify=True)
    alone = api.compress(source, tmp_path / "b.gfz")
    assert given.payload_bytes <= alone.payload_bytes


@pytest.mark.parametrize(
    ("record", "strands"), [(ANCESTOR, 1), (reverse_complement(ANCESTOR), 2)], ids=["as the panel", "the other strand"]
)
def test_strands_are_those_of_the_panel(
    tmp_path: Path, write: Write, model: Path, record: np.ndarray, strands: int
) -> None:
    source = write("in.fa", fasta(record))
    info = api.compress(source, tmp_path / "a.gfz", model=model, verify=True)
    assert (info.both_strands_blocks, info.without_model_blocks) == (strands - 1, 0)
    assert info.payload_bytes < 100
    stated = api.compress(source, tmp_path / "b.gfz", model=model, strands="both", verify=True)
    assert stated.both_strands_blocks == 1


def test_one_reversed_genome_among_many_costs_little(tmp_path: Path, write: Write) -> None:
    genomes = [ANCESTOR] * 20
    same = api.compress(write("in.fa", fasta(*genomes)), tmp_path / "a.gfz", strands="one")
    genomes[12] = reverse_complement(ANCESTOR)
    one = api.compress(write("in.fa", fasta(*genomes)), tmp_path / "b.gfz", strands="one", verify=True)
    assert one.payload_bytes < same.payload_bytes + 100


@pytest.mark.parametrize(("digests", "stored"), [("auto", 0), ("always", 160)])
def test_digests_are_left_out_where_they_cost_much(tmp_path: Path, write: Write, digests: str, stored: int) -> None:
    source = write("in.fa", fasta(*[ANCESTOR[:2000]] * 4))
    info = api.compress(source, tmp_path / "a.gfz", digests=digests, verify=True)
    assert info.streams["digests"] == stored
    known = [entry.md5 for entry in api.read_index(tmp_path / "a.gfz")]
    assert len(set(known)) == 1
    assert known[0]
    long = np.random.default_rng(3).integers(0, 4, 60_000).astype(np.uint8)
    assert api.compress(write("long.fa", fasta(long)), tmp_path / "b.gfz", digests=digests).streams["digests"] == 40


def test_parts_with_and_without_the_model_are_joined(tmp_path: Path, write: Write, model: Path) -> None:
    text = fasta(ANCESTOR, OTHER, ANCESTOR)
    source, whole = write("in.fa", text), tmp_path / "whole.gfz"
    api.compress(source, whole, model=model, part_bases=30_000)
    api.split(source, tmp_path / "parts", part_bases=30_000)
    parts = sorted((tmp_path / "parts").glob("*.part"))
    archives = [part.with_suffix(".gfz") for part in parts]
    for part, archive in zip(parts, archives, strict=True):
        info = api.compress_parts([part], archive, model=model)
        assert (info.without_model is None) == (info.without_model_blocks == 0)
    api.gather(tmp_path / "parts" / "plan.json", archives, tmp_path / "joined.gfz")
    assert (tmp_path / "joined.gfz").read_bytes() == whole.read_bytes()
    merged = tmp_path / "merged.gfz"
    helped = api.compress(write("one.fa", fasta(ANCESTOR)), tmp_path / "one.gfz", model=model)
    assert helped.without_model is None
    info = api.merge([tmp_path / "one.gfz", whole], merged, model=model)
    assert info.without_model_blocks == 1
    api.decompress(merged, tmp_path / "back.fa", model=model)
    assert (tmp_path / "back.fa").read_bytes() == fasta(ANCESTOR) + text
