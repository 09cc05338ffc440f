"""mien reads the apparent expression of every face in a photo or a video.

>>> import mien
>>> result = mien.analyze("photo.jpg")  # doctest: +SKIP
>>> result.faces[0].expression  # doctest: +SKIP
'happiness'

The names below are loaded when they are first used; importing mien costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.client import Client
    from mien.errors import MienError
    from mien.faces.detect import load_detector
    from mien.labels import EIGHT, SEVEN
    from mien.pipeline import Analyzer, Options, Result, analyze, analyze_all
    from mien.runtime.classify import load_classifier
    from mien.stream import Motion, analyze_video

__version__ = "0.1.0"

_HOMES = {
    "EIGHT": "mien.labels",
    "SEVEN": "mien.labels",
    "Analyzer": "mien.pipeline",
    "Client": "mien.client",
    "MienError": "mien.errors",
    "Motion": "mien.stream",
    "Options": "mien.pipeline",
    "Result": "mien.pipeline",
    "analyze": "mien.pipeline",
    "analyze_all": "mien.pipeline",
    "analyze_video": "mien.stream",
    "load_classifier": "mien.runtime.classify",
    "load_detector": "mien.faces.detect",
}

__all__ = [
    "EIGHT",
    "SEVEN",
    "Analyzer",
    "Client",
    "MienError",
    "Motion",
    "Options",
    "Result",
    "analyze",
    "analyze_all",
    "analyze_video",
    "load_classifier",
    "load_detector",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
