"""Queues and their attributes. Sources: API_CreateQueue, API_SetQueueAttributes, API_DeleteQueue,
API_PurgeQueue, API_ListQueues, API_TagQueue.
"""

from collections.abc import Callable
from typing import Any

import pytest

Refusal = Callable[..., str]
NOT_THERE = "AWS.SimpleQueueService.NonExistentQueue"


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_queue_is_found_by_its_name_at_the_same_address(lab: Any) -> None:
    url = lab.queue()
    assert lab.sqs.get_queue_url(QueueName=name_of(url))["QueueUrl"] == url
    assert url.startswith(lab.sqs.meta.endpoint_url)
    assert lab.arn(url).endswith(f":{name_of(url)}")


def test_a_queue_has_the_defaults_of_aws(lab: Any) -> None:
    attributes = lab.attributes(lab.queue())
    assert attributes["VisibilityTimeout"] == "30"
    assert attributes["DelaySeconds"] == "0"
    assert attributes["MessageRetentionPeriod"] == "345600"
    assert attributes["MaximumMessageSize"] == "1048576"
    assert attributes["ReceiveMessageWaitTimeSeconds"] == "0"
    assert attributes.get("SqsManagedSseEnabled") == "true"


def test_a_queue_says_when_it_was_created_in_whole_seconds(lab: Any) -> None:
    attributes = lab.attributes(lab.queue())
    assert attributes["CreatedTimestamp"].isdecimal()
    assert attributes["LastModifiedTimestamp"] == attributes["CreatedTimestamp"]


def test_creating_a_queue_again_finds_it_unless_it_is_another(lab: Any, refusal: Refusal) -> None:
    url = lab.queue(VisibilityTimeout="5")
    again = {"QueueName": name_of(url), "Attributes": {"VisibilityTimeout": "5"}}
    assert lab.sqs.create_queue(**again)["QueueUrl"] == url
    other = {"QueueName": name_of(url), "Attributes": {"VisibilityTimeout": "6"}}
    assert refusal(lab.sqs.create_queue, **other) == "QueueAlreadyExists"


def test_a_queue_that_is_not_there_is_refused(lab: Any, refusal: Refusal) -> None:
    url = lab.queue() + "-not-there"
    assert refusal(lab.sqs.get_queue_url, QueueName="not-there") == NOT_THERE
    assert refusal(lab.send, url=url) == NOT_THERE
    assert refusal(lab.receive, url=url) == NOT_THERE
    assert refusal(lab.attributes, url=url) == NOT_THERE


def test_a_name_that_is_none_is_refused(lab: Any, refusal: Refusal) -> None:
    code = refusal(lab.sqs.create_queue, QueueName="with space")
    assert code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VisibilityTimeout", "43201"),
        ("DelaySeconds", "901"),
        ("MessageRetentionPeriod", "59"),
        ("MaximumMessageSize", "1023"),
        ("ReceiveMessageWaitTimeSeconds", "21"),
    ],
)
def test_an_attribute_out_of_range_is_refused(
    lab: Any, refusal: Refusal, name: str, value: str
) -> None:
    assert refusal(lab.queue, **{name: value}) == "InvalidAttributeValue"
    code = refusal(lab.sqs.set_queue_attributes, QueueUrl=lab.queue(), Attributes={name: value})
    assert code == "InvalidAttributeValue"


def test_an_attribute_that_no_queue_has_is_refused(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    code = refusal(lab.sqs.set_queue_attributes, QueueUrl=url, Attributes={"Colour": "red"})
    assert code == "InvalidAttributeName"
    assert refusal(lab.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"]) == code


def test_attributes_are_set_one_by_one_and_shown_as_asked(lab: Any) -> None:
    url = lab.queue(VisibilityTimeout="5")
    lab.sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "7"})
    wanted = lab.attributes(url, "VisibilityTimeout", "DelaySeconds")
    assert wanted == {"VisibilityTimeout": "5", "DelaySeconds": "7"}


def test_no_attributes_are_shown_where_none_are_asked_for(lab: Any) -> None:
    assert lab.sqs.get_queue_attributes(QueueUrl=lab.queue()).get("Attributes", {}) == {}


def test_queues_are_listed_by_prefix_in_pages(lab: Any) -> None:
    prefix = name_of(lab.queue())
    names = [f"{prefix}-listed-{letter}" for letter in "abc"]
    for name in names:
        lab.sqs.create_queue(QueueName=name)
    pages = lab.sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=f"{prefix}-listed", PaginationConfig={"PageSize": 2}
    )
    listed = [[name_of(url) for url in page["QueueUrls"]] for page in pages]
    assert [len(page) for page in listed] == [2, 1]
    assert sorted(listed[0] + listed[1]) == names
    unknown = lab.sqs.list_queues(QueueNamePrefix=f"{prefix}-unknown")
    assert unknown.get("QueueUrls", []) == []


def test_tags_are_added_changed_and_removed(lab: Any) -> None:
    url = lab.queue()
    assert lab.sqs.list_queue_tags(QueueUrl=url).get("Tags", {}) == {}
    lab.sqs.tag_queue(QueueUrl=url, Tags={"team": "speech", "cost": "7"})
    lab.sqs.tag_queue(QueueUrl=url, Tags={"team": "audio"})
    lab.sqs.untag_queue(QueueUrl=url, TagKeys=["cost", "unknown"])
    assert lab.sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "audio"}


def test_a_queue_is_purged_once_a_minute(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    lab.send(url)
    lab.receive_one(url)
    lab.send(url)
    lab.sqs.purge_queue(QueueUrl=url)
    assert lab.counts(url) == (0, 0, 0)
    code = refusal(lab.sqs.purge_queue, QueueUrl=url)
    assert code == "AWS.SimpleQueueService.PurgeQueueInProgress"


def test_a_deleted_queue_is_gone(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    lab.sqs.delete_queue(QueueUrl=url)
    assert refusal(lab.send, url=url) == NOT_THERE


def test_the_name_of_a_deleted_queue_is_taken_for_a_minute(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    lab.sqs.delete_queue(QueueUrl=url)
    code = refusal(lab.sqs.create_queue, QueueName=name_of(url))
    assert code == "AWS.SimpleQueueService.QueueDeletedRecently"
