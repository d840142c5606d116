"""Dead letters for people, over the wire."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from daemon.dead_letters import dead_letter
from neuron_worker.contract import Reason
from tests.malformed import SIGNATURE, SIGNED_URL
from tests.running import Cloud, console, wait_until


@pytest.fixture(scope="module")
def config(cloud: Cloud) -> str:
    return str(cloud.config())


@pytest.fixture(autouse=True)
def _empty(cloud: Cloud) -> Iterator[None]:
    yield
    cloud.dead_letters()
    cloud.take_requests()


def put_letter(cloud: Cloud, body: object, reason: str, **facts: str) -> str:
    """A letter as the daemon writes it; its message id."""
    text = body if isinstance(body, str) else json.dumps(body)
    letter = dead_letter(text, reason=reason, detail=f"because of {reason}", facts=facts)
    return put(cloud, letter.body, letter.attributes)


def put(cloud: Cloud, body: str, attributes: Mapping[str, str]) -> str:
    sent = cloud.sqs.send_message(
        QueueUrl=cloud.parts.dead_letters_url,
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )
    return str(sent["MessageId"])


def put_some(cloud: Cloud) -> None:
    for number in range(3):
        body = {"audio": f"s3://recordings/{number}.wav", "request_id": f"gone-{number}"}
        put_letter(cloud, body, "missing", request_id=f"gone-{number}", attempts="1")
    put_letter(cloud, "{oops", "not_json", message_id="the-producers-id")


def letters_in_queue(cloud: Cloud) -> tuple[int, int]:
    """Visible and hidden ones."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = cloud.sqs.get_queue_attributes(
        QueueUrl=cloud.parts.dead_letters_url, AttributeNames=names
    )["Attributes"]
    return int(counts[names[0]]), int(counts[names[1]])


def test_list_shows_each_letter_once_counts_them_and_leaves_them_visible(
    cloud: Cloud, config: str
) -> None:
    put_some(cloud)
    listed = console("dead-letters", "list", "--config", config)

    assert listed.returncode == 0, listed.stderr
    for number in range(3):
        assert listed.stdout.count(f"gone-{number}") == 1
        assert f"s3://recordings/{number}.wav" in listed.stdout
    assert "the-producers-id" in listed.stdout
    assert ["missing", "3"] in [line.split() for line in listed.stdout.splitlines()]
    assert "the whole queue was read: 4 letters" in listed.stdout
    assert letters_in_queue(cloud) == (4, 0)


def test_list_takes_filters_and_speaks_json(cloud: Cloud, config: str) -> None:
    put_some(cloud)
    by_reason = console(
        *("dead-letters", "list", "--reason", "not_json", "--json", "--config", config)
    )
    limited = console("dead-letters", "list", "--limit", "2", "--json", "--config", config)
    old = console("dead-letters", "list", "--older-than", "1h", "--json", "--config", config)
    new = console("dead-letters", "list", "--newer-than", "1h", "--json", "--config", config)

    [letter] = map(json.loads, by_reason.stdout.splitlines())
    assert letter["reason"] == "not_json"
    assert letter["rejected_message_id"] == "the-producers-id"
    assert letter["detail"] == "because of not_json"
    assert len(limited.stdout.splitlines()) == 2
    assert old.stdout == ""
    assert len(new.stdout.splitlines()) == 4
    assert letters_in_queue(cloud) == (4, 0)


def test_an_empty_queue_is_said_to_be_so(config: str) -> None:
    listed = console("dead-letters", "list", "--config", config)

    assert (listed.returncode, "0 letters" in listed.stdout) == (0, True)


def test_a_letter_that_the_queue_moved_is_shown_as_such(cloud: Cloud, config: str) -> None:
    message_id = put(cloud, json.dumps({"audio": "s3://recordings/moved.wav"}), {})
    shown = console("dead-letters", "show", message_id, "--config", config)

    assert shown.returncode == 0, shown.stderr
    assert "unknown" in shown.stdout
    assert "moved here by the queue itself" in shown.stdout
    assert "maxReceiveCount" in shown.stdout


def test_what_was_given_up_is_shown_with_its_outcomes_and_what_to_do(
    cloud: Cloud, config: str
) -> None:
    with cloud.daemon():
        body = {"audio": "s3://recordings/nowhere.wav", "request_id": "lost", "language": "en"}
        cloud.send(body)
        [outcome] = cloud.fate("lost").outcomes
        # The daemon is killed: what it has not deleted would come back to a later test's.
        wait_until("its message is gone", lambda: cloud.depth() == (0, 0))
    shown = console("dead-letters", "show", "lost", "--config", config)
    as_json = console("dead-letters", "show", "lost", "--json", "--config", config)

    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    assert outcome.order_id in text
    assert "upload it, or correct the location" in text
    assert '"language": "en"' in text
    assert "what to do Upload the recording, or correct its location" in text
    document = json.loads(as_json.stdout)
    assert document["reason"] == document["outcomes"][0]["reason"] == Reason.MISSING
    assert json.loads(document["body"]) == body
    assert document["order_ids"] == [outcome.order_id]
    assert letters_in_queue(cloud) == (1, 0)


