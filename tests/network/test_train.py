import json
import math
from pathlib import Path

import numpy as np
import pytest

from geneformer_codec.errors import FormatError, InputError, UsageError
from geneformer_codec.model.file import read_model
from geneformer_codec.network import config as config_module
from geneformer_codec.network import train as fit
from geneformer_codec.network.config import START, NetworkConfig
from geneformer_codec.network.data import Crops, SplitRecords, choose_slices
from geneformer_codec.sequence.simulate import write_fasta
from geneformer_codec.training.data import read_records
from geneformer_codec.training.train import train

TINY = {
    "tiny": NetworkConfig(width=24, heads=2, inner=48, segment=8),
    "tiny-paper": NetworkConfig(form="paper", width=16, heads=2, inner=24, segment=13),
}


@pytest.fixture(autouse=True)
def tiny_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, config in TINY.items():
        monkeypatch.setitem(config_module.PRESETS, name, config)


@pytest.fixture(scope="session")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("panel") / "panel.fa"
    write_fasta(path, 30, 1500, 0.01, 3)
    return path


def entries(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_related_genomes_are_learned(panel: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "m.gfmodel", tmp_path / "m.jsonl"
    model = train([panel], out, "sim", preset="tiny", epochs=12, threads=1, log=log)
    assert read_model(out).id == model.id
    result = model.metadata["result"]
    assert result["test"]["integer_bpb"] < 1.6
    for share in ("validation", "test"):
        assert result[share]["integer_bpb"] < 1.02 * result[share]["float_bpb"]
    lines = entries(log)
    assert [lines[0]["event"], lines[-1]["event"]] == ["start", "end"]
    curve = [line["bpb_validation"] for line in lines if line["event"] == "validation"]
    assert len(curve) >= 10
    assert curve[-1] < curve[0]
    assert model.metadata["records"] == {"training": 21, "validation": 6, "test": 3}
    assert not list(tmp_path.glob("*checkpoint*"))
    # the model codes what it has not seen in about the bits that training says
    bases = read_records([panel])[0]
    coded = model.coder(None, "cpu", 1).encode(bases, [len(bases)])
    assert 8 * len(coded[0]) / len(bases) < 1.7


@pytest.mark.slow
def test_the_papers_recipe_and_form(panel: Path, tmp_path: Path) -> None:
    model = train([panel], tmp_path / "m.gfmodel", "sim", preset="tiny-paper", recipe="paper", epochs=1, threads=1)
    assert model.metadata["recipe_settings"]["optimiser"] == "rmsprop"
    result = model.metadata["result"]["test"]
    assert result["float_bpb"] < 2.0
    assert abs(result["integer_bpb"] - result["float_bpb"]) < 0.05


def test_a_killed_run_goes_on(panel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, log = tmp_path / "m.gfmodel", tmp_path / "m.jsonl"
    monkeypatch.setattr(fit, "CHECKPOINT_SECONDS", 0.0)
    steps = fit._Run._step

    for share in (10, 28):  # in the floating-point phase, then in the rounding one
        left = share

        def interrupted(self: fit._Run, batch: object) -> tuple[float, int]:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return steps(self, batch)  # type: ignore[arg-type]

        monkeypatch.setattr(fit._Run, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train([panel], out, "sim", preset="tiny", epochs=6, threads=1, log=log)
        assert not out.exists()
        assert (tmp_path / "m.gfmodel.checkpoint").exists()
    monkeypatch.setattr(fit._Run, "_step", steps)
    with pytest.raises(UsageError, match="other settings"):
        train([panel], out, "sim", preset="tiny", epochs=7, threads=1, log=log)
    model = train([panel], out, "sim", preset="tiny", epochs=6, threads=1, log=log)
    assert [line["event"] for line in entries(log)].count("resume") == 2
    whole = 6 * entries(log)[0]["training_bases"]
    assert whole <= model.metadata["result"]["bases_seen"] < whole + 2 * 8 * 512
    (tmp_path / "m.gfmodel.checkpoint").write_bytes(b"not a checkpoint")
    with pytest.raises(FormatError, match="delete it"):
        train([panel], out, "sim", preset="tiny", epochs=6, threads=1, force=True)


@pytest.mark.slow
def test_fine_tuning_starts_where_the_base_is(panel: Path, tmp_path: Path) -> None:
    base = train([panel], tmp_path / "base.gfmodel", "base", preset="tiny", epochs=8, threads=1)
    log = tmp_path / "tuned.jsonl"
    tuned = train(
        [panel], tmp_path / "tuned.gfmodel", "tuned", base=tmp_path / "base.gfmodel", epochs=2, threads=1, log=log
    )
    assert tuned.id != base.id
    assert tuned.metadata["base"] == base.id
    first = next(line for line in entries(log) if line["event"] == "validation")
    assert first["bpb_validation"] < base.metadata["result"]["validation"]["float_bpb"] + 0.2
    with pytest.raises(UsageError, match="leave preset= out"):
        train([panel], tmp_path / "x.gfmodel", "x", base=tmp_path / "base.gfmodel", preset="stream-small", epochs=1)
    (tmp_path / "embedded.gfmodel").write_bytes(base.data)
    with pytest.raises(UsageError, match="no float network"):
        train([panel], tmp_path / "x.gfmodel", "x", base=tmp_path / "embedded.gfmodel", epochs=1)


@pytest.mark.slow
def test_several_species_share_every_batch(panel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.fa"
    write_fasta(other, 12, 1500, 0.02, 9)
    seen = []
    steps = fit._Run._step
    monkeypatch.setattr(fit._Run, "_step", lambda self, batch: seen.append(len(batch[0])) or steps(self, batch))
    model = train([panel], tmp_path / "m.gfmodel", "both", preset="tiny", hybrid=[other], epochs=2, threads=1)
    assert set(seen) == {16}
    assert model.metadata["species"] == 2
    assert model.metadata["records"]["test"] == 3 + 1


def test_what_cannot_be_trained_on(tmp_path: Path) -> None:
    out = tmp_path / "m.gfmodel"
    with pytest.raises(InputError, match=r"no such file|No such file|does not exist"):
        train([tmp_path / "none.fa"], out, "x", preset="tiny", epochs=1)
    empty = tmp_path / "empty.fa"
    empty.write_text(">a\nNNNN\n")
    with pytest.raises(InputError, match="no bases"):
        train([empty], out, "x", preset="tiny", epochs=1)
    with pytest.raises(UsageError, match="recipe"):
        train([empty], out, "x", preset="tiny", recipe="best", epochs=1)
    with pytest.raises(UsageError, match="more than 0"):
        train([empty], out, "x", preset="tiny", minutes=-1)
    assert list(tmp_path.iterdir()) == [empty]


def test_records_are_read_as_they_are_coded(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_text("acgt\n>a\nacgtACGTNNNRACGU\n>empty\n>b\nAC\n\nGT\n")
    records = read_records([path])
    assert [record.tolist() for record in records] == [[0, 1, 2, 3], [0, 1, 2, 3] * 3, [0, 1, 2, 3]]


@pytest.mark.parametrize("count", [1, 2, 9, 10, 100])
def test_panels_are_split_by_record(count: int) -> None:
    records = [np.full(300, i % 4, np.uint8) for i in range(count)]
    panel = SplitRecords.of(records, 1)
    assert panel.training
    assert panel.validation
    assert panel.test
    if count == 100:
        assert [len(share) for share in (panel.training, panel.validation, panel.test)] == [70, 20, 10]
        again, other = SplitRecords.of(records, 1), SplitRecords.of(records, 2)
        assert [r[0] for r in again.test] == [r[0] for r in panel.test]
        assert [r[0] for r in other.training] != [r[0] for r in panel.training]


def test_crops_and_slices() -> None:
    records = [np.arange(50, dtype=np.uint8) % 4, np.arange(30, dtype=np.uint8) % 4]
    crops = Crops(records, 10, 20).draw(200, np.random.default_rng(0))
    assert crops.shape == (200, 30)
    assert (crops == START).any()
    slices = choose_slices([np.full(40, i, np.uint8) for i in range(100)], 400)
    assert [slice_[0] for slice_ in slices] == list(range(0, 100, 10))
    assert math.isclose(Crops(records, 10, 20).bases, 80)
