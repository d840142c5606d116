"""A transcript as the bytes of each file format."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neuron_worker.contract import TranscriptFormat
from neuron_worker.transcript import Segment, Transcript, Word

CONTENT_TYPES = {
    TranscriptFormat.TXT: "text/plain; charset=utf-8",
    TranscriptFormat.JSON: "application/json",
    TranscriptFormat.SRT: "application/x-subrip; charset=utf-8",
    TranscriptFormat.VTT: "text/vtt; charset=utf-8",
    TranscriptFormat.TSV: "text/tab-separated-values; charset=utf-8",
}
"""What a web server should call each format."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def render(transcript: Transcript, file_format: TranscriptFormat) -> bytes:
    """The whole file, UTF-8. A lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    return _WRITERS[file_format](transcript).encode(errors="replace")


@dataclass(frozen=True, slots=True)
class _Cue:
    """A segment with something in it: one line of text, times in whole milliseconds."""

    start: int
    end: int
    text: str


def _cues(transcript: Transcript) -> list[_Cue]:
    """Cues in order, each at least 1 ms long; those of one channel never overlap."""
    cues = list[_Cue]()
    at = defaultdict[int | None, int](int)
    for segment in transcript.segments:
        text = _line(segment.text)
        if text:
            start = max(at[segment.channel], round(segment.start_seconds * 1000))
            at[segment.channel] = end = max(start + 1, round(segment.end_seconds * 1000))
            cues.append(_Cue(start, end, text))
    return sorted(cues, key=lambda cue: cue.start)


def _line(text: str) -> str:
    """Every run of spaces, tabs and line ends becomes one space; other controls go."""
    return " ".join(_CONTROLS.sub("", " ".join(text.split())).split())


def _txt(transcript: Transcript) -> str:
    return "".join(f"{cue.text}\n" for cue in _cues(transcript))


def _srt(transcript: Transcript) -> str:
    """SubRip knows no escape for its arrow, so the text gets another one."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        f"{cue.text.replace('-->', '→')}\n"
        for number, cue in enumerate(_cues(transcript), start=1)
    )


def _vtt(transcript: Transcript) -> str:
    """WebVTT; escapes as www.w3.org/TR/webvtt1, section 4.2.2, asks for."""
    cues = (
        f"\n{_vtt_clock(cue.start)} --> {_vtt_clock(cue.end)}\n{_escaped(cue.text)}\n"
        for cue in _cues(transcript)
    )
    return "WEBVTT\n" + "".join(cues)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _tsv(transcript: Transcript) -> str:
    lines = (f"{cue.start}\t{cue.end}\t{cue.text}\n" for cue in _cues(transcript))
    return "start\tend\ttext\n" + "".join(lines)


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{rest:03d}"


def _vtt_clock(milliseconds: int) -> str:
    clock = _clock(milliseconds, ".")
    return clock.removeprefix("00:")


def _json(transcript: Transcript) -> str:
    content = {
        "request_id": transcript.request_id,
        "audio": transcript.audio,
        "model": transcript.model,
        "task": transcript.task,
        "language": transcript.language,
        "language_probability": _number(transcript.language_probability),
        "duration_seconds": _number(transcript.audio_seconds),
        "speech_seconds": _number(transcript.speech_seconds),
        "text": transcript.text,
        "segments": [_segment(id_, segment) for id_, segment in enumerate(transcript.segments)],
        "warnings": transcript.warnings,
        "metadata": transcript.metadata,
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _segment(id_: int, segment: Segment) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": id_,
        "start": _number(segment.start_seconds),
        "end": _number(segment.end_seconds),
        "text": segment.text.strip(),
        "average_log_probability": _number(segment.average_log_probability),
        "no_speech_probability": _number(segment.no_speech_probability),
        "compression_ratio": _number(segment.compression_ratio),
        "temperature": _number(segment.temperature),
        "doubts": segment.doubts,
    }
    if segment.channel is not None:
        content["channel"] = segment.channel
    if segment.words:
        content["words"] = [_word(word) for word in segment.words]
    return content


def _word(word: Word) -> dict[str, Any]:
    return {
        "start": _number(word.start_seconds),
        "end": _number(word.end_seconds),
        "text": word.text.strip(),
        "probability": _number(word.probability),
    }


def _number(value: float | None) -> float | None:
    """To the millisecond, or a thousandth; JSON has no way to write what is not finite."""
    return round(value, 3) if value is not None and math.isfinite(value) else None


_WRITERS: dict[TranscriptFormat, Callable[[Transcript], str]] = {
    TranscriptFormat.TXT: _txt,
    TranscriptFormat.JSON: _json,
    TranscriptFormat.SRT: _srt,
    TranscriptFormat.VTT: _vtt,
    TranscriptFormat.TSV: _tsv,
}
