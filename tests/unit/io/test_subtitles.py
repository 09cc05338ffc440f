import io

import pytest

from mien.errors import UsageError
from mien.io.subtitles import Span, write_srt, write_vtt


def srt(*spans):
    file = io.BytesIO()
    write_srt(spans, file)
    return file.getvalue().decode()


def vtt(*spans):
    file = io.BytesIO()
    write_vtt(spans, file)
    return file.getvalue().decode()


TWO = (Span(15.0004, 3725.4, "person 2: fear 71 %"), Span(12.4, 15.0, "person 1: happiness 91 %"))


def test_subrip():
    assert srt(*TWO) == (
        "1\n00:00:12,400 --> 00:00:15,000\nperson 1: happiness 91 %\n\n"
        "2\n00:00:15,000 --> 01:02:05,400\nperson 2: fear 71 %\n\n"
    )


def test_webvtt():
    assert vtt(*TWO) == (
        "WEBVTT\n\n00:00:12.400 --> 00:00:15.000\nperson 1: happiness 91 %\n\n"
        "00:00:15.000 --> 01:02:05.400\nperson 2: fear 71 %\n\n"
    )


def test_people_at_the_same_time_overlap():
    text = srt(Span(0, 3, "a"), Span(1, 2, "b"), Span(1, 1.5, "c"))
    assert [line for line in text.splitlines() if line.isalpha()] == ["a", "c", "b"]
    assert text.splitlines()[1] == "00:00:00,000 --> 00:00:03,000"
    assert text.splitlines()[5] == "00:00:01,000 --> 00:00:01,500"


def test_times_are_rounded_carried_and_at_least_a_millisecond_long():
    assert srt(Span(59.9996, 59.9996, "x")).splitlines()[1] == "00:01:00,000 --> 00:01:00,001"
    assert srt(Span(-0.02, 0.5, "x")).splitlines()[1] == "00:00:00,000 --> 00:00:00,500"
    assert srt(Span(360_000, 360_001, "x")).splitlines()[1] == "100:00:00,000 --> 100:00:01,000"


def test_text_cannot_break_out_of_its_cue():
    assert srt(Span(0, 1, "one\n\n  \ntwo")) == "1\n00:00:00,000 --> 00:00:01,000\none\ntwo\n\n"
    assert srt(Span(0, 1, "\n")).splitlines()[2] == "\xa0"
    assert vtt(Span(0, 1, "a --> <b> & c")).splitlines()[3] == "a --&gt; &lt;b&gt; &amp; c"
    assert vtt(Span(0, 1, "표정 😀")).splitlines()[3] == "표정 😀"


def test_nothing_to_say_is_a_valid_file():
    assert srt() == "" and vtt() == "WEBVTT\n\n"


@pytest.mark.parametrize(("start", "end"), [(2, 1), (float("nan"), 1), (0, float("inf"))])
def test_spans_that_are_none_are_refused(start, end):
    with pytest.raises(UsageError, match="not before the start"):
        srt(Span(start, end, "x"))


def test_pyav_reads_both_back(tmp_path):
    av = pytest.importorskip("av")
    for name, write in (("a.srt", write_srt), ("a.vtt", write_vtt)):
        with (tmp_path / name).open("wb") as file:
            write(TWO, file)
        with av.open(str(tmp_path / name)) as container:
            packets = [p for p in container.demux() if p.size]
        assert [float(p.pts * p.time_base) for p in packets] == [12.4, 15.0]
        assert [float(p.duration * p.time_base) for p in packets] == pytest.approx([2.6, 3710.4])
