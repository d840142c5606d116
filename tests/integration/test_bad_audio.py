"""Recordings that cannot be transcribed, and one that can, all in one order."""

import json
from pathlib import Path

import pytest

from neuron_worker.contract import TranscriptFormat
from tests.running import Cloud, Daemon, wait_until

RECORDINGS = Path(__file__).parents[1] / "recordings"

CUT_OFF_MP4 = (RECORDINGS / "interview.m4a").read_bytes()
"""Its index stands at the end, so half the file is no file."""


def silence_wav(seconds: float) -> bytes:
    samples = b"\0\0" * int(16_000 * seconds)
    fmt = b"\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00"
    data = b"data" + len(samples).to_bytes(4, "little") + samples
    body = b"WAVEfmt " + len(fmt).to_bytes(4, "little") + fmt + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


BAD = {
    "missing": (None, "missing"),
    "empty": (b"", "empty"),
    "text-named-mp3": (b"These are the minutes of the meeting.\n" * 50, "not_audio"),
    "truncated-mp4": (CUT_OFF_MP4[: len(CUT_OFF_MP4) // 2], "not_audio"),
    "no-samples": (silence_wav(0), "empty"),
}


@pytest.fixture(scope="module")
def _sent(cloud: Cloud, daemon: Daemon) -> None:
    for name, (content, _) in BAD.items():
        if content is not None:
            cloud.put(f"{name}.mp3", content)
        cloud.send({"audio": f"s3://recordings/{name}.mp3", "request_id": name})
    cloud.put("silence.wav", silence_wav(3))
    cloud.send({"audio": "s3://recordings/silence.wav", "request_id": "silence"})
    cloud.put("good.mp3", (RECORDINGS / "weather.mp3").read_bytes())
    good = {"audio": "s3://recordings/good.mp3", "request_id": "good", "metadata": {"k": [1]}}
    cloud.send(good)
    cloud.put("german.mp3", b"any")
    cloud.send({"audio": "s3://recordings/german.mp3", "request_id": "german", "language": "de"})


@pytest.mark.usefixtures("_sent")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_ends_with_its_reason(cloud: Cloud, name: str) -> None:
    record = cloud.fate(name)

    assert record.dead_lettered_at
    [outcome] = record.outcomes
    assert (outcome.kind, outcome.reason) == ("bad_input", BAD[name][1])
    assert f"s3://recordings/{name}.mp3" in outcome.detail


@pytest.mark.usefixtures("_sent")
def test_an_option_the_model_cannot_meet_is_refused(cloud: Cloud) -> None:
    [outcome] = cloud.fate("german").outcomes

    assert outcome.reason == "unsupported_option"
    assert "English only" in outcome.detail


@pytest.mark.usefixtures("_sent")
def test_a_recording_without_speech_is_done_and_has_no_words(cloud: Cloud) -> None:
    done = cloud.fate("silence").done

    assert done is not None
    transcript = json.loads(cloud.read(done.transcripts[TranscriptFormat.JSON]))
    assert (transcript["text"], transcript["segments"]) == ("", [])
    assert transcript["duration_seconds"] == pytest.approx(3, abs=0.1)


@pytest.mark.usefixtures("_sent")
def test_bad_neighbours_do_not_hurt_a_good_recording(cloud: Cloud) -> None:
    done = cloud.fate("good").done

    assert done is not None
    assert set(done.transcripts) == {"json", "txt"}
    assert done.transcripts[TranscriptFormat.TXT] == "s3://transcripts/good.mp3/good.txt"
    assert b"weather for the coast" in cloud.read(done.transcripts[TranscriptFormat.TXT])
    assert json.loads(cloud.read(done.transcripts[TranscriptFormat.JSON]))["metadata"] == {"k": [1]}


@pytest.mark.usefixtures("_sent")
def test_every_bad_one_is_a_dead_letter_and_the_daemon_is_idle_and_well(
    cloud: Cloud, daemon: Daemon
) -> None:
    expected = {name: reason for name, (_, reason) in BAD.items()} | {
        "german": "unsupported_option"
    }
    reasons: dict[str, str] = {}

    def all_there() -> bool:
        reasons.update({one["request_id"]: one["reason"] for one in cloud.dead_letters()})
        return reasons.keys() >= expected.keys()

    wait_until("every bad one is a dead letter", all_there)
    wait_until("all messages are gone", lambda: cloud.depth() == (0, 0))

    assert reasons == expected
    settled = "whisper_fleet_requests_settled_total"
    wait_until("both are counted", lambda: daemon.metric(settled, fate="finish") == 2)
    assert daemon.metric("whisper_fleet_requests_retried_total") == 0
    assert daemon.get("/healthz") == (200, "ok")
