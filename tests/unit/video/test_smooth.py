"""Smoothing in seconds: closed forms, and the same result at every frame rate."""

import numpy as np
import pytest

from mien.errors import UsageError
from mien.labels import EIGHT
from mien.video.reading import Reading
from mien.video.smooth import LabelHold, Smoother

TENTHS = np.arange(20) / 10


def reading(t, happiness, *, face_id=0, valence=None, arousal=None, **more):
    """Happiness, and neutral for the rest, unless other labels are given as keywords."""
    chances = {"happiness": happiness, **more}
    chances["neutral"] = 1 - sum(chances.values())
    row = np.float32([chances.get(label, 0.0) for label in EIGHT])
    return Reading(t, round(t * 100), face_id, row, valence, arousal)


def smoothed(smoother, signal, times):
    """The happiness that comes out."""
    told = [smoother.update(reading(t, signal(t))) for t in times]
    return np.array([r.probability("happiness") for r in told])


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_step_response(fps):
    """1 - exp(-t / T), t counted from the last frame before the step."""
    smoother = Smoother(0.4)
    smoother.update(reading(0.0, 0.0))
    times = np.arange(1, 2 * fps) / fps
    got = smoothed(smoother, lambda t: 1.0, times)
    assert got == pytest.approx(1 - np.exp(-times / 0.4), abs=1e-6)


def test_step_response_with_uneven_frames():
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.2, 30))
    smoother = Smoother(0.25)
    smoother.update(reading(0.0, 1.0))
    got = smoothed(smoother, lambda t: 0.0, times)
    assert got == pytest.approx(np.exp(-times / 0.25), abs=1e-6)


def test_frame_rates_agree():
    """A smile that comes and goes, at 10, 25 and 60 fps, looked at once a second.

    They differ by half a frame's time of change at the most: 1.1 per second where it is fastest.
    """

    def signal(t):
        return 0.5 - 0.5 * np.cos(2.2 * t)

    at = {
        fps: smoothed(Smoother(0.3), signal, np.arange(8 * fps + 1) / fps)[::fps]
        for fps in (10, 25, 60)
    }
    assert np.abs(at[25] - at[60]).max() < 1.1 * 0.5 / 25
    assert np.abs(at[10] - at[60]).max() < 1.1 * 0.5 / 10
    assert np.abs(at[60] - signal(np.arange(9))).max() > 0.25


def test_probabilities_stay_probabilities():
    smoother, rng = Smoother(0.3), np.random.default_rng(1)
    for i in range(50):
        row = rng.dirichlet(np.ones(8)).astype(np.float32)
        out = smoother.update(Reading(i / 25, i, 0, row))
        assert out.probabilities.sum() == pytest.approx(1, abs=1e-6)
        assert out.probabilities.dtype == np.float32 and (out.probabilities >= 0).all()


def test_valence_and_arousal_go_the_same_way():
    smoother = Smoother(1.0)
    smoother.update(reading(0.0, 0.5, valence=-1.0, arousal=0.0))
    out = smoother.update(reading(0.5, 0.5, valence=1.0, arousal=1.0))
    assert out.valence == pytest.approx(1 - 2 * np.exp(-0.5))
    assert out.arousal == pytest.approx(1 - np.exp(-0.5))


def test_what_a_model_does_not_say_stays_unsaid():
    smoother = Smoother(1.0)
    smoother.update(reading(0.0, 0.5, valence=0.8))
    without = smoother.update(reading(0.1, 0.5))
    assert without.valence is None and without.arousal is None
    assert smoother.update(reading(0.2, 0.5, valence=0.2)).valence == 0.2


def test_the_raw_reading_is_left_alone():
    smoother = Smoother(1.0)
    smoother.update(reading(0.0, 0.0))
    raw = reading(0.1, 1.0)
    before = raw.probabilities.copy()
    out = smoother.update(raw)
    assert (raw.probabilities == before).all()
    assert (out.t_sec, out.frame, out.face_id) == (raw.t_sec, raw.frame, raw.face_id)


def test_people_do_not_mix():
    smoother = Smoother(0.5)
    for t in (0.0, 0.1, 0.2):
        one = smoother.update(reading(t, 0.2, face_id=1))
        two = smoother.update(reading(t, 0.9, face_id=2))
    assert one.probability("happiness") == pytest.approx(0.2)
    assert two.probability("happiness") == pytest.approx(0.9)


