"""Workers that transcribe ranges of one recording, and the transcript they join them into."""

import json
import signal
from typing import Any

import jiwer
import numpy as np
import pytest

from neuron_worker.contract import Channels, ExitCode, Options, OutcomeKind, TimestampLevel
from tests.jobs import (
    NAMES,
    RECORDINGS,
    Job,
    assert_each_channel_is_heard,
    cut_job,
    end_of,
    job,
    samples_of,
    two_channels,
)
from tests.media import Samples, encoded
from tests.running import Cloud, wait_until

COUNT = 3


@pytest.fixture(scope="module")
def samples() -> Samples:
    """All recordings after each other: two and a half minutes."""
    return np.concatenate([samples_of(name) for name in NAMES], axis=1)


@pytest.fixture(scope="module")
def whole(cloud: Cloud, samples: Samples) -> dict[str, Any]:
    """The transcript of one worker."""
    ours = job(cloud, ("whole", encoded(samples, "flac", "flac", 16_000), Options()))
    assert ours.run().code == ExitCode.FINISHED
    return ours.transcript(ours.order.items()[0].request_id)


def words(transcript: dict[str, Any]) -> list[str]:
    text = " ".join(one["text"] for one in transcript["segments"])
    return "".join(one if one.isalnum() else " " for one in text.lower()).split()


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The share of words in which two transcripts differ."""
    return float(jiwer.wer(" ".join(words(one)), " ".join(words(other))))


def joined(ours: Job) -> dict[str, Any]:
    """The transcript that one of the ranges' workers wrote."""
    kinds = [ours.outcome(shard).kind for shard in range(len(ours.order.shards))]
    assert OutcomeKind.DONE in kinds, kinds
    assert set(kinds) <= {OutcomeKind.DONE, OutcomeKind.RANGE_DONE}, kinds
    [item] = ours.order.items()
    return ours.transcript(item.request_id, kinds.index(OutcomeKind.DONE))


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("mp3", "libmp3lame")])
def test_the_last_range_to_be_done_joins_them_into_the_transcript_of_the_whole(
    cloud: Cloud, samples: Samples, whole: dict[str, Any], container: str, codec: str
) -> None:
    content = encoded(samples, container, codec, 16_000)
    ours = cut_job(cloud, COUNT, "cut", content, Options())
    [item] = ours.order.items()

    for shard in (2, 0, 1):
        assert ours.run(shard).code == ExitCode.FINISHED

    kinds = [ours.outcome(shard).kind for shard in range(COUNT)]
    assert kinds == [OutcomeKind.RANGE_DONE, OutcomeKind.DONE, OutcomeKind.RANGE_DONE]
    transcript = ours.transcript(item.request_id, 1)
    assert transcript["duration_seconds"] == pytest.approx(whole["duration_seconds"], abs=0.1)
    assert transcript["speech_seconds"] == pytest.approx(whole["speech_seconds"], rel=0.03)
    assert transcript["language"] == whole["language"]
    starts = [segment["start"] for segment in transcript["segments"]]
    assert starts == sorted(starts)
    assert difference(whole, transcript) < 0.03
    efforts = [ours.outcome(shard).effort for shard in range(COUNT)]
    assert all(effort and effort.read_seconds for effort in efforts), efforts
    # Between its pauses nobody speaks in the second.
    assert [bool(effort and effort.tokens) for effort in efforts] == [True, False, True]
    heard = [ours.outcome(shard).audio_seconds for shard in (0, 2)]
    each = whole["duration_seconds"] / COUNT
    assert all(each / 2 <= seconds <= each * 3 / 2 for seconds in heard), heard
    record = ours.record(item.request_id)
    assert record is not None
    assert record.done is not None
    assert ours.left(f"ranges/{item.request_id}/") == 0, "what was saved is still there"


def test_ranges_that_end_together_write_one_transcript(
    cloud: Cloud, samples: Samples, whole: dict[str, Any]
) -> None:
    ours = cut_job(cloud, 2, "together", encoded(samples, "flac", "flac", 16_000), Options())

    for process in [ours.start(shard) for shard in range(2)]:
        assert end_of(process).code == ExitCode.FINISHED

    assert difference(whole, joined(ours)) < 0.03


def test_a_range_that_was_interrupted_goes_on_and_nothing_else_is_done_again(
    cloud: Cloud, samples: Samples, whole: dict[str, Any]
) -> None:
    one_by_one = {"WHISPER_FLEET_BATCH_SIZE": "1"}
    twice = encoded(np.concatenate([samples, samples], axis=1), "flac", "flac", 16_000)
    ours = cut_job(cloud, 2, "stopped", twice, Options())
    assert ours.run(0).code == ExitCode.FINISHED
    process = ours.start(1, **one_by_one)
    wait_until("a window is transcribed", lambda: seconds_done(ours, 1) > 0)
    process.send_signal(signal.SIGTERM)
    assert end_of(process).code == ExitCode.INTERRUPTED
    assert seconds_done(ours, 1) == 0, "somebody could be blamed"

    again = ours.run(1)

    assert again.event("request_resumed")
    assert again.code == ExitCode.FINISHED
    assert ours.outcome(0).kind is OutcomeKind.RANGE_DONE
    transcript = joined(ours)
    assert difference({"segments": whole["segments"] * 2}, transcript) < 0.03
    assert ours.left(f"ranges/{ours.order.items()[0].request_id}/") == 0


