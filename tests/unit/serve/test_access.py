"""Who may ask, and from where."""

import pytest
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from mien.errors import UsageError
from mien.serve.access import COOKIE, Access, host_of, is_loopback
from mien.serve.app import build
from mien.serve.limits import RefusedError

TOKEN = "0123456789abcdef"


def status(access, path="/v1/models", **headers):
    """The status a request is refused with; None where it may pass."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        access.check(Headers(named), path)
    except RefusedError as refused:
        return refused.status
    return None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_this_machine_is_let_in(host):
    assert status(Access(), host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "192.168.0.9", "", "[::1"]
)
def test_other_names_are_not(host):
    assert status(Access(), host=host) == (421 if host != "[::1" else None)


def test_one_host_header_is_needed():
    assert status(Access()) == 400
    twice = Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])
    with pytest.raises(RefusedError) as refused:
        Access().check(twice, "/")
    assert refused.value.status == 400


def test_a_public_server_goes_by_addresses_and_by_names_it_was_told():
    access = Access("0.0.0.0", TOKEN, ("face.example",))
    shown = {"authorization": f"Bearer {TOKEN}"}
    assert status(access, host="192.168.0.9:8000", **shown) is None
    assert status(access, host="face.example", **shown) is None
    assert status(access, host="evil.example", **shown) == 421


def test_a_public_server_needs_a_long_token():
    for host in ("0.0.0.0", "192.168.0.9", "face.example", "::"):
        with pytest.raises(UsageError, match="MIEN_TOKEN"):
            Access(host)
    with pytest.raises(UsageError, match="16"):
        Access("0.0.0.0", "short")
    with pytest.raises(UsageError, match="16"):
        Access("127.0.0.1", "short")
    assert [is_loopback(h) for h in ("127.8.8.8", "::1", "localhost", "10.0.0.1", "me")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8000", None),
        ("http://localhost", 403),
        ("http://127.0.0.1:8000", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://localhost:8000x", 403),
        ("file://localhost:8000", 403),
    ],
)
def test_pages_of_other_sites_are_refused(origin, expected):
    assert status(Access(), host="localhost:8000", origin=origin) == expected


def test_an_origin_without_its_usual_port_is_the_same_place():
    assert status(Access(), host="localhost", origin="http://localhost:80") is None
    access = Access("127.0.0.1", None, ("face.example",))
    assert status(access, host="face.example", origin="https://face.example") is None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, None),
        ({"authorization": f"bearer  {TOKEN}"}, None),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": "Bearer é"}, 401),
        ({"cookie": f"{COOKIE}={TOKEN}"}, 401),
        ({"cookie": f"a=b; {COOKIE}={Access('::1', TOKEN).cookie()}"}, None),
    ],
)
def test_the_token_is_asked_for(shown, expected):
    access = Access("127.0.0.1", TOKEN)
    assert status(access, host="localhost", **shown) == expected
    assert status(access, path="/healthz", host="localhost", **shown) is None


def test_the_page_is_entered_with_the_token_once(pool):
    client = TestClient(build(pool, Access("127.0.0.1", TOKEN)), base_url="http://127.0.0.1")
    refused = client.get("/")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert client.get("/?token=wrong").status_code == 401
    assert client.get(f"/v1/models?token={TOKEN}").status_code == 401
    entered = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert TOKEN not in entered.headers["set-cookie"]
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert client.get("/v1/models").status_code == 200


def test_hosts_are_read_out_of_the_header():
    assert [host_of(h) for h in ("[::1]:80", "A.b:1", "a", "")] == ["::1", "a.b", "a", ""]
