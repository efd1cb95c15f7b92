"""What is wrong in the configuration and the sheets is reported by file, row and column, with what to do about it."""

import gzip
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from geneformer_rules import sheets

SAMPLES = "sample\tpath\tspecies\none\tone.fa\tfish\n"
SPECIES = "species\tpanel\tmodel\tbase\tpreset\trecipe\tminutes\tepochs\nfish\tpanel.fa\t\t\t\t\t\t\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("one.fa", "two.fa", "panel.fa", "more.fa", "fish.gfmodel"):
        Path(name).touch()
    return tmp_path


def load(samples: str = SAMPLES, species: str = SPECIES, **settings: Any) -> sheets.Sheets:
    Path("samples.tsv").write_text(samples)
    Path("species.tsv").write_text(species)
    config = {"samples": "samples.tsv", "species": "species.tsv", **settings}
    return sheets.load(config, lambda path: Path(path).is_file(), lambda sheets: {"archived"})


def problems(*arguments: str, **settings: Any) -> tuple[str, ...]:
    with pytest.raises(sheets.SheetError) as caught:
        load(*arguments, **settings)
    return caught.value.problems


def test_defaults_come_from_the_schema() -> None:
    loaded = load()
    assert loaded.config["level"] == "balanced"
    assert loaded.config["training"] == {"preset": "experts", "recipe": "default", "minutes": 30, "seed": 0}
    assert loaded.samples["one"] == sheets.Sample("one", "one.fa", "fish", 2)
    assert loaded.species["fish"] == sheets.Species("fish", 2, panel=("panel.fa",), preset="experts")


def test_the_caller_s_configuration_is_left_alone() -> None:
    config: dict[str, Any] = {"samples": "samples.tsv", "species": "species.tsv", "threads": {}}
    sheets.check_config(config)
    assert config["threads"] == {}


def test_a_panel_of_several_files_and_a_budget_of_its_own() -> None:
    species = load(species="species\tpanel\tpreset\tepochs\nfish\tpanel.fa; more.fa\tpaper\t2.5\n").species["fish"]
    assert species.panel == ("panel.fa", "more.fa")
    assert (species.preset, species.minutes, species.epochs) == ("paper", None, 2.5)


def test_a_network_has_a_budget_and_experts_have_none() -> None:
    rows = "a\tpanel.fa\tstream-tiny\t\nb\tpanel.fa\t\t\nc\tpanel.fa\tpaper\t7\nfish\tpanel.fa\texperts\t\n"
    species = load(species="species\tpanel\tpreset\tminutes\n" + rows).species
    assert {name: entry.minutes for name, entry in species.items()} == {"a": 30, "b": None, "c": 7, "fish": None}
    assert [name for name, entry in species.items() if entry.trains_experts] == ["b", "fish"]


def test_what_starts_from_a_network_has_no_preset_of_its_own() -> None:
    rows = "fish\tpanel.fa\t\tpaper\ntrout\tmore.fa\tfish\t\n"
    trout = load(species="species\tpanel\tbase\tpreset\n" + rows).species["trout"]
    assert (trout.preset, trout.trains_experts, trout.minutes) == (None, False, 30)


def test_what_starts_from_experts_trains_experts() -> None:
    header = {"format": "gfmodel/1", "id": "0", "metadata": "{}", "experts": "{}"}
    text = json.dumps({"__metadata__": {"gfmodel": json.dumps(header)}}).encode()
    Path("known.gfmodel").write_bytes(len(text).to_bytes(8, "little") + text)
    rows = "trout\tmore.fa\t\tfish\nsalmon\tmore.fa\t\ttrout\neel\tmore.fa\t\tknown.gfmodel\n"
    species = load(species=SPECIES + rows).species
    assert {(entry.preset, entry.minutes) for entry in species.values()} == {("experts", None)}
    (problem,) = problems(SAMPLES, "species\tpanel\tbase\tepochs\nfish\tpanel.fa\t\t\ntrout\tmore.fa\tfish\t2\n")
    assert problem.startswith("species.tsv, row 3, column 'epochs': experts, which are trained here, learn the whole")


