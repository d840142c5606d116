"""The worker as Batch runs it: a process with an order, against S3 over the wire."""

import random
import signal
import subprocess
import time
from typing import Any

import numpy as np
import pytest

from neuron_worker.contract import (
    Channels,
    ExitCode,
    Options,
    Order,
    Outcome,
    Stage,
    TimestampLevel,
)
from tests.jobs import (
    NAMES,
    RECORDINGS,
    Job,
    assert_each_channel_is_heard,
    end_of,
    job,
    samples_of,
    two_channels,
)
from tests.media import encoded
from tests.running import Cloud

MIB = 1024**2


@pytest.fixture(scope="module")
def long_recording() -> bytes:
    """All recordings after each other, twice."""
    once = [samples_of(name) for name in NAMES]
    return encoded(np.concatenate(once * 2, axis=1), "flac", "flac", 16_000)


def test_a_shard_of_good_and_bad_recordings(cloud: Cloud) -> None:
    whole = {name: (RECORDINGS / name).read_bytes() for name in NAMES}
    ours = job(
        cloud,
        ("good", whole["weather.mp3"], Options()),
        ("text", b"These are not sounds." * 100, Options()),
        ("empty", b"", Options()),
        ("german", whole["harbour.flac"], Options(language="de")),
        ("also-good", whole["archive.opus"], Options()),
    )

    ended = ours.run()

    assert ended.code == ExitCode.FINISHED, ended.log
    report = ours.report()
    reasons = {outcome.request_id.split(".")[0]: outcome.reason for outcome in report.outcomes}
    assert reasons == {
        "good": None,
        "text": "not_audio",
        "empty": "empty",
        "german": "unsupported_option",
        "also-good": None,
    }
    assert report.in_hand == ()
    for item in ours.order.items():
        record = ours.record(item.request_id)
        assert bool(record and record.done) == item.request_id.split(".")[0].endswith("good")


def test_an_outcome_tells_what_the_request_took(cloud: Cloud) -> None:
    weather = (RECORDINGS / "weather.mp3").read_bytes()
    ours = job(
        cloud,
        ("plain", weather, Options()),
        ("words", weather, Options(timestamps=TimestampLevel.WORD)),
        ("text", b"These are not sounds." * 100, Options()),
    )
    began = time.monotonic()

    assert ours.run().code == ExitCode.FINISHED

    wall_seconds = time.monotonic() - began
    plain, words, text = (outcome.effort for outcome in by_request(ours))
    assert plain is not None
    assert words is not None
    assert text is not None
    for one in (plain, words):
        assert 1 <= one.windows <= 4, "half a minute of speech"
        assert 50 <= one.tokens <= 1_000
        assert one.fallbacks == 0, "it is clear speech"
        assert 100 * MIB <= one.peak_memory_bytes <= 8_192 * MIB
        assert min(one.read_seconds, one.encode_seconds, one.decode_seconds) > 0
    assert plain.align_seconds == 0 < words.align_seconds
    assert (text.windows, text.tokens, text.encode_seconds) == (0, 0, 0)
    on_device = (Stage.ENCODE, Stage.DECODE, Stage.ALIGN)
    for stages in (on_device, (Stage.READ,), (Stage.WRITE,)):
        # Each of them is one thread's: what it did for all requests fits into the whole time.
        taken = sum(one.seconds_in(stage) for one in (plain, words, text) for stage in stages)
        assert taken <= wall_seconds, stages


def by_request(ours: Job) -> list[Outcome]:
    """The outcomes of a job's requests, in the order's order."""
    outcomes = {outcome.request_id: outcome for outcome in ours.report().outcomes}
    return [outcomes[item.request_id] for item in ours.order.items()]


@pytest.fixture(scope="module")
def undisturbed(cloud: Cloud, long_recording: bytes) -> tuple[dict[str, Any], float]:
    """The transcript of a run that nobody stops, and how many seconds it takes."""
    ours = job(cloud, ("long", long_recording, Options()))
    started = time.monotonic()
    assert ours.run().code == ExitCode.FINISHED
    return ours.transcript(ours.order.items()[0].request_id), time.monotonic() - started


