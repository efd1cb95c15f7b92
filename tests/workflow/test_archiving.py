"""Samples go in, archives come out, and every byte comes back."""

import csv
import gzip
import json
import lzma
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from geneformer_codec import api
from geneformer_rules.checks import PASSED, read_checks
from geneformer_rules.records import RECORD, describe_files

from .conftest import MODULE, Project, related

NOTHING = "Nothing to be done"


@pytest.fixture(scope="module")
def texts() -> dict[str, bytes]:
    """Samples of a run: with a model and without, archived whole and in parts; legal, and that somebody has."""
    plain = related(count=4, length=700, seed=2)
    crlf = plain.replace(b"\n", b"\r\n")
    relatives = b"".join(b">" + record for record in related(count=16, length=1500, seed=1).split(b">")[13:])
    return {
        "crlf": crlf,
        "soft_masked_gaps": plain.replace(b"ACG", b"NNN").replace(b"TT", b"-R").replace(b"GA", b"ga"),
        "empty": b"",
        "text_first": b"; remark\nACGU\n>empty\n>protein\nMKVLAAGIVGLLLAQW*\n" + plain,
        "two_members_misnamed": crlf * 2,
        "xzipped": crlf,
        "modelled": relatives,
        "many": related(count=20, length=1000, seed=4),
        "plain": relatives,
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, panel: bytes, texts: dict[str, bytes]) -> Project:
    """One run of everything, which many tests look at. To go on from it, they take a copy."""
    project = Project(tmp_path_factory.mktemp("finished"))
    (project.directory / "panel.fa").write_bytes(panel)
    project.add_species("trained", panel="panel.fa")
    project.settings["part_bases"] = 13600
    for name, text in texts.items():
        packed = {"two_members_misnamed": gzip.compress(text[: len(text) // 2]) * 2, "xzipped": lzma.compress(text)}
        species = "trained" if name in ("many", "modelled", "text_first", "empty") else "none"
        project.add_sample(name, packed.get(name, text), species, ".fa.xz" if name == "xzipped" else ".fa")
    project.run("compress_all", "decompress_all", "train_all")
    return project


@pytest.fixture
def copied(finished: Project, tmp_path: Path) -> Project:
    """The finished run, to do with as one likes."""
    shutil.copytree(finished.directory, tmp_path / "copy", dirs_exist_ok=True)
    return Project(tmp_path / "copy", dict(finished.settings), list(finished.samples), list(finished.species))


def test_every_byte_comes_back(finished: Project, texts: dict[str, bytes]) -> None:
    for name, text in texts.items():
        assert finished.result("decompressed", f"{name}.fa").read_bytes() == text, name
    assert len(json.loads(finished.result("plans", "many.json").read_text())["parts"]) >= 2


def test_samples_that_fit_into_a_part_share_jobs(finished: Project) -> None:
    batches = [log.stem for log in (finished.directory / "logs" / "archive").iterdir()]
    assert sum(int(batch.rpartition("+")[2]) for batch in batches) == len(finished.samples) - 2, "all but one"
    assert len(batches) < len(finished.samples) - 2
    assert not finished.result("plans", "plain.json").exists()


def test_only_what_is_wanted_is_left(finished: Project, texts: dict[str, bytes]) -> None:
    def files(directory: str) -> set[str]:
        top = finished.result(directory)
        return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}

    assert finished.report("many")["model_id"] == (model_id := finished.report("modelled")["model_id"])
    assert {path.name for path in finished.result().iterdir()} == {
        *(
            "archives",
            "checks",
            "checks.tsv",
            "decompressed",
            "models",
            "plans",
            "reports",
            "summary",
            "summary.tsv",
            "training",
        ),
    }
    assert files("decompressed") == {f"{name}.fa" for name in texts}
    assert files("archives") == {*(f"{name}.gfz" for name in texts), f"models/{model_id}.gfmodel"}
    assert files("reports") == {f"{name}.json" for name in texts}
    assert files("plans") == {"many.json"}
    assert files("models") == {"trained.gfmodel"}
    assert files("training") == {"trained.jsonl", "trained.html"}
    assert files("summary") == {
        *(f"{page}.html" for page in ("sizes", "models", "jobs")),
        *(f"{table}.tsv" for table in ("species", "models", "decisions", "jobs", "checks")),
        "numbers.json",
    }


def test_trainings_are_reported(finished: Project) -> None:
    assert "What was tried" in finished.result("training", "trained.html").read_text()
    numbers = json.loads(finished.result("summary", "numbers.json").read_text())
    assert {row["model"]: row["consists_of"] for row in numbers["models"]} == {"trained": "experts"}
    assert {row["model"] for row in numbers["decisions"]} == {"trained"}


@pytest.mark.slow
def test_a_network_is_trained_used_and_reported(project: Project, panel: bytes) -> None:
    (project.directory / "panel.fa").write_bytes(panel)
    project.add_species("network", panel="panel.fa", preset="stream-tiny", minutes="0.05")
    project.settings["part_bases"] = 4096
    text = project.add_sample("many", related(count=6, length=1000, seed=4), "network").read_bytes()
    project.run("compress_all", "decompress_all", "train_all")
    assert project.result("decompressed", "many.fa").read_bytes() == text
    assert "bits per base on validation records" in project.result("training", "network.html").read_text()
    numbers = json.loads(project.result("summary", "numbers.json").read_text())
    assert [row["consists_of"] for row in numbers["models"]] == ["network"]
    assert list(numbers["training_curves"]) == ["network"]


def test_sizes_are_side_by_side_in_the_summary(finished: Project, texts: dict[str, bytes]) -> None:
    with finished.result("summary.tsv").open() as table:
        rows = {row["sample"]: row for row in csv.DictReader(table, delimiter="\t")}
    assert list(rows) == list(texts)
    for name, row in rows.items():
        assert int(row["total_bytes"]) == finished.result("archives", f"{name}.gfz").stat().st_size
        assert name == "empty" or 0 < float(row["bpb_payload"]) < float(row["bpb_total"])
    assert float(rows["modelled"]["bpb_payload"]) < float(rows["plain"]["bpb_payload"]) < 1.5, "predicted from itself"
    assert rows["plain"]["model_id"] == "experts"
    assert rows["plain"]["species"] == "none"


@pytest.mark.slow
def test_a_report_for_people(copied: Project) -> None:
    """Snakemake's own report holds our pages with their captions, and the rules that made the archives."""
    copied.run("--report", "report.html", "compress_all", "train_all")
    text = (copied.directory / "report.html").read_text()
    for page in ("sizes.html", "models.html", "jobs.html", "trained.html"):
        assert page in text
    assert "Sizes before and after" in text
    for page, link in (("sizes", "their sizes"), ("models", "the models"), ("jobs", "time and memory")):
        assert f"resultPath:path}}))('results/summary/{page}.html')" in text, "one click away"
        assert f">{link}</a>" in text
    assert {"archive", "split", "gather", "publish", "train"} <= set(re.findall(r'"rule": "(\w+)"', text))
    for gone in copied.directory.glob("data/*"):
        gone.unlink()
    copied.run("--report", "report.html", "compress_all", "train_all")
    assert '"rule": "publish"' not in (copied.directory / "report.html").read_text()
    assert NOTHING in copied.run("-n", "compress_all")


def test_a_finished_run_has_nothing_to_do(copied: Project) -> None:
    """Neither sources, nor panels, nor files of models are needed any more."""
    assert NOTHING in copied.run("-n", "compress_all", "decompress_all", "train_all")
    for name in ("plain", "many", "crlf"):
        (copied.directory / "data" / f"{name}.fa").unlink()
    (copied.directory / "panel.fa").unlink()
    os.utime(copied.directory / "data" / "text_first.fa")  # its text is the same
    assert NOTHING in copied.run("-n", "compress_all")


@pytest.mark.slow
def test_what_is_added_or_changed_is_done_alone(copied: Project, panel: bytes) -> None:
    for name in ("plain", "many", "crlf"):
        (copied.directory / "data" / f"{name}.fa").unlink()
    (copied.directory / "panel.fa").unlink()
    changed = copied.directory / "data" / "soft_masked_gaps.fa"
    changed.write_bytes(changed.read_bytes() + b"\n")
    copied.add_sample("new", related(count=2, length=500, seed=9), "none")
    printed = copied.run("compress_all")
    batches = {line.partition("=")[2] for line in printed.splitlines() if "wildcards: batch=" in line}
    assert batches == {"soft_masked_gaps+1-3-1"}, "the two to be made, without what lies between them"
    assert "rule split" not in printed
    assert "rule train" not in printed
    assert printed.count("rule publish:") == 2
    (copied.directory / "panel.fa").write_bytes(panel)
    copied.run("decompress_all", "-n", "--forceall")


WHOLE, SPLIT, TRAINED = {"archive"}, {"split", "gather"}, {"train"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "made", "kept"),
    [
        (["results/archives/plain.gfz"], set(), WHOLE | SPLIT | TRAINED),
        (["--force", "./results/archives/many.gfz"], SPLIT, WHOLE | TRAINED),
        (["--forcerun", "gather", "--", "compress_all"], SPLIT, WHOLE | TRAINED),
        (["--forcerun", "train", "--", "compress_all"], WHOLE | TRAINED | SPLIT, set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_forced_archives_are_made_anew(finished: Project, arguments: list[str], made: set[str], kept: set[str]) -> None:
    """As Snakemake's users know it, though what is done is in no graph."""
    printed = finished.run("-n", *arguments)
    rules = set(re.findall(r"(?:rule|checkpoint) (\w+):", printed))
    assert made <= rules
    assert bool(made) == ("publish" in rules)
    assert not kept & rules


@pytest.mark.slow
def test_a_forced_run_replaces_archives(copied: Project, texts: dict[str, bytes]) -> None:
    """Of both kinds; others stay. Where a source is gone, ``-F`` leaves its archive alone, and ``-f`` is an error."""
    places = {name: copied.result("archives", f"{name}.gfz") for name in texts}
    before = {name: path.stat().st_mtime_ns for name, path in places.items()}
    (copied.directory / "data" / "crlf.fa").unlink()
    copied.run("--forcerun", "results/archives/many.gfz", "results/archives/plain.gfz", "--", "compress_all")
    assert {name for name, path in places.items() if path.stat().st_mtime_ns != before[name]} == {"many", "plain"}
    assert NOTHING in copied.run("-n", "compress_all")
    printed = copied.run("-n", "--forceall", "compress_all")
    assert "results/archives/text_first.gfz" in printed
    assert "output: results/archives/crlf.gfz" not in printed
    printed = copied.run("-n", "--force", "results/archives/crlf.gfz", status=1)
    assert "file 'data/crlf.fa' not found" in printed


@pytest.mark.slow
def test_an_archive_that_holds_its_model_needs_nothing_else(with_model: Project) -> None:
    project = with_model
    project.settings |= {"embed_model": True, "part_bases": 1024}
    text = {"whole": related(count=1, length=500, seed=7), "parts": related(count=3, length=700, seed=7)}
    for name in text:
        project.add_sample(name, text[name], "small")
    project.run("compress_all", "decompress_all")
    assert not project.result("archives", "models").exists()
    for name in text:
        assert project.report(name)["model_bytes"] > 0
        assert project.result("decompressed", f"{name}.fa").read_bytes() == text[name]


@pytest.mark.slow
def test_archives_are_decoded_in_batches_and_a_broken_one_stops_no_other(
    copied: Project, texts: dict[str, bytes]
) -> None:
    """The error names the sample; what is decompressed stays; nothing that was proved before the damage counts."""
    archive = copied.result("archives", "crlf.gfz")
    sound = archive.read_bytes()
    damaged = bytearray(sound)
    damaged[len(damaged) // 2] ^= 1
    status = archive.stat()

    def put(content: bytes) -> None:
        archive.write_bytes(content)
        os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))

    put(bytes(damaged))
    shutil.rmtree(copied.result("decompressed"))
    copied.result("decompressed").mkdir()
    (copied.result("decompressed") / ".plain.fa.0a1b2c3d.tmp").touch()  # as a job leaves it that was killed
    copied.settings["retries"] = 2  # which a damaged archive needs none of
    printed = copied.run("decompress_all", "verify_all", "--keep-going", status=1)
    assert printed.count("Error in rule") == 2
    for work in ("decompress", "verify"):
        assert printed.count(f"geneformer-rules: failed: {work}: sample 'crlf': results/archives/crlf.gfz: ") == 1
    named = [line.rpartition("=")[2].split("+") for line in printed.splitlines() if ", batch=" in line]
    batches = {first: int(count) for first, count, *_ in named}
    assert [first for first, count in batches.items() if count == 1] == ["many"], "in parts, and so alone"
    assert sum(batches.values()) == len(texts)
    assert printed.count("rule verify_parts:") == 2, "of that one"
    for work in ("verify", "decompress"):
        (log,) = (log for log in (copied.directory / "logs" / work).iterdir() if "error: " in log.read_text())
        assert "error: sample 'crlf': results/archives/crlf.gfz: " in log.read_text()
        assert log.read_text().count("error: ") == 1
    decompressed = {path.stem: path for path in copied.result("decompressed").glob("*.fa")}
    assert {name: path.read_bytes() for name, path in decompressed.items()} == {
        name: text for name, text in texts.items() if name != "crlf"
    }
    put(sound)
    decompressed["plain"].unlink()
    printed = copied.run("decompress_all", "verify_all")
    assert printed.count("wildcards: work=decompress, batch=") == 1, "of the two that are missing"
    assert printed.count("wildcards: work=verify, batch=") == len(batches) - 1, "those that passed before as well"
    checks = read_checks(copied.result("checks.tsv"))
    assert Counter(row["check"] for row in checks) == {
        "publication": len(texts), "verification": 2 * len(texts), "decompression": 2 * len(texts) + 2
    }  # fmt: skip
    failed = [(row["sample"], row["check"]) for row in checks if row["result"] != PASSED]
    assert sorted(failed) == [("crlf", "decompression"), ("crlf", "verification")]
    assert {row["archive_sha256"] for row in checks if row["sample"] == "many"} == {
        copied.report("many")["archive_sha256"]
    }
    for name in ("crlf", "plain"):
        assert copied.result("decompressed", f"{name}.fa").read_bytes() == texts[name]
    printed = copied.run("verify_all")
    assert (printed.count("rule decode:"), printed.count("rule verify_parts:")) == (len(batches) - 1, 2), "every time"
    in_parts = copied.result("archives", "many.gfz")
    in_parts.write_bytes(in_parts.read_bytes()[:-200] + bytes(100) + in_parts.read_bytes()[-100:])
    printed = copied.run("verify_all", status=1)
    assert printed.count("Error in rule") == printed.count("geneformer-rules: failed: verify: sample 'many': ") == 1
    assert not list(copied.result("decompressed").glob("*.tmp"))


@pytest.mark.slow
def test_sources_are_deleted_after_verification(project: Project) -> None:
    project.settings["delete_source"] = True
    text = related(count=2, length=500, seed=12)
    path = project.add_sample("one", text, "none")
    project.run("compress_all")
    assert not path.exists()
    assert json.loads(project.result("deleted", "one.json").read_text())["sha256"] == project.report("one")["sha256"]
    assert NOTHING in project.run("compress_all")
    project.run("decompress_all", "--forceall")
    assert project.result("decompressed", "one.fa").read_bytes() == text


@pytest.mark.slow
def test_what_an_archive_does_not_keep_is_on_the_screen(copied: Project) -> None:
    """As a run ends, and in the log of the summary."""
    report = copied.report("plain") | {"notices": ["made from BAM; not kept: tags"]}
    copied.result("reports", "plain.json").write_text(json.dumps(report))
    note = "geneformer-rules: note: plain: made from BAM; not kept: tags\n"
    assert note in copied.run("compress_all")
    assert (copied.directory / "logs" / "summary.log").read_text().endswith(note)
    copied.result("reports", "plain.json").write_text(json.dumps({"made_of": report["made_of"]}))
    copied.run("compress_all")  # a report that says too little is made again, with its archive
    assert copied.report("plain").keys() == report.keys()


@pytest.mark.slow
@pytest.mark.parametrize("part_bases", [1024, 4096], ids=["parts", "whole"])
def test_a_source_that_changed_meanwhile_is_read_again(project: Project, part_bases: int) -> None:
    project.settings |= {"part_bases": part_bases, "retries": 0}
    path = project.add_sample("one", related(count=3, length=700, seed=14), "none")
    target = "results/unpublished/one+1" if part_bases == 4096 else "results/unpublished/one"
    project.run(target, "--notemp")
    status = path.stat()
    path.write_bytes(changed := related(count=3, length=700, seed=15))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    project.run("compress_all", "decompress_all", "--rerun-triggers", "mtime")
    assert project.result("decompressed", "one.fa").read_bytes() == changed


@pytest.mark.slow
def test_a_job_compresses_several_parts(project: Project) -> None:
    """And the archive is that of one call."""
    project.settings |= {"part_bases": 1024, "planning": {"job_bases": 2200}}
    project.settings["threads"] = {"train": 1, "compress": 2, "decode": 1}
    path = project.add_sample("many", related(count=7, length=1000, seed=31), "none")
    project.run("compress_all")
    logs = sorted(log.stem for log in (project.directory / "logs" / "compress" / "many").iterdir())
    assert logs == ["00000000-00000001", "00000002-00000003", "00000004-00000006"]
    api.compress(path, project.directory / "once.gfz", part_bases=1024, name="many")
    archive = project.result("archives", "many.gfz").read_bytes()
    assert archive == (project.directory / "once.gfz").read_bytes()


@pytest.mark.slow
def test_jobs_that_go_to_a_cluster_are_larger(project: Project) -> None:
    project.settings["part_bases"] = 1024
    for number in range(3):
        project.add_sample(f"s{number}", related(count=4, length=1000, seed=32 + number), "none")
    printed = project.run("-n", "compress_all", "--jobs", "9")
    assert (printed.count("checkpoint split:"), printed.count("rule archive:")) == (0, 1)


def test_what_takes_less_than_a_minute_is_done_without_a_job(project: Project) -> None:
    """But not what has no size yet."""
    project.settings |= {"part_bases": 1024, "planning": {"job_bases": 1024}}
    made = {"data/made.fa": "given.fa", "made_panel.fa": "panel.fa"}
    (project.directory / "panel.fa").write_bytes(related(count=4, length=1000, seed=37))
    project.add_species("there", panel="panel.fa")
    project.add_species("made", panel="made_panel.fa")
    project.add_sample("there", related(count=4, length=1000, seed=35), "there")
    project.add_sample("made", related(count=4, length=1000, seed=36), "made").rename(project.directory / "given.fa")
    making = [f"rule:\n    input: '{given}'\n    output: '{path}'\n    shell: 'cp {given} {path}'\n"
              for path, given in made.items()]  # fmt: skip
    (project.directory / "making.smk").write_text("".join(making) + MODULE)
    printed = project.run("-n", "compress_all", "-s", "making.smk", "--jobs", "9")
    found = dict(re.findall(r"(?:rule|checkpoint) (split\w*|train\w*):\n    input: (\S+)", printed))
    assert found == {
        "split": "data/made.fa", "split_local": "data/there.fa", "train": "made_panel.fa", "train_local": "panel.fa"
    }  # fmt: skip


@pytest.mark.slow
def test_real_data(with_model: Project, real_data: Callable[[str], bytes]) -> None:
    project = with_model
    names = ("odd_pyfaidx_issue83", "odd_blanklines_fish20", "odd_crlf_oneline_gaps_kgp100", "odd_rna_tiny_mature35828")
    texts = {name: real_data(f"{name}.fa") for name in names}
    for name, text in texts.items():
        project.add_sample(name, gzip.compress(text[:400_000], 1), "small", ".fa.gz")
    texts["corpus_EsCo_NC_000913"] = real_data("corpus_EsCo_NC_000913.fa")
    project.add_sample("corpus_EsCo_NC_000913", texts["corpus_EsCo_NC_000913"], "none")
    project.settings["part_bases"] = 1_000_000
    project.run("compress_all", "decompress_all")
    for name, text in texts.items():
        expected = text if name.startswith("corpus") else text[:400_000]
        assert project.result("decompressed", f"{name}.fa").read_bytes() == expected, name


@pytest.mark.slow
def test_only_networks_request_a_gpu(with_model: Project, panel: bytes) -> None:
    """What a model consists of that is given as a file is read from the file."""
    project = with_model
    (project.directory / "panel.fa").write_bytes(panel)
    project.add_species("network", panel="panel.fa", preset="stream-tiny")
    project.add_species("experts", panel="panel.fa")
    text = related(count=2, length=300, seed=30)
    for species in ("small", "network", "experts", "none"):
        project.add_sample(f"of_{species}", text, species)
    printed = project.run("-n", "compress_all", "--config", "device=cuda")
    jobs = re.findall(r"wildcards: (\S+)\n *resources: (.*)", printed)
    assert {wildcards for wildcards, asked in jobs if "gpu=1" in asked} == {"species=network", "batch=of_network+1"}
    assert len(jobs) > 2


@pytest.mark.slow
def test_large_samples_ask_for_a_gpu(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genomes, reads, and jobs on parts of a sample that was split; not small ones, nor reads that are mapped."""
    monkeypatch.chdir(project.directory)
    project.settings |= {"access": "fine", "threads": {"train": 1, "compress": 2, "decode": 1}}
    project.settings["planning"] = {"job_bases": 500_000_000}
    sizes = {"genome.fa": 300, "few.fa": 200, "more.fa": 280, "reads.fq": 600, "some.fastq": 500}
    sizes |= {"parts.fa": 3000, "mapped.fa": 3000}
    for file, megabytes in sizes.items():
        name, suffix = file.split(".", 1)
        path = project.add_sample(name, b"", "none", f".{suffix}")
        os.truncate(path, megabytes * 1_000_000)
        if megabytes == 3000:  # it was split
            facts = {"is_reads": True, "panel": "ab" * 32} if name == "mapped" else {}
            record = describe_files([str(path.relative_to(project.directory))], "none")
            project.result("parts", name).mkdir(parents=True)
            project.result("plans").mkdir(exist_ok=True)
            planned = {RECORD: record, "parts": [{"text_bytes": 16_000_000}] * 186, **facts}
            project.result("plans", f"{name}.json").write_text(json.dumps(planned))
    asked = {}
    for device in ("cuda", "auto"):
        said = project.run("-n", "compress_all", "--config", f"device={device}")
        jobs = re.findall(r"wildcards: (\S+(?:, \S+)?)\n(?: +(?:threads|priority).*\n)* *resources: (.*)", said)
        asked[device] = {wildcards for wildcards, resources in jobs if "gpu=1" in resources}
        assert len(jobs) > 20
    parts = [
        f"sample=parts, parts={first:08d}-{last:08d}" for first, last in ((0, 36), (37, 73), (74, 110), (111, 147))
    ]
    whole = {"batch=genome+1", "batch=more+1", "batch=reads+1"}
    assert asked["cuda"] == {*whole, *parts, "sample=parts, parts=00000148-00000185"}
    assert asked["auto"] == set()


@pytest.mark.slow
def test_a_split_sample_has_a_panel_of_its_own(project: Project) -> None:
    """Several jobs know what recurs in the parts of others, and write what one command writes."""
    project.settings |= {"part_bases": 120_000, "level": "fast", "planning": {"job_bases": 120_000}}
    source = project.add_sample("alike", related(count=5, length=100_000, seed=3), "none")
    project.run("compress_all", "decompress_all")
    report = project.report("alike")
    assert (report["model_name"], report["model_embedded"], report["parts"]) == ("self panel", True, 5)
    assert not list(project.result("archives", "models").glob("*")), "it is inside"
    assert project.result("decompressed", "alike.fa").read_bytes() == source.read_bytes()
    api.compress(source, project.directory / "whole.gfz", part_bases=120_000, level="fast", name="alike")
    assert project.result("archives", "alike.gfz").read_bytes() == (project.directory / "whole.gfz").read_bytes()


@pytest.mark.slow
def test_reads_in_any_order(project: Project) -> None:
    """Small and split samples: the summary and the report say that the order is another, and what that saves."""
    project.settings |= {"part_bases": 30_000, "level": "fast", "any_order": True}
    rng, texts = random.Random(1), {}
    for name, count in (("small", 150), ("split", 900)):
        order = list(range(count))
        rng.shuffle(order)
        reads = [f"@run:1:{number}\n{'ACGTTGCA' * 12}\n+\n{'FFF:FF,F' * 12}\n".encode() for number in range(count)]
        texts[name] = b"".join(reads)
        project.add_sample(name, b"".join(reads[number] for number in order), "none", ".fq")
    project.add_sample("genome", related(count=2, length=2000, seed=1), "none")
    said = project.run("compress_all", "decompress_all")
    summary = project.result("summary.tsv").read_text()
    for name, text in texts.items():
        assert project.result("decompressed", f"{name}.fq").read_bytes() == text
        assert project.report(name)["reordering"]["after"] < project.report(name)["reordering"]["before"]
        assert f"note: {name}: the order of reads is not kept: they are sorted by name" in said
    assert summary.count("the order of reads is not kept") == len(texts)
    assert project.report("split")["parts"] > 1
    assert project.report("genome")["reordering"] is None


@pytest.mark.slow
def test_samples_share_a_panel_of_what_recurs_in_them(project: Project) -> None:
    project.settings["level"] = "fast"
    project.add_species("strains", panel="samples")
    records = related(count=4, length=60_000, seed=6).split(b">")[1:]
    texts = {f"strain_{number}": b">" + record for number, record in enumerate(records)}
    for name, text in texts.items():
        project.add_sample(name, text, "strains")
    project.run("compress_all", "decompress_all")
    for name, text in texts.items():
        assert project.result("decompressed", f"{name}.fa").read_bytes() == text
        assert project.report(name)["model_name"] == "strains"
        assert project.report(name)["total_bytes"] < 6000, "most of it is in the panel"
    before = {name: project.result("archives", f"{name}.gfz").read_bytes() for name in texts}
    project.add_sample("strain_9", related(count=1, length=60_000, seed=6), "strains")
    project.run("compress_all")
    assert project.result("archives", "strain_9.gfz").is_file()
    assert before == {name: project.result("archives", f"{name}.gfz").read_bytes() for name in texts}
