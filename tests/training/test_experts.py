"""Training experts: a model that predicts relatives of its panel, and the same one every time."""

import json
from pathlib import Path

import numpy as np
import pytest

from geneformer_codec import compress, decompress
from geneformer_codec.archive.models import Execution
from geneformer_codec.cli.main import main
from geneformer_codec.errors import InputError, ModelMissingError, UsageError
from geneformer_codec.model.file import read_model
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.predict.settings import with_level
from geneformer_codec.predict.state import FEATURES
from geneformer_codec.training.data import draw_reads, read_records, read_sample, recurring_records
from geneformer_codec.training.experts import Relatives, hold_out, order_heads, slices
from geneformer_codec.training.relatives import relatives_of
from geneformer_codec.training.train import train

LETTERS = np.frombuffer(b"ACGT", np.uint8)


def fasta(path: Path, count: int, seed: int, length: int = 1500, rate: float = 0.04) -> Path:
    ancestor = np.random.default_rng(7).integers(0, 4, length)
    random = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        bases = np.where(random.random(length) < rate, random.integers(0, 4, length), ancestor)
        lines.append(f">r{number}\n{LETTERS[bases].tobytes().decode()}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("experts")
    train([fasta(directory / "panel.fa", 24, 1)], directory / "m.gfmodel", "m", log=directory / "log.jsonl")
    return directory


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GFZ_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("level", ["fast", "balanced", "max"])
def test_relatives_of_the_panel_become_small_and_come_back(trained: Path, tmp_path: Path, level: str) -> None:
    source = fasta(tmp_path / "dev.fa", 5, 2)
    model = trained / "m.gfmodel"
    reported = compress(source, tmp_path / "a.gfz", model=model, level=level, verify=True)
    assert reported.bpb_payload < 0.8
    assert reported.model_id == read_model(model).id
    decompress(tmp_path / "a.gfz", tmp_path / "back.fa", model=model)
    assert (tmp_path / "back.fa").read_bytes() == source.read_bytes()


def test_the_same_archive_on_one_thread_and_two_and_with_an_embedded_model(trained: Path, tmp_path: Path) -> None:
    source = fasta(tmp_path / "dev.fa", 5, 2)
    one, two, own = tmp_path / "1.gfz", tmp_path / "2.gfz", tmp_path / "3.gfz"
    settings = {"model": trained / "m.gfmodel", "access": 2000}
    compress(source, one, execution=Execution(threads=1), **settings)
    compress(source, two, execution=Execution(threads=2), **settings)
    assert one.read_bytes() == two.read_bytes()
    compress(source, own, embed=True, **settings)
    decompress(own, tmp_path / "back.fa")
    assert (tmp_path / "back.fa").read_bytes() == source.read_bytes()


def test_the_decisions_are_in_model_and_log(trained: Path) -> None:
    decisions = read_model(trained / "m.gfmodel").metadata["decisions"]
    assert decisions[0]["kept"]
    assert all(row["bits_per_base"] > 0 for row in decisions)
    logged = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [row["choice"] for row in logged] == [row["choice"] for row in decisions]


def test_a_panel_can_stay_outside(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is the same one then, and also where it is trained again on other threads."""
    panel, model = trained / "panel.fa", tmp_path / "r.gfmodel"
    assert main(["train", str(panel), "-o", str(model), "--name", "m", "--refer-panel", "--threads", "2"]) == 0
    assert read_model(model).id == read_model(trained / "m.gfmodel").id
    source = fasta(tmp_path / "dev.fa", 2, 3)
    with pytest.raises(ModelMissingError, match=r"SQ\."):
        compress(source, tmp_path / "a.gfz", model=model)
    assert not (tmp_path / "a.gfz").exists()
    monkeypatch.setenv("GFZ_REF_PATH", str(panel))
    compress(source, tmp_path / "a.gfz", model=model, verify=True)


def test_options_for_networks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    panel = fasta(tmp_path / "p.fa", 3, 1)
    assert main(["train", str(panel), "-o", str(tmp_path / "m"), "--name", "m", "--minutes", "1"]) == 2
    assert "--minutes is for networks" in capsys.readouterr().err


@pytest.mark.parametrize("text", [">a\nACGTACGTNNACGT\n", ">a\n" + "acgu" * 400 + "\n>b\nAC\n"])
def test_tiny_panels(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.fa").write_text(text)
    train([tmp_path / "p.fa"], tmp_path / "m.gfmodel", "tiny")
    compress(tmp_path / "p.fa", tmp_path / "a.gfz", model=tmp_path / "m.gfmodel", verify=True)


def test_what_recurs_in_several_files_is_the_panel(tmp_path: Path) -> None:
    files = [fasta(tmp_path / f"{seed}.fa", 1, seed, 100_000, 0.01) for seed in range(3)]
    records = recurring_records(files)
    assert 100_000 <= sum(map(len, records)) <= 200_000
    with pytest.raises(InputError, match="nothing that is worth a panel recurs"):
        recurring_records(files[:1])
    with pytest.raises(UsageError, match="names whole records: leave recurring= out"):
        train(files, tmp_path / "m.gfmodel", "m", recurring=True, refer_panel=True)
    model = train([*files, fasta(tmp_path / "other.fa", 20, 9)], tmp_path / "m.gfmodel", "m", recurring=True)
    assert model.experts
    assert model.experts.panel
    assert model.experts.panel.bases == sum(map(len, records))


def test_slices_hold_all_and_hold_out_divides() -> None:
    records = [np.full(size, size % 4, np.uint8) for size in (10, 70_000, 140_000, 5, 65_536)]
    given = list(slices(records))
    assert np.array_equal(np.concatenate(given), np.concatenate(records))
    assert max(map(len, given)) <= 1 << 16
    rest, teaching, measuring = hold_out([np.zeros(100, np.uint8)] * 50, 0)
    assert len(rest) + len(teaching) + len(measuring) == 50
    rest, teaching, measuring = hold_out([np.zeros(30 << 20, np.uint8)] * 2, 0)
    assert len(rest) == 58
    assert {len(piece) for piece in rest + teaching + measuring} == {1 << 20}


def test_the_nearest_relatives_are_taken() -> None:
    random = np.random.default_rng(4)
    records = [random.integers(0, 4, 100_000).astype(np.uint8) for _ in range(5)]
    held = [np.ascontiguousarray(3 - records[3][::-1][:30_000]), records[1][70_000:90_000]]
    chosen = relatives_of(held, records, 60_000)
    assert np.array_equal(np.concatenate(chosen), np.concatenate([records[1][1 << 16 :], records[3][1 << 16 :]]))
    assert relatives_of(held, records, 500_000) == records


def test_the_head_that_serves_best_alone_comes_first(trained: Path, tmp_path: Path) -> None:
    records = read_records([fasta(tmp_path / "p.fa", 30, 3)])
    relatives, measuring = Relatives(records[:20]), records[20:]
    experts = read_model(trained / "m.gfmodel").experts
    assert experts
    attention = experts.initial_state.mixer.attention.copy()
    attention[:FEATURES] = -4 << 20  # a head that believes those that failed most
    start = experts.initial_state.with_arrays(experts.initial_state.arrays | {"attention": attention})
    ordered = order_heads(start, relatives, measuring)
    assert np.array_equal(ordered.mixer.attention[2 * FEATURES :], attention[:FEATURES])
    fast = relatives.predictor(with_level(start.settings, "fast"))

    def coded(begin: InitialState) -> int:
        at = begin.at(fast.settings)
        return sum(len(fast.adapt(record, at.mixer.copy(), at.low.copy())) for record in measuring)

    assert coded(ordered) < 0.95 * coded(start)


@pytest.mark.parametrize("tuned", [False, True])
def test_a_model_for_reads(trained: Path, tmp_path: Path, tuned: bool) -> None:
    panel = read_records([trained / "panel.fa"])
    reads = draw_reads(panel, 100, 60_000, seed=5)
    random = np.random.default_rng(6)
    for read in reads:  # with so many errors that they are not mapped
        wrong = random.random(len(read)) < 0.15
        read[wrong] = random.integers(0, 4, int(wrong.sum()))
    text = "".join(f"@{n}\n{LETTERS[read].tobytes().decode()}\n+\n{'I' * len(read)}\n" for n, read in enumerate(reads))
    (tmp_path / "reads.fq").write_text(text)
    tune = {"tune": tmp_path / "reads.fq"} if tuned else {"purpose": "reads"}
    train([trained / "panel.fa"], tmp_path / "m.gfmodel", "m", **tune)
    reported = compress(tmp_path / "reads.fq", tmp_path / "a.gfz", model=tmp_path / "m.gfmodel", verify=True)
    other = compress(tmp_path / "reads.fq", tmp_path / "b.gfz", model=trained / "m.gfmodel")
    assert (reported.both_strands_blocks, reported.streams.get("alignments", 0)) == (1, 0)
    assert reported.payload_bytes < other.payload_bytes


def test_the_first_bases_of_a_file_are_a_sample(trained: Path) -> None:
    records = read_records([trained / "panel.fa"])
    sample = read_sample(trained / "panel.fa", 4000)
    assert 2 <= len(sample) <= 4
    assert np.array_equal(sample[0], records[0])


def test_the_first_reads_of_a_file_are_a_sample(tmp_path: Path) -> None:
    (tmp_path / "reads.fq").write_text(
        "".join(f"@CAT{n}\n{'ACGT' * 30}{'CG' * n}\n+\n{'A' * (120 + 2 * n)}\n" for n in range(9))
    )
    sample = read_sample(tmp_path / "reads.fq", 1 << 12)
    assert [LETTERS[read].tobytes().decode() for read in sample] == ["ACGT" * 30 + "CG" * n for n in range(9)]


def test_reads_are_no_panel(tmp_path: Path) -> None:
    (tmp_path / "reads.fq").write_text("@1\nACGT\n+\nIIII\n")
    with pytest.raises(InputError, match=r"reads\.fq: is FASTQ.*tune"):
        read_records([tmp_path / "reads.fq"])


def test_a_model_goes_on_learning(trained: Path, tmp_path: Path) -> None:
    more = fasta(tmp_path / "more.fa", 12, 11, rate=0.08)
    model = train([more], tmp_path / "m.gfmodel", "m2", base=trained / "m.gfmodel")
    first = read_model(trained / "m.gfmodel")
    assert model.experts
    assert first.experts
    assert model.experts.settings == first.experts.settings
    records = [*read_records([trained / "panel.fa"]), *read_records([more])]
    assert all(np.array_equal(*pair) for pair in zip(model.panel_records(), records, strict=True))
    source = fasta(tmp_path / "dev.fa", 5, 12, rate=0.08)
    sizes = [compress(source, tmp_path / "a", model=known, force=True).payload_bytes for known in (model, first)]
    assert sizes[0] < sizes[1]


def test_a_network_is_no_base_of_experts(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--name", "m", "--preset", "stream-small", "--tune", "x.fq"]
    assert main(["train", str(trained / "panel.fa"), "-o", str(tmp_path / "m"), *options]) == 2
    assert "--tune and --purpose reads are for experts" in capsys.readouterr().err
