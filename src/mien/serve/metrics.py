"""What the server counts, as the text that Prometheus reads. No picture and no name is in it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

_HELP = {
    "mien_requests_total": ("counter", "Requests by route and status"),
    "mien_request_seconds": ("histogram", "Seconds from a request's headers to its answer's end"),
    "mien_faces_total": ("counter", "Faces read"),
    "mien_frames_total": ("counter", "Frames of live streams by what became of them"),
    "mien_batch_crops": ("histogram", "Crops in one run of the network"),
    "mien_waiting": ("gauge", "Pictures being read or waiting for it"),
    "mien_streams": ("gauge", "Live streams"),
    "mien_jobs": ("gauge", "Videos kept"),
    "mien_memory_bytes": ("gauge", "Resident memory of the process"),
}

_Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        at = next((i for i, edge in enumerate(self.edges) if value <= edge), len(self.edges))
        self.counts[at] += 1
        self.total += value


class Metrics:
    """Counters, histograms and gauges. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, _Labels], float] = defaultdict(float)
        self._histograms: dict[str, _Histogram] = {
            "mien_request_seconds": _Histogram(SECONDS),
            "mien_batch_crops": _Histogram(SIZES),
        }
        self._gauges: dict[str, Callable[[], float]] = {"mien_memory_bytes": resident_bytes}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name, tuple(sorted(labels.items()))] += by

    def observe(self, name: str, value: float) -> None:
        """Put a value into a histogram."""
        with self._lock:
            self._histograms[name].add(value)

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Have a gauge read when somebody looks."""
        self._gauges[name] = read

    def text(self) -> str:
        """Everything, in Prometheus' text format 0.0.4."""
        with self._lock:
            told = {name: self._lines(name) for name in _HELP}
        out = []
        for name, lines in told.items():
            kind, what = _HELP[name]
            if lines:
                out += [f"# HELP {name} {what}", f"# TYPE {name} {kind}", *lines]
        return "\n".join(out) + "\n"

    def _lines(self, name: str) -> list[str]:
        if name in self._histograms:
            return _histogram_lines(name, self._histograms[name])
        if name in self._gauges:
            return [f"{name} {self._gauges[name]():g}"]
        return [
            f"{name}{_braces(labels)} {value:g}"
            for (counter, labels), value in sorted(self._counters.items())
            if counter == name
        ]


def resident_bytes() -> float:
    """The memory this process holds, where /proc tells it; else 0."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return 0.0
    told = next((line for line in lines if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return 1024.0 * int(told.split()[1])


def _braces(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}"


def _histogram_lines(name: str, histogram: _Histogram) -> list[str]:
    lines, sum_so_far = [], 0
    for edge, count in zip((*histogram.edges, None), histogram.counts, strict=True):
        sum_so_far += count
        le = "+Inf" if edge is None else f"{edge:g}"
        lines.append(f'{name}_bucket{{le="{le}"}} {sum_so_far}')
    return [*lines, f"{name}_sum {histogram.total:g}", f"{name}_count {sum_so_far}"]
