"""The models that all requests share, and the queue in front of them.

Pictures are decoded and searched for faces by a few threads. The crops of all requests that have
come so far are then read in one run of the network: while one run is on, the next one fills up, so
that nobody waits for company.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

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


class Batcher:
    """Reads the crops of many requests together, in a thread of its own."""

    def __init__(self, classifier: Classifier, metrics: Metrics, most: int = MOST_CROPS) -> None:
        self._classifier, self._metrics, self._most = classifier, metrics, most
        self._queue: queue.SimpleQueue[tuple[Image, Future[Scores]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mien-batch", daemon=True)
        self._thread.start()

    def submit(self, crops: Image) -> Future[Scores]:
        """The scores of crops (n, size, size, 3), n from 1, as soon as they are read."""
        future: Future[Scores] = Future()
        self._queue.put((crops, future))
        return future

    def close(self) -> None:
        """Read what has been handed in, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            batch: list[tuple[Image, Future[Scores]]] = []
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if sum(len(crops) for crops, _ in batch) >= self._most or self._queue.empty():
                    break
                item = self._queue.get()
            open_ = item is not None
            self._read([(crops, f) for crops, f in batch if f.set_running_or_notify_cancel()])

    def _read(self, batch: Sequence[tuple[Image, Future[Scores]]]) -> None:
        if not batch:
            return
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
        first = analyzer.classifier(np.zeros((1, size, size, 3), np.uint8))  # warm from now on
        self.has_affect = first.valence is not None
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
        workers: threads that decode pictures and look for faces.
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
        self._inside = 0
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
        self._enter()
        looking = self._workers.submit(self._look, content, ask, model, name, identify)
        looking.add_done_callback(lambda _: self._leave())
        try:
            async with asyncio.timeout(self.limits.answer_sec):
                seen = await asyncio.wrap_future(looking)
                if not len(seen.faces):
                    return Answer(model.analyzer.result(seen.frame, ()), model, None)
                scores = await asyncio.wrap_future(model.batcher.submit(seen.crops))
        except TimeoutError as error:
            raise RefusedError(504, "the picture took too long: send a smaller one") from error
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
        for model in self.models.values():
            model.batcher.close()

    def _look(
        self, content: bytes, ask: Choice, model: Model, name: str, identify: Identify | None
    ) -> _Seen:
        begun = time.monotonic()
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
        seen = _Seen(frame, faces, model.analyzer.crops(frame, faces), ids)
        self._mean_sec += 0.1 * (time.monotonic() - begun - self._mean_sec)
        return seen

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

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1
