"""Messages of every kind, over the wire, to a daemon that goes on working."""

import json
from functools import partial

import pytest

from daemon.aws.limits import MESSAGE_BATCH_MAX_BYTES
from tests.malformed import MALFORMED, SIGNATURE, SIGNED_URL
from tests.running import Cloud, Daemon, wait_until


def test_malformed_messages_are_answered_and_the_daemon_goes_on(
    cloud: Cloud, daemon: Daemon
) -> None:
    bodies = dict(MALFORMED.values())
    for body in bodies:
        cloud.send(body)

    letters: list[dict[str, str]] = []

    def all_there() -> bool:
        letters.extend(cloud.dead_letters())
        return len(letters) >= len(bodies)

    wait_until("every malformed message is a dead letter", all_there)

    assert {letter["body"]: letter["reason"] for letter in letters} == bodies
    assert all(letter["detail"] and letter["message_id"] for letter in letters)
    wait_until("their messages are gone", lambda: cloud.depth() == (0, 0))
    rejected = "whisper_fleet_messages_rejected_total"
    wait_until("all are counted", lambda: daemon.metric(rejected) == len(bodies))
    for reason in set(bodies.values()):
        wait_until(f"{reason} is told", lambda: daemon.event("message_rejected", reason=reason))  # noqa: B023
    assert daemon.get("/healthz") == (200, "ok")
    assert daemon.get("/readyz") == (200, "ok")
    still_works(cloud)


def test_a_signed_address_reaches_neither_the_log_nor_the_reasons(
    cloud: Cloud, daemon: Daemon
) -> None:
    cloud.send({"audio": SIGNED_URL, "request_id": "signed"})

    [letter] = wait_until("its dead letter is there", cloud.dead_letters)
    assert letter["reason"] == "invalid_field"
    assert "https://recordings.s3.amazonaws.com/a.wav?REDACTED" in letter["detail"]
    assert SIGNATURE in letter.pop("body"), "the body is kept as it came"
    assert SIGNATURE not in str(letter)
    told = {"message_id": letter["message_id"]}
    wait_until("it is told", lambda: daemon.event("message_rejected", **told))
    assert SIGNATURE not in str(daemon.log)


def test_the_largest_message_that_sqs_takes_is_a_dead_letter_with_its_whole_body(
    cloud: Cloud, daemon: Daemon
) -> None:
    body = "x" * MESSAGE_BATCH_MAX_BYTES
    cloud.send(body)

    [letter] = wait_until("its dead letter is there", cloud.dead_letters)
    assert letter == {"body": body}, "no byte is left for a reason"
    wait_until("it is told", lambda: daemon.event("message_rejected", reason="too_large"))


def still_works(cloud: Cloud) -> None:
    """A request that can be judged is judged: here, one for an object that is not there."""
    request_id = cloud.send({"audio": "s3://recordings/not-there.wav"})
    [outcome] = cloud.fate(request_id).outcomes
    assert outcome.reason == "missing"
    [letter] = wait_until("its dead letter is there", cloud.dead_letters)
    assert letter["request_id"] == request_id


def test_a_notification_from_s3_itself_is_a_request(cloud: Cloud, daemon: Daemon) -> None:
    arn = cloud.sqs.get_queue_attributes(
        QueueUrl=cloud.parts.requests_url, AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]
    cloud.s3.put_bucket_notification_configuration(
        Bucket="recordings",
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    try:
        wait_until("S3's test event is deleted", lambda: daemon.event("test_event_deleted"))
        cloud.put("calls/übung 1+2.wav", b"no sound in here")
        held = wait_until(
            "the object is a request",
            lambda: daemon.event("request_held", audio="s3://recordings/calls/übung 1+2.wav"),
        )
    finally:
        cloud.s3.put_bucket_notification_configuration(
            Bucket="recordings", NotificationConfiguration={}
        )

    [outcome] = cloud.fate(held["request_id"]).outcomes
    assert outcome.reason == "not_audio"
    wait_until("its dead letter is there", cloud.dead_letters)


def test_an_eventbridge_event_is_a_request(cloud: Cloud, daemon: Daemon) -> None:
    cloud.put("a+b.wav", b"no sound in here")
    created = {"bucket": {"name": "recordings"}, "object": {"key": "a+b.wav", "etag": "e"}}
    cloud.send({"source": "aws.s3", "detail-type": "Object Created", "detail": created})

    held = wait_until(
        "the object is a request",
        lambda: daemon.event("request_held", audio="s3://recordings/a+b.wav"),
    )

    [outcome] = cloud.fate(held["request_id"]).outcomes
    assert outcome.reason == "not_audio"
    wait_until("its dead letter is there", cloud.dead_letters)


def test_a_notification_of_several_objects_is_split(cloud: Cloud, daemon: Daemon) -> None:
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "recordings"}, "object": {"key": key, "eTag": key}},
        }
        for key in ("split-1.wav", "split-2.wav")
    ]
    cloud.send({"Records": records})

    for key in ("split-1.wav", "split-2.wav"):
        held = wait_until(
            f"{key} is a request",
            partial(daemon.event, "request_held", audio=f"s3://recordings/{key}"),
        )
        assert cloud.fate(held["request_id"]).dead_lettered_at
    letters: list[dict[str, str]] = []

    def both_there() -> bool:
        letters.extend(cloud.dead_letters())
        return len(letters) == 2

    wait_until("both dead letters are there", both_there)


def test_a_second_copy_of_a_request_is_done_once_and_both_messages_go(
    cloud: Cloud, daemon: Daemon
) -> None:
    request = {"audio": "s3://recordings/twice.wav", "request_id": "twice"}
    for _ in range(2):
        cloud.send(request)

    cloud.fate("twice")
    wait_until("both messages are gone", lambda: cloud.depth() == (0, 0))
    duplicates = "whisper_fleet_messages_duplicate_total"
    wait_until("the copy is counted", lambda: daemon.metric(duplicates) == 1)
    [letter] = cloud.dead_letters()
    assert json.loads(letter["body"]) == request


def test_another_request_under_an_id_in_use_is_refused(cloud: Cloud, daemon: Daemon) -> None:
    cloud.send({"audio": "s3://recordings/one.wav", "request_id": "taken"})
    cloud.send({"audio": "s3://recordings/two.wav", "request_id": "taken"})

    letters: list[dict[str, str]] = []

    def both_there() -> bool:
        letters.extend(cloud.dead_letters())
        return len(letters) == 2

    wait_until("both are dead letters", both_there)
    assert {letter["reason"] for letter in letters} == {"missing", "conflicting_request_id"}


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_the_monitor_answers(daemon: Daemon, path: str) -> None:
    assert daemon.get(path)[0] == 200
