"""Which messages a queue gives up, and to which other queue they go."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from daemon.embedded.sqs import limits


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """A message that has been received `receives_max` times goes to the queue of that ARN."""

    target_arn: str
    receives_max: int

    @classmethod
    def read(cls, text: str) -> Self | None:
        """A RedrivePolicy as SQS writes it; None for the empty text, ValueError for nonsense."""
        if not text:
            return None
        document = _document(text)
        target = document.get("deadLetterTargetArn")
        if not isinstance(target, str) or not target:
            raise ValueError("deadLetterTargetArn is missing")
        receives = str(document.get("maxReceiveCount", limits.RECEIVES_DEFAULT))
        if not receives.isdecimal() or not 1 <= int(receives) <= limits.RECEIVES_MAX:
            raise ValueError(f"maxReceiveCount must be from 1 to {limits.RECEIVES_MAX}")
        return cls(target, int(receives))

    def write(self) -> str:
        """As SQS writes it."""
        return json.dumps(
            {"deadLetterTargetArn": self.target_arn, "maxReceiveCount": self.receives_max},
            separators=(",", ":"),
        )


class RedrivePermission(StrEnum):
    """Which queues may give their messages up to this one."""

    ALLOW_ALL = "allowAll"
    DENY_ALL = "denyAll"
    BY_QUEUE = "byQueue"


@dataclass(frozen=True, slots=True)
class RedriveAllowPolicy:
    """A dead-letter queue's own say in whose dead letters it takes."""

    permission: RedrivePermission
    source_arns: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Self | None:
        """A RedriveAllowPolicy as SQS writes it; None for the empty text, else ValueError."""
        if not text:
            return None
        document = _document(text)
        try:
            permission = RedrivePermission(document.get("redrivePermission", ""))
        except ValueError:
            possible = ", ".join(RedrivePermission)
            raise ValueError(f"redrivePermission must be one of {possible}") from None
        sources = tuple(document.get("sourceQueueArns", ()))
        named = permission is RedrivePermission.BY_QUEUE
        if bool(sources) != named or len(sources) > limits.ALLOWED_SOURCES_MAX:
            raise ValueError(
                f"sourceQueueArns names 1 to {limits.ALLOWED_SOURCES_MAX} queues with byQueue, "
                "and none otherwise"
            )
        return cls(permission, sources)

    def write(self) -> str:
        """As SQS writes it."""
        document: dict[str, Any] = {"redrivePermission": str(self.permission)}
        if self.source_arns:
            document["sourceQueueArns"] = list(self.source_arns)
        return json.dumps(document, separators=(",", ":"))

    def allows(self, source_arn: str) -> bool:
        """Whether that queue may give its messages up to this one."""
        match self.permission:
            case RedrivePermission.ALLOW_ALL:
                return True
            case RedrivePermission.DENY_ALL:
                return False
            case RedrivePermission.BY_QUEUE:
                return source_arn in self.source_arns


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document