def test_a_transcript_is_the_same_however_often_its_worker_is_told_to_stop(
    cloud: Cloud, long_recording: bytes, undisturbed: tuple[dict[str, Any], float]
) -> None:
    transcript, seconds = undisturbed
    moments = random.Random(7)
    ours = job(cloud, ("long", long_recording, Options()))
    request_id = ours.order.items()[0].request_id
    codes, resumed = list[int](), 0

    for _ in range(10):
        process = ours.start()
        try:
            process.wait(moments.uniform(0.0, seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        ended = end_of(process)
        codes.append(ended.code)
        resumed += ended.event("request_resumed") is not None
        if ended.code == ExitCode.FINISHED:
            break
        assert not ours.in_hand()
    if codes[-1] != ExitCode.FINISHED:
        last = ours.run()
        codes.append(last.code)
        resumed += last.event("request_resumed") is not None

    told_to_stop = {ExitCode.INTERRUPTED, -signal.SIGTERM}
    assert set(codes[:-1]) <= told_to_stop
    assert codes[-1] == ExitCode.FINISHED
    assert resumed, f"no attempt went on where another was: {codes}"
    names = {"request_id": None, "audio": None}
    assert ours.transcript(request_id) | names == transcript | names
    left = cloud.s3.list_objects_v2(Bucket="ledger", Prefix=f"progress/{request_id}")
    assert left["KeyCount"] == 0, "the saved progress is still there"


def test_progress_of_other_audio_is_not_used(cloud: Cloud, long_recording: bytes) -> None:
    ours = job(cloud, ("long", long_recording, Options()))
    request_id = ours.order.items()[0].request_id
    process = ours.start()
    assert process.stderr is not None
    try:
        process.wait(6.0)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
    end_of(process)
    item = ours.order.items()[0]
    cloud.put(item.audio.removeprefix("s3://recordings/"), (RECORDINGS / NAMES[0]).read_bytes())

    ended = ours.run()

    assert ended.code == ExitCode.FINISHED
    assert ended.event("request_resumed") is None
    assert ours.transcript(request_id)["duration_seconds"] < 60


def test_channels_are_transcribed_for_themselves_on_request(cloud: Cloud) -> None:
    ours = job(cloud, ("call", two_channels(), Options(channels=Channels.SEPARATE)))

    assert ours.run().code == ExitCode.FINISHED

    segments = ours.transcript(ours.order.items()[0].request_id)["segments"]
    assert_each_channel_is_heard(segments)
    starts = [segment["start"] for segment in segments]
    assert starts == sorted(starts)


def test_words_have_times_on_request(cloud: Cloud) -> None:
    content = (RECORDINGS / "harbour.flac").read_bytes()
    ours = job(
        cloud,
        ("plain", content, Options()),
        ("words", content, Options(timestamps=TimestampLevel.WORD)),
    )

    assert ours.run().code == ExitCode.FINISHED

    plain, words = (ours.transcript(item.request_id) for item in ours.order.items())
    assert words["text"] == plain["text"]
    at = 0.0
    for segment in words["segments"]:
        assert "".join(word["text"] for word in segment["words"]).replace(" ", "") == segment[
            "text"
        ].replace(" ", "")
        for word in segment["words"]:
            assert at <= word["start"] <= word["end"]
            at = word["end"]


def test_what_is_done_already_costs_no_model(cloud: Cloud) -> None:
    content = (RECORDINGS / "archive.opus").read_bytes()
    first = job(cloud, ("once", content, Options()))
    assert first.run().code == ExitCode.FINISHED
    again = Order.model_validate_json(first.order.to_json()).model_copy(
        update={"order_id": f"{first.order.order_id}-again"}
    )
    uri = cloud.ledger.open_order(again.order_id)
    cloud.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=again.to_json())

    ended = Job(cloud, again).run(WHISPER_FLEET_MODEL="no-such-model")

    assert ended.code == ExitCode.FINISHED
    assert ended.event("request_done_before")


def test_what_cannot_be_read_in_the_ledger_is_answered_for_and_kept(cloud: Cloud) -> None:
    content = (RECORDINGS / "archive.opus").read_bytes()
    ours = job(cloud, ("torn", content, Options()))
    request_id = ours.order.items()[0].request_id
    record = cloud.ledger.record(request_id)
    for uri in (record, cloud.ledger.report(ours.order.order_id, 0)):
        cloud.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=b'{"request_id": "to')

    ended = ours.run(WHISPER_FLEET_MODEL="no-such-model")

    assert ended.code == ExitCode.FINISHED, ended.log
    [outcome] = ours.report().outcomes
    assert outcome.reason == "record_unreadable"
    assert str(record) in outcome.detail
    assert cloud.read(str(record)) == b'{"request_id": "to'
    assert ended.event("report_unreadable")