def test_comments_blank_rows_and_a_byte_order_mark_are_harmless() -> None:
    loaded = load(samples="\ufeff# ours\n\nsample\tpath\tspecies\n\t\t\n# two\ntwo\ttwo.fa\tnone\n")
    assert loaded.samples == {"two": sheets.Sample("two", "two.fa", "none", 6)}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "two\tgone.fa\tfish",
            "samples.tsv, row 3, column 'path': file 'gone.fa' not found; correct the path, which is relative to the "
            "working directory, or put the file there",
        ),
        (
            "one\ttwo.fa\tfish",
            "samples.tsv, row 3, column 'sample': 'one' is already the name of row 2; give every sample a name "
            "of its own",
        ),
        (
            "two\ttwo.fa\tfihs",
            "samples.tsv, row 3, column 'species': 'fihs' is not in species.tsv; add a row for it there, or write "
            "'none' to code the sample without a model (did you mean 'fish'?)",
        ),
        ("two\ttwo.fa\t", "samples.tsv, row 3, column 'species': the cell is empty; fill it"),
        ("two\ttwo.fa", "samples.tsv, row 3, column 'species': the cell is empty; fill it"),
        (
            "a/b\ttwo.fa\tfish",
            "samples.tsv, row 3, column 'sample': invalid value 'a/b'; use letters, digits, '.', '_' and '-' only, "
            "and begin with a letter or digit",
        ),
        (
            "two\ttwo.fa\tfish\tmore",
            "samples.tsv, row 3: there are 4 cells under 3 columns; remove the surplus tabs",
        ),
    ],
)
def test_rows_of_the_sample_sheet(row: str, problem: str) -> None:
    assert problems(SAMPLES + row + "\n") == (problem,)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("fish\tmore.fa", "row 3, column 'species': 'fish' is already described in row 2; keep one of the two"),
        ("none\tmore.fa", "row 3, column 'species': 'none' is reserved for samples without a model"),
        ("b", "row 3, columns 'panel' and 'model': give a panel to train a model on, or a model that exists, but one"),
        (
            "b\tmore.fa\tfish.gfmodel",
            "row 3, columns 'panel' and 'model': give a panel to train a model on, or a model",
        ),
        ("b\tgone.fa", "row 3, column 'panel': file 'gone.fa' not found"),
        ("b\t\tgone.gfmodel", "row 3, column 'model': file 'gone.gfmodel' not found"),
        ("b\tmore.fa\t\tgone.gfmodel", "row 3, column 'base': file 'gone.gfmodel' not found"),
        ("b\tmore.fa\t\tb", "row 3, column 'base': 'b' would have to be trained before itself"),
        (
            "b\tmore.fa\t\tfish.gfmodel\tpaper",
            "row 3, columns 'base' and 'preset': a model that starts from another has its",
        ),
        ("b\t\tfish.gfmodel\tfish", "row 3, column 'base': nothing is trained where a model is given"),
        ("b\tmore.fa\t\t\tsteam-tiny", "row 3, column 'preset': 'steam-tiny' is not one of experts, stream-tiny"),
        (
            "b\tmore.fa\t\t\t\tpaper",
            "row 3, column 'recipe': experts, which are trained here, learn the whole panel",
        ),
        ("b\tmore.fa\t\t\texperts\t\t5", "row 3, column 'minutes': experts, which are trained here, learn the"),
        ("b\tmore.fa\t\t\t\t\t\t2", "row 3, column 'epochs': experts, which are trained here, learn the whole"),
        ("b\tmore.fa\t\t\tpaper\t\tlong", "row 3, column 'minutes': 'long' is not a number; correct it"),
        ("b\tmore.fa\t\t\tpaper\t\t0", "row 3, column 'minutes': 0.0 is too small; use more than 0"),
        ("b\tmore.fa\t\t\tpaper\t\t1\t1", "row 3, columns 'minutes' and 'epochs': one budget is enough"),
    ],
)
def test_rows_of_the_species_sheet(row: str, problem: str) -> None:
    reported = problems(SAMPLES, SPECIES + row + "\n")
    assert len(reported) == 1
    assert reported[0].startswith(f"species.tsv, {problem}")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"levle": "max"}, "key 'levle': unknown key; known are samples, species, level,"),
        ({"levle": "max"}, "(did you mean 'level'?)"),
        ({"level": "high"}, "key 'level': 'high' is not one of fast, balanced, max"),
        ({"device": "gpu"}, "key 'device': 'gpu' is not one of auto, cpu, cuda"),
        ({"threads": {"compres": 1}}, "key 'threads.compres': unknown key; known are train, compress, decode"),
        ({"threads": {"compress": 0}}, "key 'threads.compress': 0 is too small; use 1 or more"),
        ({"threads": 3}, "key 'threads': 3 is not a table of keys and values; correct it"),
        ({"part_bases": "many"}, "key 'part_bases': 'many' is not a whole number; correct it"),
        ({"part_bases": 10}, "key 'part_bases': 10 is too small; use 1024 or more"),
        ({"delete_source": "yes"}, "key 'delete_source': 'yes' is not true or false; correct it"),
        ({"training": {"minutes": 0}}, "key 'training.minutes': 0 is too small; use more than 0"),
    ],
)
def test_the_configuration(settings: Mapping[str, Any], problem: str) -> None:
    reported = problems(**settings)
    assert len(reported) == 1
    assert reported[0].startswith("configuration, ")
    assert problem in reported[0]


