"""Every data set that can be read, by the name that recipes call its reader."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.errors import UsageError
from mien.train.data import affectnet, ckplus, fer2013, folder, identities, manifest, rafdb
from mien.train.data.rows import Rows

Reader = Callable[[Path, Sequence[str], Mapping[str, Any]], list[Rows]]
"""Reads the named splits of the data set in a folder, as the options say."""

#: Options that every reader is given; one without use for them passes them over.
GENERAL = ("size", "votes", "relabel")


def _folder(
    root: Path, splits: Sequence[str], *, size: int = 48, colour: bool = False
) -> list[Rows]:
    return [folder.read(root / split, size, colour) for split in splits]


def _with_options(read: Callable[..., list[Rows]]) -> Reader:
    """The reader that hands its options to `read` as keyword arguments.

    It raises `UsageError` for an option that `read` does not have, and names those it has.
    """
    known = [
        name
        for name, parameter in inspect.signature(read).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]

    def reader(root: Path, splits: Sequence[str], options: Mapping[str, Any]) -> list[Rows]:
        if unknown := sorted(options.keys() - {*known, *GENERAL}):
            raise UsageError(
                f"this reader has no option {', '.join(unknown)}; it has {', '.join(known)}"
            )
        return read(root, splits, **{k: v for k, v in options.items() if k in known})

    return reader


READERS: dict[str, Reader] = {
    "fer2013": _with_options(fer2013.read),
    "folder": _with_options(_folder),
    "ckplus": _with_options(ckplus.read),
    "affectnet": _with_options(affectnet.read),
    "rafdb": _with_options(rafdb.read),
    "manifest": _with_options(manifest.read),
    "identities": _with_options(identities.read),
}
"""The readers, by name; what each can be asked for is told by the `read` of its module."""


def split_name(reader: str, split: str, options: Mapping[str, Any]) -> str:
    """The one name of a split whose faces `reader` reads with `options`: "fer2013 Training".

    AffectNet's splits have several names, and with its option `held_out` both are of val_set.
    """
    if reader == "affectnet" and split in affectnet.SPLITS:
        split = affectnet.SPLITS["validation" if options.get("held_out") else split][0]
    return f"{reader} {split}"
