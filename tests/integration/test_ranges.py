"""A long recording through the whole path: cut, transcribed side by side, joined."""

import numpy as np

from neuron_worker.contract import TranscriptFormat
from tests.jobs import NAMES, samples_of
from tests.media import encoded
from tests.running import Cloud, wait_until


def test_a_long_recording_is_transcribed_by_several_workers_and_settled_once(cloud: Cloud) -> None:
    samples = np.concatenate([samples_of(name) for name in NAMES], axis=1)
    seconds = samples.shape[1] / 16_000
    audio = cloud.put("long.flac", encoded(samples, "flac", "flac", 16_000))
    planner = {"linger_seconds": 0, "range_min_seconds": 60}
    estimator = {"seconds_per_job": 0.5, "seconds_per_audio_second": 0.05}
    with cloud.daemon(planner=planner, estimator=estimator) as daemon:
        cloud.send({"audio": audio, "request_id": "long", "duration_seconds": seconds})
        record = cloud.fate("long")
        wait_until("its message is gone", lambda: cloud.depth() == (0, 0))
        order = wait_until("the order is closed", lambda: daemon.event("order_closed"))
        written = daemon.event("order_written", order_id=order["order_id"])
        shards = daemon.metric("whisper_fleet_shards_submitted_total")

    assert written
    assert (written["shards"], written["requests"]) == (2, 1)
    assert shards == 2
    assert record.done
    assert record.done.audio_seconds == round(seconds, 3)
    assert set(record.done.transcripts) == {"txt", "json"}
    text = cloud.read(record.done.transcripts[TranscriptFormat.TXT]).decode()
    for word in ("weather", "harbor", "archive"):
        assert word in text.lower().replace("harbour", "harbor")
    assert cloud.keys("ledger", "ranges/") == []
