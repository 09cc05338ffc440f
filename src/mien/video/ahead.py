"""Reading ahead: a stage runs in a thread of its own, some results before they are asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

MOST = 32
"""Items that are ready before they are asked for, at the most."""
BUDGET = 64 << 20
"""And what they may hold together, in bytes."""


def read_ahead(
    items: Iterable[T],
    size: Callable[[T], int] = lambda item: 0,
    *,
    most: int = MOST,
    budget: int = BUDGET,
) -> Generator[T, None, None]:
    """The same items in the same order, made by a thread that runs ahead.

    What the thread raises is raised here, behind the items before it. When the generator is closed
    the thread stops at its next item, and is waited for.

    Args:
        items: what the thread iterates over.
        size: the bytes that an item holds.
        most: how many items may be ready.
        budget: how many bytes may be ready; one item may always be.
    """
    ready: deque[tuple[T, int]] = deque()
    news = threading.Condition()
    held, stopped = 0, False

    def may_go_on() -> bool:
        return stopped or (len(ready) < most and held <= budget)

    def work() -> None:
        nonlocal held
        for item in items:
            cost = size(item)
            with news:
                ready.append((item, cost))
                held += cost
                news.notify_all()
                news.wait_for(may_go_on)
                if stopped:
                    return

    with ThreadPoolExecutor(1, "mien-ahead") as pool:
        working = pool.submit(work)
        working.add_done_callback(lambda _: _wake(news))
        try:
            while True:
                with news:
                    news.wait_for(lambda: bool(ready) or working.done())
                    if not ready:
                        break
                    item, cost = ready.popleft()
                    held -= cost
                    news.notify_all()
                yield item
        finally:
            with news:
                stopped = True
                news.notify_all()
        working.result()


def _wake(news: threading.Condition) -> None:
    with news:
        news.notify_all()
