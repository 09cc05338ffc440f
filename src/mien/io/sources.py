"""One door for every input: photos, folders, patterns, paths on stdin, and pictures in memory.

Nothing that was asked for vanishes: what gives no picture gives an `Unreadable` that says why.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO, cast

import numpy as np
from PIL import Image

from mien.errors import UnreadableError
from mien.io.images import ENOUGH, FORMATS, MAX_PIXELS, ImageSource, read_image, why_not_opened
from mien.types import Frame, Unreadable

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib"}
    | {".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pnm", ".heic", ".heif", ".avif"}
)
"""The endings, in lower case, of the files taken from a folder or by a pattern.

HEIC and AVIF are among them although mien cannot read them, so that a folder with a phone's
photos reports each one with the advice to convert it, rather than pass over it.
"""

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".3gp", ".3g2"}
    | {".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".mxf", ".dv"}
)
"""The endings, in lower case, of the files that are taken for videos."""

_VIDEO_START = re.compile(
    rb".{4}(ftyp(?!hei|hev|mif1|msf1|avi[fs])|moov|mdat)|\x1aE\xdf\xa3|RIFF.{4}AVI |FLV\x01"
    rb"|\x00\x00\x01[\xb3\xba]|G.{187}G|.{4}G.{191}G"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    re.DOTALL,
)


def open_source(
    inputs: ImageSource | Iterable[ImageSource],
    *,
    max_pixels: int = MAX_PIXELS,
    enough: int | None = ENOUGH,
    stdin: TextIO | None = None,
) -> Iterator[Frame | Unreadable]:
    """Read the inputs one after another; one that cannot be read does not stop the rest.

    Args:
        inputs: Anything `expand` or `read_image` takes, or several of them.
        max_pixels: The largest picture to decode, see `read_image`.
        enough: How far a large JPEG may be decoded smaller, see `read_image`.
        stdin: Where the input `-` finds its paths; by default the process's own.

    Raises:
        TypeError: An input is of a kind that can hold no picture.
    """
    for item in _several(inputs):
        for source in _stands_for(item, stdin):
            yield read(source, max_pixels=max_pixels, enough=enough)


def read(
    source: ImageSource | Unreadable,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    enough: int | None = ENOUGH,
) -> Frame | Unreadable:
    """`read_image` that hands back what is wrong with a picture instead of raising it.

    An `Unreadable`, as `expand` may yield, is handed back as it is.

    Raises:
        TypeError: The source is of a kind that can hold no picture.
    """
    if isinstance(source, Unreadable):
        return source
    try:
        return read_image(source, name=name, max_pixels=max_pixels, enough=enough)
    except UnreadableError as error:
        return Unreadable(error.source, error.reason)


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a path is to be read as a video: by its ending, or else by its first bytes.

    A file with sound alone may count as a video too; reading it says that it has no pictures.
    """
    if Path(path).suffix.lower() in VIDEO_SUFFIXES:
        return True
    try:
        with Path(path).open("rb") as file:
            return bool(_VIDEO_START.match(file.read(256)))
    except (OSError, ValueError):
        return False


def expand(
    inputs: Iterable[str | os.PathLike[str]], *, stdin: TextIO | None = None, videos: bool = False
) -> Iterator[str | Unreadable]:
    """The paths of the photos that the inputs stand for, in order, without opening any.

    With `videos`, folders and patterns give their videos too, in the same order.

    A path that exists stands for itself, or as a folder for the photos in it and in its
    subfolders: natural order (`2.jpg` before `10.jpg`), a folder's files before its subfolders,
    hidden ones and links to folders passed over. A path that does not exist may be a pattern:
    `*`, `?`, `[...]`, and `**` for any depth. The text `-` reads paths from `stdin`, one a line.

    Yields:
        A path; or an `Unreadable` for one that is missing, a folder without photos, or a pattern
        that matches none.
    """
    wanted = PHOTO_SUFFIXES | VIDEO_SUFFIXES if videos else PHOTO_SUFFIXES
    for item in inputs:
        if item == "-":
            yield from _from_lines(sys.stdin if stdin is None else stdin, wanted)
        else:
            yield from _expand_one(os.fspath(item), wanted)


def _several(inputs: ImageSource | Iterable[ImageSource]) -> Iterable[ImageSource]:
    """The inputs; a single one, although one could iterate over it, as a list of one."""
    one = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray, Image.Image)
    if isinstance(inputs, one) or hasattr(inputs, "read"):
        return [cast(ImageSource, inputs)]
    return inputs


