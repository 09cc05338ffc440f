"""Pictures that are small and take for ever: refused by what they are made of, before decoding.

The limit of pixels does not see them. A progressive JPEG may tell the same pixels in as many scans
as it likes (42 bytes and 0.2 s each at 25 million pixels), and Pillow walks through the pieces in
front of the pixels in Python, one by one. The limits here are far above what cameras and editors
write. Read on this machine's processor, 20 MB of the worst kinds took from 8 s to many minutes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable


class BombError(Exception):
    """A picture of more pieces than any is made of; the text says of which."""


MOST_SCANS = 64
"""Scans of a JPEG; progressive ones have about ten."""

MOST_CHUNKS = 20_000
"""Chunks of a PNG, whose pixels are in chunks of 8 kB, too; strips or tiles of a TIFF."""

MOST_PIECES = 2_000
"""Segments of a JPEG, blocks of a GIF in front of its first picture, tags of a TIFF."""

_HEADER = 4096  # bytes for a PPM's sizes with the comments between them
_PADDING = 64  # bytes between two segments of a JPEG
_STRIPS = (273, 324)  # the TIFF tags that say where strips and tiles are

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # none of these is within a scan's data
_PPM_SIZES = re.compile(rb"P[56](?:(?:\s|#[^\n]*\n)+\d+){3}\s")


def check(content: bytes) -> None:
    """Let the bytes of a picture pass, whatever they are otherwise.

    Raises:
        BombError: a picture of more pieces than any is made of.
    """
    for start, walk in _WALKS.items():
        if content.startswith(start):
            walk(content)


def _check_jpeg(content: bytes) -> None:
    """Walk from marker to marker; past the first scan only where there may be too many."""
    suspect = content.count(b"\xff\xda") > MOST_SCANS  # a film behind the photo may hold these, too
    at, scans, pieces = 2, 0, 0
    while found := _MARKER.search(content, at):
        code = content[found.end() - 1]
        pieces += 1
        if not scans and found.start() - at > _PADDING:
            raise _refusal("padding between its segments")
        if code == 0xD9:
            return
        if code == 0xDA:
            scans += 1
            if not suspect:
                return
        if scans > MOST_SCANS:
            raise _refusal(f"over {MOST_SCANS} scans")
        _count(pieces, "segments")
        length = int.from_bytes(content[found.end() : found.end() + 2], "big")
        at = found.end() + max(2, length)


def _check_png(content: bytes) -> None:
    at, pieces = 8, 0
    while at + 8 <= len(content) and content[at + 4 : at + 8] != b"IEND":
        pieces += 1
        if pieces > MOST_CHUNKS:
            raise _refusal(f"over {MOST_CHUNKS:,} chunks")
        at += 12 + int.from_bytes(content[at : at + 4], "big")


def _check_gif(content: bytes) -> None:
    """Walk through the extensions in front of the first picture, as Pillow does."""
    packed = content[10] if len(content) > 10 else 0
    at = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    pieces = 0
    while at < len(content) and content[at] not in b",;":
        is_extension = content[at] == 0x21
        at += 2 if is_extension else 1  # Pillow passes over what is neither
        while is_extension and at < len(content) and content[at]:
            pieces += 1
            _count(pieces, "blocks")
            at += 1 + content[at]
        pieces += 1
        _count(pieces, "blocks")
        at += is_extension


def _check_ppm(content: bytes) -> None:
    if len(content) > _HEADER and not _PPM_SIZES.match(content[:_HEADER]):
        raise _refusal("comments in its header")


def _check_tiff(content: bytes) -> None:
    """Look at the tags of the file's first picture: how many there are, and of how many strips."""
    order = "<" if content[:2] == b"II" else ">"
    is_big = 43 in content[2:4]
    place, where, tags, entry = ("Q", 8, "Q", "HHQ8x") if is_big else ("L", 4, "H", "HHL4x")
    try:
        (offset,) = struct.unpack_from(order + place, content, where)
        (count,) = struct.unpack_from(order + tags, content, offset)
        _count(count, "tags")
        for i in range(count):
            at = offset + struct.calcsize(order + tags) + i * struct.calcsize(order + entry)
            tag, _, strips = struct.unpack_from(order + entry, content, at)
            if tag in _STRIPS and strips > MOST_CHUNKS:
                raise _refusal(f"over {MOST_CHUNKS:,} strips")
    except struct.error:
        return  # it ends there: whoever decodes it says so


_WALKS: dict[bytes, Callable[[bytes], None]] = {
    b"\xff\xd8\xff": _check_jpeg,
    b"\x89PNG\r\n\x1a\n": _check_png,
    b"GIF8": _check_gif,
    b"P5": _check_ppm,
    b"P6": _check_ppm,
    b"II": _check_tiff,
    b"MM": _check_tiff,
}


def _count(pieces: int, what: str) -> None:
    if pieces > MOST_PIECES:
        raise _refusal(f"over {MOST_PIECES:,} {what}")


def _refusal(what: str) -> BombError:
    return BombError(f"a picture with {what} is not read: save it anew, and give that")
