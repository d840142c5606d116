"""CloudFormation: what would change in a stack, and the change."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import boto3

from daemon.aws.deployment.refusal import in_words
from daemon.ports import Refused

CAPABILITIES = ["CAPABILITY_IAM"]
"""The stack makes roles; it names none of them itself."""

LOOK_PERIOD_SECONDS = 3.0

STACK = "AWS::CloudFormation::Stack"

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
"""CloudFormation has no code of its own for a change set that changes nothing."""


class StackFailed(Exception):
    """The stack {name} {end}:{reasons}"""

    def __init__(self, name: str, end: str, reasons: Sequence[str]) -> None:
        super().__init__(name, end, reasons)
        self.name = name
        self.end = end
        self.reasons = reasons

    def __str__(self) -> str:
        listed = "".join(f"\n  {reason}" for reason in self.reasons) or " no reason was given"
        return str(self.__doc__).format(name=self.name, end=self.end, reasons=listed)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as it stands; parameters as they were given."""

    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]

    @property
    def is_new(self) -> bool:
        """Whether nothing has been made yet, only planned."""
        return self.status == "REVIEW_IN_PROGRESS"

    @property
    def is_stillborn(self) -> bool:
        """Whether it was never complete: it can only be deleted."""
        return self.status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")

    @property
    def is_busy(self) -> bool:
        """Whether somebody is changing it."""
        return self.status.endswith("_IN_PROGRESS") and not self.is_new


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that a change set would add, change, replace or remove."""

    action: str
    resource: str
    resource_type: str
    replaced: bool
    because: tuple[str, ...]


HOLDING = (
    "AWS::Batch::ComputeEnvironment",
    "AWS::Batch::JobQueue",
    "AWS::ECR::Repository",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
)
"""Types of resources that hold jobs, images, objects or messages."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A change set, ready to be made or thrown away."""

    arn: str
    is_new: bool
    changes: tuple[Change, ...]

    @property
    def lost(self) -> list[str]:
        """The resources that hold something, and would not be there afterwards."""
        return [
            change.resource
            for change in self.changes
            if change.resource_type in HOLDING and (change.replaced or change.action == "Remove")
        ]


@dataclass(frozen=True, slots=True)
class StackEvent:
    """What happened to one resource."""

    event_id: str
    at: datetime
    resource: str
    resource_type: str
    status: str
    reason: str

    @property
    def ends(self) -> bool:
        """Whether it is the stack's own, and its last: well, badly or rolled back."""
        return self.resource_type == STACK and not self.status.endswith("_IN_PROGRESS")

    @property
    def failed(self) -> bool:
        """Whether it went wrong by itself, not because another resource did."""
        return self.status.endswith("_FAILED") and "cancelled" not in self.reason.lower()


