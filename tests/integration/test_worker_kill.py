"""A worker that is killed with SIGKILL in the middle of a long recording."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import pytest

from neuron_worker.contract import InHand, Reason, ShardReport, TranscriptFormat
from neuron_worker.delivery import PROGRESS_SAVE_SECONDS
from neuron_worker.progress import Progress, WindowDone
from tests.running import Cloud, wait_until
from tests.workers import in_hand, lines_of_workers, signal_worker

WEATHER = Path(__file__).parents[1] / "recordings" / "weather.mp3"
TIMES = 12
"""Six minutes: more windows than a batch has rows."""

BOTH = {"linger_seconds": 5, "order_requests_max": 2}
"""One order as soon as both requests are there; one that is tried again lingers."""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_after_a_kill_a_long_recording_goes_on_from_what_was_saved_of_it(cloud: Cloud) -> None:
    # Frames of MP3 stand for themselves: files after each other are a file.
    audio = cloud.put("long.mp3", WEATHER.read_bytes() * TIMES)
    with cloud.daemon(planner=BOTH) as daemon:
        for request_id in ("one", "other"):
            cloud.send({"audio": audio, "request_id": request_id})
        order = wait_until("the order is with Batch", lambda: daemon.event("order_submitted"))
        order_id = str(order["order_id"])
        shard_index, killed = wait_until("one is in hand", lambda: in_hand(cloud, order_id))
        saved = kill_once_saved(cloud, order_id, str(order["job_id"]), shard_index)
        assert saved.request_id == killed

        records = {request_id: cloud.fate(request_id, 300) for request_id in ("one", "other")}
        retried = daemon.event("request_retried", request_id=killed)

    undisturbed = records.pop("other" if killed == "one" else "one")
    assert [outcome.reason for outcome in undisturbed.outcomes] == [None]
    record = records[killed]
    assert [outcome.reason for outcome in record.outcomes] == [Reason.OUT_OF_MEMORY, None]
    assert record.blamed_attempts == 1
    assert retried
    assert retried["alone"]
    resumed = [line for line in lines_of_workers(cloud) if line["event"] == "request_resumed"]
    assert [(line["request_id"], line["windows"]) for line in resumed] == [
        (killed, len(saved.windows))
    ]

    # What was saved went into the transcript as it was; all else is as if nothing had happened.
    transcripts = [
        json.loads(cloud.read(one.done.transcripts[TranscriptFormat.JSON]))
        for one in (record, undisturbed)
        if one.done
    ]
    marked = [one for one in transcripts[0]["segments"] if one["text"].isupper()]
    assert len(marked) == sum(len(window.segments) for window in saved.windows)
    assert len(marked) < len(transcripts[0]["segments"])
    assert in_lower_case(transcripts[0]) == in_lower_case(transcripts[1])
    assert not cloud.keys("ledger", "progress/")


def kill_once_saved(cloud: Cloud, order_id: str, job_id: str, shard_index: int) -> Progress:
    """SIGKILL for the worker soon after it saved progress, whose text is then put into capitals.

    It sleeps until it is time to save, so that a fast machine needs no longer recording.
    """
    begun = wait_until("some is transcribed", lambda: far(cloud, order_id, shard_index))
    signal_worker(job_id, shard_index, SIGSTOP)
    due = begun.started_at + timedelta(seconds=PROGRESS_SAVE_SECONDS + 1)
    wait_until("it is time to save", lambda: datetime.now(UTC) > due)
    signal_worker(job_id, shard_index, SIGCONT)
    uri = cloud.ledger.progress(begun.request_id)
    wait_until("progress is saved", lambda: cloud.keys(uri.bucket, uri.key))
    signal_worker(job_id, shard_index, SIGSTOP)
    saved = Progress.model_validate_json(cloud.read(str(uri)))
    marked = saved.model_copy(
        update={"windows": tuple(in_capitals(window) for window in saved.windows)}
    )
    cloud.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=marked.to_json())
    signal_worker(job_id, shard_index, SIGKILL)
    return saved


def far(cloud: Cloud, order_id: str, shard_index: int) -> InHand | None:
    """What the worker of that shard has in hand, once it has done some of it."""
    report = ShardReport.model_validate_json(
        cloud.read(str(cloud.ledger.report(order_id, shard_index)))
    )
    return next((one for one in report.in_hand if one.seconds_done > 0), None)


def in_capitals(window: WindowDone) -> WindowDone:
    segments = tuple(replace(one, text=one.text.upper()) for one in window.segments)
    return window.model_copy(update={"segments": segments})


def in_lower_case(transcript: dict[str, Any]) -> dict[str, Any]:
    """Whoever it was asked for."""
    lowered: dict[str, Any] = json.loads(json.dumps(transcript).lower())
    return lowered | {"request_id": None}
