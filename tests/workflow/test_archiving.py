"""Samples go in, archives come out, and every byte comes back."""

import csv
import gzip
import json
import lzma
import os
from collections.abc import Callable

import pytest

from .conftest import Project, Texts, related

NOTHING = "Nothing to be done"


def test_training_compression_and_back(project: Project, panel: bytes) -> None:
    (project.directory / "panel.fa").write_bytes(panel)
    project.add_species("trained", panel="panel.fa", preset="stream-tiny", minutes="0.05")
    text = related(count=3, length=900, seed=3)
    project.add_sample("one", text, "trained")
    project.run("compress_all", "decompress_all", "train_all")
    assert project.result("decompressed", "one.fa").read_bytes() == text
    assert project.result("models", "trained.gfmodel").is_file()
    assert "bits per base on validation records" in project.result("training", "trained.html").read_text()
    assert NOTHING in project.run("compress_all", "decompress_all", "train_all")


def test_odd_samples_come_back_byte_for_byte(with_model: Project, odd_texts: Texts) -> None:
    project = with_model
    for name, text in odd_texts.items():
        project.add_sample(name, text, "small" if name in ("text_first", "empty") else "none")
    plain = odd_texts["crlf"]
    project.add_sample("two_members_misnamed", gzip.compress(plain) * 2, "none", ".fa")
    project.add_sample("xzipped", lzma.compress(plain), "none", ".fa.xz")
    project.run("compress_all", "decompress_all")
    expected = {**odd_texts, "two_members_misnamed": plain * 2, "xzipped": plain}
    for name, text in expected.items():
        assert project.result("decompressed", f"{name}.fa").read_bytes() == text, name


def test_a_sample_of_many_parts(with_model: Project) -> None:
    project = with_model
    project.settings["part_bases"] = 2048
    text = related(count=5, length=1000, seed=4)
    project.add_sample("many", text, "small")
    project.run("compress_all", "decompress_all")
    plan = json.loads(project.result("plans", "many.json").read_text())
    assert len(plan["parts"]) >= 3
    assert project.result("decompressed", "many.fa").read_bytes() == text


def test_only_what_is_wanted_is_left(with_model: Project) -> None:
    project = with_model
    source = project.add_sample("one", related(count=2, length=500, seed=5), "small")
    project.run("compress_all")
    assert source.is_file()
    identity = project.report("one")["model_id"]
    left = {str(path.relative_to(project.directory / "results")) for path in project.result().rglob("*")}
    assert left == {
        "archives",
        "archives/models",
        f"archives/models/{identity}.gfmodel",
        "archives/one.gfz",
        "plans",
        "plans/one.json",
        "report",
        *(f"report/{page}.html" for page in ("sizes", "models", "jobs")),
        *(f"report/{table}.tsv" for table in ("species", "models", "decisions", "jobs")),
        "report/numbers.json",
        "summary.tsv",
        "verified",
        "verified/one.json",
    }
    assert NOTHING in project.run("compress_all")


def test_sizes_stand_side_by_side_in_the_summary(with_model: Project) -> None:
    project = with_model
    project.add_sample("modelled", related(count=4, length=1000, seed=6), "small")
    project.add_sample("plain", related(count=4, length=1000, seed=6), "none")
    project.run("compress_all")
    with project.result("summary.tsv").open() as table:
        rows = {row["sample"]: row for row in csv.DictReader(table, delimiter="\t")}
    assert list(rows) == ["modelled", "plain"]
    for name, row in rows.items():
        assert int(row["total_bytes"]) == project.result("archives", f"{name}.gfz").stat().st_size
        assert 0 < float(row["bpb_payload"]) < float(row["bpb_total"])
    assert float(rows["plain"]["bpb_payload"]) < 1.5, "predicted from itself"
    assert rows["plain"]["model_id"] == "experts"


def test_an_archive_that_holds_its_model_needs_nothing_else(with_model: Project) -> None:
    project = with_model
    project.settings["embed_model"] = True
    text = related(count=2, length=500, seed=7)
    project.add_sample("one", text, "small")
    project.run("compress_all", "decompress_all", "verify_all")
    assert project.report("one")["model_bytes"] > 0
    assert not project.result("archives", "models").exists()
    assert project.result("decompressed", "one.fa").read_bytes() == text


def test_archives_outlive_what_they_were_made_from(with_model: Project) -> None:
    """Neither the source nor the file of the model is needed any more: a copy of the model lies beside the archive."""
    project = with_model
    text = related(count=2, length=500, seed=8)
    path = project.add_sample("one", text, "small")
    project.run("compress_all")
    path.unlink()
    project.species[-1] = "small\t\tgone.gfmodel"
    assert NOTHING in project.run("compress_all")
    project.run("decompress_all", "verify_all")
    assert project.result("decompressed", "one.fa").read_bytes() == text


def test_verify_all_looks_at_the_disk_every_time(project: Project) -> None:
    project.add_sample("one", related(count=2, length=500, seed=10), "none")
    project.run("compress_all")
    assert "rule recheck" in project.run("verify_all")
    archive = project.result("archives", "one.gfz")
    damaged = bytearray(archive.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    archive.write_bytes(damaged)
    said = project.run("verify_all", status=1)
    assert "rule recheck" in said
    assert archive.read_bytes() == damaged
    assert "one.gfz" in (project.directory / "logs" / "recheck" / "one.log").read_text()


class TestDeletingSources:
    def test_after_verification(self, project: Project) -> None:
        project.settings["delete_source"] = True
        text = related(count=2, length=500, seed=12)
        path = project.add_sample("one", text, "none")
        project.run("compress_all")
        assert not path.exists()
        assert (
            json.loads(project.result("deleted", "one.json").read_text())["sha256"] == project.report("one")["sha256"]
        )
        assert NOTHING in project.run("compress_all")
        project.run("decompress_all", "--forceall")
        assert project.result("decompressed", "one.fa").read_bytes() == text
        assert project.result("archives", "one.gfz").is_file()

    def test_not_if_the_archive_is_another_one(self, project: Project) -> None:
        path = project.add_sample("one", related(count=2, length=500, seed=13), "none")
        project.run("compress_all")
        with project.result("archives", "one.gfz").open("ab") as archive:
            archive.write(b"x")
        project.settings["delete_source"] = True
        project.run("compress_all", "--rerun-triggers", "mtime", "--touch")
        project.run("compress_all", status=1)
        assert path.exists()


def test_a_source_that_changed_after_the_split_is_not_published(project: Project) -> None:
    path = project.add_sample("one", related(count=2, length=500, seed=14), "none")
    project.run("results/unverified/one.gfz", "--notemp")
    status = path.stat()
    path.write_bytes(related(count=2, length=500, seed=15))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    project.run("compress_all", "--rerun-triggers", "mtime", "--retries", "0", status=1)
    assert not project.result("archives", "one.gfz").exists()
    assert "changed since it was split" in (project.directory / "logs" / "verify" / "one.log").read_text()


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
