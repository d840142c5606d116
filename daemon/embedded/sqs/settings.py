"""A queue's attributes: as SQS writes them, and as the queue uses them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.errors import (
    InvalidAttributeNameError,
    InvalidAttributeValueError,
    NotEmulatedError,
)
from daemon.embedded.sqs.redrive import RedriveAllowPolicy, RedrivePolicy

UNSUPPORTED = frozenset(
    {
        "FifoQueue",
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "FifoThroughputLimit",
        "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds",
    }
)
"""Attributes that ask for what is not emulated: FIFO queues and keys of KMS."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What can be set of a queue. `policy` is kept and shown, and grants or denies nothing."""

    visibility_seconds: int = limits.VISIBILITY_DEFAULT_SECONDS
    delay_seconds: int = 0
    retention_seconds: int = limits.RETENTION_DEFAULT_SECONDS
    message_max_bytes: int = limits.MESSAGE_MAX_BYTES
    wait_seconds: int = 0
    redrive: RedrivePolicy | None = None
    redrive_allow: RedriveAllowPolicy | None = None
    policy: str = ""
    encrypted: bool = True


def parse(attributes: Mapping[str, str], base: QueueSettings) -> QueueSettings:
    """`base` with the given attributes in place of its own.

    InvalidAttributeNameError, InvalidAttributeValueError or NotEmulatedError where SQS, or the
    embedded one, would refuse an attribute.
    """
    changes: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in UNSUPPORTED and value not in ("", "false"):
            remedy = "Leave it out: queues are standard ones, and messages stay in this process"
            raise NotEmulatedError(what=f"the queue attribute {name}", remedy=remedy)
        if name not in _READERS:
            raise InvalidAttributeNameError(name=name)
        field, read = _READERS[name]
        try:
            changes[field] = read(value)
        except ValueError as error:
            raise InvalidAttributeValueError(name=name, problem=error) from None
    return replace(base, **changes)


def describe(settings: QueueSettings) -> Iterator[tuple[str, str]]:
    """The attributes as SQS writes them; policies only where there are any."""
    yield "VisibilityTimeout", str(settings.visibility_seconds)
    yield "DelaySeconds", str(settings.delay_seconds)
    yield "MessageRetentionPeriod", str(settings.retention_seconds)
    yield "MaximumMessageSize", str(settings.message_max_bytes)
    yield "ReceiveMessageWaitTimeSeconds", str(settings.wait_seconds)
    yield "SqsManagedSseEnabled", str(settings.encrypted).lower()
    if settings.redrive is not None:
        yield "RedrivePolicy", settings.redrive.write()
    if settings.redrive_allow is not None:
        yield "RedriveAllowPolicy", settings.redrive_allow.write()
    if settings.policy:
        yield "Policy", settings.policy


def differences(one: QueueSettings, other: QueueSettings) -> list[str]:
    """Names of the attributes in which two settings differ."""
    differing = {
        field.name
        for field in fields(QueueSettings)
        if getattr(one, field.name) != getattr(other, field.name)
    }
    return [name for name, (field, _) in _READERS.items() if field in differing]


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isdecimal() or not least <= int(value) <= most:
            raise ValueError(f"{value!r} is not a whole number from {least} to {most}")
        return int(value)

    return read


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return value == "true"


def _policy(value: str) -> str:
    if value:
        try:
            json.loads(value)
        except ValueError:
            raise ValueError("the policy is not JSON") from None
    return value


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "VisibilityTimeout": ("visibility_seconds", _number(0, limits.VISIBILITY_MAX_SECONDS)),
    "DelaySeconds": ("delay_seconds", _number(0, limits.DELAY_MAX_SECONDS)),
    "MessageRetentionPeriod": (
        "retention_seconds",
        _number(limits.RETENTION_MIN_SECONDS, limits.RETENTION_MAX_SECONDS),
    ),
    "MaximumMessageSize": (
        "message_max_bytes",
        _number(limits.MESSAGE_LIMIT_MIN_BYTES, limits.MESSAGE_MAX_BYTES),
    ),
    "ReceiveMessageWaitTimeSeconds": ("wait_seconds", _number(0, limits.WAIT_MAX_SECONDS)),
    "RedrivePolicy": ("redrive", RedrivePolicy.read),
    "RedriveAllowPolicy": ("redrive_allow", RedriveAllowPolicy.read),
    "Policy": ("policy", _policy),
    "SqsManagedSseEnabled": ("encrypted", _flag),
}
"""The attributes that can be set: the field each stands for, and how its text is read."""

SETTABLE = frozenset(_READERS)
