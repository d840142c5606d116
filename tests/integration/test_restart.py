"""Stopping and starting again while there is work."""

import json
import signal
from pathlib import Path

import pytest

from neuron_worker.contract import OutcomeKind, Reason
from tests.running import Cloud, Daemon, wait_until
from tests.workers import in_hand, signal_worker

RECORDINGS = Path(__file__).parents[1] / "recordings"

ALL_TOGETHER = {"linger_seconds": 3600, "order_requests_max": 4}
"""One order as soon as all four recordings are there."""


def send_recordings(cloud: Cloud, prefix: str) -> list[str]:
    ids = []
    for recording in ("archive.opus", "harbour.flac", "interview.m4a", "weather.mp3"):
        request_id = f"{prefix}-{recording}"
        audio = cloud.put(recording, (RECORDINGS / recording).read_bytes())
        cloud.send({"audio": audio, "request_id": request_id})
        ids.append(request_id)
    return ids


def test_after_sigterm_held_messages_are_visible_at_once(cloud: Cloud) -> None:
    with cloud.daemon(planner={"linger_seconds": 3600}) as daemon:
        ids = send_recordings(cloud, "held")
        wait_until(
            "all are held", lambda: all(daemon.event("request_held", request_id=i) for i in ids)
        )
        assert cloud.depth() == (0, 4)

        assert daemon.terminate() == 0

    assert cloud.depth() == (4, 0)
    assert {json.loads(body)["request_id"] for body in cloud.take_requests()} == set(ids)


def test_a_second_daemon_finishes_what_the_first_began(cloud: Cloud) -> None:
    with cloud.daemon(planner=ALL_TOGETHER) as first:
        ids = send_recordings(cloud, "passed-on")
        wait_until("the order is with Batch", lambda: first.event("order_submitted"))

        assert first.terminate() == 0
        assert first.log[-1]["event"] == "stopped"

    with cloud.daemon() as second:
        adopted = second.event("order_adopted")
        records = [cloud.fate(request_id) for request_id in ids]
        wait_until("all messages are gone", lambda: cloud.depth() == (0, 0))
        wait_until("the order is closed", lambda: second.event("order_closed"))
        submitted = second.metric("whisper_fleet_orders_submitted_total")

    assert adopted
    assert adopted["requests"] == 4
    assert submitted == 0, "the second daemon paid for the work again"
    assert all(record.done for record in records)


def test_after_a_kill_the_next_daemon_adopts_the_order_that_runs(cloud: Cloud) -> None:
    with cloud.daemon(planner=ALL_TOGETHER) as first:
        ids = send_recordings(cloud, "killed")
        wait_until("the order is with Batch", lambda: first.event("order_submitted"))
        first.process.kill()
        first.process.wait()

    with cloud.daemon() as second:
        records = [cloud.fate(request_id) for request_id in ids]
        wait_until("all messages are gone", lambda: cloud.depth() == (0, 0))

        assert second.event("order_adopted")
        assert second.metric("whisper_fleet_orders_submitted_total") == 0
    assert all(record.done for record in records)


def test_what_a_killed_worker_had_in_hand_is_tried_again_alone(cloud: Cloud) -> None:
    with cloud.daemon() as daemon:
        ids = send_recordings(cloud, "crash")
        order = wait_until("the order is with Batch", lambda: daemon.event("order_submitted"))
        shard_index, _ = wait_until(
            "a request is in hand", lambda: in_hand(cloud, str(order["order_id"]))
        )
        signal_worker(str(order["job_id"]), shard_index, signal.SIGKILL)

        records = {request_id: cloud.fate(request_id) for request_id in ids}
        judged = {
            name: record.outcomes[0].reason
            for name, record in records.items()
            if record.outcomes[0].kind is not OutcomeKind.DONE
        }
        retried = {name: daemon.event("request_retried", request_id=name) for name in judged}

    assert all(record.done for record in records.values())
    suspects = {name for name, reason in judged.items() if reason is not Reason.NOT_STARTED}
    assert suspects
    assert {name for name, event in retried.items() if event and event["alone"]} == suspects
    blamed = {name: record.blamed_attempts for name, record in records.items()}
    assert blamed == {name: int(len(suspects) == 1 and name in suspects) for name in ids}


def test_a_job_that_an_operator_ends_is_done_again_and_nobody_is_blamed(cloud: Cloud) -> None:
    with cloud.daemon() as daemon:
        ids = send_recordings(cloud, "ended")
        order = wait_until("the order is with Batch", lambda: daemon.event("order_submitted"))
        wait_until("a request is in hand", lambda: in_hand(cloud, str(order["order_id"])))
        cloud.batch.terminate_job(jobId=str(order["job_id"]), reason="making room")

        records = [cloud.fate(request_id) for request_id in ids]
        retried = daemon.metric("whisper_fleet_requests_retried_total")
        interrupted = daemon.event("request_retried")

    assert all(record.done for record in records)
    assert [record.blamed_attempts for record in records] == [0] * 4
    assert retried > 0
    assert interrupted
    assert "making room" in interrupted["detail"]


def test_a_daemon_with_wrong_settings_says_which_and_ends(cloud: Cloud) -> None:
    config = cloud.config(intake={"wait_seconds": 99})

    with pytest.raises(AssertionError, match=r"ended at once.*intake\.wait_seconds"):
        Daemon(config).wait_until_started()