def test_switches_from_the_command_line_are_words() -> None:
    assert load(delete_source="true").config["delete_source"] is True
    assert load(embed_model="false").config["embed_model"] is False


def test_a_key_that_is_missing() -> None:
    with pytest.raises(sheets.SheetError, match="key 'species': is missing; add it"):
        sheets.check_config({"samples": "samples.tsv"})


def test_hosts_are_names() -> None:
    assert load(sra={"hosts": ["mirror.example.org"]}).config["sra"]["ngc"] == ""
    (problem,) = problems(sra={"hosts": ["https://mirror.example.org/"]})
    assert problem.startswith("configuration, key 'sra.hosts.0': ")
    assert problem.endswith("give the name of a host, without https:// and path")


def test_sheets_that_are_no_sheets() -> None:
    assert problems("", SPECIES) == (
        "samples.tsv: the sheet is empty; its first row names the columns: sample, path, species, mate, delete_source, "
        "layout, platform, reads, bases, bytes, organism",
    )
    assert problems("sample path species\n") == (
        "samples.tsv, row 1: the columns are not separated by tabs; export the sheet as text separated by tabs",
    )
    assert problems("sample\tfile\tspecies\n") == (
        "samples.tsv, row 1: unknown column 'file'; the columns are sample, path, species, mate, delete_source, "
        "layout, platform, reads, bases, bytes, organism",
        "samples.tsv, row 1: the column 'path' is missing; add it",
    )
    assert problems("sample\tpath\tspecies\tspecies\n") == (
        "samples.tsv, row 1: the column 'species' is there twice; keep one of them",
    )


def test_sheets_that_cannot_be_read() -> None:
    Path("samples.tsv").write_bytes(b"PK\x03\x04\xff\xfe")
    Path("species.tsv").write_text(SPECIES)
    with pytest.raises(sheets.SheetError, match=r"samples\.tsv: this is not a text file in UTF-8"):
        sheets.load({"samples": "samples.tsv", "species": "species.tsv"})
    with pytest.raises(sheets.SheetError, match=r"nowhere\.tsv: file not found; write the sheet, or correct the"):
        sheets.load({"samples": "nowhere.tsv", "species": "species.tsv"})


