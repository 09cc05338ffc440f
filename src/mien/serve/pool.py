"""The models that all requests share, and the queue in front of them.

One thread a processor reads pictures from their bytes to their faces' scores, so that a picture
that comes alone costs the work of one thread and no hand-over. While more pictures wait, a thread
leaves its crops behind and goes on: one run of the network reads those of several requests.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from mien.errors import UnreadableError
from mien.faces.detect import DETECTORS
from mien.io.images import read_image
from mien.pipeline import Analyzer, Options, Result, describe
from mien.runtime.classify import Classifier
from mien.runtime.store import resolve
from mien.serve.limits import LIMITS, Limits, RefusedError, refusal_of
from mien.serve.metrics import Metrics
from mien.serve.upload import Choice
from mien.spec import ModelSpec
from mien.types import Faces, Frame, Image, Scores

MOST_CROPS = 64
"""Crops in one run of the network, of several requests."""

ENOUGH = 8
"""Crops that are not kept waiting for more. In runs of 8 one takes 0.5 ms, alone 0.8 to 1.4 ms."""

_NO_PIXELS: Image = np.zeros((0, 0, 3), np.uint8)

Identify = Callable[[Frame, Faces], tuple[Faces, tuple[int, ...]]]
"""Tells who is who among the faces of a frame: those to be read, and their ids."""


@dataclass(frozen=True)
class Answer:
    """What was read of one picture."""

    result: Result
    model: Model
    crops: Image | None
    """(n, size, size, 3) RGB, face by face; None where there is none."""


@dataclass(frozen=True)
class _Seen:
    frame: Frame
    faces: Faces
    crops: Image
    ids: tuple[int, ...] | None


_Reading: TypeAlias = Future[tuple[_Seen, Scores | None]]
"""One picture's way through the crew: what was seen, and the scores where there are faces."""


class Batcher:
    """Reads the crops of several requests in one run of the network, in the threads they come in.

    Crops are left with `add` and read by `flush`, or as soon as there are `ENOUGH`. Those that come
    while a run is on are read by the same thread, in its next run.
    """

    def __init__(self, classifier: Classifier, metrics: Metrics, most: int = MOST_CROPS) -> None:
        self._classifier, self._metrics, self._most = classifier, metrics, most
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Image, Future[Scores]]] = deque()
        self._count = 0
        self._reading = False

    def add(self, crops: Image, future: Future[Scores]) -> None:
        """Take crops (n, size, size, 3), n from 1, of which `future` gets the scores."""
        with self._lock:
            self._waiting.append((crops, future))
            self._count += len(crops)
            few = self._count < ENOUGH
        if not few:
            self.flush()

    def flush(self) -> None:
        """Read all that were added, unless another thread is about it."""
        with self._lock:
            if self._reading:
                return
            self._reading = True
        while batch := self._next():
            self._run(batch)

    def _next(self) -> list[tuple[Image, Future[Scores]]]:
        """What the next run reads; with nothing left, the run is over for whoever comes next."""
        batch: list[tuple[Image, Future[Scores]]] = []
        count = 0
        with self._lock:
            while self._waiting and (not batch or count + len(self._waiting[0][0]) <= self._most):
                batch.append(self._waiting.popleft())
                count += len(batch[-1][0])
            self._reading = bool(batch)
            self._count -= count
        return batch

    def _run(self, batch: Sequence[tuple[Image, Future[Scores]]]) -> None:
        try:
            scores = self._classifier(np.concatenate([crops for crops, _ in batch]))
        except Exception as error:  # noqa: BLE001  it goes to those who wait, and the thread lives on
            for _, future in batch:
                future.set_exception(error)
            return
        at = 0
        for crops, future in batch:
            future.set_result(scores.pick(slice(at, at + len(crops))))
            at += len(crops)
        self._metrics.observe("mien_batch_crops", at)


class Model:
    """One model, loaded: what it says of itself, and its queue."""

    def __init__(self, analyzer: Analyzer, metrics: Metrics) -> None:
        path = resolve(analyzer.options.model)
        content = path.read_bytes()
        self.analyzer = analyzer
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.size_bytes = len(content)
        size = self.spec.input.size
        analyzer.classifier(np.zeros((1, size, size, 3), np.uint8))  # warm from now on
        self.has_affect = self.spec.has_affect
        self.batcher = Batcher(analyzer.classifier, metrics)

    @property
    def spec(self) -> ModelSpec:
        """What the file says about itself."""
        return self.analyzer.classifier.spec

    @property
    def name(self) -> str:
        """The name that requests give."""
        return self.spec.name


