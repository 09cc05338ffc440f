"""The shared models: batches, the queue's end, time-outs."""

import asyncio
import threading

import numpy as np
import pytest
from uploads import jpeg, noise

import mien
from mien.pipeline import Options
from mien.runtime.classify import load_classifier
from mien.serve.limits import Limits, RefusedError
from mien.serve.metrics import Metrics
from mien.serve.pool import Batcher, Pool
from mien.serve.upload import Ask, Choice

ASK = Ask()


class Held:
    """A classifier that waits before its first run."""

    def __init__(self):
        self.inner = load_classifier()
        self.spec = self.inner.spec
        self.go = threading.Event()
        self.sizes = []

    def __call__(self, crops):
        self.go.wait(10)
        self.sizes.append(len(crops))
        return self.inner(crops)


def test_what_waits_is_read_together_and_gives_the_same_numbers():
    rng = np.random.default_rng(0)
    asked = [rng.integers(0, 256, (n, 48, 48, 3), np.uint8) for n in (1, 2, 1, 5, 3)]
    held, metrics = Held(), Metrics()
    batcher = Batcher(held, metrics)
    first = batcher.submit(asked[0])
    while not batcher._queue.empty():
        pass
    rest = [batcher.submit(crops) for crops in asked[1:]]
    held.go.set()
    told = [future.result(10) for future in (first, *rest)]
    batcher.close()
    assert held.sizes == [1, 11]
    for crops, scores in zip(asked, told, strict=True):
        alone = np.concatenate([held.inner(crop[None]).probabilities for crop in crops])
        assert np.abs(scores.probabilities - alone).max() < 1e-5
    assert "mien_batch_crops_count 2" in metrics.text()


def test_a_batch_has_an_end():
    held = Held()
    batcher = Batcher(held, Metrics(), most=4)
    crops = np.zeros((2, 48, 48, 3), np.uint8)
    futures = [batcher.submit(crops) for _ in range(7)]
    held.go.set()
    assert [len(f.result(10).labels) for f in futures] == [8] * 7
    batcher.close()
    assert max(held.sizes) <= 4 and sum(held.sizes) == 14


def test_a_failing_run_fails_those_who_wait_and_no_others():
    held = Held()
    held.go.set()
    batcher = Batcher(held, Metrics())
    bad = batcher.submit(np.zeros((1, 48, 48, 3), np.float32))
    assert "uint8" in str(bad.exception(10))
    assert len(batcher.submit(np.zeros((1, 48, 48, 3), np.uint8)).result(10).probabilities) == 1
    batcher.close()


def test_many_at_a_time_get_what_each_would_get_alone(pool):
    photos = [jpeg(noise(seed=i)) for i in range(12)]

    async def all_of_them():
        return await asyncio.gather(*(pool.read(photo, ASK) for photo in photos))

    for photo, answer in zip(photos, asyncio.run(all_of_them()), strict=True):
        (face,), (alone,) = answer.result.faces, mien.analyze(photo, detector="none").faces
        assert face.expression == alone.expression
        told, expected = (list(f.probabilities.values()) for f in (face, alone))
        assert np.allclose(told, expected, atol=1e-5)


def blocked_pool(monkeypatch, **limits):
    """A pool with one thread, whose pictures wait until the event is set."""
    pool = Pool(Options(detector="none"), limits=Limits(**limits), workers=1)
    go, look = threading.Event(), pool._look

    def wait(*what):
        go.wait(10)
        return look(*what)

    monkeypatch.setattr(pool, "_look", wait)
    return pool, go


def test_a_full_queue_says_when_to_come_back(monkeypatch):
    pool, go = blocked_pool(monkeypatch, waiting=3)
    photo = jpeg(noise())

    async def five():
        asked = [asyncio.create_task(pool.read(photo, ASK)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert pool.full
        go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    told = asyncio.run(five())
    refused = [answer for answer in told if isinstance(answer, RefusedError)]
    assert [(r.status, r.retry_after) for r in refused] == [(503, 1)] * 2
    assert len(told) - len(refused) == 3
    assert not pool.full
    pool.close()


def test_what_takes_too_long_is_given_up_and_still_counts_until_it_ends(monkeypatch):
    pool, go = blocked_pool(monkeypatch, answer_sec=0.05, waiting=1)

    async def late():
        with pytest.raises(RefusedError) as refused:
            await pool.read(jpeg(noise()), ASK)
        return refused.value.status

    assert asyncio.run(late()) == 504
    assert pool.full
    go.set()
    pool.close()
    assert not pool.full


def test_closing_finishes_what_was_taken_on(monkeypatch):
    pool, go = blocked_pool(monkeypatch)

    async def ends():
        asked = asyncio.create_task(pool.read(jpeg(noise()), ASK))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(asyncio.to_thread(pool._workers.shutdown))
        go.set()
        await closing
        return await asked

    assert asyncio.run(ends()).result.status == "ok"
    pool.close()


def test_scores_and_numbers_of_faces_are_chosen_by_the_request_or_the_server():
    pool = Pool(Options(detector="none", min_score=0.7, max_faces=3))
    assert pool.chosen(Choice()) == (0.7, 3)
    assert pool.chosen(Choice(min_score=0.0, max_faces=1)) == (0.0, 1)
    assert [m.name for m in pool.models.values()] == ["mien-tiny"]
    pool.close()