def test_a_letter_that_is_not_there_is_said_to_be_so(cloud: Cloud, config: str) -> None:
    put_some(cloud)
    shown = console("dead-letters", "show", "nobody", "--config", config)

    assert shown.returncode == 2
    assert "there is no dead letter nobody" in shown.stderr
    assert "4 letters" in shown.stderr


def test_neither_a_secret_nor_a_terminals_command_is_shown(cloud: Cloud, config: str) -> None:
    # SQS takes no ESC, but it takes what a terminal understands the same way.
    body = json.dumps({"audio": SIGNED_URL, "x": "[bold]\x1b[2J"})[:-1] + "\x9d0;x\x9c"
    put(cloud, body, {"reason": "invalid_\x9b2Jfield", "detail": SIGNED_URL, "request_id": "../x"})
    for command in (["list"], ["list", "--json"], ["show", "../x"], ["show", "../x", "--json"]):
        shown = console("dead-letters", *command, "--config", config)
        assert shown.returncode == 0, shown.stderr
        assert "../x" in shown.stdout
        assert SIGNATURE not in shown.stdout
        assert not set("\x1b\x9b\x9c\x9d") & set(shown.stdout)
    assert "REDACTED" in shown.stdout


def test_redrive_sends_again_what_is_meant_and_nothing_else(cloud: Cloud, config: str) -> None:
    put_some(cloud)
    unsaid = console("dead-letters", "redrive", "--config", config)
    dry = console(
        *("dead-letters", "redrive", "--reason", "missing", "--dry-run", "--config", config)
    )

    assert unsaid.returncode == 1
    assert "--all" in unsaid.stderr
    assert "3 would be sent again" in dry.stdout
    assert "s3://recordings/1.wav" in dry.stdout
    assert letters_in_queue(cloud) == (4, 0)
    assert cloud.depth() == (0, 0)

    one = console("dead-letters", "redrive", "gone-1", "nobody", "--config", config)
    assert one.returncode == 2
    assert "1 sent again" in one.stdout
    assert "not found: nobody" in one.stderr

    rest = console("dead-letters", "redrive", "--all", "--config", config)
    assert rest.returncode == 0, rest.stderr
    assert "3 sent again" in rest.stdout
    assert letters_in_queue(cloud) == (0, 0)
    bodies = sorted(cloud.take_requests())
    assert [json.loads(body)["request_id"] for body in bodies[:3]] == ["gone-0", "gone-1", "gone-2"]
    assert bodies[3] == "{oops"


def test_what_fails_at_once_again_is_met_only_once_by_a_redrive(cloud: Cloud, config: str) -> None:
    with cloud.daemon(intake={"pollers": 1}) as daemon:
        for number in range(12):
            cloud.send(f"no JSON {number}")
        wait_until("all are dead letters", lambda: letters_in_queue(cloud) == (12, 0))

        redriven = console("dead-letters", "redrive", "--all", "--config", config)

        assert redriven.returncode == 0, redriven.stderr
        assert "12 sent again" in redriven.stdout
        wait_until("all are dead letters again", lambda: letters_in_queue(cloud) == (12, 0))
        rejected = "whisper_fleet_messages_rejected_total"
        wait_until("both times are counted", lambda: daemon.metric(rejected) == 24)


def test_purge_counts_first_and_deletes_only_when_told_to(cloud: Cloud, config: str) -> None:
    put_some(cloud)
    counted = console("dead-letters", "purge", "--reason", "missing", "--config", config)

    assert counted.returncode == 0, counted.stderr
    assert "3 would be deleted" in counted.stdout
    assert letters_in_queue(cloud) == (4, 0)

    purged = console("dead-letters", "purge", "--reason", "missing", "--yes", "--config", config)
    assert "3 deleted" in purged.stdout
    [left] = cloud.dead_letters()
    assert left["reason"] == "not_json"


def test_ctrl_c_leaves_every_letter_visible(cloud: Cloud, config: str) -> None:
    for number in range(25):
        put_letter(cloud, "{oops", "not_json", message_id=str(number))
    command = [sys.executable, "-m", "daemon", "dead-letters", "list", "--config", config]
    listing = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    wait_until("letters are hidden", lambda: letters_in_queue(cloud)[1] or None, 60)
    listing.send_signal(signal.SIGINT)
    _, told = listing.communicate(timeout=30)

    assert listing.returncode != 0, "it was over before it was interrupted"
    assert "Traceback" not in told
    assert letters_in_queue(cloud) == (25, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--reason", "mising"], "there is no reason 'mising'"),
        (["list", "--older-than", "yesterday"], "expected an age such as"),
        (["purge", "--older-than", "3"], "expected an age such as"),
        (["redrive"], "say which letters"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(config: str, arguments: list[str], words: str) -> None:
    told = console("dead-letters", *arguments, "--config", config)

    assert told.returncode == 1
    assert words in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr
