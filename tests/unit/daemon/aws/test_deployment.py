"""Stacks and builds that go wrong, as AWS's own shapes tell of them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from daemon.aws.deployment import builds, stacks
from daemon.aws.deployment.builds import Build, BuildFailed, Builds
from daemon.aws.deployment.stacks import Plan, StackEvent, StackFailed, Stacks
from daemon.ports import Refused

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ARN = "arn:aws:cloudformation:us-east-1:123456789012:changeSet/one/1"
PLAN = Plan(ARN, is_new=True, changes=())

Answering = Callable[[str], Stubber]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """Answers for a service's client, in order; all must be asked for."""
    stubbers = []
    clients = {
        service: boto3.client(
            service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        for service in ("cloudformation", "codebuild")
    }
    for module in (stacks, builds):
        monkeypatch.setattr(module.boto3, "client", clients.__getitem__)

    def of(service: str) -> Stubber:
        stubber = Stubber(clients[service])
        stubber.activate()
        stubbers.append(stubber)
        return stubber

    yield of
    for stubber in stubbers:
        stubber.assert_no_pending_responses()


def _stack(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackName": "one", "CreationTime": NOW, "StackStatus": status}]}


def _event(
    number: int, resource: str, status: str, reason: str, kind: str = "AWS::SQS::Queue"
) -> dict[str, Any]:
    return {
        "StackId": "one",
        "EventId": str(number),
        "StackName": "one",
        "Timestamp": NOW,
        "LogicalResourceId": resource,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def _change_set(status: str, **more: Any) -> dict[str, Any]:
    return {"Status": status, **more}


def test_a_stack_that_fails_says_what_failed_first_and_not_what_was_cancelled(
    answering: Answering,
) -> None:
    aws = answering("cloudformation")
    old = _event(1, "Old", "CREATE_FAILED", "an older deployment")
    aws.add_response("describe_stack_events", {"StackEvents": [old]})
    aws.add_response("execute_change_set", {})
    aws.add_response("describe_stack_events", {"StackEvents": [old]})
    news = [
        _event(4, "one", "ROLLBACK_COMPLETE", "", "AWS::CloudFormation::Stack"),
        _event(3, "Other", "CREATE_FAILED", "Resource creation cancelled"),
        _event(2, "RequestsQueue", "CREATE_FAILED", "the name is taken"),
        old,
    ]
    aws.add_response("describe_stack_events", {"StackEvents": news})
    aws.add_response("describe_stacks", _stack("ROLLBACK_COMPLETE"))
    told: list[StackEvent] = []
    with pytest.raises(StackFailed) as failed:
        Stacks("one", pause=lambda _: None).make(PLAN, told.append)
    assert str(failed.value) == (
        "The stack one ended as ROLLBACK_COMPLETE:\n"
        "  RequestsQueue (AWS::SQS::Queue): the name is taken"
    )
    assert [event.resource for event in told] == ["RequestsQueue", "Other", "one"]


def test_a_change_is_over_only_with_its_own_last_event_whatever_the_status_still_says(
    answering: Answering,
) -> None:
    aws = answering("cloudformation")
    before = _event(1, "one", "UPDATE_COMPLETE", "", "AWS::CloudFormation::Stack")
    begun = _event(2, "one", "UPDATE_IN_PROGRESS", "", "AWS::CloudFormation::Stack")
    ended = _event(3, "one", "UPDATE_COMPLETE", "", "AWS::CloudFormation::Stack")
    aws.add_response("describe_stack_events", {"StackEvents": [before]})
    aws.add_response("execute_change_set", {})
    aws.add_response("describe_stack_events", {"StackEvents": [before]})
    aws.add_response("describe_stack_events", {"StackEvents": [begun, before]})
    aws.add_response("describe_stack_events", {"StackEvents": [ended, begun, before]})
    aws.add_response("describe_stacks", _stack("UPDATE_COMPLETE"))
    told: list[StackEvent] = []
    stack = Stacks("one", pause=lambda _: None).make(PLAN, told.append)
    assert stack.status == "UPDATE_COMPLETE"
    assert [event.event_id for event in told] == ["2", "3"]


def test_a_change_of_nothing_is_no_plan(answering: Answering) -> None:
    aws = answering("cloudformation")
    aws.add_response("describe_stacks", _stack("UPDATE_COMPLETE"))
    aws.add_response("create_change_set", {"Id": ARN})
    aws.add_response("describe_change_set", _change_set("CREATE_PENDING"))
    reason = "The submitted information didn't contain changes. Submit different information"
    aws.add_response("describe_change_set", _change_set("FAILED", StatusReason=reason))
    aws.add_response("delete_change_set", {})
    assert Stacks("one", pause=lambda _: None).plan("https://url", {}) is None


def test_an_impossible_change_is_told_in_awss_words(answering: Answering) -> None:
    aws = answering("cloudformation")
    aws.add_response("describe_stacks", _stack("UPDATE_COMPLETE"))
    aws.add_response("create_change_set", {"Id": ARN})
    aws.add_response("describe_change_set", _change_set("FAILED", StatusReason="no such VPC"))
    aws.add_response("delete_change_set", {})
    with pytest.raises(StackFailed, match="cannot be changed like this:\n  no such VPC"):
        Stacks("one").plan("https://url", {})


def test_a_plan_has_the_changes_of_all_pages_and_tells_what_is_replaced(
    answering: Answering,
) -> None:
    aws = answering("cloudformation")
    aws.add_response("describe_stacks", _stack("UPDATE_COMPLETE"))
    aws.add_response("create_change_set", {"Id": ARN})
    changed = {
        "Action": "Modify",
        "LogicalResourceId": "Queue",
        "ResourceType": "AWS::SQS::Queue",
        "Replacement": "True",
        "Details": [{"Target": {"Attribute": "Properties", "Name": "QueueName"}}],
    }
    added = {"Action": "Add", "LogicalResourceId": "Topic", "ResourceType": "AWS::SNS::Topic"}
    first = _change_set(
        "CREATE_COMPLETE", Changes=[{"ResourceChange": changed}], NextToken="page two"
    )
    aws.add_response("describe_change_set", first)
    aws.add_response(
        "describe_change_set", _change_set("CREATE_COMPLETE", Changes=[{"ResourceChange": added}])
    )
    plan = Stacks("one").plan("https://url", {"ImageTag": "second"})
    assert plan is not None
    assert [(one.action, one.resource, one.replaced) for one in plan.changes] == [
        ("Modify", "Queue", True),
        ("Add", "Topic", False),
    ]
    assert plan.changes[0].because == ("QueueName",)


def test_a_refusal_is_a_sentence(answering: Answering) -> None:
    aws = answering("cloudformation")
    aws.add_client_error("describe_stacks", "AccessDenied", "you may not look at stacks")
    with pytest.raises(
        Refused, match=r"cloudformation refused the call.*: you may not look at stacks"
    ):
        Stacks("one").look()


def test_a_build_that_fails_says_where_its_log_is(answering: Answering) -> None:
    aws = answering("codebuild")
    aws.add_response("start_build", {"build": {"id": "daemon:1"}})
    running = {"id": "daemon:1", "projectName": "daemon", "currentPhase": "BUILD"}
    aws.add_response("batch_get_builds", {"builds": [running | {"buildStatus": "IN_PROGRESS"}]})
    failed = running | {"buildStatus": "FAILED", "logs": {"deepLink": "https://log"}}
    aws.add_response("batch_get_builds", {"builds": [failed]})
    told: list[Build] = []
    with pytest.raises(BuildFailed, match="daemon ended as FAILED; its log: https://log"):
        Builds(pause=lambda _: None).run({"daemon": {"IMAGE_TAG": "x"}}, told.append)
    assert [build.status for build in told] == ["IN_PROGRESS", "FAILED"]