def test_all_problems_are_reported_at_once() -> None:
    rows = "".join(f"s{number}\tgone{number}.fa\tfish\n" for number in range(30))
    reported = problems(SAMPLES + rows)
    assert len(reported) == 30
    with pytest.raises(sheets.SheetError, match="and 10 more"):
        load(SAMPLES + rows)


def test_a_sample_that_has_its_archive_may_have_lost_its_file_and_its_panel() -> None:
    species = SPECIES + "lost\tgone.fa\n"
    assert "archived" in load(SAMPLES + "archived\tgone.fa\tlost\n", species).samples
    (problem,) = problems(SAMPLES + "archived\tgone.fa\tlost\ntwo\ttwo.fa\tlost\n", species)
    assert problem.startswith("species.tsv, row 3, column 'panel': file 'gone.fa' not found")


def test_the_samples_of_a_species_are_its_panel() -> None:
    rows = "two\ttwo.fa\tfish\narchived\tgone.fa\tfish\nother\tmore.fa\tnone\n"
    species = load(SAMPLES + rows, "species\tpanel\nfish\tsamples\n").species["fish"]
    assert (species.panel, species.from_samples) == (("one.fa", "two.fa"), True)
    (problem,) = problems(SAMPLES, "species\tpanel\tpreset\nfish\tsamples\tpaper\n")
    assert problem.startswith("species.tsv, row 2, column 'panel': 'samples' is for experts")
    (problem,) = problems(SAMPLES, SPECIES + "empty\tsamples\n")
    assert problem.startswith("species.tsv, row 3, column 'panel': 'samples', but no sample of 'empty' has a file")
    (problem,) = problems(SAMPLES.replace("one.fa", "gone.fa"), "species\tpanel\nfish\tsamples\n")
    assert problem.startswith("samples.tsv, row 2, column 'path': file 'gone.fa' not found")


def test_sources_whose_order_need_not_be_kept_are_not_deleted() -> None:
    assert load(any_order=True).config["any_order"] is True
    (problem,) = problems(any_order=True, delete_source=True)
    assert problem.startswith("samples.tsv, row 2: with any_order, an archive need not keep the order of reads")


def test_sources_that_are_to_be_deleted_are_not_shared() -> None:
    shared = SAMPLES + "two\tone.fa\tfish\n"
    assert set(load(shared).samples) == {"one", "two"}
    (problem,) = problems(shared, delete_source=True)
    assert problem.startswith("samples.tsv, row 3, column 'path': 'one.fa' is already the file of row 2")
    Path("link.fa").symlink_to("one.fa")
    for other in ("./one.fa", "link.fa"):
        (problem,) = problems(SAMPLES + f"two\t{other}\tnone\n", delete_source=True)
        assert f"row 3, column 'path': '{other}' is already the file of row 2" in problem


def test_pairs_and_runs_have_files_or_an_accession() -> None:
    rows = "pair\tone.fa\tnone\ttwo.fa\nrun\tSRR000001:paired\tnone\t\none\tone.fa\tnone\t\n"
    samples = load("sample\tpath\tspecies\tmate\n" + rows).samples
    assert [sample.files for sample in samples.values()] == [("one.fa", "two.fa"), (), ("one.fa",)]
    assert [sample.accession is not None for sample in samples.values()] == [False, True, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "'odd' is a directory"),
        (lambda path: os.mkfifo(path), "'odd' is a pipe"),
        (lambda path: path.symlink_to("nowhere"), "'odd' is a link to 'nowhere'"),
    ],
)
def test_paths_that_are_no_files(make: Callable[[Path], None], message: str) -> None:
    make(Path("odd"))
    (problem,) = problems(SAMPLES + "odd\todd\tnone\n")
    assert problem.startswith(f"samples.tsv, row 3, column 'path': {message}")


