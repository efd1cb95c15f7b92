"""What jobs ask for grows with the part and with every retry."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_rules.estimates import Estimates
from geneformer_rules.parts import PartSizes, largest, parts_of_archive, parts_of_text, read_plan, text_bytes
from geneformer_rules.sheets import Species, check_config


@pytest.fixture
def estimates() -> Estimates:
    return Estimates(check_config({"samples": "samples.tsv", "species": "species.tsv"}))


def write_plan(path: Path, *sizes: int) -> None:
    path.write_text(json.dumps({"parts": [{"text_bytes": size} for size in sizes]}))


def test_jobs_are_named_by_their_parts(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.json", 100, 50, 70)
    plan = read_plan(tmp_path / "plan.json")
    assert plan.total == 220
    assert plan.jobs(3) == ["00000000-00000000", "00000001-00000001", "00000002-00000002"]
    assert plan.jobs(2) == ["00000000-00000000", "00000001-00000002"]
    assert [plan.job_count(bases) for bases in (None, 1, 110, 1000)] == [3, 3, 2, 1]
    assert plan.of_job("00000001-00000002") == PartSizes((50, 70))


@given(st.lists(st.integers(50, 150), min_size=1, max_size=60), st.integers(1, 2000))
def test_every_part_has_one_job_and_none_is_short(sizes: list[int], job_bases: int) -> None:
    plan = PartSizes(tuple(sizes))
    jobs = plan.jobs(plan.job_count(job_bases))
    assert [size for job in jobs for size in plan.of_job(job).sizes] == sizes
    counts = [len(plan.of_job(job).sizes) for job in jobs]
    assert max(counts) - min(counts) <= 1
    assert len(jobs) in (1, len(sizes)) or plan.total / len(jobs) >= job_bases


@given(st.integers(0, 10**7), st.integers(1000, 10**6))
def test_how_a_text_will_be_cut(size: int, part_bases: int) -> None:
    plan = parts_of_text(size, part_bases)
    assert plan.total == size
    assert max(plan.sizes) <= largest(part_bases)
    assert len(plan.sizes) == 1 or min(plan.sizes) >= part_bases // 2


@pytest.mark.parametrize("level", ["fast", "balanced", "max"])
def test_a_job_on_a_cluster_works_for_a_minute(level: str) -> None:
    settings = {"samples": "samples.tsv", "species": "species.tsv", "level": level, "threads": {"compress": 4}}
    estimates = Estimates(check_config(settings))
    assert estimates.job_bases(on_cluster=False) is None
    # Bases per second of a thread that does nothing else, docs/benchmarks.md.
    assert estimates.job_bases(on_cluster=True) >= 60 * 4 * {"fast": 4e6, "balanced": 1.2e6, "max": 0.4e6}[level]
    given = Estimates(check_config(settings | {"planning": {"job_bases": 5000}}))
    assert given.job_bases(on_cluster=False) == given.job_bases(on_cluster=True) == 5000
    large_parts = Estimates(check_config(settings | {"part_bases": 1 << 28, "level": "max"}))
    assert large_parts.job_bases(on_cluster=True) == 1 << 28


def test_a_manifest_predicts_the_memory_for_decoding(tmp_path: Path) -> None:
    report = tmp_path / "one.json"
    assert parts_of_archive(report) is None
    for size, parts, cut in ((301, 3, (50, 100, 151)), (250, 1, (250,)), (0, 1, (0,)), (3, 2, (1, 2))):
        report.write_text(json.dumps({"input_bytes": size, "parts": parts}))
        assert parts_of_archive(report) == PartSizes(cut)


def test_a_plan_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_plan(path, 100)
    read_plan(path)
    write_plan(path, 200)
    os.utime(path, ns=(1, 1))
    assert read_plan(path).total == 200


def test_a_small_part_needs_little(estimates: Estimates) -> None:
    plan = PartSizes((16_000_000, 1_000))
    assert estimates.part_bytes(plan) == estimates.part_bytes(plan.of_job("00000000-00000000")) == 16_000_000
    assert estimates.memory_mb(estimates.part_bytes(plan.of_job("00000001-00000001"))) < estimates.memory_mb(16_000_000)
    assert estimates.minutes("encode", 1_000) < estimates.minutes("encode", 16_000_000)


def test_without_a_model_threads_work_on_parts(estimates: Estimates) -> None:
    assert estimates.threads("compress", 1, with_model=False) == 1
    assert estimates.threads("compress", 1, with_model=True) == estimates.config["threads"]["compress"]
    assert estimates.threads("decode", 100, with_model=False) == estimates.config["threads"]["decode"]
    assert estimates.threads("decode", None, with_model=False) == estimates.config["threads"]["decode"]
    assert estimates.threads("decode", 0, with_model=False) == 1
    assert estimates.memory_mb(10**7, parts=2) > estimates.memory_mb(10**7) + 400


def test_before_the_split_the_largest_part_counts_that_it_may_make(estimates: Estimates) -> None:
    assert estimates.part_bytes(None) == 1.5 * estimates.config["part_bases"]


def test_an_empty_sample_needs_something_too(estimates: Estimates) -> None:
    assert estimates.part_bytes(PartSizes((0,))) == 0
    assert estimates.minutes("encode", 0) > 0


def test_a_retry_gets_more(estimates: Estimates) -> None:
    fish = Species("fish", 2, panel=("panel.fa",), preset="paper", minutes=30)
    assert estimates.memory_mb(10**6, attempt=2) == 2 * estimates.memory_mb(10**6)
    assert estimates.minutes("decode", 10**6, attempt=3) == 3 * estimates.minutes("decode", 10**6)
    assert estimates.training_memory_mb(fish, 10, 2) == 2 * estimates.training_memory_mb(fish, 10)
    assert estimates.training_minutes(fish, 10, 2) == 2 * estimates.training_minutes(fish, 10) > 2 * 30


def test_a_training_in_epochs_has_the_time_that_was_planned(estimates: Estimates) -> None:
    assert estimates.training_minutes(Species("fish", 2, panel=("panel.fa",), epochs=3), 10) == 24 * 60


def test_experts_need_what_their_panel_needs(estimates: Estimates) -> None:
    fish = Species("fish", 2, panel=("panel.fa",), preset="experts")
    small, large = (estimates.training_memory_mb(fish, bases) for bases in (10**6, 10**9))
    assert small < estimates.config["planning"]["training_memory_mb"] < large
    assert estimates.training_minutes(fish, 10**6) < estimates.training_minutes(fish, 10**9)
    assert estimates.training_memory_mb(fish, 10**9, 2) == 2 * large
    assert estimates.memory_mb(10**6, panel_bases=10**9) > estimates.memory_mb(10**6)


def test_compressed_panels_hold_more_than_they_weigh(tmp_path: Path) -> None:
    plain, compressed, gone = tmp_path / "a.fa", tmp_path / "b", tmp_path / "gone.fa"
    plain.write_bytes(b">a\nACGT\n")
    compressed.write_bytes(gzip.compress(b">a\nACGT\n"))
    assert text_bytes([str(plain), str(gone)]) == 8
    assert text_bytes([str(compressed)]) > compressed.stat().st_size
