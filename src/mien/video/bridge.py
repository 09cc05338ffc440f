"""Short gaps of a face, between two sightings, are filled in and marked as bridged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from mien.types import Face, Observation

O = TypeVar("O", bound=Observation)  # noqa: E741


def bridge(observations: Iterable[O], seconds: float, most: int = 64) -> Iterator[O]:
    """The same observations in the same order, with faces put in that were gone for a moment.

    Box, probabilities, valence and arousal of such a face lie on the straight line from its last
    sighting to the next one; its score is 0, and `Face.bridged` is set. It is uncertain where one
    of the two is. An observation is held back only while some face is missing that may come back.

    Args:
        observations: of the frames of a video; one without a time is passed on.
        seconds: the longest gap to fill; 0 fills none.
        most: observations held back at the most; a gap of more frames stays open.
    """
    last: dict[int, tuple[float, Face]] = {}
    waiting: deque[O] = deque()
    gone = float("-inf")  # the time of the last observation that was given away
    for observation in observations:
        waiting.append(observation)
        now = observation.t_sec
        if now is None:
            continue
        for face in observation.faces:
            seen, before = last.get(face.face_id, (gone, face))
            if max(gone, now - seconds) <= seen:
                _fill(waiting, seen, before, now, face)
            last[face.face_id] = (now, face)
        last = {number: seen for number, seen in last.items() if now - seen[0] <= seconds}
        missing = min((t for t, _ in last.values() if t < now), default=now)
        while waiting and (len(waiting) > most or _time(waiting[0], now) <= missing):
            gone = _time(waiting[0], gone)
            yield waiting.popleft()
    yield from waiting


def _time(observation: Observation, otherwise: float) -> float:
    return otherwise if observation.t_sec is None else observation.t_sec


def _fill(waiting: deque[O], start: float, before: Face, end: float, after: Face) -> None:
    """Put the face into every waiting observation between `start` and `end`."""
    for i, observation in enumerate(waiting):
        now = observation.t_sec
        if now is None or not start < now < end or observation.status == "unreadable":
            continue
        face = _between(before, after, (now - start) / (end - start))
        faces = tuple(sorted((*observation.faces, face), key=lambda f: f.face_id))
        waiting[i] = replace(observation, status="ok", faces=faces)


def _between(a: Face, b: Face, part: float) -> Face:
    def mix(x: float, y: float) -> float:
        return x + part * (y - x)

    def maybe(x: float | None, y: float | None) -> float | None:
        return None if x is None or y is None else mix(x, y)

    chances = {k: mix(p, b.probabilities[k]) for k, p in a.probabilities.items()}
    top = max(chances, key=chances.__getitem__)
    x0, y0, x1, y1 = (mix(p, q) for p, q in zip(a.box, b.box, strict=True))
    return Face(
        face_id=a.face_id,
        box=(x0, y0, x1, y1),
        face_score=0.0,
        expression=top,
        probability=chances[top],
        probabilities=chances,
        valence=maybe(a.valence, b.valence),
        arousal=maybe(a.arousal, b.arousal),
        bridged=True,
        uncertain=a.uncertain or b.uncertain,
    )
