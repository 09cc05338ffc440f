"""Reading ahead: a stage runs in a thread of its own, a few results before they are asked for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_DEPTH = 4
_END = object()


def read_ahead(items: Iterable[T], depth: int = _DEPTH) -> Generator[T, None, None]:
    """The same items in the same order, made by a thread, at most `depth` of them ahead.

    What the thread raises is raised here, behind the items before it. When the generator is closed
    the thread stops at its next item, and is waited for.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            for item in items:
                waiting.put(item)
                if stop.is_set():
                    return
        finally:
            waiting.put(_END)

    with ThreadPoolExecutor(1, "mien-ahead") as pool:
        working = pool.submit(work)
        item = None
        try:
            while (item := waiting.get()) is not _END:
                yield item
        finally:
            stop.set()
            while item is not _END:  # the thread may be waiting for room
                item = waiting.get()
        working.result()
