"""The page's files, out of the package's folder ``page``. They are read once and stay in memory."""

from __future__ import annotations

import contextlib
import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mien.serve.limits import RefusedError

TYPES: dict[str, str] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}
"""The kinds of files that the page may have. Others are not served."""

_NO_PAGE = """\
This mien has no page. The API is here all the same: POST a photo to /v1/analyze;
/openapi.json tells the rest.
"""


class Site:
    """Answers requests for the page and the files it is made of.

    Args:
        files: their contents by name; None takes those of the package.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self._files = page_files() if files is None else files
        self._tags = {
            name: f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            for name, content in self._files.items()
        }

    async def answer(self, request: Request) -> Response:
        """The file that the path names; for the path / it is index.html.

        Raises:
            RefusedError: 404, the page has no such file.
        """
        name = request.path_params.get("name", "index.html")
        if name not in self._files:
            if name == "index.html":
                return PlainTextResponse(_NO_PAGE, 404)
            raise RefusedError(404, "the page has no such file")
        headers = {"ETag": self._tags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        kind = TYPES[name.rpartition(".")[2]]
        return Response(self._files[name], media_type=kind, headers=headers)


def page_files() -> dict[str, bytes]:
    """The page's files by name, of the kinds in `TYPES`; empty where there is no page."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        folder = resources.files("mien.serve").joinpath("page")
        return {
            item.name: item.read_bytes()
            for item in folder.iterdir()
            if item.is_file() and item.name.rpartition(".")[2] in TYPES
        }
    return {}
