"""The faces of a recipe: one data set, or several that are trained on together.

The sets' heads are put side by side. A face has no label for a head that its set does not have, and
is left out of that head's loss and figures. Heads of the same name are one: `mien.train.data.rows`
says how their labels go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from mien.errors import DataError, UsageError
from mien.train.data.places import USUAL, DataSet, at_home, find
from mien.train.data.readers import READERS
from mien.train.data.rows import Rows, renamed, union
from mien.train.sections import AlsoConfig, DataConfig

Say = Callable[[str], None]


def read_sets(
    config: DataConfig, size: int, root: Path, say: Say = lambda text: None
) -> tuple[Rows, Rows]:
    """The training and validation faces of all the sets that `config` names.

    Args:
        config: the recipe's section.
        size: side of the crops in pixels, where the reader can choose it.
        root: the folder that holds the sets; of a single one, its own will do.
        say: told of each set, where there are several.

    Raises:
        DataError: sets that are not there, all in one error, or that cannot be read or joined.
        UsageError: an option that a reader does not have, or a head that no validation split has.
    """
    folders = places(config, root)
    options = {"size": size, "votes": config.votes, "relabel": config.relabel}
    names = (config.train, config.validation)
    train, held = _read(config.reader, folders[0], names, {**options, **config.options}, config)
    if not config.also:
        return train, held
    say(_told(config.reader, train, held, 1))
    seen, watched = [train], [held]
    for extra, folder in zip(config.also, folders[1:], strict=True):
        more, *rest = _further(extra, folder, options, config)
        say(_told(extra.reader, more, rest[0] if rest else None, extra.repeat))
        seen.append(more.take(np.tile(np.arange(len(more)), extra.repeat)))
        watched.extend(rest)
    return _joined(seen, watched, config)


def places(config: DataConfig, root: Path) -> list[Path]:
    """The folder of the first set and of each further one.

    A set lies at its ``path`` below `root`. Without one, it lies in `root` under its usual name
    (`mien.train.data.places`); the only set may be `root` itself.

    Raises:
        DataError: naming all the sets that are not there.
    """
    if not config.also and not config.path:
        return [at_home(root, config.reader)]
    found, missing = [], []
    for part in config.sets:
        try:
            found.append(_place(part.reader, part.path, root))
        except DataError as error:
            missing.append(str(error))
    if missing:
        raise DataError("\n".join(missing))
    return found


def _place(reader: str, path: str, root: Path) -> Path:
    if path:
        if not (root / path).exists():
            raise DataError(f"{root / path}: no such folder or file, named by the recipe's data")
        return root / path
    if reader not in USUAL:
        raise DataError(f"{root}: the reader {reader} has no usual folder there; give its `path`")
    return find(root, cast(DataSet, reader))


def _read(
    reader: str,
    folder: Path,
    splits: Sequence[str],
    options: Mapping[str, Any],
    config: DataConfig,
) -> list[Rows]:
    """The splits of one set, shortened as the recipe says."""
    parts = READERS[reader](folder, splits, options)
    return [rows.head(config.limit) for rows in parts] if config.limit else parts


def _further(
    extra: AlsoConfig, folder: Path, options: Mapping[str, Any], config: DataConfig
) -> list[Rows]:
    """The training faces of a further set and, if they are asked for, those to be measured."""
    names = (extra.train, extra.validation) if extra.validation else (extra.train,)
    parts = _read(extra.reader, folder, names, {**options, **extra.options}, config)
    return [renamed(rows, extra.heads) for rows in parts]


def _joined(seen: list[Rows], watched: list[Rows], config: DataConfig) -> tuple[Rows, Rows]:
    train, held = union(seen), union(watched)
    wanted = [head for head in config.heads if head in train.targets]
    if unmeasured := [head for head in wanted if head not in held.targets]:
        raise UsageError(
            f"no validation split has labels for {', '.join(unmeasured)}: set `validation` of a "
            "set in data.also, or leave them out of data.heads"
        )
    return train, held


def _told(reader: str, train: Rows, held: Rows | None, repeat: int) -> str:
    often = f", each {repeat} times an epoch" if repeat > 1 else ""
    return f"{reader}: {len(train)} faces{often}, {len(held) if held else 0} for validation"
