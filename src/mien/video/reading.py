"""What smoothing and spans need to know of one face on one frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from mien.errors import UsageError
from mien.labels import EIGHT
from mien.types import Floats, Observation


@dataclass(frozen=True, slots=True)
class Reading:
    """A face's readings at a time, raw or smoothed."""

    t_sec: float
    frame: int
    face_id: int
    probabilities: Floats = field(repr=False)  # (k,), named by `labels`
    valence: float | None = None
    arousal: float | None = None
    bridged: bool = False
    """Not seen on this frame, but put between a sighting before and one after."""
    labels: tuple[str, ...] = EIGHT
    expression: str | None = None
    """The label it is given, where that is not the most probable one (see `LabelHold`)."""

    @property
    def label(self) -> str:
        """The expression: the one given, or else the most probable one."""
        return self.expression or self.labels[int(self.probabilities.argmax())]

    def probability(self, label: str) -> float:
        """How probable `label` is; 0 where the model does not know it."""
        if label not in self.labels:
            return 0.0
        return float(self.probabilities[self.labels.index(label)])


def readings(observations: Iterable[Observation]) -> tuple[list[Reading], list[float]]:
    """The readings in the observations of one video, smoothed where they are, and all its times.

    A frame that could not be read has neither; one without a face has a time.

    Raises:
        UsageError: an observation has no time: it is that of a photo.
    """
    found: list[Reading] = []
    times: list[float] = []
    for observation in observations:
        if observation.status == "unreadable":
            continue
        if observation.t_sec is None:
            raise UsageError(f"{observation.source}: a photo has no time; this takes videos")
        times.append(observation.t_sec)
        for face in observation.faces:
            told = face.smoothed or face
            found.append(
                Reading(
                    observation.t_sec,
                    observation.frame,
                    face.face_id,
                    np.array(list(told.probabilities.values()), np.float32),
                    told.valence,
                    told.arousal,
                    face.bridged,
                    tuple(told.probabilities),
                    told.expression,
                )
            )
    return found, times
