"""Ctrl-C as a request to come to an end, so that what has been done is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def until_interrupted(
    then: Callable[[], None] = lambda: None,
) -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C was pressed (or SIGTERM sent); a second one interrupts.

    `then` is called at the first one, to end what may be waiting for something. Outside the main
    thread, where no signal can be caught, it always says no.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt
        then()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
