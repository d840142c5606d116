"""Transcripts in every format, read back by the parsers that other people use."""

import csv
import html
import io
import json

import pysubs2
import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from neuron_worker.contract import TranscriptFormat
from neuron_worker.formats import CONTENT_TYPES, render
from neuron_worker.transcript import Doubt, Segment, Transcript, Word


def transcript(*segments: Segment, **fields: object) -> Transcript:
    known = {
        "request_id": "r-1",
        "audio": "s3://in/a.mp3",
        "model": "tiny.en",
        "task": "transcribe",
        "language": "en",
        "language_probability": 0.98765,
        "audio_seconds": 3723.4567,
        "speech_seconds": 12.5,
    }
    return Transcript(**{**known, **fields}, segments=segments)  # type: ignore[arg-type]


def said(start: float, end: float, text: str, *words: Word, channel: int | None = None) -> Segment:
    return Segment(start, end, text, -0.25, 0.015, channel=channel, words=words)


TWO = transcript(
    said(0.5, 2.25, " Good morning. "), said(3661.0004, 3662.9996, "Mind <the> gap & go.")
)


def written(what: Transcript, file_format: TranscriptFormat) -> str:
    return render(what, file_format).decode()


def test_txt_has_one_segment_on_each_line() -> None:
    what = transcript(said(0, 1, "one\ntwo"), said(1, 2, "  "), said(2, 3, "three"))
    assert written(what, TranscriptFormat.TXT) == "one two\nthree\n"


def test_srt_looks_as_players_expect() -> None:
    assert written(TWO, TranscriptFormat.SRT) == (
        "1\n00:00:00,500 --> 00:00:02,250\nGood morning.\n\n"
        "2\n01:01:01,000 --> 01:01:03,000\nMind <the> gap & go.\n"
    )


def test_vtt_escapes_markup_and_writes_hours_only_where_needed() -> None:
    assert written(TWO, TranscriptFormat.VTT) == (
        "WEBVTT\n\n00:00.500 --> 00:02.250\nGood morning.\n\n"
        "01:01:01.000 --> 01:01:03.000\nMind &lt;the&gt; gap &amp; go.\n"
    )


def test_tsv_counts_milliseconds_and_keeps_tabs_out_of_the_text() -> None:
    what = transcript(said(0.0004, 1.0006, "a\tb\nc"))
    assert written(what, TranscriptFormat.TSV) == "start\tend\ttext\n0\t1001\ta b c\n"


def test_json_holds_everything_in_a_stable_order() -> None:
    what = transcript(
        said(0.5, 1.25, " Grüße ", Word(0.5, 1.25, " Grüße", 0.9876)),
        Segment(2, 3, "no words", -0.5, 0.1, 2.71828, 0.4, tuple(Doubt), channel=2),
        warnings=("1.2 s of audio were unreadable and replaced by silence",),
        metadata={"z": 1, "a": [True, None]},
    )
    raw = written(what, TranscriptFormat.JSON)
    assert json.loads(raw) == {
        "request_id": "r-1",
        "audio": "s3://in/a.mp3",
        "model": "tiny.en",
        "task": "transcribe",
        "language": "en",
        "language_probability": 0.988,
        "duration_seconds": 3723.457,
        "speech_seconds": 12.5,
        "text": "Grüße no words",
        "segments": [
            {
                "id": 0,
                "start": 0.5,
                "end": 1.25,
                "text": "Grüße",
                "average_log_probability": -0.25,
                "no_speech_probability": 0.015,
                "compression_ratio": 1.0,
                "temperature": 0.0,
                "doubts": [],
                "words": [{"start": 0.5, "end": 1.25, "text": "Grüße", "probability": 0.988}],
            },
            {
                "id": 1,
                "start": 2,
                "end": 3,
                "text": "no words",
                "average_log_probability": -0.5,
                "no_speech_probability": 0.1,
                "compression_ratio": 2.718,
                "temperature": 0.4,
                "doubts": ["repetition", "known_hallucination"],
                "channel": 2,
            },
        ],
        "warnings": ["1.2 s of audio were unreadable and replaced by silence"],
        "metadata": {"z": 1, "a": [True, None]},
    }
    assert "Grüße" in raw
    assert raw.index('"z"') < raw.index('"a"')
    assert raw == written(what, TranscriptFormat.JSON)


