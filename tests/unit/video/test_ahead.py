import threading
import time
from contextlib import closing

import pytest

from mien.video.ahead import read_ahead


def test_the_same_items_in_the_same_order():
    assert list(read_ahead(iter(range(1000)))) == list(range(1000))
    assert list(read_ahead([])) == []


def test_another_thread_makes_them_and_no_more_than_asked_for_ahead():
    made, makers = [], set()

    def source():
        for i in range(100):
            makers.add(threading.get_ident())
            made.append(i)
            yield i

    with closing(read_ahead(source(), most=3)) as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert len(made) <= 1 + 3 + 1  # taken, waiting, in the thread's hand
    assert makers.isdisjoint({threading.get_ident()})


def test_an_error_comes_behind_the_items_before_it():
    def source():
        yield 1
        raise ValueError("damaged")

    items = read_ahead(source())
    assert next(items) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(items)


def test_closing_stops_and_waits_for_the_thread_even_where_it_has_no_room():
    stopped = []

    def source():
        try:
            yield from range(10**9)
        finally:
            stopped.append(True)

    before = threading.active_count()
    items = read_ahead(source(), most=1)
    next(items)
    items.close()
    assert threading.active_count() == before
    del items
    assert stopped == [True]


def test_no_more_bytes_are_held_than_the_budget_but_for_one_item():
    made = []

    def source():
        for i in range(20):
            made.append(i)
            yield i

    with closing(read_ahead(source(), lambda item: 10, budget=35)) as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert len(made) <= 1 + 4 + 1  # taken; 40 bytes, which are too many already; in the hand
        assert list(items) == list(range(1, 20))
