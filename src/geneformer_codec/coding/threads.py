"""Work on threads: results in order, progress counted, and everything stopped at once when one fails."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from geneformer_codec.coding.interface import Progress

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
Work = Callable[[_Item, Progress], _Result]
"""Works on an item, calling now and then, with the bases done, what it is given: also the place to be stopped at."""


class _StoppedError(Exception):
    """Other work failed, or a signal came: the rest need not go on."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def with_free(working: threading.Semaphore | None, most: int) -> Iterator[int]:
    """How many threads may work here: the caller's, and those that are free, held in here; at most ``most`` in all.

    Whoever computes holds ``working``, also the caller. All are free if it is None.
    """
    threads = 1 if working else most
    while working and threads < most and working.acquire(blocking=False):
        threads += 1
    try:
        yield threads
    finally:
        if working and threads > 1:
            working.release(threads - 1)


def in_order(
    work: Work[_Item, _Result],
    items: Iterable[_Item],
    threads: int,
    progress: Progress | None = None,
    start: Callable[[], None] | None = None,
    ahead: int = 1,
) -> Generator[_Result, None, None]:
    """The results of ``work`` on ``items``, in their order.

    Items are taken by the caller's thread, and at most ``threads + ahead`` of them are held at a time; ``start`` is
    called first in each thread. When work fails, or the iteration is closed before its end, all other work ends at its
    next report.
    """
    stopping = threading.Event()

    def report(bases: int) -> None:
        if stopping.is_set():
            raise _StoppedError
        if progress:
            progress(bases)

    if threads <= 1:
        for item in items:
            yield work(item, report)
        return
    with ThreadPoolExecutor(threads, initializer=start) as pool:
        waiting: deque[Future[_Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item, report))
                if len(waiting) >= threads + ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def work_on_all(
    work: Work[_Item, None],
    items: Sequence[_Item],
    threads: int,
    progress: Progress | None = None,
    start: Callable[[], None] | None = None,
) -> None:
    """Work on all ``items``, as `in_order`; the first of them are begun first."""
    for _ in in_order(work, items, min(threads, len(items)), progress, start, ahead=len(items)):
        pass
