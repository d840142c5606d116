"""The obvious alternative: boto3 in a loop, one SubmitJob per message.

It does less: nothing is checked or known before, nothing is written down, no result is waited for,
nothing is tried again but what boto3 itself repeats, and a job that fails is nobody's concern.
"""

import argparse
import json
from typing import Any

import boto3

RECEIVE_MAX = 10
WAIT_SECONDS = 20


def main() -> None:
    """Work until the process is ended."""
    given = _arguments()
    sqs, batch = boto3.client("sqs"), boto3.client("batch")
    while True:
        messages = sqs.receive_message(
            QueueUrl=given.queue_url,
            MaxNumberOfMessages=RECEIVE_MAX,
            WaitTimeSeconds=WAIT_SECONDS,
        ).get("Messages", [])
        for message in messages:
            request = json.loads(message["Body"])
            batch.submit_job(
                jobName=request["request_id"],
                jobQueue=given.job_queue,
                jobDefinition=given.job_definition,
                containerOverrides={
                    "environment": [
                        {"name": "AUDIO", "value": request["audio"]},
                        {"name": "LANGUAGE", "value": request["language"]},
                    ]
                },
            )
            if not given.delete_in_batches:
                sqs.delete_message(QueueUrl=given.queue_url, ReceiptHandle=message["ReceiptHandle"])
        if messages and given.delete_in_batches:
            sqs.delete_message_batch(QueueUrl=given.queue_url, Entries=_entries(messages))


def _entries(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--job-queue", required=True)
    parser.add_argument("--job-definition", required=True)
    parser.add_argument("--delete-in-batches", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
