"""The numbers of a run, and the pages made of them."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from geneformer_rules import charts, html_report
from geneformer_rules.checks import PASSED, append_checks, check, read_checks
from geneformer_rules.cli import main
from geneformer_rules.reporting import (
    Numbers,
    by_species,
    collect,
    logged_decisions,
    training_progress,
    validation_curve,
    write_numbers,
)

DECISIONS = [
    {"choice": "seeds of 12", "bits_per_base": 0.5, "saves": 0.0, "bases_per_second": 10**6, "kept": True, "bytes": 9},
    {"choice": "<both> strands", "bits_per_base": 0.4, "saves": 0.2, "bases_per_second": 10**5, "kept": True},
    {"choice": "counts", "bits_per_base": 0.45, "saves": -0.125, "bases_per_second": 10**5, "kept": False},
]
MODEL_ID = "ab" * 32


def archive(name: str, bases: int = 1000, **facts: Any) -> dict[str, Any]:
    """What the publication of an archive reports."""
    sizes = {"payload_bytes": 100, "side_bytes": 20, "index_bytes": 10, "model_bytes": 0, "container_bytes": 5}
    sizes |= {"total_bytes": 135, "input_bytes": bases + 50, "source_bytes": bases // 4, "model_file_bytes": 65}
    per_base = (
        {"bpb_payload": 800 / bases, "bpb_total": 1080 / bases}
        if bases
        else dict.fromkeys(["bpb_payload", "bpb_total"])
    )
    other = {"records": 2, "model_id": MODEL_ID, "level": "balanced", "sha256": "cd" * 32, "unheard_of": 1}
    return {"sample": name, "bases": bases, **sizes, **per_base, **other, **facts}


def write_model(path: Path, **metadata: Any) -> None:
    """The start of a model file, which is all that is read of one."""
    header = {"format": "gfmodel/1", "id": MODEL_ID, "metadata": json.dumps(metadata), "experts": "{}"}
    header["panel"] = json.dumps({"bases": 4000, "records": 7})
    tensors = {"panel.coded": {"dtype": "U8", "shape": [30], "data_offsets": [5, 35]}}
    text = json.dumps({"__metadata__": {"gfmodel": json.dumps(header)}, **tensors}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """What a run has left."""
    (tmp_path / "samples.tsv").write_text("sample\tpath\tspecies\nb\tb.fa\tfish\na\ta.fa\tfish\nc\tc.fa\tnone\n")
    none = {"model_id": "experts", "model_file_bytes": 0}
    for facts in (archive("a"), archive("b", 3000), archive("c", 0, **none)):
        path = tmp_path / "reports" / f"{facts['sample']}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(facts))
    write_model(tmp_path / "archives" / "models" / "m.gfmodel", name="fish", decisions=DECISIONS)
    head = "s\th:m:s\tmax_rss\tmax_vms\tio_in\tio_out\tcpu_time\n"
    compressed = ("compress/a/00000001-00000003", "compress/a/00000004-00000004")
    for place in (*compressed, "align/a/slice-1", "split/a", "train/fish", "split/gone", "summary"):
        path = tmp_path / "benchmarks" / f"{place}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}2.5\t0:00:02\t300\t-\t1\t-\t2\n")
    for result in ("part 3 is damaged", PASSED):
        append_checks(
            tmp_path / "checks.tsv", [check("b", archive("b", archive_sha256="ef" * 32), "verification", result)]
        )
    return tmp_path


@pytest.fixture
def numbers(results: Path) -> Numbers:
    return collect(results, results / "benchmarks", results / "samples.tsv")


def well_formed(svgs: Iterable[str]) -> None:
    for svg in svgs:
        assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_a_species_has_the_sizes_of_its_archives_and_of_one_model(numbers: Numbers) -> None:
    assert [row["sample"] for row in numbers.samples] == ["b", "a", "c"]
    fish, none = numbers.species
    assert (fish["samples"], fish["bases"], fish["total_bytes"], fish["model_file_bytes"]) == (2, 4000, 270, 65)
    assert (fish["bpb_payload"], fish["bpb_total"], fish["bpb_with_model"]) == (0.4, 0.54, 8 * (270 + 65) / 4000)
    assert none["bpb_total"] is None


def test_a_model_inside_archives_is_not_counted_beside_them() -> None:
    (row,) = by_species([archive("a", model_bytes=65, total_bytes=200) | {"species": "fish"}])
    assert (row["model_bytes"], row["model_file_bytes"], row["bpb_with_model"]) == (65, 0, 1.6)


def test_models_and_decisions_come_from_the_model_files(numbers: Numbers) -> None:
    (model,) = numbers.models
    assert (model["model"], model["consists_of"], model["panel_bases"], model["panel_bytes"]) == (
        "fish",
        "experts",
        4000,
        30,
    )
    assert [row["choice"] for row in numbers.decisions] == [row["choice"] for row in DECISIONS]


def test_jobs_are_those_of_the_samples_and_species(numbers: Numbers) -> None:
    assert [(row["rule"], row["name"], row["parts"]) for row in numbers.jobs] == [
        ("align", "a", "slice-1"),
        ("compress", "a", "1-3"),
        ("compress", "a", "4"),
        ("split", "a", ""),
        ("train", "fish", ""),
    ]
    assert numbers.jobs[1]["seconds"] == 2.5
    assert numbers.jobs[1]["written_mb"] is None


def test_tables_and_json_say_the_same(numbers: Numbers, tmp_path: Path) -> None:
    write_numbers(numbers, tmp_path, tmp_path / "summary.tsv")
    everything = json.loads((tmp_path / "numbers.json").read_text())
    for name, file in {
        "samples": "summary",
        "species": "species",
        "decisions": "decisions",
        "jobs": "jobs",
        "checks": "checks",
    }.items():
        with (tmp_path / f"{file}.tsv").open() as table:
            rows = list(csv.DictReader(table, delimiter="\t"))
        assert len(rows) == len(everything[name]) > 0
        assert set(everything[name][0]) <= set(rows[0]), name


def test_pages_show_every_row_and_escape_what_people_wrote(numbers: Numbers) -> None:
    sizes, models, jobs = (
        page(numbers) for page in (html_report.sizes_page, html_report.models_page, html_report.jobs_page)
    )
    assert sizes.count("<tr>") == 1 + 3 + 1 + 2 + 1 + 1
    assert jobs.count("<tr>") == 1 + 5 + 1 + 4
    assert "&lt;both&gt; strands" in models
    assert "<both>" not in models
    assert 'title="bytes"' in models, "what a later trainer may add is shown as well"
    for page in (sizes, models, jobs):
        assert "http" not in page.replace("http://www.w3.org/", "").replace("http://purl.org", ""), "works offline"


class TestNotices:
    """What archives do not keep is on the screen, in the summary and on the page."""

    NOTICES = ("made from BAM; not kept: <tags>", "2 reads of 'a\tb\n\x1b[31m' are no mates")

    @pytest.fixture
    def noticed(self, results: Path) -> Path:
        """The run, in which two archives do not keep everything."""
        for name, notices in {"a": self.NOTICES, "b": self.NOTICES[:1], "c": []}.items():
            path = results / "reports" / f"{name}.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"notices": notices}))
        return results

    def report(self, results: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
        """What the report of a run says, besides how many archives there are."""
        places = ["--benchmarks", str(results / "benchmarks"), "--samples", str(results / "samples.tsv")]
        out = ["--summary", str(results / "summary.tsv"), "-o", str(results / "summary")]
        (results / "summary").mkdir(exist_ok=True)
        assert main(["report", str(results), *places, *out]) == 0
        first, *printed = capsys.readouterr().err.splitlines()
        assert first == f"geneformer-rules: 3 archives are in {results / 'summary.tsv'}"
        return printed

    def test_of_two_samples(self, noticed: Path, capsys: pytest.CaptureFixture[str]) -> None:
        first, second = "made from BAM; not kept: <tags>", r"2 reads of 'a\x09b\x0a\x1b[31m' are no mates"
        assert self.report(noticed, capsys) == [
            f"geneformer-rules: note: {sample}: {notice}"
            for sample, notice in [("b", first), ("a", first), ("a", second)]
        ]
        with (noticed / "summary.tsv").open(newline="") as table:
            rows = {row["sample"]: row["notices"] for row in csv.DictReader(table, delimiter="\t")}
        assert rows == {"b": first, "a": f"{first}; {second}", "c": ""}
        assert len((noticed / "summary.tsv").read_text().splitlines()) == 4
        assert json.loads((noticed / "summary" / "numbers.json").read_text())["samples"][1]["notices"] == [
            first,
            second,
        ]
        page = (noticed / "summary" / "sizes.html").read_text()
        table = page[page.index("What the archives do not keep") : page.index(">Samples<")]
        assert table.count("<tr>") == 1 + 3
        assert "not kept: &lt;tags&gt;</td>" in table
        assert "<b>2</b><span>archives that do not keep everything</span>" in page
        assert 'title="notices"' not in page, "not in the table of sizes as well"

    def test_of_none(self, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.report(results, capsys) == []
        assert "not keep" not in (results / "summary" / "sizes.html").read_text()

    def test_of_many(self, noticed: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report = json.loads((noticed / "reports" / "c.json").read_text()) | {"notices": ["kept in part"] * 1200}
        (noticed / "reports" / "c.json").write_text(json.dumps(report))
        printed = self.report(noticed, capsys)
        assert len(printed) == 21
        assert printed[-1] == f"geneformer-rules: note: and 1,183 more, see {noticed / 'summary.tsv'}"


def test_the_median_is_the_same_in_chart_and_table(numbers: Numbers) -> None:
    jobs = [numbers.jobs[1] | {"seconds": seconds} for seconds in (10.0, 40.0)]
    page = html_report.jobs_page(Numbers([], jobs=jobs))
    assert [page.count(f">{seconds}<") for seconds in ("25.0", "40.0", "50.0")] == [1, 2, 1]


def test_an_empty_run_has_pages_too() -> None:
    empty = Numbers([])
    for page in (html_report.sizes_page, html_report.models_page, html_report.jobs_page):
        assert "</html>" in page(empty)


def test_charts_are_the_same_every_time_and_bounded(numbers: Numbers) -> None:
    many = [archive(f"s{n}", n + 1) | {"species": f"fish{n % 3}"} for n in range(charts.MOST_BARS + 5)]
    rows = numbers.samples
    well_formed([charts.sizes(rows, "sample"), charts.bits(rows, "sample"), charts.bits(many, "sample")])
    well_formed([charts.choices(DECISIONS), charts.curve([(1, 2.0), (2, 1.5)], "x"), charts.needs(numbers.jobs)])
    assert charts.sizes(many, "sample").count("→") == charts.MOST_BARS
    assert charts.bits(rows, "sample") == charts.bits(rows, "sample")


def test_the_log_of_a_training(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"event": "start"}\n{"event": "validation", "seconds": 60, "bpb_validation": 1.5}\n'
        '{"event": "decision", "choice": "a", "bits_per_base": 1}\n'
    )
    entries = training_progress(log)
    assert validation_curve(entries) == [(1.0, 1.5)]
    assert logged_decisions(entries) == [{"choice": "a", "bits_per_base": 1}]


def test_samples_without_an_archive_are_missing_and_no_more(results: Path) -> None:
    """A report on some is better than none because of one that failed."""
    (results / "reports" / "a.json").unlink()
    numbers = collect(results, results / "benchmarks", results / "samples.tsv")
    assert [row["sample"] for row in numbers.samples] == ["b", "c"]
    assert numbers.missing == ["a"]
    assert "<b>1</b><span>samples without an archive</span>" in html_report.sizes_page(numbers)


class TestChecks:
    def test_the_last_of_each_sample_is_reported(self, numbers: Numbers) -> None:
        (row,) = numbers.checks
        assert (row["sample"], row["result"], row["check"]) == ("b", "passed", "verification")
        page = html_report.sizes_page(numbers)
        assert "Checks" in page
        assert row["checked"] in page

    def test_jobs_append_at_the_same_time(self, tmp_path: Path) -> None:
        """From several processes; no line is lost or mixed with another."""
        table = tmp_path / "results" / "checks.tsv"
        script = (
            "import sys; from pathlib import Path; from geneformer_rules.checks import append_checks, check\n"
            "table, writer = sys.argv[1:]\n"
            "for number in range(60):\n"
            "    append_checks(Path(table), [check(f'{writer}_{number}', {'bases': 7}, 'x' * 3000, 'a\\nb')])"
        )
        writers = [subprocess.Popen([sys.executable, "-c", script, table, str(writer)]) for writer in range(4)]
        assert [writer.wait() for writer in writers] == [0] * 4
        rows = read_checks(table)
        assert {row["sample"] for row in rows} == {f"{writer}_{number}" for writer in range(4) for number in range(60)}
        assert len(table.read_text().splitlines()) == len(rows) + 1 == 241
        assert rows[0]["result"] == "a b"

    def test_a_line_that_was_cut_off_does_no_harm(self, tmp_path: Path) -> None:
        table = tmp_path / "checks.tsv"
        append_checks(table, [check("a", {}, "publication")])
        with table.open("a") as file:
            file.write("b\tef")
        append_checks(table, [check("c", {}, "publication")])
        assert [row["sample"] for row in read_checks(table)] == ["a", "c"]
