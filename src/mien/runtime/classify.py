"""Crops in, probabilities out: the classifier of an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import ModelError, UsageError
from mien.faces.crop import resize, to_grey
from mien.labels import EIGHT
from mien.metrics import softmax
from mien.runtime.prior import Prior, expecting, shares
from mien.runtime.session import Device, device_of, open_session
from mien.runtime.store import resolve
from mien.spec import ANSWER, AffectMap, ModelSpec
from mien.types import Floats, Image, Scores

DEFAULT_MODEL = "mien-small"

# Crops per run of the network: 64 in runs of 16 took 20.0 ms, in one run 22.1 ms, since the maps of
# 16 stay in the cache (two AVX2 cores).
BATCH = 16


class Classifier:
    """A model file, ready to read crops. Safe to call from several threads.

    Attributes:
        spec: what the file says about itself.
        device: what it really runs on.
        mirror: whether it looks at each crop's mirror image, too.
        expected: how frequent each expression is expected to be, (8,); None is all alike.
    """

    def __init__(
        self,
        session: Any,
        spec: ModelSpec,
        *,
        batch: int = BATCH,
        mirror: bool = False,
        prior: Prior = "",
    ) -> None:
        self.spec = spec
        self.mirror = mirror
        self.expected = shares(prior)
        self.device = device_of(session)
        self._session = session
        self._batch = batch
        self._outputs = [output.name for output in session.get_outputs()]
        if spec.affect is not None:
            _check_positions(spec, spec.affect)

    def __call__(self, crops: Image, *, labels: str | None = None) -> Scores:
        """Read the expression in each crop.

        Args:
            crops: uint8 (n, h, w) grey or (n, h, w, 3) RGB, any h and w: the crop of a face.
            labels: None for the model's default answer over the eight expressions, which mixes its
                heads as its spec says; or a head's name, such as "fer2013" (seven classes) or
                "ferplus" (eight), for that head as trained, calibrated.

        Returns:
            Scores with one row per crop. Those of the default answer have valence and arousal where
            the model tells them, and the model's threshold of what is uncertain.

        Raises:
            UsageError: crops of another type or shape, or a head that the model does not have.
        """
        self.check_head(labels)
        return self.scores(self.logits(crops), labels=labels)

    def scores(self, logits: dict[str, Floats], *, labels: str | None = None) -> Scores:
        """A call's answer from what `logits` gave, for a head that the model has."""
        if labels is not None:
            head = self.spec.head(labels)
            return Scores(softmax(logits[head.name], head.temperature), head.labels)
        told = expecting(answer(self.spec, logits), self.expected)
        valence, arousal = affect_of(self.spec, logits, told)
        return Scores(told, EIGHT, valence, arousal, self.spec.answer.threshold)

    def check_head(self, labels: str | None) -> None:
        """Raise a `UsageError` if `labels` is the name of no head with classes, nor None."""
        known = [head.name for head in self.spec.heads if head.name != "affect"]  # has no classes
        if labels is not None and labels not in known:
            raise UsageError(f"{self.spec.name} has no head {labels!r}; it has {', '.join(known)}")

    def logits(self, crops: Image) -> dict[str, Floats]:
        """The raw outputs (n, k) by name, before temperature and softmax.

        With `mirror`, the mean of those of the crop and of its mirror image.
        """
        x = self.prepare(crops)
        outputs = self._run(x)
        if self.mirror:
            other = self._run(np.ascontiguousarray(x[..., ::-1]))
            outputs = {n: np.float32(0.5) * (outputs[n] + other[n]) for n in outputs}
        return outputs

    def _run(self, x: Floats) -> dict[str, Floats]:
        parts = [
            self._session.run(None, {"crops": x[i : i + self._batch]})
            for i in range(0, max(1, len(x)), self._batch)
        ]
        columns = zip(*parts, strict=True)
        return {n: np.concatenate(c) for n, c in zip(self._outputs, columns, strict=True)}

    def prepare(self, crops: Image) -> Floats:
        """Crops as the network wants them: float32 (n, channels, size, size), standardised."""
        wanted = self.spec.input
        if not isinstance(crops, np.ndarray) or crops.dtype != np.uint8:
            kind = getattr(crops, "dtype", type(crops).__name__)
            raise UsageError(f"crops must be a uint8 array, not {kind}")
        colour = crops.ndim == 4 and crops.shape[3] == 3
        if not (colour or crops.ndim == 3) or 0 in crops.shape[1:]:
            raise UsageError(f"crops must be (n, h, w) or (n, h, w, 3), not {crops.shape}")
        crops = resize(crops, wanted.size)
        if wanted.channels == 1:
            x = (to_grey(crops) if colour else crops)[:, None]
        else:
            x = (crops if colour else np.repeat(crops[..., None], 3, axis=3)).transpose(0, 3, 1, 2)
        return standardise(x.astype(np.float32), wanted.std_floor)