class Pool:
    """Every model of the server, with the threads and the queue that they share.

    Args:
        options: of the analysis; its model is the default one.
        others: names or files of more models.
        limits: how much is taken on.
        workers: threads that read pictures.
        metrics: where things are counted.

    Raises:
        MienError: a model or a detector that cannot be used.
    """

    def __init__(
        self,
        options: Options,
        others: Sequence[str] = (),
        *,
        limits: Limits = LIMITS,
        workers: int = 2,
        metrics: Metrics | None = None,
    ) -> None:
        self.limits = limits
        self.metrics = metrics or Metrics()
        # The floor lets each request choose its own score; duplicates go to the surer face anyway.
        loose = replace(options, min_score=0.0, max_faces=None)
        names = list(dict.fromkeys([options.model, *others]))
        models = [Model(Analyzer(replace(loose, model=name)), self.metrics) for name in names]
        self.models = {model.name: model for model in models}
        self.default = models[0]
        self._find = models[0].analyzer.find
        kind = DETECTORS[models[0].analyzer.detector.name]
        self.min_score = kind.min_score if options.min_score is None else options.min_score
        self._max_faces = options.max_faces
        self._crew = workers
        self._workers = ThreadPoolExecutor(workers, "mien-look")
        self._lock = threading.Lock()
        self._inside = self._queued = 0  # pictures taken on; those that no thread has begun with
        self._mean_sec = 0.05
        self.metrics.gauge("mien_waiting", lambda: self._inside)

    @property
    def full(self) -> bool:
        """Whether the queue takes nothing more just now."""
        return self._inside >= self.limits.waiting

    def model(self, name: str | None) -> Model:
        """A model by the name that it gives itself.

        Raises:
            RefusedError: 422, there is none; the reason lists those there are.
        """
        if name is None:
            return self.default
        if name not in self.models:
            raise RefusedError(
                422, f"no model {name[:60]!r} here; there are {', '.join(self.models)}"
            )
        return self.models[name]

    async def read(
        self, content: bytes, ask: Choice, name: str = "upload", identify: Identify | None = None
    ) -> Answer:
        """Find and read the faces of one picture.

        Args:
            content: the bytes of a picture file.
            ask: what is asked.
            name: what the answer calls the picture.
            identify: in a stream, who is who; it is called in another thread.

        Raises:
            RefusedError: 413, 415, 422 (the picture or an option), 503 (full) or 504 (too slow).
        """
        model = self.model(ask.model)
        reading: _Reading = Future()
        self._enter()
        reading.add_done_callback(lambda _: self._leave())
        look = functools.partial(self._look, content, ask, model, name, identify)
        self._workers.submit(self._work, reading, look, model)
        try:
            async with asyncio.timeout(self.limits.answer_sec):
                seen, scores = await asyncio.wrap_future(reading)
        except TimeoutError as error:
            raise RefusedError(504, "the picture took too long: send a smaller one") from error
        if scores is None:
            return Answer(model.analyzer.result(seen.frame, ()), model, None)
        self.metrics.count("mien_faces_total", len(seen.faces))
        told = describe(seen.faces, scores, seen.ids)
        return Answer(model.analyzer.result(seen.frame, told), model, seen.crops)

    def chosen(self, ask: Choice) -> tuple[float, int | None]:
        """The least score and the most faces, as asked for or else as the server was started."""
        least = self.min_score if ask.min_score is None else ask.min_score
        return least, self._max_faces if ask.max_faces is None else ask.max_faces

    def close(self) -> None:
        """Finish what has been taken on, and end the threads."""
        self._workers.shutdown(wait=True)

    def _work(self, reading: _Reading, look: Callable[[], _Seen], model: Model) -> None:
        """Read one picture in a thread of the crew. Crops may wait for the last of the queue."""
        with self._lock:
            self._queued -= 1
        if reading.set_running_or_notify_cancel():  # else its client has given up by now
            self._read_one(reading, look, model)
        if not self._queued:
            for each in self.models.values():
                each.batcher.flush()

    def _read_one(self, reading: _Reading, look: Callable[[], _Seen], model: Model) -> None:
        begun = time.monotonic()
        try:
            seen = look()
        except Exception as error:  # noqa: BLE001  it goes to the one who waits, as from a call
            reading.set_exception(error)
            return
        if not len(seen.faces):
            reading.set_result((seen, None))
        else:
            scores: Future[Scores] = Future()
            scores.add_done_callback(functools.partial(_pass_on, reading, seen))
            model.batcher.add(seen.crops, scores)
        self._mean_sec += 0.1 * (time.monotonic() - begun - self._mean_sec)

    def _look(
        self, content: bytes, ask: Choice, model: Model, name: str, identify: Identify | None
    ) -> _Seen:
        try:
            enough = model.analyzer.options.enough
            most = self.limits.pixels
            frame = read_image(content, name=name, max_pixels=most, enough=enough)
        except UnreadableError as error:
            raise refusal_of(error) from error
        faces = self._wanted(self._find(frame), ask)
        ids = None
        if identify is not None:
            faces, ids = identify(frame, faces)
        crops = model.analyzer.crops(frame, faces)
        # The pixels go before the answer does, and their memory is there for the next picture.
        return _Seen(replace(frame, rgb=_NO_PIXELS), faces, crops, ids)

    def _wanted(self, faces: Faces, ask: Choice) -> Faces:
        """The faces that were asked for, the surest first."""
        least, most = self.chosen(ask)
        return faces.pick(np.flatnonzero(faces.scores >= least)[:most])

    def _enter(self) -> None:
        with self._lock:
            if self._inside >= self.limits.waiting:
                wait = math.ceil(self._inside * self._mean_sec / self._crew)
                why = "too many pictures are waiting: try again shortly"
                raise RefusedError(503, why, retry_after=max(1, wait))
            self._inside += 1
            self._queued += 1

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1


def _pass_on(reading: _Reading, seen: _Seen, scores: Future[Scores]) -> None:
    """Join what was seen with its scores, or with what stood in their way."""
    error = scores.exception()
    if error is None:
        reading.set_result((seen, scores.result()))
    else:
        reading.set_exception(error)
