"""Which samples share a job."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geneformer_rules.batching import plan_batches
from geneformer_rules.sheets import Sample

MB = 10**6


def sheet(*rows: str) -> dict[str, Sample]:
    """Samples from ``NAME:SPECIES``."""
    samples = [Sample(row.split(":")[0], "x.fa", row.split(":")[1], 2) for row in rows]
    return {sample.name: sample for sample in samples}


def test_neighbours_of_a_species_share_a_batch_until_it_is_full() -> None:
    samples = sheet("a:fish", "b:none", "c:fish", "d:fish", "e:none", "f:fish")
    batches = plan_batches(samples, (), lambda sample: 4 * MB, 10 * MB)
    assert batches.batch_of == {"a": "a+2", "c": "a+2", "d": "d+2", "f": "d+2", "b": "b+2", "e": "b+2"}
    assert [sample.name for sample in batches.members("a+2")] == ["a", "c"]


@given(st.lists(st.integers(0, 15 * MB), min_size=1, max_size=30))
@example([6 * MB, 6 * MB, MB])
@example([MB, 15 * MB, MB, 15 * MB])
def test_no_job_is_short_unless_it_is_the_only_one(sizes: list[int]) -> None:
    samples = sheet(*(f"s{number}:fish" for number in range(len(sizes))))
    size_of = dict(zip(samples, sizes, strict=True))
    batches = plan_batches(samples, (), lambda sample: size_of[sample.name], 10 * MB)
    assert list(batches.batch_of) == list(samples)
    names = dict.fromkeys(batches.batch_of.values())
    work = [sum(max(size_of[sample.name], 50_000) for sample in batches.members(name)) for name in names]
    assert len(work) == 1 or min(work) >= 5 * MB
    assert max(work) <= 25 * MB


def test_what_is_done_or_split_is_left_out() -> None:
    sizes = {"a": MB, "b": MB, "c": None, "d": MB, "e": MB}
    samples = sheet(*(f"{name}:fish" for name in sizes))
    batches = plan_batches(samples, {"d"}, lambda sample: sizes[sample.name], 10 * MB)
    assert batches.batch_of == dict.fromkeys("abe", "a+2-2-1")
    assert [sample.name for sample in batches.members("a+2-2-1")] == ["a", "b", "e"]


def test_samples_between_large_ones_share_jobs_whose_names_stay_short() -> None:
    samples = sheet(*(f"s{number}:fish" for number in range(400)))
    batches = plan_batches(samples, (), lambda sample: None if int(sample.name[1:]) % 2 else MB, 200 * MB)
    names = dict.fromkeys(batches.batch_of.values())
    assert len(names) == 9
    assert max(map(len, names)) < 150
    assert [sample.name for name in names for sample in batches.members(name)] == [f"s{n}" for n in range(0, 400, 2)]


def test_a_batch_is_known_by_its_name_alone() -> None:
    """A job on another machine sees what has happened since."""
    samples = sheet("a:fish", "b:fish", "c:fish")
    later = plan_batches(samples, {"a", "b", "c"}, lambda sample: None, MB)
    assert [sample.name for sample in later.members("b+2")] == ["b", "c"]
    for strange in ("b+3", "a+1-1-2"):
        with pytest.raises(KeyError):
            later.members(strange)


def test_many_tiny_samples_are_several_jobs() -> None:
    samples = sheet(*(f"s{number}:none" for number in range(2000)))
    batches = plan_batches(samples, (), lambda sample: 200, 16 * MB)
    sizes = [len(batches.members(batch)) for batch in dict.fromkeys(batches.batch_of.values())]
    assert sizes == [240] * 7 + [320]
