"""The Dockerfile, read: it cannot be built without a network."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")
LINES = re.sub(r"\\\n\s*", "", TEXT).splitlines()
STEPS = [line.partition(" ")[::2] for line in LINES if line and not line.startswith("#")]
LAST = STEPS[max(i for i, (word, _) in enumerate(STEPS) if word == "FROM") :]


def told(word):
    return [rest for name, rest in LAST if name == word]


def test_it_runs_without_root():
    users = [rest for word, rest in LAST if word == "USER"]
    assert users == ["10001:10001"]
    order = [word for word, _ in LAST]
    assert "RUN" not in order[order.index("USER") :]


def test_images_are_named_with_a_version():
    images = [rest.split()[0] for word, rest in STEPS if word == "FROM"]
    assert images and all(re.search(r":\d", image) for image in images)


def test_it_tells_whether_it_is_healthy():
    (check,) = told("HEALTHCHECK")
    assert "/healthz" in check and "CMD [" in check


def test_the_command_is_one_that_mien_has(monkeypatch):
    import json

    from mien.cli.flags import parser_of
    from mien.cli.serve import serve

    (entry,) = told("ENTRYPOINT")
    words = json.loads(entry)
    assert words[:2] == ["mien", "serve"]
    parsed = parser_of(serve, "mien serve").parse_args(words[2:])
    assert (parsed.host, parsed.port, parsed.token) == ("0.0.0.0", 8000, None)
    assert told("EXPOSE") == ["8000"]


def test_what_is_copied_is_let_in_and_there():
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignore[0] == "*"
    copied = [rest for word, rest in STEPS if word == "COPY" and not rest.startswith("--from")]
    for name in [word for rest in copied for word in rest.split()[:-1]]:
        assert f"!{name}" in ignore and (ROOT / name).exists(), name
