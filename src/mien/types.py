"""The records that pass between stages. All are frozen: a stage makes a new one, it edits none.

Coordinates are pixels of the upright picture, x to the right and y down, (0, 0) the outer corner
of the first pixel. Pictures are RGB uint8. Probabilities are 0..1, times are seconds.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""A picture: (h, w, 3) RGB, or (h, w) grey, uint8."""

Floats = NDArray[np.float32]

Status = Literal["ok", "no_face", "unreadable"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, upright and decoded.

    A large JPEG may be decoded smaller than it is: `rgb` then has ``scale`` times the pixels per
    side, while `width` and `height` stay those of the full upright picture.
    """

    source: str
    rgb: Image  # (h, w, 3)
    width: int
    height: int
    scale: float = 1.0
    index: int = 0
    t_sec: float | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An input that gave no picture, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces found in one picture, best score first."""

    boxes: Floats  # (n, 4) x0 y0 x1 y1
    scores: Floats  # (n,) 0..1
    points: Floats | None = None  # (n, 5, 2) picture-left eye, right eye, nose, mouth left, right

    def __len__(self) -> int:
        """The number of faces."""
        return len(self.boxes)

    def pick(self, keep: NDArray[np.intp] | NDArray[np.bool_]) -> "Faces":
        """The faces at the indices (or under the mask) `keep`, in that order."""
        points = None if self.points is None else self.points[keep]
        return Faces(self.boxes[keep], self.scores[keep], points)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a classifier says of n crops. Rows of `probabilities` sum to one."""

    probabilities: Floats  # (n, k), columns named by `labels`
    labels: tuple[str, ...]
    valence: Floats | None = None  # (n,) in [-1, 1]
    arousal: Floats | None = None  # (n,) in [-1, 1]
    threshold: float = 0.0
    """Answers less probable than this are uncertain (`mien.spec.AnswerSpec`); 0 is never."""

    def pick(self, keep: slice) -> "Scores":
        """The rows under `keep`."""
        valence = None if self.valence is None else self.valence[keep]
        arousal = None if self.arousal is None else self.arousal[keep]
        return Scores(self.probabilities[keep], self.labels, valence, arousal, self.threshold)

    @property
    def top(self) -> list[str]:
        """The most probable label of each crop."""
        return [self.labels[i] for i in self.probabilities.argmax(axis=1)]

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """Whether the most probable label of each crop (n,) lies below the threshold."""
        return np.asarray(self.probabilities.max(axis=1) < self.threshold, np.bool_)


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A face's readings evened out over the last moments of a video."""

    expression: str
    probability: float
    probabilities: dict[str, float]
    valence: float | None = None
    arousal: float | None = None
    uncertain: bool = False
    """The expression is less probable than the model's threshold."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a picture and its apparent expression."""

    face_id: int
    box: tuple[float, float, float, float]  # x0 y0 x1 y1
    face_score: float
    expression: str
    probability: float
    probabilities: dict[str, float]
    valence: float | None = None
    arousal: float | None = None
    bridged: bool = False
    """In a video: not seen on this frame, but put between a sighting before and one after."""
    smoothed: Smoothed | None = None
    """In a video: the same readings, smoothed; those above stay as they were read."""
    uncertain: bool = False
    """The expression is less probable than the model's threshold: better told as unknown."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything mien has to say of one picture."""

    source: str
    status: Status
    width: int
    height: int
    model: str
    faces: tuple[Face, ...] = ()
    frame: int = 0
    t_sec: float | None = None
    error: str | None = None
