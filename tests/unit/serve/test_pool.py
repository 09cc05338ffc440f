"""The shared models: batches, the queue's end, time-outs."""

import asyncio
import platform
import threading
from concurrent.futures import Future

import numpy as np
import pytest
from uploads import jpeg, noise

import mien
from mien.pipeline import Options
from mien.runtime.classify import load_classifier
from mien.serve.limits import Limits, RefusedError
from mien.serve.memory import keep_freed
from mien.serve.metrics import Metrics
from mien.serve.pool import ENOUGH, Batcher, Pool
from mien.serve.upload import Ask, Choice

ASK = Ask()


class Held:
    """A classifier that waits before its first run."""

    def __init__(self):
        self.inner = load_classifier()
        self.spec = self.inner.spec
        self.go, self.came = threading.Event(), threading.Event()
        self.sizes, self.threads = [], set()

    def __call__(self, crops):
        self.came.set()
        self.go.wait(10)
        self.threads.add(threading.get_ident())
        self.sizes.append(len(crops))
        return self.inner(crops)


def read(batcher, crops):
    """Have crops read by a thread of its own, as the crew's are; the thread and the future."""
    future = Future()

    def add():
        batcher.add(crops, future)
        batcher.flush()

    thread = threading.Thread(target=add)
    thread.start()
    return thread, future


def zeros(count):
    return np.zeros((count, 48, 48, 3), np.uint8)


def test_what_waits_is_read_together_and_gives_the_same_numbers():
    rng = np.random.default_rng(0)
    asked = [rng.integers(0, 256, (n, 48, 48, 3), np.uint8) for n in (1, 2, 1, 5, 3)]
    held, metrics = Held(), Metrics()
    batcher = Batcher(held, metrics)
    leader, first = read(batcher, asked[0])
    assert held.came.wait(10)
    rest = []
    for crops in asked[1:]:
        thread, future = read(batcher, crops)
        thread.join(10)  # it leaves its crops to the run after this one, and waits for nothing
        assert not thread.is_alive() and not future.done()
        rest.append(future)
    held.go.set()
    told = [future.result(10) for future in (first, *rest)]
    leader.join(10)
    assert held.sizes == [1, 11]
    for crops, scores in zip(asked, told, strict=True):
        alone = np.concatenate([held.inner(crop[None]).probabilities for crop in crops])
        assert np.abs(scores.probabilities - alone).max() < 1e-5
    assert "mien_batch_crops_count 2" in metrics.text()


def test_crops_wait_for_more_until_there_are_enough():
    held = Held()
    held.go.set()
    batcher = Batcher(held, Metrics())
    futures = [Future() for _ in range(4)]
    for future in futures[:3]:
        batcher.add(zeros(2), future)
    assert held.sizes == [] and not any(future.done() for future in futures)
    batcher.add(zeros(ENOUGH - 6), futures[3])
    assert held.sizes == [ENOUGH]
    assert [len(f.result(0).probabilities) for f in futures] == [2, 2, 2, ENOUGH - 6]
    late = Future()
    batcher.add(zeros(1), late)
    batcher.flush()
    batcher.flush()
    assert held.sizes == [ENOUGH, 1] and late.done()
    assert held.threads == {threading.get_ident()}


def test_a_batch_has_an_end():
    held = Held()
    batcher = Batcher(held, Metrics(), most=4)
    asked = [read(batcher, zeros(2)) for _ in range(6)]
    asked.append(read(batcher, zeros(5)))  # more than one batch holds
    held.go.set()
    assert [len(future.result(10).probabilities) for _, future in asked] == [2] * 6 + [5]
    for thread, _ in asked:
        thread.join(10)
    assert sum(held.sizes) == 17
    assert all(size <= 4 for size in held.sizes if size != 5) and 5 in held.sizes


def test_a_failing_run_fails_those_who_wait_and_no_others():
    held = Held()
    held.go.set()
    batcher = Batcher(held, Metrics())
    _, bad = read(batcher, np.zeros((1, 48, 48, 3), np.float32))
    assert "uint8" in str(bad.exception(10))
    _, good = read(batcher, zeros(1))
    assert len(good.result(10).probabilities) == 1


@pytest.mark.parametrize("faces", [1, 2, 8, 11])
def test_a_queue_is_read_in_few_runs_and_to_its_end(monkeypatch, faces):
    """One thread: eight pictures at a time, and what is left over, too."""
    pool, go = blocked_pool(monkeypatch)
    sizes, classify = [], pool.default.batcher._classifier

    def count(crops):
        sizes.append(len(crops))
        return classify(crops)

    monkeypatch.setattr(pool.default.batcher, "_classifier", count)

    async def all_of_them():
        asked = [asyncio.create_task(pool.read(jpeg(noise(seed=i)), ASK)) for i in range(faces)]
        await asyncio.sleep(0.05)
        go.set()
        return await asyncio.gather(*asked)

    told = asyncio.run(all_of_them())
    pool.close()
    assert [answer.result.status for answer in told] == ["ok"] * faces
    assert sum(sizes) == faces and len(sizes) == -(-faces // ENOUGH)
    assert (pool._inside, pool._queued) == (0, 0)


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


def test_a_client_that_gave_up_while_it_waited_is_not_read(monkeypatch):
    pool, go = blocked_pool(monkeypatch, answer_sec=0.05)
    looked, look = [], pool._look
    monkeypatch.setattr(pool, "_look", lambda *what: looked.append(what[0]) or look(*what))

    async def two():
        asked = [pool.read(jpeg(noise(seed=i)), ASK) for i in range(2)]
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [refused.status for refused in asyncio.run(two())] == [504, 504]
    go.set()
    pool.close()
    assert looked == [jpeg(noise(seed=0))]
    assert (pool._inside, pool._queued) == (0, 0)


def test_faces_that_cannot_be_read_are_an_error_for_their_client_alone(monkeypatch):
    pool = Pool(Options(detector="none"), workers=1)
    classifier = pool.default.batcher._classifier

    def fails(crops):
        raise ZeroDivisionError

    monkeypatch.setattr(pool.default.batcher, "_classifier", fails)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.read(jpeg(noise()), ASK))
    monkeypatch.setattr(pool.default.batcher, "_classifier", classifier)
    assert asyncio.run(pool.read(jpeg(noise()), ASK)).result.status == "ok"
    pool.close()
    assert not pool.full and pool._inside == 0


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
    assert [m.name for m in pool.models.values()] == ["mien-small"]
    pool.close()


def test_crops_of_a_slow_queue_are_not_forgotten_where_its_last_picture_is_given_up(monkeypatch):
    """The thread that finds nothing left to read still reads what others left behind."""
    pool, go = blocked_pool(monkeypatch)

    async def two():
        first = asyncio.create_task(pool.read(jpeg(noise()), ASK))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(pool.read(jpeg(noise()), ASK))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.sleep(0)
        go.set()
        return await asyncio.wait_for(first, 10)

    assert asyncio.run(two()).result.status == "ok"
    pool.close()


def test_a_pictures_pixels_are_gone_when_it_is_answered(pool):
    answer = asyncio.run(pool.read(jpeg(noise()), ASK))
    assert (answer.result.width, answer.result.height) == (48, 32)
    assert answer.result.picture.size == 0


def test_memory_is_kept_where_the_library_is_glibc():
    assert keep_freed() == (platform.libc_ver()[0] == "glibc")