def load_classifier(
    model: str | Path = DEFAULT_MODEL,
    *,
    device: Device = "cpu",
    threads: int = 1,
    mirror: bool = False,
    prior: Prior = "",
) -> Classifier:
    """Load a bundled model by name, or any file that `mien export` wrote.

    Args:
        model: a name that `mien models` lists, or the path of an .onnx file.
        device: "cpu", "cuda", or "auto".
        threads: CPU threads inside one operator.
        mirror: look at each crop's mirror image, too, and take the mean: more often right, at twice
            the time.
        prior: the shares that expressions have among your faces, such as "neutral=0.6,contempt=0";
            those not named share the rest. The default answer takes all eight for equally frequent.

    Raises:
        ModelError: no such model, or a file that is damaged or without mien metadata.
        UsageError: a device that is not there, or a prior that cannot be.
    """
    path = resolve(model)
    session = open_session(path, device=device, threads=threads)
    metadata = session.get_modelmeta().custom_metadata_map
    spec = ModelSpec.from_metadata(metadata, str(path))
    return Classifier(session, spec, mirror=mirror, prior=prior)


def standardise(x: Floats, floor: float) -> Floats:
    """Give each crop of (n, c, h, w) mean 0 and deviation 1, the deviation at least `floor`."""
    flat = x.reshape(len(x), int(np.prod(x.shape[1:])))
    flat = flat - flat.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("ij,ij->i", flat, flat) / flat.shape[1])
    flat /= np.maximum(deviation, floor)[:, None]
    return np.asarray(flat.reshape(x.shape), np.float32)


def answer(spec: ModelSpec, logits: dict[str, Floats]) -> Floats:
    """The default answer (n, 8): see `mien.spec.AnswerSpec`."""
    rule = spec.answer
    total = np.zeros((len(next(iter(logits.values()))), len(EIGHT)), np.float32)
    mass = np.zeros(len(EIGHT), np.float32)
    for name, weight in rule.weights.items():
        columns = [EIGHT.index(label) for label in spec.head(name).labels]
        total[:, columns] += np.float32(weight) * without_priors(spec, name, logits[name])
        mass[columns] += np.float32(weight)
    mixed = total / np.maximum(mass, 1e-6)
    mixed /= mixed.sum(axis=1, keepdims=True)
    return softmax(np.log(np.maximum(mixed, 1e-9)), rule.temperature)


def without_priors(spec: ModelSpec, name: str, logits: Floats) -> Floats:
    """The head's calibrated probabilities (n, k), its priors divided out as the answer's rule says.

    Args:
        spec: the model's.
        name: of the head.
        logits: its outputs (n, k).
    """
    head, strength = spec.head(name), spec.answer.prior_strength.get(name, 0.0)
    adjusted = logits / np.float32(head.temperature)
    if strength:
        priors = np.asarray(spec.answer.priors.get(name, head.priors), np.float32)
        adjusted = adjusted - np.float32(strength) * np.log(priors)
    return softmax(adjusted)


def affect_of(
    spec: ModelSpec, logits: dict[str, Floats], told: Floats
) -> tuple[Floats, Floats] | tuple[None, None]:
    """Valence and arousal (n,) in [-1, 1]: of the head "affect", else by the spec's `AffectMap`.

    Args:
        spec: the model's.
        logits: its outputs (n, k) by head.
        told: the default answer (n, 8).
    """
    if "affect" in logits:
        clipped = np.clip(logits["affect"], -1, 1)
        return clipped[:, 0], clipped[:, 1]
    if spec.affect is None:
        return None, None
    labels, probabilities = EIGHT, told
    if spec.affect.head != ANSWER:
        head = spec.head(spec.affect.head)
        labels, probabilities = head.labels, softmax(logits[head.name], head.temperature)
    places = np.array([spec.affect.positions[label] for label in labels], np.float32)
    # Not a matrix product, whose last digit depends on how many faces are read together.
    means = (probabilities[:, :, None] * places).sum(axis=1)
    return means[:, 0], means[:, 1]


def _check_positions(spec: ModelSpec, affect: AffectMap) -> None:
    """Raise a `ModelError` if a label that `affect` needs has no position in it."""
    labels = EIGHT if affect.head == ANSWER else spec.head(affect.head).labels
    missing = [label for label in labels if label not in affect.positions]
    if missing:
        raise ModelError(
            f"{spec.name}: its affect map has no position for {', '.join(missing)}; "
            "export the model again"
        )
