"""The stages joined: a source becomes a frame, faces, crops, scores, and an observation."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import UsageError
from mien.faces.crop import CropRecipe, cut, recipe
from mien.faces.detect import Detector, load_detector
from mien.io.images import ENOUGH, MAX_PIXELS, ImageSource
from mien.io.sources import open_source, read
from mien.report.table import dataframe, to_dict
from mien.runtime.classify import DEFAULT_MODEL, Classifier, load_classifier
from mien.runtime.prior import shares
from mien.runtime.session import Device
from mien.runtime.store import resolve
from mien.types import Face, Faces, Floats, Frame, Image, Observation, Scores, Unreadable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Options:
    """What an analysis can be asked to do differently."""

    model: str = DEFAULT_MODEL
    """A bundled model (see `mien models`), or the path of an .onnx file (see `mien export`)."""
    detector: str = "auto"
    """The face detector: auto, yunet, libface, haar, or none (the picture is the face)."""
    min_face: float = 0.0
    """Leave out faces with a side shorter than this, in pixels."""
    min_score: float | None = None
    """Leave out faces that the detector is less sure of, 0 to 1."""
    max_faces: int | None = None
    """Keep at most so many faces, the surest ones."""
    max_side: int = 640
    """Look for faces in the picture shrunk to this long side; more finds smaller faces, slower."""
    max_pixels: int = MAX_PIXELS
    """Refuse pictures with more pixels than this."""
    device: Device = "cpu"
    """Where the classifier runs: cpu, cuda (an error where there is none) or auto."""
    threads: int = 1
    """CPU threads of the classifier."""
    mirror: bool = False
    """Look at each face's mirror image, too: more often right, and twice the classifier's time."""
    prior: str = ""
    """Expected shares of expressions, as in neutral=0.6,contempt=0; by default all are alike."""

    @property
    def enough(self) -> int | None:
        """How far a large JPEG may be decoded smaller (see `mien.io.images.read_image`).

        Not at all where `min_face` counts pixels of the full picture, or `max_side` asks for more
        than the detector looks at by itself.
        """
        return None if self.min_face > 0 or self.max_side > 640 else ENOUGH


@dataclass(frozen=True)
class Result(Observation):
    """An observation with its picture: what `mien.analyze` returns."""

    picture: Image | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object: native types only."""
        return to_dict(self)

    def table(self) -> pd.DataFrame:
        """One row a face as a pandas DataFrame (extra ``table``)."""
        return dataframe([self])

    def draw(self) -> Image:
        """The picture with its faces marked, (h, w, 3) RGB uint8."""
        if self.picture is None:
            raise UsageError(f"{self.source}: there is no picture to draw on ({self.error})")
        from mien.report.draw import annotate  # fonts take a while to import

        return annotate(self.picture, self)


class Analyzer:
    """A detector and a classifier, ready to read pictures.

    The classifier is loaded while the first picture is searched for faces, which takes about as
    long and leaves Python free. `classifier` waits for it, and raises what stood in the way.
    """

    def __init__(self, options: Options = Options()) -> None:
        self.options = options
        resolve(options.model)  # a name that there is not is told before any work
        shares(options.prior)
        self.detector: Detector = load_detector(
            options.detector,
            min_score=options.min_score,
            min_face=options.min_face,
            max_faces=options.max_faces,
            max_side=options.max_side,
        )
        self._loading: Future[Classifier] | None = None

    @property
    def classifier(self) -> Classifier:
        """The classifier."""
        return self._load().result()

    def _load(self) -> Future[Classifier]:
        if self._loading is None:
            chosen = self.options
            pool = ThreadPoolExecutor(1, "mien-load")
            self._loading = pool.submit(
                load_classifier,
                chosen.model,
                device=chosen.device,
                threads=chosen.threads,
                mirror=chosen.mirror,
                prior=chosen.prior,
            )
            pool.shutdown(wait=False)
        return self._loading

    @functools.cached_property
    def _recipe(self) -> CropRecipe:
        # With the detector "none" the picture is a crop already, so nothing is added around it.
        whole = self.detector.name == "none"
        return recipe("whole-v1" if whole else self.classifier.spec.input.crop)

    def __call__(self, source: ImageSource | Unreadable, *, whole: bool = False) -> Result:
        """Read one picture; what cannot be read becomes a result that says why.

        Args:
            source: a path, bytes, an RGB array, a Pillow image or an open binary file.
            whole: decode even a very large JPEG in full, to draw on it.
        """
        enough = None if whole else self.options.enough
        frame = read(source, max_pixels=self.options.max_pixels, enough=enough)
        return self.observe(frame)

    def observe(self, frame: Frame | Unreadable) -> Result:
        """Find and read the faces of one frame."""
        if isinstance(frame, Unreadable):
            model = self.classifier.spec.name
            return Result(frame.source, "unreadable", 0, 0, model, error=frame.reason)
        self._load()
        faces = self.find(frame)
        told: tuple[Face, ...] = ()
        if len(faces):
            told = describe(faces, self.classifier(self.crops(frame, faces)))
        return self.result(frame, told)

    def result(self, frame: Frame, told: tuple[Face, ...]) -> Result:
        """The result that says of `frame` what was told of its faces."""
        return Result(
            frame.source,
            "ok" if told else "no_face",
            frame.width,
            frame.height,
            self.classifier.spec.name,
            told,
            frame.index,
            frame.t_sec,
            picture=frame.rgb,
        )

    def find(self, frame: Frame) -> Faces:
        """The faces of `frame`, in pixels of the full picture."""
        faces = self.detector(frame.rgb)
        if frame.scale == 1:
            return faces
        points = None if faces.points is None else faces.points / np.float32(frame.scale)
        # A side decoded smaller is rounded up, so that its end may lie beyond the full picture's.
        ends = np.array([frame.width, frame.height] * 2, np.float32)
        boxes = np.minimum(faces.boxes / np.float32(frame.scale), ends)
        return Faces(boxes, faces.scores, points)

    def find_near(self, frame: Frame, boxes: Floats) -> Faces | None:
        """The faces of `frame` at about the places `boxes`; None unless all of them are there."""
        return self.detector.near(frame.rgb, boxes) if frame.scale == 1 else None

    def crops(self, frame: Frame, faces: Faces) -> Image:
        """The crop of each face as the classifier is given it, (n, size, size, 3) RGB uint8."""
        size = self.classifier.spec.input.size
        return cut(frame.rgb, faces.boxes, size=size, recipe=self._recipe, scale=frame.scale)