@dataclass(slots=True)
class Stacks:
    """One stack by its name. Every method may raise `Refused`."""

    name: str
    pause: Callable[[float], None] = time.sleep
    _cloudformation: Any = field(init=False)

    def __post_init__(self) -> None:
        self._cloudformation = boto3.client("cloudformation")

    def look(self) -> Stack | None:
        """The stack; None where there is none."""
        try:
            with in_words("cloudformation"):
                found = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except Refused as refusal:
            if "does not exist" in refusal.cause:
                return None
            raise
        if not found or found[0]["StackStatus"] == "DELETE_COMPLETE":
            return None
        return Stack(
            found[0]["StackStatus"],
            {
                one["ParameterKey"]: one.get("ParameterValue", "")
                for one in found[0].get("Parameters", ())
            },
            {one["OutputKey"]: one["OutputValue"] for one in found[0].get("Outputs", ())},
        )

    def declared(self, template_url: str) -> dict[str, str | None]:
        """The parameters of a template with their defaults."""
        with in_words("cloudformation"):
            found = self._cloudformation.get_template_summary(TemplateURL=template_url)
        return {one["ParameterKey"]: one.get("DefaultValue") for one in found["Parameters"]}

    def plan(self, template_url: str, parameters: Mapping[str, str]) -> Plan | None:
        """What a template with these parameters would change; None for nothing.

        Raises `StackFailed` when CloudFormation finds the change impossible.
        """
        stack = self.look()
        is_new = stack is None or stack.is_new
        given = [
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ]
        with in_words("cloudformation"):
            arn = self._cloudformation.create_change_set(
                StackName=self.name,
                ChangeSetName=f"whisper-fleet-{time.time_ns()}",
                ChangeSetType="CREATE" if is_new else "UPDATE",
                TemplateURL=template_url,
                Parameters=given,
                Capabilities=CAPABILITIES,
                Tags=[{"Key": "whisper-fleet:stack", "Value": self.name}],
            )["Id"]
        while (found := self._describe(arn))["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            self.pause(LOOK_PERIOD_SECONDS)
        reason = found.get("StatusReason", "")
        if found["Status"] == "FAILED":
            self._forget(arn)
            if any(words in reason for words in NO_CHANGES):
                return None
            raise StackFailed(self.name, "cannot be changed like this", [reason])
        return Plan(arn, is_new, tuple(map(_change, found.get("Changes", ()))))

    def discard(self, plan: Plan) -> None:
        """Throw a plan away, and with it the empty stack that a plan for a new one brings."""
        self._forget(plan.arn)
        if plan.is_new:
            with in_words("cloudformation"):
                self._cloudformation.delete_stack(StackName=self.name)

    def make(self, plan: Plan, tell: Callable[[StackEvent], None]) -> Stack:
        """Make a planned change and tell of each event; returns the stack when all is done.

        Raises `StackFailed` with what went wrong first.
        """
        seen = {event.event_id for event in self._events()}
        with in_words("cloudformation"):
            self._cloudformation.execute_change_set(ChangeSetName=plan.arn, StackName=self.name)
        failures: list[str] = []
        # The stack's status may be the old one for a while; its own last event is of this change.
        over = False
        while not over:
            news = [one for one in self._events() if one.event_id not in seen]
            for event in reversed(news):
                seen.add(event.event_id)
                if event.failed and event.resource_type != STACK:
                    failures.append(f"{event.resource} ({event.resource_type}): {event.reason}")
                tell(event)
            over = any(event.ends for event in news)
            if not over:
                self.pause(LOOK_PERIOD_SECONDS)
        stack = self.look()
        if stack is None or stack.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            status = stack.status if stack else "gone"
            raise StackFailed(self.name, f"ended as {status}", failures)
        return stack

    def _describe(self, arn: str) -> dict[str, Any]:
        """The change set, with the changes of all its pages."""
        changes: list[Any] = []
        token: dict[str, str] = {}
        while True:
            with in_words("cloudformation"):
                page = self._cloudformation.describe_change_set(
                    ChangeSetName=arn, StackName=self.name, **token
                )
            changes += page.get("Changes", ())
            if not page.get("NextToken"):
                return {**page, "Changes": changes}
            token = {"NextToken": page["NextToken"]}

    def _forget(self, arn: str) -> None:
        with in_words("cloudformation"):
            self._cloudformation.delete_change_set(ChangeSetName=arn, StackName=self.name)

    def _events(self) -> Iterable[StackEvent]:
        """All events, newest first."""
        with in_words("cloudformation"):
            pages = self._cloudformation.get_paginator("describe_stack_events").paginate(
                StackName=self.name
            )
            return [_event(one) for page in pages for one in page["StackEvents"]]


def _change(found: Mapping[str, Any]) -> Change:
    resource = found["ResourceChange"]
    causes = {
        detail.get("Target", {}).get("Name") or detail.get("Target", {}).get("Attribute", "")
        for detail in resource.get("Details", ())
    }
    return Change(
        resource["Action"],
        resource["LogicalResourceId"],
        resource["ResourceType"],
        resource.get("Replacement") == "True",
        tuple(sorted(causes - {""})),
    )


def _event(found: Mapping[str, Any]) -> StackEvent:
    return StackEvent(
        found["EventId"],
        found["Timestamp"],
        found.get("LogicalResourceId", ""),
        found.get("ResourceType", ""),
        found.get("ResourceStatus", ""),
        found.get("ResourceStatusReason", ""),
    )