def _stands_for(
    item: ImageSource, stdin: TextIO | None
) -> Iterable[ImageSource] | Iterable[str | Unreadable]:
    return expand([item], stdin=stdin) if isinstance(item, str | os.PathLike) else [item]


def _from_lines(lines: Iterable[str], wanted: frozenset[str]) -> Iterator[str | Unreadable]:
    empty = True
    try:
        for line in lines:
            if path := line.rstrip("\r\n"):
                empty = False
                yield from _expand_one(path, wanted)
    except UnicodeDecodeError:
        reason = "standard input is not text; '-' reads paths from it, one a line, not a picture"
        yield Unreadable("-", reason)
        return
    if empty:
        yield Unreadable("-", "standard input holds no paths")


def _expand_one(path: str, wanted: frozenset[str]) -> Iterator[str | Unreadable]:
    problem = _problem(path)
    if problem is None:
        folder = Path(path)
        found = _walk(folder, wanted) if folder.is_dir() else [path]
        kinds = "photos" if wanted == PHOTO_SUFFIXES else "photos and no videos"
        nothing = Unreadable(path, f"the folder holds no {kinds} ({FORMATS})")
        yield from _or_else(found, nothing)
    elif _is_pattern(path):
        kind = "photo" if wanted == PHOTO_SUFFIXES else "photo or video"
        nothing = Unreadable(path, f"no {kind} matches this pattern")
        yield from _or_else(_match(path, wanted), nothing)
    else:
        yield Unreadable(path, problem)


def _problem(path: str) -> str | None:
    """Why there is nothing at this path; None if there is something."""
    if not path:
        return "an empty path"
    if path.startswith(("http://", "https://")):
        return "a web address; download the picture and give its file"
    try:
        Path(path).stat()
    except (OSError, ValueError) as error:
        return why_not_opened(error)
    return None


def _or_else(
    found: Iterable[str | Unreadable], otherwise: Unreadable
) -> Iterator[str | Unreadable]:
    """What was found, or if that is nothing, `otherwise`."""
    empty = True
    for item in found:
        empty = False
        yield item
    if empty:
        yield otherwise


def _walk(folder: Path, wanted: frozenset[str]) -> Iterator[str | Unreadable]:
    """The photos in a folder and its subfolders; a subfolder that cannot be listed is reported."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as entries:
                shown = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            yield Unreadable(str(current), f"cannot be listed: {why_not_opened(error)}")
            continue
        shown.sort(key=lambda entry: _natural(entry.name))
        folders = [current / entry.name for entry in shown if entry.is_dir(follow_symlinks=False)]
        waiting += reversed(folders)
        yield from (
            str(current / e.name) for e in shown if _has_suffix(e.name, wanted) and _is_file(e)
        )


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is to be read: all but folders and links to folders, even a broken link."""
    try:
        return not entry.is_dir()
    except OSError:
        return True


def _is_pattern(path: str) -> bool:
    return any(sign in path for sign in "*?[")


def _match(path: str, wanted: frozenset[str]) -> Iterator[str | Unreadable]:
    """The photos a pattern matches, and those in the folders it matches, each once."""
    found: dict[str, str | Unreadable] = {}
    try:
        for match in _matches(Path(path)):
            if match.is_dir():
                found |= {str(getattr(item, "source", item)): item for item in _walk(match, wanted)}
            elif _has_suffix(match.name, wanted):
                found[str(match)] = str(match)
    except (OSError, ValueError) as error:
        yield Unreadable(path, f"this pattern cannot be followed: {error}")
    yield from (found[name] for name in sorted(found, key=_natural))


def _matches(pattern: Path) -> Iterator[Path]:
    """What a pattern matches, without hidden files unless it asks for them with a leading dot."""
    fixed = next(i for i, part in enumerate(pattern.parts) if _is_pattern(part))
    base, rest = Path(*pattern.parts[:fixed]), Path(*pattern.parts[fixed:])
    wants_hidden = any(_is_hidden(part) for part in rest.parts)
    for match in base.glob(str(rest)):
        if wants_hidden or not any(map(_is_hidden, match.parts[len(base.parts) :])):
            yield match


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part != ".."


def _has_suffix(name: str, wanted: frozenset[str]) -> bool:
    return Path(name).suffix.lower() in wanted


def _natural(name: str) -> tuple[list[str | int], str]:
    """A sort key that takes the numbers in a name as numbers.

    >>> sorted(["10.jpg", "2.jpg"], key=_natural)
    ['2.jpg', '10.jpg']
    """
    pieces = re.split(r"(\d+)", name.casefold())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name
