"""Videos made for tests by PyAV: every frame carries its own number, readable after H.264."""

from fractions import Fraction

import av
import numpy as np

BITS = 10
"""A frame's number is drawn as this many bars, white for a one, the lowest bit leftmost."""

CORNERS = {
    "top left": (220, 40, 40),
    "top right": (40, 200, 40),
    "bottom left": (50, 50, 220),
    "bottom right": (220, 220, 60),
}


def numbered(k, width=96, height=64):
    """The picture of frame `k`: ten upright bars over the whole height."""
    bits = [(k >> bit) & 1 for bit in range(BITS)]
    columns = np.array(bits)[np.arange(width) * BITS // width] * 219 + 16
    return np.repeat(np.broadcast_to(columns, (height, width))[..., None], 3, axis=2).astype("u1")


def number(rgb):
    """Read the number back; the bars must be clear, or the picture is of no frame."""
    height, width, _ = rgb.shape
    centres = [int((bit + 0.5) * width / BITS) for bit in range(BITS)]
    band = rgb[height // 4 : 3 * height // 4].mean(axis=(0, 2))
    values = np.array([band[x - 1 : x + 2].mean() for x in centres])
    assert ((values < 70) | (values > 185)).all(), f"no clear bars: {values.round()}"
    return int(((values > 128) << np.arange(BITS)).sum())


def cornered(width=96, height=64):
    """A picture whose four quarters have the colours of CORNERS."""
    rgb = np.zeros((height, width, 3), np.uint8)
    for name, colour in CORNERS.items():
        rows = slice(None, height // 2) if name.startswith("top") else slice(height // 2, None)
        columns = slice(None, width // 2) if name.endswith("left") else slice(width // 2, None)
        rgb[rows, columns] = colour
    return rgb


def corners(rgb):
    """The names of the colours found in the four quarters, in the order of CORNERS."""
    height, width, _ = rgb.shape
    found = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            away = {
                name: np.abs(rgb[y, x].astype(int) - colour).sum()
                for name, colour in CORNERS.items()
            }
            found.append(min(away, key=away.get))
    return found


def write_video(
    path,
    pictures,
    *,
    pts=None,
    time_base=Fraction(1, 12800),
    fps=25,
    codec="libx264",
    pix_fmt="yuv420p",
    container=None,
    options=None,
    container_options=None,
    turn=None,
    sound=None,
    sound_seconds=None,
):
    """Write pictures (arrays, or numbers for `numbered` ones) as a video.

    `pts` are in units of `time_base`; by default the frames are 1 / `fps` apart from zero on.
    `turn` is (degrees counter-clockwise, hflip, vflip) of the display matrix. `sound` names an
    audio codec for a 440 Hz tone. Returns the times of the frames in seconds.
    """
    pictures = [numbered(p) if isinstance(p, int) else p for p in pictures]
    if pts is None:
        step = Fraction(1, fps) / time_base
        pts = [round(i * step) for i in range(len(pictures))]
    with av.open(str(path), "w", format=container, options=container_options or {}) as out:
        video = out.add_stream(codec, rate=fps, options=options or {})
        video.height, video.width, _ = pictures[0].shape
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = time_base
        video.thread_count = 1  # the same bytes on every machine
        if codec == "libx264":
            video.codec_context.gop_size = 8  # key frames at 0, 8, 16, ... alone
            video.codec_context.options = {"sc_threshold": "0", **(options or {})}
        if turn:
            video.set_display_rotation(*turn)
        audio = out.add_stream(sound, rate=48000) if sound else None
        if audio:
            seconds = sound_seconds or float((pts[-1] - pts[0]) * time_base) + 1 / fps
            _tone(out, audio, float(pts[0] * time_base), seconds)
        for picture, stamp in zip(pictures, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, time_base
            out.mux(video.encode(frame))
        out.mux(video.encode())
    return [float(stamp * time_base) for stamp in pts]


def _tone(out, audio, start, seconds):
    rate, step = 48000, 1024
    for first in range(0, int(seconds * rate), step):
        wave = np.sin(2 * np.pi * 440 * (first + np.arange(step)) / rate) * 8000
        frame = av.AudioFrame.from_ndarray(
            np.repeat(wave.astype(np.int16), 2)[None], format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts = rate, round(start * rate) + first
        frame.time_base = Fraction(1, rate)
        out.mux(audio.encode(frame))
    out.mux(audio.encode())


def frame_times(path):
    """The times PyAV itself gives the frames of a video, one decoder thread."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def packet_times(path, kind="video"):
    """The presentation times of a stream's packets, in order of presentation."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return sorted(
            float(p.pts * p.time_base) for p in container.demux(stream) if p.pts is not None
        )
