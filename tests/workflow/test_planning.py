"""What jobs ask for grows with the part and with every retry."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_rules.planning import Needs, Plan, archived_plan, largest, read_plan, text_bytes, whole_plan
from geneformer_rules.sheets import Species, check_config


@pytest.fixture
def needs() -> Needs:
    return Needs(check_config({"samples": "samples.tsv", "species": "species.tsv"}))


def write_plan(path: Path, *sizes: int) -> None:
    path.write_text(json.dumps({"parts": [{"text_bytes": size} for size in sizes]}))


def test_jobs_are_named_by_their_parts(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.json", 100, 50, 70)
    plan = read_plan(tmp_path / "plan.json")
    assert plan.total_bytes == 220
    assert plan.jobs(None) == ["00000000-00000000", "00000001-00000001", "00000002-00000002"]
    assert plan.jobs(110) == ["00000000-00000000", "00000001-00000002"]
    assert plan.jobs(1) == plan.jobs(None)
    assert plan.jobs(1000) == ["00000000-00000002"]
    assert plan.of_job("00000001-00000002") == Plan((50, 70))


@given(st.lists(st.integers(50, 150), min_size=1, max_size=60), st.integers(1, 2000))
def test_every_part_has_one_job_and_none_is_short(sizes: list[int], job_bases: int) -> None:
    plan = Plan(tuple(sizes))
    jobs = plan.jobs(job_bases)
    assert [size for job in jobs for size in plan.of_job(job).part_bytes] == sizes
    counts = [len(plan.of_job(job).part_bytes) for job in jobs]
    assert max(counts) - min(counts) <= 1
    assert len(jobs) in (1, len(sizes)) or plan.total_bytes / len(jobs) >= job_bases


@given(st.integers(0, 10**7), st.integers(1000, 10**6))
def test_how_a_text_will_be_cut(size: int, part_bases: int) -> None:
    plan = whole_plan(size, part_bases)
    assert plan.total_bytes == size
    assert max(plan.part_bytes) <= largest(part_bases)
    assert len(plan.part_bytes) == 1 or min(plan.part_bytes) >= part_bases // 2


@pytest.mark.parametrize("level", ["fast", "balanced", "max"])
def test_a_job_on_a_cluster_works_for_a_minute(level: str) -> None:
    settings = {"samples": "samples.tsv", "species": "species.tsv", "level": level, "threads": {"compress": 4}}
    needs = Needs(check_config(settings))
    assert needs.job_bases(on_cluster=False) is None
    # Bases per second of a thread that does nothing else, docs/benchmarks.md.
    assert needs.job_bases(on_cluster=True) >= 60 * 4 * {"fast": 4e6, "balanced": 1.2e6, "max": 0.4e6}[level]
    given = Needs(check_config(settings | {"planning": {"job_bases": 5000}}))
    assert given.job_bases(on_cluster=False) == given.job_bases(on_cluster=True) == 5000
    large_parts = Needs(check_config(settings | {"part_bases": 1 << 28, "level": "max"}))
    assert large_parts.job_bases(on_cluster=True) == 1 << 28


def test_an_archive_tells_what_decoding_it_will_take(tmp_path: Path) -> None:
    report = tmp_path / "one.json"
    assert archived_plan(report) is None
    for size, parts, cut in ((301, 3, (50, 100, 151)), (250, 1, (250,)), (0, 1, (0,)), (3, 2, (1, 2))):
        report.write_text(json.dumps({"input_bytes": size, "parts": parts}))
        assert archived_plan(report) == Plan(cut)


def test_a_plan_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_plan(path, 100)
    read_plan(path)
    write_plan(path, 200)
    os.utime(path, ns=(1, 1))
    assert read_plan(path).total_bytes == 200


def test_a_small_part_asks_for_little(needs: Needs) -> None:
    plan = Plan((16_000_000, 1_000))
    assert needs.part_bytes(plan) == needs.part_bytes(plan.of_job("00000000-00000000")) == 16_000_000
    assert needs.memory_mb(needs.part_bytes(plan.of_job("00000001-00000001"))) < needs.memory_mb(16_000_000)
    assert needs.encode_minutes(1_000) < needs.encode_minutes(16_000_000)


def test_without_a_model_threads_work_on_parts(needs: Needs) -> None:
    assert needs.threads("compress", 1, with_model=False) == 1
    assert needs.threads("compress", 1, with_model=True) == needs.config["threads"]["compress"]
    assert needs.threads("decode", 100, with_model=False) == needs.config["threads"]["decode"]
    assert needs.threads("decode", None, with_model=False) == needs.config["threads"]["decode"]
    assert needs.threads("decode", 0, with_model=False) == 1
    assert needs.memory_mb(10**7, parts=2) > needs.memory_mb(10**7) + 400


def test_before_the_split_the_largest_part_counts_that_it_may_make(needs: Needs) -> None:
    assert needs.part_bytes(None) == 1.5 * needs.config["part_bases"]


def test_an_empty_sample_has_needs_too(needs: Needs) -> None:
    assert needs.part_bytes(Plan((0,))) == 0
    assert needs.encode_minutes(0) > 0


def test_a_retry_gets_more(needs: Needs) -> None:
    fish = Species("fish", 2, panel=("panel.fa",), preset="paper", minutes=30)
    assert needs.memory_mb(10**6, attempt=2) == 2 * needs.memory_mb(10**6)
    assert needs.decode_minutes(10**6, attempt=3) == 3 * needs.decode_minutes(10**6)
    assert needs.training_memory_mb(fish, 10, 2) == 2 * needs.training_memory_mb(fish, 10)
    assert needs.training_minutes(fish, 10, 2) == 2 * needs.training_minutes(fish, 10) > 2 * 30


def test_a_training_in_epochs_has_the_time_that_was_planned(needs: Needs) -> None:
    assert needs.training_minutes(Species("fish", 2, panel=("panel.fa",), epochs=3), 10) == 24 * 60


def test_experts_need_what_their_panel_needs(needs: Needs) -> None:
    fish = Species("fish", 2, panel=("panel.fa",), preset="experts")
    small, large = (needs.training_memory_mb(fish, bases) for bases in (10**6, 10**9))
    assert small < needs.config["planning"]["training_memory_mb"] < large
    assert needs.training_minutes(fish, 10**6) < needs.training_minutes(fish, 10**9)
    assert needs.training_memory_mb(fish, 10**9, 2) == 2 * large
    assert needs.memory_mb(10**6, panel_bases=10**9) > needs.memory_mb(10**6)


def test_compressed_panels_hold_more_than_they_weigh(tmp_path: Path) -> None:
    plain, compressed, gone = tmp_path / "a.fa", tmp_path / "b", tmp_path / "gone.fa"
    plain.write_bytes(b">a\nACGT\n")
    compressed.write_bytes(gzip.compress(b">a\nACGT\n"))
    assert text_bytes([str(plain), str(gone)]) == 8
    assert text_bytes([str(compressed)]) > compressed.stat().st_size
