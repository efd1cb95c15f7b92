"""What recurs in several parts of a FASTA file becomes a panel inside the archive."""

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geneformer_codec import api, open
from geneformer_codec.archive import self_panel
from geneformer_codec.archive.models import Execution
from geneformer_codec.cache_contents import OF_ARCHIVES_SHARE
from geneformer_codec.errors import FormatError, InputError
from geneformer_codec.model.file import Model, load_model
from geneformer_codec.model.panel import PanelSource
from geneformer_codec.sequence.parts import split
from geneformer_codec.sequence.seeds import SEED_LENGTH, sampled_seeds, still_sampled
from geneformer_codec.training.experts import train_experts

from .conftest import Write, joined
from .test_without_model import COMPLEMENT, relatives

LENGTH = 100_000
PART = 150_000


@pytest.fixture(scope="module")
def genomes() -> bytes:
    """Ten genomes 2 % apart, the second half of them of the other strand."""
    text = relatives(10, LENGTH, turn=False).split(b">")[1:]
    reverse = [
        record.split(b"\n")[0] + b" reverse\n" + b"".join(record.split(b"\n")[1:]).translate(COMPLEMENT)[::-1] + b"\n"
        for record in text[5:]
    ]
    return b"".join(b">" + record for record in text[:5] + reverse)


@pytest.fixture(scope="module")
def unrelated() -> bytes:
    rng = random.Random(5)
    return b"".join(b">%d\n%b\n" % (number, bytes(rng.choices(b"ACGT", k=LENGTH))) for number in range(5))


def test_parts_are_predicted_from_what_recurs(tmp_path: Path, write: Write, genomes: bytes) -> None:
    source = write("in.fa", genomes)
    info = api.compress(source, tmp_path / "a.gfz", part_bases=PART, verify=True)
    assert info.parts > 4
    assert (info.model_name, info.model_embedded) == (self_panel.SELF_PANEL, True)
    alone = api.compress(source, tmp_path / "b.gfz", part_bases=PART, self_panel=False)
    assert alone.model_id == "experts"
    assert info.total_bytes < 0.4 * alone.total_bytes
    api.decompress(tmp_path / "a.gfz", tmp_path / "back.fa")
    assert (tmp_path / "back.fa").read_bytes() == genomes
    with open(tmp_path / "a.gfz") as reader:
        wanted = genomes.split(b">")[8].split(b"\n", 1)[1].replace(b"\n", b"")
        records = list(reader.records())
        assert records[7][5000:5100].encode() == wanted[5000:5100]


def test_every_execution_gives_the_same_bytes(tmp_path: Path, write: Write, genomes: bytes) -> None:
    source = write("in.fa", genomes)
    api.compress(source, tmp_path / "a.gfz", part_bases=PART, execution=Execution(threads=1))
    wanted = (tmp_path / "a.gfz").read_bytes()
    made = {}
    for name, given in (("threads", source), ("stream", io.BytesIO(genomes))):
        api.compress(given, tmp_path / name, part_bases=PART, name="in.fa", execution=Execution(threads=3))
        made[name] = (tmp_path / name).read_bytes()
    command = [sys.executable, "-m", "geneformer_codec", "compress", "-", "-o", "-", "--name", "in.fa"]
    piped = subprocess.run([*command, f"--part-bases={PART}", "-q"], input=genomes, capture_output=True, check=True)
    made["pipe"] = piped.stdout
    made["joined"] = joined(source, tmp_path, part_bases=PART)
    assert {name: data == wanted for name, data in made.items()} == dict.fromkeys(made, True)


def test_nothing_recurs(tmp_path: Path, write: Write, unrelated: bytes) -> None:
    source = write("in.fa", unrelated)
    info = api.compress(source, tmp_path / "a.gfz", part_bases=PART)
    assert (info.parts > 2, info.model_id) == (True, "experts")
    api.compress(source, tmp_path / "b.gfz", part_bases=PART, self_panel=False)
    assert (tmp_path / "a.gfz").read_bytes() == (tmp_path / "b.gfz").read_bytes()
    plan = api.split(source, tmp_path / "parts", part_bases=PART)
    assert plan.panel is None
    assert not (tmp_path / "parts" / "panel.gfmodel").exists()


def test_what_recurs_in_one_part_only_is_left_to_it(write: Write, unrelated: bytes) -> None:
    first, *others = unrelated.split(b">")[1:]
    text = b"".join(b">" + record for record in (first, first, *others))
    assert self_panel.make_self_panel(split(io.BytesIO(text), 2 * LENGTH + 1000), "fast", "in.fa") is None
    assert self_panel.make_self_panel(split(io.BytesIO(text), LENGTH), "fast", "in.fa") is not None


def model_of(text: bytes) -> Model | None:
    return self_panel.make_self_panel(split(io.BytesIO(text), PART), "fast", "in.fa")


def panel_in(model: Model | None) -> PanelSource:
    assert model
    assert model.experts
    assert model.experts.panel
    return model.experts.panel


def panel_of(text: bytes) -> int:
    return panel_in(model_of(text)).bases


def test_the_panel_is_bounded(monkeypatch: pytest.MonkeyPatch, genomes: bytes) -> None:
    assert panel_of(genomes) >= LENGTH
    monkeypatch.setattr(self_panel, "SELF_PANEL_BASES", 5 * self_panel.STRETCH)
    assert panel_of(genomes) == 5 * self_panel.STRETCH


