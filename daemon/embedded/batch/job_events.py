"""Changes of jobs as the events that Batch sends to EventBridge.

Source: docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html
"""

from datetime import UTC, datetime

from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.descriptions import Document
from daemon.embedded.batch.effects import Changed


def job_state_change(changed: Changed, arns: Arns, event_id: str) -> Document:
    """A "Batch Job State Change"; its detail is the job as DescribeJobs would show it."""
    return {
        "version": "0",
        "id": event_id,
        "detail-type": "Batch Job State Change",
        "source": "aws.batch",
        "account": arns.account,
        "time": f"{datetime.fromtimestamp(changed.at_seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": arns.region,
        "resources": [changed.detail["jobArn"]],
        "detail": changed.detail,
    }
