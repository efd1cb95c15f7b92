"""Work on threads: order, bounds, and the end of it all when something fails."""

import threading
import time
from collections.abc import Iterator

import pytest

from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import in_order, with_free, work_on_all


def slow_first(item: int, report: Progress) -> int:
    time.sleep(0.02 if item % 3 == 0 else 0)
    report(item)
    return item * item


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_results_come_in_order(threads: int) -> None:
    seen: list[int] = []
    assert list(in_order(slow_first, range(20), threads, seen.append)) == [item * item for item in range(20)]
    assert sum(seen) == sum(range(20))
    work_on_all(lambda item, report: report(item), list(range(5)), threads, seen.append)
    assert sum(seen) == sum(range(20)) + 10


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_few_items_are_held(threads: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while taken < 100:
            taken += 1
            yield taken

    for done, _ in enumerate(in_order(slow_first, items(), threads)):
        assert taken <= done + threads + 1


@pytest.mark.parametrize("threads", [2, 4])
def test_one_failure_stops_the_others(threads: int) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def work(item: int, report: Progress) -> None:
        if item == 0:
            begun.wait()
            raise ValueError("no")
        begun.set()
        try:
            while True:
                report(1)
                time.sleep(0.001)
        finally:
            stopped.set()

    with pytest.raises(ValueError, match="no"):
        work_on_all(work, list(range(threads)), threads)
    assert stopped.is_set()


def test_a_reader_that_stops_ends_the_work() -> None:
    def work(item: int, report: Progress) -> int:
        while item:
            report(1)
            time.sleep(0.001)
        return item

    results = in_order(work, range(10), 2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() < 20


def test_free_threads_help() -> None:
    """As many as are of use, held as long as they work, also when it fails."""
    working = threading.Semaphore(5)
    working.acquire()
    with with_free(working, 3) as three, with_free(working, 10) as rest, with_free(working, 10) as alone:
        assert (three, rest, alone) == (3, 3, 1)
    with pytest.raises(ValueError, match="no"), with_free(working, 10):
        raise ValueError("no")
    with with_free(working, 10) as threads:
        assert threads == 5
    with with_free(None, 7) as threads:
        assert threads == 7