def test_few_seeds_find_the_same(monkeypatch: pytest.MonkeyPatch, genomes: bytes) -> None:
    monkeypatch.setattr(self_panel, "PERCENTAGES", (50,))
    all_seeds = panel_of(genomes)
    monkeypatch.setattr(self_panel, "MOST_SEEDS", 3000)
    sketches = []
    chosen = self_panel.Sketch.chosen
    monkeypatch.setattr(self_panel.Sketch, "chosen", lambda sketch: sketches.append(sketch) or chosen(sketch))
    assert abs(panel_of(genomes) - all_seeds) < 0.3 * all_seeds
    (sketch,) = sketches
    assert sketch._sampling > self_panel.SAMPLING
    assert sum(map(len, sketch._hashes)) <= 3000


def test_seeds_are_those_of_both_strands() -> None:
    bases = np.random.default_rng(3).integers(0, 4, 20_000).astype(np.uint8)

    def seeds(text: np.ndarray, sampling: int) -> set[int]:
        hashes, ends = np.zeros(20_000, np.uint64), np.zeros(20_000, np.int64)
        count = sampled_seeds(text, sampling, hashes, ends)
        assert np.all(still_sampled(hashes[:count], sampling))
        assert count == 0 or SEED_LENGTH - 1 <= ends[:count].min() <= ends[:count].max() < len(text)
        return set(hashes[:count].tolist())

    reverse = np.ascontiguousarray(3 - bases[::-1])
    assert seeds(bases, 1) == seeds(reverse, 1)
    assert len(seeds(bases, 1)) == len(bases) - SEED_LENGTH + 1
    few = seeds(bases, 64)
    assert few == seeds(reverse, 64)
    assert few < seeds(bases, 16)
    assert 100 < len(few) < 600
    assert seeds(bases[: SEED_LENGTH - 1], 1) == set()


def test_a_damaged_panel_is_named(tmp_path: Path, write: Write, genomes: bytes) -> None:
    plan = api.split(write("in.fa", genomes), tmp_path / "parts", part_bases=PART, level="fast")
    file = tmp_path / "parts" / "panel.gfmodel"
    assert plan.panel
    data = file.read_bytes()
    part = tmp_path / "parts" / plan.parts[0].file
    file.write_bytes(data[:-1] + b"x")
    with pytest.raises(FormatError, match=r"panel\.gfmodel: does not match its SHA-256"):
        api.compress_parts([part], tmp_path / "a.gfz")
    file.unlink()
    with pytest.raises(InputError, match=r"panel\.gfmodel: no such file"):
        api.compress_parts([part], tmp_path / "a.gfz")
    api.compress_parts([part], tmp_path / "a.gfz", self_panel=False)
    assert api.info(tmp_path / "a.gfz").model_id == "experts"


def test_parts_made_without_the_panel_are_gathered_without_it(tmp_path: Path, write: Write, genomes: bytes) -> None:
    source = write("in.fa", genomes)
    plan = api.split(source, tmp_path / "parts", part_bases=PART, level="fast")
    paths = [tmp_path / "parts" / part.file for part in plan.parts]
    api.compress_parts(paths, tmp_path / "all.gfz", self_panel=False)
    info = api.gather(tmp_path / "parts" / "plan.json", [tmp_path / "all.gfz"], tmp_path / "a.gfz")
    assert (info.model_id, info.model_embedded) == ("experts", False)


def test_archives_with_panels_of_their_own_are_not_merged(tmp_path: Path, write: Write, genomes: bytes) -> None:
    records = genomes.split(b">")[1:]
    for name, kept in (("a", records[:6]), ("b", records[4:])):
        api.compress(write(name, b"".join(b">" + record for record in kept)), tmp_path / f"{name}.gfz", part_bases=PART)
    with pytest.raises(FormatError, match="panels of their own") as caught:
        api.merge([tmp_path / "a.gfz", tmp_path / "b.gfz"], tmp_path / "c.gfz")
    assert "again with --no-self-panel, or" in caught.value.command_message()


def test_old_panels_leave_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genomes: bytes) -> None:
    monkeypatch.setenv("GFZ_CACHE", str(tmp_path))
    records = genomes.split(b">")[1:]
    digests = []
    for number in range(3):
        panel = panel_in(model_of(b"".join(b">" + record for record in records[number : number + 6])))
        folder = tmp_path / "self-panels" / panel.digest
        digests.append(folder.name)
        os.utime(folder, (number, number))  # as if it were long ago
        size = sum(file.stat().st_size for file in folder.iterdir())
        monkeypatch.setenv("GFZ_CACHE_SIZE", str(OF_ARCHIVES_SHARE * 5 * size // 2))
    assert len(set(digests)) == 3
    assert {path.name for path in (tmp_path / "self-panels").iterdir()} == set(digests[1:])


def test_a_panel_alone_is_a_base_for_training(genomes: bytes) -> None:
    model = model_of(genomes)
    assert model
    assert load_model(model.data).id == model.id
    extra = [np.random.default_rng(number).integers(0, 4, 3000).astype(np.uint8) for number in range(3)]
    trained = train_experts(extra, "more", base=model)
    assert trained.experts
    assert trained.experts.settings
    assert panel_in(trained).bases == panel_in(model).bases + 9000