def test_zero_seconds_smooth_nothing():
    smoother = Smoother(0)
    assert smoothed(smoother, lambda t: t, [0.0, 0.1, 0.9]) == pytest.approx([0, 0.1, 0.9])


@pytest.mark.parametrize(("pause", "anew"), [(1.0, False), (1.01, True)])
def test_a_gap_begins_anew(pause, anew):
    smoother = Smoother(2.0, gap=1.0)
    smoother.update(reading(0.0, 0.0))
    out = smoother.update(reading(pause, 1.0)).probability("happiness")
    assert out == pytest.approx(1.0 if anew else 1 - np.exp(-0.5))


def test_those_long_gone_are_forgotten():
    smoother, hold = Smoother(1.0, gap=1.0), LabelHold(gap=1.0)
    for i in range(100):
        hold.update(smoother.update(reading(i * 0.5, 0.3, face_id=i)))
    assert len(smoother._levels) == len(hold._held) == 3


@pytest.mark.parametrize("stage", [Smoother(1.0), LabelHold()])
def test_times_do_not_run_backwards(stage):
    stage.update(reading(1.0, 0.5))
    with pytest.raises(UsageError, match=r"face 0: a reading at 0\.5 s follows one at 1\.0 s"):
        stage.update(reading(0.5, 0.5))


def labels(hold, signal, times):
    return [hold.update(reading(t, signal(t))).label for t in times]


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_a_label_changes_once_another_has_led_for_the_hold(fps):
    """Happiness leads from 1 s on; the change is told at the first frame from 1.2 s on."""
    times = np.arange(2 * fps) / fps
    told = labels(LabelHold(0.1, 0.2), lambda t: 0.1 if t < 1 else 0.9, times)
    changed = [t for t, label in zip(times, told, strict=True) if label == "happiness"]
    assert changed == pytest.approx(times[times >= 1.2 - 1e-9])
    assert set(told) == {"neutral", "happiness"}


def test_a_flash_changes_nothing():
    told = labels(LabelHold(0.1, 0.2), lambda t: 0.9 if 1 <= t < 1.15 else 0.1, np.arange(60) / 30)
    assert set(told) == {"neutral"}


@pytest.mark.parametrize(("happiness", "told"), [(0.54, "neutral"), (0.56, "happiness")])
def test_the_lead_must_be_as_large_as_the_margin(happiness, told):
    hold = LabelHold(0.1, 0.2)
    assert labels(hold, lambda t: happiness if t else 0.1, np.arange(30) / 30)[-1] == told


def test_the_clock_starts_again_when_the_lead_is_lost_or_another_leads():
    lost = labels(LabelHold(0.1, 0.2), lambda t: 0.9 if round(t * 10) % 3 else 0.1, TENTHS[:9])
    assert set(lost) == {"neutral"}
    hold = LabelHold(0.1, 0.25)
    hold.update(reading(0.0, 0.1))
    for t in (0.1, 0.3, 0.5, 0.7):
        assert hold.update(reading(t, 0.9)).label == "neutral"
        assert hold.update(reading(t + 0.1, 0.0, anger=0.9)).label == "neutral"
    assert hold.update(reading(0.9, 0.0, anger=0.9)).label == "neutral"
    assert hold.update(reading(1.05, 0.0, anger=0.9)).label == "anger"


def test_nothing_to_hold_is_the_most_probable_and_ties_change_nothing():
    happiness = [0.2, 0.8, 0.5, 0.3]
    told = labels(LabelHold(0, 0), lambda t: happiness[round(t * 10)], TENTHS[:4])
    assert told == ["neutral", "happiness", "happiness", "neutral"]


def test_a_label_is_begun_anew_after_a_gap():
    hold = LabelHold(0.1, 0.5, gap=1.0)
    assert labels(hold, lambda t: 0.0 if t < 1 else 1.0, [0.0, 2.0]) == ["neutral", "happiness"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: Smoother(-1),
        lambda: Smoother(float("nan")),
        lambda: Smoother(1, gap=-1),
        lambda: LabelHold(hold=-0.1),
        lambda: LabelHold(margin=1.5),
    ],
)
def test_what_cannot_be_smoothed(call):
    with pytest.raises(UsageError):
        call()