def seconds_done(ours: Job, shard: int) -> float:
    """How far a range's worker says it is."""
    try:
        return sum(one.seconds_done for one in ours.report(shard).in_hand)
    except ours.cloud.s3.exceptions.NoSuchKey:
        return 0.0


def test_channels_of_ranges_stay_apart_and_words_keep_their_times(cloud: Cloud) -> None:
    options = Options(channels=Channels.SEPARATE, timestamps=TimestampLevel.WORD)
    ours = cut_job(cloud, 2, "call", two_channels(), options)

    for shard in range(2):
        assert ours.run(shard).code == ExitCode.FINISHED

    segments = joined(ours)["segments"]
    assert_each_channel_is_heard(segments)
    for segment in segments:
        for word in segment["words"]:
            assert segment["start"] - 0.1 <= word["start"] <= segment["end"] + 0.1


def odd(what: str) -> bytes:
    """A recording that is not as long as it says, or does not say it."""
    weather = samples_of("weather.mp3")
    if what == "cut off":
        wav = encoded(weather, "wav", "pcm_s16le", 16_000)
        return wav[: len(wav) // 3]
    if what == "no length":
        return encoded(weather, "adts", "aac", 16_000)
    if what == "short":
        return encoded(weather[:, : 4 * 16_000], "flac", "flac", 16_000)
    return encoded(np.zeros_like(weather), "flac", "flac", 16_000)


@pytest.mark.parametrize("what", ["cut off", "no length", "short", "silent"])
def test_ranges_of_an_odd_recording_say_what_the_whole_does(cloud: Cloud, what: str) -> None:
    content = odd(what)
    one = job(cloud, ("whole", content, Options()))
    assert one.run().code == ExitCode.FINISHED
    expected = one.transcript(one.order.items()[0].request_id)
    ours = cut_job(cloud, 4, "odd", content, Options())

    for shard in range(4):
        assert ours.run(shard).code == ExitCode.FINISHED

    found = joined(ours)
    assert found["duration_seconds"] == pytest.approx(expected["duration_seconds"], abs=0.1)
    if words(expected):
        # A second of speech by itself is hard to understand.
        assert difference(expected, found) < (0.4 if what == "short" else 0.05)
    else:
        assert not words(found)
    told = [warning.partition(": ")[2] for warning in found["warnings"]]
    assert told == expected["warnings"]


def test_a_recording_that_cannot_be_read_fails_in_each_of_its_ranges(cloud: Cloud) -> None:
    ours = cut_job(cloud, 2, "text", b"These are not sounds." * 100, Options())

    for shard in range(2):
        assert ours.run(shard).code == ExitCode.FINISHED

    assert [ours.outcome(shard).reason for shard in range(2)] == ["not_audio", "not_audio"]


def test_ranges_of_another_recording_are_not_joined(cloud: Cloud, samples: Samples) -> None:
    ours = cut_job(cloud, 2, "replaced", encoded(samples, "flac", "flac", 16_000), Options())
    [item] = ours.order.items()
    assert ours.run(0).code == ExitCode.FINISHED
    other = (RECORDINGS / "weather.mp3").read_bytes()
    cloud.put(item.audio.removeprefix("s3://recordings/"), other)

    assert ours.run(1).code == ExitCode.FINISHED

    assert ours.outcome(1).kind is OutcomeKind.RANGE_DONE
    assert ours.record(item.request_id) is None


def test_every_range_speaks_the_language_of_the_recordings_beginning(cloud: Cloud) -> None:
    spanish, russian = samples_of("languages/spanish.nut"), samples_of("languages/russian.nut")
    pause = np.zeros((1, 6 * 16_000), np.float32)
    parts = [spanish, pause] * 3 + [russian, pause] * 4
    content = encoded(np.concatenate(parts, axis=1), "flac", "flac", 16_000)
    ours = cut_job(cloud, 2, "languages", content, Options())
    [item] = ours.order.items()

    assert ours.run(1, WHISPER_FLEET_MODEL="base").code == ExitCode.FINISHED

    saved = json.loads(ours.cloud.read(str(ours.cloud.ledger.range(item.request_id, 1, 2))))
    assert {window["language"] for window in saved["windows"]} == {"es"}
    begins_at = saved["range_done"]["start_seconds"]
    assert all(window["start_seconds"] >= begins_at for window in saved["windows"])
    assert len(saved["windows"]) >= 3

    assert ours.run(0, WHISPER_FLEET_MODEL="base").code == ExitCode.FINISHED
    assert joined(ours)["language"] == "es"