def describe(faces: Faces, scores: Scores, ids: Sequence[int] | None = None) -> tuple[Face, ...]:
    """Join what was found with what was read of it, face by face, in native Python numbers.

    The faces are numbered from 0 unless `ids` says who they are.
    """
    out = []
    uncertain = scores.uncertain
    for i, row in enumerate(scores.probabilities):
        top = int(row.argmax())
        x0, y0, x1, y1 = (float(v) for v in faces.boxes[i])
        out.append(
            Face(
                face_id=i if ids is None else ids[i],
                box=(x0, y0, x1, y1),
                face_score=float(faces.scores[i]),
                expression=scores.labels[top],
                probability=float(row[top]),
                probabilities={k: float(p) for k, p in zip(scores.labels, row, strict=True)},
                valence=None if scores.valence is None else float(scores.valence[i]),
                arousal=None if scores.arousal is None else float(scores.arousal[i]),
                uncertain=bool(uncertain[i]),
            )
        )
    return tuple(out)


def analyze(source: ImageSource, **options: Any) -> Result:
    """Find the faces in a picture and read the apparent expression of each.

    Args:
        source: a path, bytes, an RGB uint8 array, a Pillow image or an open binary file.
        options: fields of `mien.Options`, such as ``model="mien-tiny"`` or ``detector="none"``.

    Returns:
        A `Result`: `faces`, `status` ("ok", "no_face", or "unreadable" with `error` saying why),
        `to_dict()`, `table()`, `draw()`.

    Raises:
        TypeError: `source` is of a kind that can hold no picture.
        MienError: an option, a model or a detector that cannot be used.

    Example:
        >>> result = analyze("examples/obama.jpg")  # doctest: +SKIP
        >>> result.faces[0].expression  # doctest: +SKIP
        'happiness'
    """
    return _analyzer(options_of(options))(source, whole=True)


def analyze_all(sources: Iterable[ImageSource], **options: Any) -> Iterator[Result]:
    """Read many pictures one after another: paths, folders, patterns, arrays, mixed.

    Takes the options of `analyze`. An input that cannot be read gives a result that says so, and
    the rest go on. Memory stays flat: keep what you need of a result and let it go.
    """
    chosen = options_of(options)
    analyzer = _analyzer(chosen)
    for frame in open_source(sources, max_pixels=chosen.max_pixels, enough=chosen.enough):
        yield analyzer.observe(frame)


@functools.lru_cache(maxsize=4)
def _analyzer(options: Options) -> Analyzer:
    return Analyzer(options)


def options_of(chosen: dict[str, Any]) -> Options:
    """The `Options` with the fields that are `chosen` by name; an unknown one is a UsageError."""
    known = [option.name for option in fields(Options)]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise UsageError(f"no option {unknown[0]!r}. Known: {', '.join(known)}")
    if "model" in chosen:
        chosen = {**chosen, "model": str(chosen["model"])}
    return Options(**chosen)
