"""EventBridge in the small cloud: the events of Batch that a stack's rule sends to a queue."""

import json
from collections.abc import Callable
from typing import Any

from daemon.embedded.notifications import Deliver

ENDED = ("SUCCEEDED", "FAILED")


def job_end_rule(deliver: Deliver, queue_arn: str) -> Callable[[dict[str, Any]], None]:
    """Takes every job state change, and delivers those that say that a job has ended."""

    def match(event: dict[str, Any]) -> None:
        if event["detail"]["status"] in ENDED:
            deliver(queue_arn, json.dumps(event))

    return match
