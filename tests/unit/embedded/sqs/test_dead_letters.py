import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from daemon.embedded.sqs.errors import InvalidAttributeValueError, InvalidParameterError
from daemon.embedded.sqs.model import SqsModel
from daemon.embedded.sqs.queue import DeadLetters, Queue
from daemon.embedded.sqs.settings import QueueSettings

NOW = 1_000.0


@pytest.fixture
def letters(make_queue: Callable[..., Any]) -> Any:
    return make_queue(QueueSettings(retention_seconds=600), seed=8)


@pytest.fixture
def queue(queue: Any, letters: Any) -> Any:
    queue.queue.dead_letters = DeadLetters(letters.queue, 2)
    return queue


def test_a_message_received_too_often_becomes_a_dead_letter(queue: Any, letters: Any) -> None:
    sent = queue.send("poison")
    for _ in range(2):
        queue.receive_one(visibility=10)
        queue.now += 10
    assert queue.receive() == []
    assert queue.counts() == (0, 0, 0)
    assert queue.queue.given_up == 1
    letters.now = queue.now
    letter = letters.receive_one()
    assert (letter.message_id, letter.body) == (sent, "poison")
    assert letter.dead_letter_source == queue.queue.arn
    assert letter.receive_count == 3, "receives count across queues"
    assert letter.first_received_at == letter.sent_at == NOW


def test_the_others_are_delivered_in_its_place(queue: Any) -> None:
    queue.send("poison")
    queue.send("good")
    for _ in range(2):
        queue.receive_one(visibility=0)
        queue.receive_one(visibility=0)
    queue.send("new")
    assert queue.bodies() == ["new"]


def test_a_deleted_message_is_no_dead_letter(queue: Any, letters: Any) -> None:
    queue.send()
    queue.receive_one(visibility=0)
    queue.delete(queue.receive_one())
    queue.now += 100
    assert queue.receive() == []
    assert letters.counts() == (0, 0, 0)


def test_a_dead_letter_keeps_its_age(queue: Any, letters: Any) -> None:
    queue.send()
    queue.receive_one(visibility=0)
    queue.receive_one(visibility=400)
    queue.now += 400
    queue.receive()
    letters.now = queue.now
    assert letters.counts() == (1, 0, 0)
    letters.now += 200
    assert letters.counts() == (0, 0, 0)


def test_the_old_queues_handle_does_nothing_to_a_dead_letter(queue: Any, letters: Any) -> None:
    queue.send()
    queue.receive_one(visibility=0)
    last = queue.receive_one(visibility=0)
    queue.receive()
    queue.delete(last)
    assert letters.counts() == (1, 0, 0)
    with pytest.raises(InvalidParameterError, match="does not exist"):
        queue.change(last, 10)


def make(model: SqsModel, name: str, **attributes: str) -> Queue:
    return model.create(name, attributes, {}, NOW)


def policy(arn: str, **more: Any) -> str:
    return json.dumps({"deadLetterTargetArn": arn, **more})


def test_a_policy_names_the_dead_letter_queue_and_its_sources_are_known(model: SqsModel) -> None:
    letters = make(model, "letters")
    queue = make(model, "queue", RedrivePolicy=policy(letters.arn, maxReceiveCount="3"))
    assert queue.dead_letters == DeadLetters(letters, 3)
    assert list(model.sources(letters.arn)) == ["queue"]
    model.change(model.queues["queue"], {"RedrivePolicy": ""}, NOW)
    assert queue.dead_letters is None
    assert list(model.sources(letters.arn)) == []


def test_ten_receives_are_the_default_of_a_policy(model: SqsModel) -> None:
    letters = make(model, "letters")
    queue = make(model, "queue", RedrivePolicy=policy(letters.arn))
    assert queue.dead_letters == DeadLetters(letters, 10)


def test_messages_stay_where_the_dead_letter_queue_is_gone(model: SqsModel) -> None:
    letters = make(model, "letters")
    queue = make(model, "queue", RedrivePolicy=policy(letters.arn, maxReceiveCount=1))
    queue.send("body", {}, NOW)
    model.delete("letters", NOW)
    for _ in range(3):
        assert queue.receive(1, NOW, 0)
    again = model.create("letters", {}, {}, NOW + 60)
    assert queue.receive(1, NOW + 60) == []
    assert again.counts(NOW + 60).visible == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"deadLetterTargetArn": ""}',
        '{"deadLetterTargetArn": "arn", "maxReceiveCount": 0}',
        '{"deadLetterTargetArn": "arn", "maxReceiveCount": 1001}',
        '{"deadLetterTargetArn": "arn", "maxReceiveCount": "many"}',
    ],
)
def test_a_policy_that_says_nothing_is_refused(model: SqsModel, text: str) -> None:
    with pytest.raises(InvalidAttributeValueError, match="RedrivePolicy"):
        make(model, "queue", RedrivePolicy=text)
    assert not model.queues


def test_a_dead_letter_queue_must_exist_and_be_another(model: SqsModel) -> None:
    with pytest.raises(InvalidParameterError, match="does not exist"):
        make(model, "queue", RedrivePolicy=policy(model.account.arn("letters")))
    queue = make(model, "queue")
    with pytest.raises(InvalidParameterError, match="another queue"):
        model.change(model.queues["queue"], {"RedrivePolicy": policy(queue.arn)}, NOW)
    assert queue.settings.redrive is None


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        ({"redrivePermission": "allowAll"}, True),
        ({"redrivePermission": "denyAll"}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": ["queue"]}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": ["other"]}, False),
    ],
)
def test_a_dead_letter_queue_says_whose_letters_it_takes(
    model: SqsModel, allow: Mapping[str, Any], allowed: bool
) -> None:
    sources = [model.account.arn(name) for name in allow.get("sourceQueueArns", ())]
    text = json.dumps({**allow, **({"sourceQueueArns": sources} if sources else {})})
    letters = make(model, "letters", RedriveAllowPolicy=text)
    if allowed:
        assert make(model, "queue", RedrivePolicy=policy(letters.arn)).dead_letters
        return
    with pytest.raises(InvalidParameterError, match="does not allow this source"):
        make(model, "queue", RedrivePolicy=policy(letters.arn))


@pytest.mark.parametrize(
    "text",
    [
        '{"redrivePermission": "some"}',
        '{"redrivePermission": "byQueue"}',
        '{"redrivePermission": "denyAll", "sourceQueueArns": ["a"]}',
    ],
)
def test_an_allow_policy_that_says_nothing_is_refused(model: SqsModel, text: str) -> None:
    with pytest.raises(InvalidAttributeValueError, match="RedriveAllowPolicy"):
        make(model, "letters", RedriveAllowPolicy=text)
