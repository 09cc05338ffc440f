"""What went by, counted."""

from mien.cli.tally import Tally
from mien.types import Face, Observation

LOST = Observation("a.mp4", "unreadable", 0, 0, "m", error="broke off")


def seen(*ids, t=None):
    faces = tuple(Face(i, (0, 0, 9, 9), 0.9, "fear", 1.0, {"fear": 1.0}) for i in ids)
    return Observation("a", "ok" if ids else "no_face", 9, 9, "m", faces, t_sec=t)


def test_photos(capsys):
    tally = Tally()
    given = [seen(0, 1), seen(), seen(0)]
    assert list(tally.over(iter(given))) == given
    assert (tally.of_photos(), tally.status()) == ("3 photos, 3 faces\n", 0)
    assert tally.people == set()
    tally.add(LOST)
    assert tally.of_photos() == "4 photos, 3 faces, 1 could not be read\n"
    assert tally.status() == 1
    tally.add(seen(7, t=0.5))
    assert tally.of_photos() == "4 photos, 1 frames, 4 faces, 1 could not be read\n"
    assert capsys.readouterr().err == "mien: a.mp4: broke off\n"


def test_frames(capsys):
    tally = Tally()
    for result in (seen(4, 5, t=0.0), seen(4, t=0.1), seen(t=0.2)):
        tally.add(result)
    assert tally.of_frames() == "3 frames, 3 faces, 2 people\n"
    assert (tally.status(), tally.status(interrupted=True)) == (0, 130)
    tally.add(LOST)
    assert tally.of_frames() == "3 frames, 3 faces, 2 people, 1 stretches could not be read\n"
    assert tally.status() == 1
    err = capsys.readouterr().err
    assert err == "mien: stopped; what was read until then has been written\n" + (
        "mien: a.mp4: broke off\n"
    )
