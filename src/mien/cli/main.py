"""The `mien` command: finds the verb and imports only that verb's module."""

from __future__ import annotations

import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

from mien import __version__
from mien.errors import MienError, UsageError

#: Verb -> what it does. Each has a module of its name here with ``run(argv) -> exit status``.
VERBS: dict[str, str] = {
    "analyze": "read the expressions in photos, folders, patterns",
    "video": "read a video: a table with times and ids, a clip, a report",
    "camera": "read a camera or a stream, live",
    "report": "turn a table into one page with plots",
    "serve": "serve a page to try it on, and an HTTP API",
    "models": "list the models; pull a detector",
    "doctor": "say what is installed and what works",
    "train": "train a network from a recipe",
    "distill": "train a network from a recipe and from other networks' answers",
    "evaluate": "measure a model on a labelled data set",
    "export": "turn a training run into one ONNX file",
    "reproduce": "train what one of five papers compares, its table beside ours",
}

NOTICE = """\
mien tells apparent expressions, not feelings. Emotion inference at work and in education is
prohibited in the EU, and people must be told when they are analysed: see RESPONSIBLE_USE.md."""

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default the process's own) and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names and signs that it has no bytes for
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(words)
        finally:
            sys.stdout.flush()
    except MienError as error:
        return _fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("mien: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:  # `mien analyze … | head`: the reader has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else FAILED


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return OK if words else USAGE
    if words[0] in ("-V", "--version"):
        sys.stdout.write(f"mien {__version__}\n")
        return OK
    if words[0] not in VERBS:
        raise UsageError(f"no command {words[0]!r}. Known: {', '.join(VERBS)}.")
    gc.disable()  # imports make objects that stay: searching them for circles takes 30 ms
    verb = importlib.import_module(f"mien.cli.{words[0]}")
    gc.enable()
    return int(verb.run(words[1:]))


def _fail(error: MienError) -> int:
    sys.stderr.write(f"mien: error: {error}\n")
    return USAGE if isinstance(error, UsageError) else FAILED


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {what}" for verb, what in VERBS.items())
    return f"usage: mien COMMAND …\n\n{verbs}\n\n`mien COMMAND --help` tells more.\n\n{NOTICE}\n"


if __name__ == "__main__":
    sys.exit(main())
