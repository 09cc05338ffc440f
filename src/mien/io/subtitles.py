"""Subtitles: what was seen when, as SubRip (.srt) or WebVTT (.vtt) for any player."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

from mien.errors import UsageError


@dataclass(frozen=True, slots=True)
class Span:
    """A text shown from `start` to `end`, in seconds of the video."""

    start: float
    end: float
    text: str


def write_srt(spans: Iterable[Span], file: IO[bytes]) -> None:
    """Write the spans as SubRip, UTF-8, numbered from 1 in order of their start.

    Spans of several people may overlap: players stack them. A span shorter than a millisecond,
    the least that the format can say, is shown for one; what is before 0 is shown at 0. Empty
    lines in a text, which would end it, are left out.

    Raises:
        UsageError: a span that ends before it starts, or at no time.
    """
    for number, span in enumerate(_in_order(spans), 1):
        start, end = _clock(span, ",")
        file.write(f"{number}\n{start} --> {end}\n{_lines(span.text)}\n\n".encode())


def write_vtt(spans: Iterable[Span], file: IO[bytes]) -> None:
    """Write the spans as WebVTT, which browsers show over a ``<video>``; else as `write_srt`.

    ``&``, ``<`` and ``>`` of a text are escaped, as WebVTT has markup.

    Raises:
        UsageError: a span that ends before it starts, or at no time.
    """
    file.write(b"WEBVTT\n\n")
    for span in _in_order(spans):
        start, end = _clock(span, ".")
        text = html.escape(_lines(span.text), quote=False)
        file.write(f"{start} --> {end}\n{text}\n\n".encode())


def _in_order(spans: Iterable[Span]) -> list[Span]:
    found = list(spans)
    for span in found:
        if not -math.inf < span.start <= span.end < math.inf:
            raise UsageError(
                f"a subtitle from {span.start} s to {span.end} s ({span.text!r}): "
                "give an end that is not before the start"
            )
    return sorted(found, key=lambda span: (span.start, span.end))


def _clock(span: Span, point: str) -> tuple[str, str]:
    """Start and end as players read them, ``00:00:12,400``, at least a millisecond apart."""
    start = max(0, round(span.start * 1000))
    end = max(round(span.end * 1000), start + 1)
    return _stamp(start, point), _stamp(end, point)


def _stamp(milliseconds: int, point: str) -> str:
    """Milliseconds as a time.

    >>> _stamp(3_723_004, ".")
    '01:02:03.004'
    """
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"


def _lines(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip()) or "\N{NO-BREAK SPACE}"