def test_json_writes_null_for_a_number_that_is_not_finite() -> None:
    what = transcript(
        Segment(0, 1, "x", float("-inf"), float("nan")), language_probability=float("nan")
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(written(what, TranscriptFormat.JSON), parse_constant=refuse)
    assert content["language_probability"] is None
    [segment] = content["segments"]
    assert segment["average_log_probability"] is None
    assert segment["no_speech_probability"] is None


def test_json_says_null_for_the_probability_of_a_language_that_was_given() -> None:
    what = transcript(language_probability=None)
    assert json.loads(written(what, TranscriptFormat.JSON))["language_probability"] is None


@pytest.mark.parametrize("file_format", TranscriptFormat)
def test_a_recording_without_speech_gives_a_valid_file(file_format: TranscriptFormat) -> None:
    empty = written(transcript(), file_format)
    expected = {"txt": "", "srt": "", "vtt": "WEBVTT\n", "tsv": "start\tend\ttext\n"}
    if file_format is TranscriptFormat.JSON:
        assert json.loads(empty)["segments"] == []
    else:
        assert empty == expected[file_format]


@pytest.mark.parametrize("file_format", TranscriptFormat)
def test_every_format_has_a_content_type_and_takes_any_character(
    file_format: TranscriptFormat,
) -> None:
    assert CONTENT_TYPES[file_format]
    assert "ab?" in written(transcript(said(0, 1, "a\x00b\ud800")), file_format).replace(
        "\\u0000", ""
    )


def test_an_arrow_in_the_text_does_not_end_an_srt_cue() -> None:
    what = transcript(said(0, 1, "00:00:01,000 --> 00:00:02,000"), said(1, 2, "next --->"))
    cues = list(srt.parse(written(what, TranscriptFormat.SRT)))
    assert [cue.content for cue in cues] == ["00:00:01,000 → 00:00:02,000", "next -→"]


def test_cues_that_round_to_nothing_get_a_millisecond_and_push_the_next() -> None:
    what = transcript(said(1.0001, 1.0002, "a"), said(1.0002, 1.0003, "b"), said(1.0004, 2, "c"))
    assert written(what, TranscriptFormat.TSV).splitlines()[1:] == [
        "1000\t1001\ta",
        "1001\t1002\tb",
        "1002\t2000\tc",
    ]


def test_what_two_channels_say_at_once_keeps_its_times() -> None:
    what = transcript(
        said(0, 10, "a long story", channel=1),
        said(2, 4, "I see.", channel=2),
        said(3.5, 5, "Really?", channel=2),
        said(9.99, 12, "the end", channel=1),
        said(9.999, 11, "Oh.", channel=2),
    )
    expected = [(0, 10_000), (2_000, 4_000), (4_000, 5_000), (9_999, 11_000), (10_000, 12_000)]
    rows = [line.split("\t") for line in written(what, TranscriptFormat.TSV).splitlines()[1:]]
    assert [(int(start), int(end)) for start, end, _ in rows] == expected
    for file_format in (TranscriptFormat.SRT, TranscriptFormat.VTT):
        cues = pysubs2.SSAFile.from_string(written(what, file_format), format_=file_format.value)
        assert [(cue.start, cue.end) for cue in cues] == expected


TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        "-->",
        "1",
        "1\n\n2",
        "NOTE x",
        "WEBVTT",
        "STYLE",
        "&amp;",
        "<b>bold</b>",
        "{\\i1}",
        "\r\n",
        "\u2028",
        "\x1c",
    ]
)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Segments one after the other, some without any length or any gap between them."""
    steps = st.sampled_from([0.0, 0.0004, 0.0005, 0.0011]) | st.floats(0, 5000)
    at, segments = 0.0, []
    for text in draw(st.lists(TEXTS, max_size=8)):
        start = at + draw(steps)
        at = start + draw(steps)
        segments.append(said(start, at, text))
    return transcript(*segments)


def expected_texts(what: Transcript) -> list[str]:
    return [text for text in written(what, TranscriptFormat.TXT).split("\n") if text]


@given(transcripts())
def test_txt_keeps_every_word_that_is_not_white_space(what: Transcript) -> None:
    words = [word for segment in what.segments for word in segment.text.split()]
    letters = "".join(letter for word in words for letter in word if not _control(letter))
    assert "".join(written(what, TranscriptFormat.TXT).split()) == "".join(
        letters.encode(errors="replace").decode().split()
    )


def _control(letter: str) -> bool:
    return ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0


@given(transcripts())
def test_srt_comes_back_from_two_parsers(what: Transcript) -> None:
    raw = written(what, TranscriptFormat.SRT)
    cues = list(srt.parse(raw))
    assert [cue.content for cue in cues] == [t.replace("-->", "→") for t in expected_texts(what)]
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    times = [
        (int(cue.start.total_seconds() * 1000 + 0.5), int(cue.end.total_seconds() * 1000 + 0.5))
        for cue in cues
    ]
    assert_in_order(times)
    events = pysubs2.SSAFile.from_string(raw, format_="srt") if cues else []
    assert [(event.start, event.end) for event in events] == times


@given(transcripts())
def test_vtt_comes_back_from_two_parsers(what: Transcript) -> None:
    raw = written(what, TranscriptFormat.VTT)
    captions = webvtt.from_buffer(io.StringIO(raw)).captions
    assert [html.unescape(caption.raw_text) for caption in captions] == expected_texts(what)
    events = pysubs2.SSAFile.from_string(raw, format_="vtt")
    assert len(events) == len(captions)
    assert_in_order([(event.start, event.end) for event in events])


@given(transcripts())
def test_tsv_comes_back_as_a_table(what: Transcript) -> None:
    raw = written(what, TranscriptFormat.TSV)
    header, *rows = csv.reader(raw.split("\n")[:-1], delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == ["start", "end", "text"]
    assert [row[2] for row in rows] == expected_texts(what)
    assert_in_order([(int(row[0]), int(row[1])) for row in rows])


HALF_MILLISECOND = 0.00050001
"""And what a float cannot hold of it."""


@given(transcripts())
def test_json_comes_back_whole(what: Transcript) -> None:
    found = json.loads(render(what, TranscriptFormat.JSON))
    assert len(found["segments"]) == len(what.segments)
    for segment, source in zip(found["segments"], what.segments, strict=True):
        assert segment["text"] == source.text.strip().encode(errors="replace").decode()
        assert segment["start"] == pytest.approx(source.start_seconds, abs=HALF_MILLISECOND)


def assert_in_order(times: list[tuple[int, int]]) -> None:
    """Each cue ends after it starts, and not after the next one starts."""
    edges = [edge for pair in times for edge in pair]
    assert edges == sorted(edges)
    assert all(end > start for start, end in times)