def test_pairs_and_runs_that_cannot_be() -> None:
    rows = "a\tone.fa\tnone\tone.fa\nb\tSRR000001\tnone\ttwo.fa\nc\tone.fa\tnone\tgone.fa\nd\tPRJNA12\tnone\t\n"
    rows += "e\tone.fa\tnone\ttwo.fa\ne_2\tone.fa\tnone\t\n"
    found = problems("sample\tpath\tspecies\tmate\n" + rows)
    assert [problem.partition(";")[0] for problem in found] == [
        "samples.tsv, row 2, column 'mate': 'one.fa' is the file of the column 'path' as well",
        "samples.tsv, row 3, column 'mate': the run 'SRR000001' is fetched with all of its files",
        "samples.tsv, row 7, column 'sample': the name 'e_2' is that of a text of the pair 'e' (row 6)",
        "samples.tsv, row 4, column 'mate': file 'gone.fa' not found",
        "samples.tsv, row 5, column 'path': 'PRJNA12' is not the accession of a run",
    ]
    pairs = "a\tone.fa\tnone\ttwo.fa\nb\ttwo.fa\tnone\t\n"
    assert "column 'path': 'two.fa' is already the file of row 2" in "".join(
        problems("sample\tpath\tspecies\tmate\n" + pairs, delete_source=True)
    )


class TestDeletion:
    """Deletion of the sources of samples, row by row; what is impossible is found before anything starts."""

    HEADER = "sample\tpath\tspecies\tdelete_source\n"

    def deleted(self, rows: str, **settings: Any) -> list[str]:
        samples = load(self.HEADER + rows, **settings).samples
        return [sample.name for sample in samples.values() if sample.is_deleted]

    def test_a_row_decides_for_itself(self) -> None:
        rows = "a\tone.fa\tnone\tyes\nb\ttwo.fa\tnone\tno\nc\tmore.fa\tnone\t\n"
        assert self.deleted(rows) == ["a"]
        assert self.deleted(rows, delete_source=True) == ["a", "c"]

    def test_a_file_of_two_samples_is_not_deleted(self) -> None:
        (problem,) = problems(self.HEADER + "a\tone.fa\tnone\tyes\nb\tone.fa\tnone\tno\n")
        assert "row 3, column 'path': 'one.fa' is already the file of row 2" in problem
        assert self.deleted("a\tone.fa\tnone\tno\nb\tone.fa\tnone\tno\n", delete_source=True) == []

    def test_words_and_runs(self) -> None:
        assert "'maybe'" in problems(self.HEADER + "a\tone.fa\tnone\tmaybe\n")[0]
        (problem,) = problems(self.HEADER + "a\tSRR000001\tnone\tyes\n")
        assert "downloaded files of a run are deleted in any case" in problem

    @pytest.mark.parametrize("name", ["a", "archived"])
    def test_files_of_which_not_everything_is_archived(self, name: str) -> None:
        """As of a BAM file, which is compressed in blocks; it may have been archived already."""
        Path("reads.bam").write_bytes(gzip.compress(b"BAM\1" + bytes(60)))
        for cell, always in (("", True), ("yes", False)):
            (problem,) = problems(self.HEADER + f"{name}\treads.bam\tnone\t{cell}\n", delete_source=always)
            expected = (
                "samples.tsv, row 2: 'reads.bam' is BAM, of which the archive keeps the sequences only; write 'no'"
            )
            assert problem.startswith(expected)
        assert self.deleted(f"{name}\treads.bam\tnone\tno\n", delete_source=True) == []

    def test_a_directory_that_cannot_be_written_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        (problem,) = problems(self.HEADER + "a\tone.fa\tnone\tyes\n")
        assert "'one.fa' cannot be deleted, as its directory is not writable" in problem


def test_the_size_of_a_run_is_a_number() -> None:
    rows = "sample\tpath\tspecies\tbytes\na\tSRR000001\tnone\t{}\nb\tSRR000002\tnone\t\n"
    assert [sample.bytes for sample in load(rows.format(12)).samples.values()] == [12, 0]
    (problem,) = problems(rows.format("5 GB"))
    assert problem == "samples.tsv, row 2, column 'bytes': invalid value '5 GB'; write the number of bytes, or nothing"
