"""Archives agree with the sheet, whatever was edited, replaced or interrupted in between."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geneformer_rules import provenance, publishing, records
from geneformer_rules.sheets import Sample, Species
from geneformer_rules.snakemake_call import Forced

from .conftest import Project, related

NOTHING = "Nothing to be done"
SETTINGS: dict[str, Any] = {"update_on": [], "level": "balanced"}


class Archived:
    """A directory with one published archive, as far as planning looks at it."""

    def __init__(self, directory: Path) -> None:
        self.results = directory / "results"
        self.first, self.second = directory / "first.fq", directory / "second.fq"
        self.first.write_bytes(b"@r\nACGT\n+\nIIII\n")
        self.second.write_bytes(b"@r\nGGGG\n+\nIIII\n")
        self.sample = Sample("s", str(self.first), "none", 2)
        self.species: dict[str, Species] = {}
        self.models: dict[str, str] = {}
        self.settings = dict(SETTINGS)
        for place in ("archives/s.gfz", "reports/s.json"):
            (self.results / place).parent.mkdir(parents=True)
            (self.results / place).touch()
        self.report(self.sample)

    def report(self, sample: Sample, **facts: Any) -> None:
        digest = publishing.file_digest(self.first)
        mate = {"sha256": publishing.file_digest(self.second)} if sample.mate else None
        record = records.describe(sample)
        facts = {"sha256": digest, "mate": mate, "level": "balanced", records.RECORD: record, **facts}
        records.write_json(facts, self.path)

    @property
    def path(self) -> Path:
        return self.results / "reports" / "s.json"

    def is_done(self) -> bool:
        published = provenance.Published(str(self.results))
        return bool(provenance.up_to_date([self.sample], self.species, published, self.settings, self.models))


@pytest.fixture
def archived(tmp_path: Path) -> Archived:
    return Archived(tmp_path)


def set_cells(archived: Archived, **cells: Any) -> None:
    archived.sample = Sample(**{**vars(archived.sample), **cells})


def replace_in_place(archived: Archived) -> None:
    """As ``cp -p``: same size, same inode, an older time."""
    archived.second.write_bytes(archived.second.read_bytes())
    os.utime(archived.second, ns=(1, 1))
    shutil.copy2(archived.second, archived.first)


def replace_unnoticed(archived: Archived) -> None:
    """Same size, same modification time, same inode."""
    before = archived.first.stat()
    archived.first.write_bytes(archived.second.read_bytes())
    os.utime(archived.first, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Archived], object]] = {
    "path": lambda archived: set_cells(archived, path=str(archived.second)),
    "mate added": lambda archived: set_cells(archived, mate=str(archived.second)),
    "accession": lambda archived: set_cells(archived, path="SRR3927310"),
    "species": lambda archived: set_cells(archived, species="fish"),
    "older file": replace_in_place,
    "file of the same times": replace_unnoticed,
    "longer file": lambda archived: archived.first.write_bytes(archived.first.read_bytes() * 2),
    "renamed file": lambda archived: archived.second.rename(archived.first),
    "link": lambda archived: (archived.first.unlink(), archived.first.symlink_to(archived.second)),
    "archive lost": lambda archived: (archived.results / "archives" / "s.gfz").unlink(),
    "report lost": lambda archived: archived.path.unlink(),
    "report damaged": lambda archived: archived.path.write_text("{"),
    "report is a list": lambda archived: archived.path.write_text("[]"),
    "report without a record": lambda archived: archived.report(archived.sample, made_of=None),
    "record of another form": lambda archived: archived.report(archived.sample, made_of={"path": "x"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_found(archived: Archived, change: str) -> None:
    assert archived.is_done()
    CHANGES[change](archived)
    assert not archived.is_done()


SAME: dict[str, Callable[[Archived], object]] = {
    "touched": lambda archived: os.utime(archived.first),
    "older": lambda archived: os.utime(archived.first, ns=(1, 1)),
    "chmod": lambda archived: archived.first.chmod(0o600),
    "copied back": lambda archived: (
        shutil.copy2(archived.first, archived.second),
        archived.second.rename(archived.first),
    ),
    "another name beside it": lambda archived: (archived.results / "linked").hardlink_to(archived.first),
}


@pytest.mark.parametrize("change", SAME)
def test_other_times_of_the_same_text_are_no_change(archived: Archived, change: str) -> None:
    """The texts are compared once; the report then has the new times, and its own stays."""
    before = archived.path.stat().st_mtime_ns
    SAME[change](archived)
    assert archived.is_done()
    record = json.loads(archived.path.read_text())[records.RECORD]
    assert record == records.describe(archived.sample)
    assert archived.path.stat().st_mtime_ns == before


def test_a_deleted_source_is_no_change(archived: Archived) -> None:
    archived.first.unlink()
    assert archived.is_done()
    set_cells(archived, path="elsewhere.fq")
    assert not archived.is_done()


def test_a_pair_with_one_file_gone_and_one_changed(archived: Archived) -> None:
    set_cells(archived, mate=str(archived.second))
    archived.report(archived.sample)
    assert archived.is_done()
    os.utime(archived.second)
    archived.first.unlink()
    assert archived.is_done()
    archived.second.write_bytes(archived.second.read_bytes().replace(b"G", b"T"))
    assert not archived.is_done()


def test_settings_count_if_configured(archived: Archived, model: Path) -> None:
    archived.settings["level"] = "max"
    assert archived.is_done()
    archived.settings["update_on"] = ["level"]
    assert not archived.is_done()

    archived.settings["update_on"] = ["model"]
    assert archived.is_done(), "coded without a model"
    set_cells(archived, species="fish")
    archived.species["fish"] = Species("fish", 2, panel=(str(archived.second),))
    archived.models["fish"] = str(model)
    archived.report(archived.sample, model_id="another")
    assert not archived.is_done()
    os.utime(archived.second, ns=(1, 1))
    archived.report(archived.sample, model_id=provenance.models.identity(str(model)))
    assert archived.is_done()
    os.utime(archived.second)
    assert not archived.is_done(), "the panel is newer than the model"
    archived.models["fish"] = "lost.gfmodel"
    assert not archived.is_done()


def test_planning_looks_at_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archived = Archived(tmp_path)
    set_cells(archived, mate=str(archived.second))
    archived.report(archived.sample)
    looked: list[Any] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **keywords: (looked.append(path), stat(path, **keywords))[1])
    assert archived.is_done()
    assert looked == [str(archived.first), str(archived.second)]


@pytest.mark.parametrize(
    ("forced", "covered"),
    [
        (Forced(False, frozenset(), frozenset({"results/archives/s.gfz"})), True),
        (Forced(False, frozenset(), frozenset({"results/reports/s.json"})), True),
        (Forced(False, frozenset(), frozenset({"results/archives/other.gfz"})), False),
        (Forced(False, frozenset({"archive"}), frozenset()), True),
        (Forced(False, frozenset({"gather"}), frozenset()), False),
        (Forced(False, frozenset({"train"}), frozenset()), False),
        (Forced(True, frozenset(), frozenset()), True),
    ],
)
def test_what_a_user_forces(archived: Archived, forced: Forced, covered: bool) -> None:
    assert forced.covers(archived.sample, "./results", is_split=False, is_trained=False) == covered
    archived.first.unlink()
    named = bool(forced.files) and covered
    assert forced.covers(archived.sample, "./results", is_split=False, is_trained=False) == named, "the source is gone"


# --- real runs -------------------------------------------------------------------------------------------------------


def texts_of(project: Project) -> dict[str, bytes]:
    project.run("compress_all", "decompress_all")
    return {path.name: path.read_bytes() for path in project.result("decompressed").iterdir()}


@pytest.mark.slow
def test_the_sheet_is_edited_between_runs(project: Project) -> None:
    """Paths changed and swapped, a mate added, files replaced by older ones: small samples, and one that is split."""
    project.settings["part_bases"] = 4096
    made = {name: related(count=3, length=400, seed=seed) for seed, name in enumerate("abcdefg")}
    made["large"], made["other"] = related(count=12, length=900, seed=20), related(count=12, length=900, seed=21)
    pair = b"@r1\nACGTAC\n+\nIIIIII\n@r2\nGGTTAA\n+\nHHHHHH\n"
    reads = {"r_1": pair, "r_2": pair.replace(b"ACGTAC", b"CCCCCC")}
    data = project.directory / "data"
    for name in ("a", "b", "c", "d", "large"):
        project.add_sample(name, made[name], "none")
    project.add_sample("r", reads["r_1"], "none", ".fq")
    (data / "e.fa").write_bytes(made["e"])
    (data / "other.fa").write_bytes(made["other"])
    (data / "r_2.fq").write_bytes(reads["r_2"])
    for name in ("e.fa", "other.fa"):
        os.utime(data / name, ns=(10**18, 10**18))
    first = texts_of(project)
    assert first["a.fa"] == made["a"]
    assert NOTHING in project.run("-n", "compress_all", "decompress_all")
    kept = project.result("archives", "d.gfz").stat().st_mtime_ns

    rows = {line.split("\t")[0]: number for number, line in enumerate(project.samples)}
    project.samples[rows["a"]] = "a\tdata/b.fa\tnone"
    project.samples[rows["b"]] = "b\tdata/a.fa\tnone"
    project.samples[0] += "\tmate"
    project.samples[rows["r"]] = "r\tdata/r.fq\tnone\tdata/r_2.fq"
    shutil.copy2(data / "e.fa", data / "c.fa")
    shutil.copy2(data / "other.fa", data / "large.fa")
    project.result("decompressed", "r.fq").unlink()
    second = texts_of(project)
    assert second == {
        "a.fa": made["b"], "b.fa": made["a"], "c.fa": made["e"], "d.fa": made["d"], "large.fa": made["other"],
        "r_1.fq": reads["r_1"], "r_2.fq": reads["r_2"],
    }  # fmt: skip
    assert project.result("archives", "d.gfz").stat().st_mtime_ns == kept
    assert NOTHING in project.run("-n", "compress_all", "decompress_all")

    (data / "a.fa").unlink()
    assert NOTHING in project.run("-n", "compress_all"), "what is archived needs its file no more"
    project.samples[rows["d"]] = "d\tdata/lost.fa\tnone"
    printed = project.run("-n", "compress_all", status=1)
    assert "file 'data/lost.fa' not found" in printed


@pytest.mark.slow
def test_what_an_interrupted_run_left_of_other_files_is_not_used(project: Project) -> None:
    """Parts and batches are made of the files of the sheet, not of those that stood there when they were begun."""
    project.settings |= {"part_bases": 4096, "retries": 0}
    texts = {name: related(count=12, length=900, seed=seed) for seed, name in enumerate(["large", "new"], 30)}
    small = related(count=2, length=300, seed=40)
    project.add_sample("large", texts["large"], "none")
    broken = project.add_sample("small", gzip.compress(small)[:-20], "none", ".fa.gz")
    whole = project.directory / "data" / "whole.fa.gz"
    whole.write_bytes(gzip.compress(small))
    (project.directory / "data" / "new.fa").write_bytes(texts["new"])
    for path in (whole, project.directory / "data" / "new.fa"):
        os.utime(path, ns=(10**18, 10**18))
    project.run("results/unpublished/large", "--notemp")
    project.run("results/archives/small.gfz", "--notemp", status=1)
    for left in ("plans/large.json", "parts/large", "blocks/large", "unpublished/large"):
        assert project.result(left).exists()

    shutil.copy2(whole, broken)
    project.samples[1] = "large\tdata/new.fa\tnone"
    decompressed = texts_of(project)
    assert decompressed == {"large.fa": texts["new"], "small.fa": small}


ODD = ["{sample}", "{b} {", "a{0}%d", "<results>", "<logs>/x", "*[ab]?", "$HOME`id`;ls&", "-x q'u\"o", "#é", "~a\\tb"]


@pytest.mark.nightly
def test_a_path_is_a_path_whatever_its_letters(project: Project) -> None:
    """The files beside it, of which it might be a pattern, have other texts."""
    project.settings["part_bases"] = 65536
    expected = {}
    for number, name in enumerate(ODD):
        path = project.directory / f"{name}.fa"
        path.parent.mkdir(exist_ok=True, parents=True)
        expected[f"s{number}.fa"] = related(count=1, length=60, seed=number)
        path.write_bytes(expected[f"s{number}.fa"])
        project.samples.append(f"s{number}\t{name}.fa\tnone")
        (project.directory / f"s{number}.fa").write_bytes(b">wrong\nA\n")
    project.settings["part_bases"] = 1024
    big = related(count=4, length=700, seed=99)
    (project.directory / "{big}.fa").write_bytes(big)
    project.samples.append("big\t{big}.fa\tnone")
    assert texts_of(project) == {**expected, "big.fa": big}
    assert NOTHING in project.run("-n", "compress_all", "decompress_all")
    (project.directory / "{sample}.fa").write_bytes(b">changed\nACGT\n")
    assert texts_of(project)["s0.fa"] == b">changed\nACGT\n"


@pytest.mark.slow
def test_panels_and_models_have_paths_of_any_letters(project: Project, panel: bytes, model: Path) -> None:
    (project.directory / "{species} <logs>.fa").write_bytes(panel)
    shutil.copy(model, project.directory / "-{sample}.gfmodel")
    project.add_species("trained", panel="{species} <logs>.fa")
    project.add_species("given", model="-{sample}.gfmodel")
    for name in ("trained", "given"):
        project.add_sample(f"of_{name}", related(count=2, length=1500, seed=1), name)
    project.run("compress_all")
    assert project.report("of_given")["model_name"] == "small"
    assert project.report("of_trained")["model_name"] == "trained"
