"""Who may ask, and from where.

A page on another site can make a browser send requests here, and a name that such a site owns can
be made to point here (DNS rebinding). The browser tells both: by the Origin and the Host header.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from mien.errors import UsageError
from mien.serve.limits import RefusedError

COOKIE = "mien_token"

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that need no token: they tell nothing."""

_SHORTEST_TOKEN = 16
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        host: what the server listens on.
        token: must be given where there is one.
        names: further names under which the server may be called.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise UsageError(
                f"--host {self.host} lets other machines in: give a --token (or set MIEN_TOKEN), "
                'such as one made by `python -c "import secrets; print(secrets.token_urlsafe())"`'
            )
        if self.token is not None and not (
            len(self.token) >= _SHORTEST_TOKEN and self.token.isascii() and self.token.isprintable()
        ):
            raise UsageError(f"a token must have {_SHORTEST_TOKEN} or more plain characters")

    def check(self, headers: Headers, path: str, *, known: bool = False) -> None:
        """Let a request pass; `known` says that it has shown the token already.

        Raises:
            RefusedError: 400 or 421 (the Host header), 403 (the Origin header), 401 (the token).
        """
        self._check_host(headers)
        _check_origin(headers)
        if self.token is None or known or path in OPEN:
            return
        if not self._knows(headers):
            raise RefusedError(
                401,
                "a token is needed: send the header 'Authorization: Bearer TOKEN', or open the "
                "page once as /?token=TOKEN",
            )

    def cookie(self) -> str:
        """What the page's browser shows instead of the token."""
        return hashlib.sha256(f"mien page {self.token}".encode()).hexdigest()

    def is_token(self, text: str) -> bool:
        """Whether that is the token, in a time that does not depend on what is wrong with it."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def _check_host(self, headers: Headers) -> None:
        told = headers.getlist("host")
        if len(told) != 1:
            raise RefusedError(400, "the request must have one Host header")
        name = host_of(told[0])
        allowed = {"localhost", self.host.lower(), *(n.lower() for n in self.names)}
        # No name leads to an address that is written out, so that one cannot be rebound.
        if name in allowed or (is_address(name) and (self.token is not None or is_loopback(name))):
            return
        raise RefusedError(
            421,
            "this server does not go by the name in the Host header: call it by its address, or "
            "start it with --allow-host NAME",
        )

    def _knows(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.is_token(given.strip()):
            return True
        shown = [c.strip().partition("=") for c in headers.get("cookie", "").split(";")]
        expected = self.cookie().encode()
        return any(
            name == COOKIE and hmac.compare_digest(value.encode(), expected)
            for name, _, value in shown
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that host: an address of the loopback, or localhost."""
    if host.lower() == "localhost":
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def is_address(host: str) -> bool:
    """Whether that is an IP address written out."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_of(header: str) -> str:
    """The name or address in a Host header, without port and brackets.

    >>> host_of("[::1]:8000"), host_of("LOCALHOST:8000"), host_of("127.0.0.1")
    ('::1', 'localhost', '127.0.0.1')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _check_origin(headers: Headers) -> None:
    """Refuse what another site's page sends. A request without the header is of no page."""
    told = headers.getlist("origin")
    if told and not all(_same_place(origin, headers["host"]) for origin in told):
        raise RefusedError(403, "pages of other sites may not use this server")


def _same_place(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS.get(parts.scheme)
        there = urlsplit(f"{parts.scheme}://{host}")
        return (
            parts.scheme in _PORTS
            and parts.hostname is not None
            and parts.hostname == there.hostname
            and port == (there.port or _PORTS[parts.scheme])
        )
    except ValueError:
        return False
