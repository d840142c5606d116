"""S3's own event notifications, from moto's S3 to the embedded SQS.

moto decides when to tell and whom (`NotificationConfiguration`); here is what is told, in the form
of AWS (docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html), where
moto's own is another: it escapes the slashes of keys, gives no sequencer, and reports a multipart
upload a second time, as a put.

Where this departs from AWS: only creations and removals of objects are told, and only to queues;
who asked, and from where, is made up.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

from moto.s3 import notifications as moto_notifications

EVENT_VERSION = "2.5"
"""Readers look at the major version only, as AWS asks them to."""

CREATED = "ObjectCreated:"
REMOVED = "ObjectRemoved:"
CREATED_BY_PUT = "ObjectCreated:Put"

OWNER = "AIDAEMBEDDED"

Deliver = Callable[[str, str], None]
"""Hands a body to the queue of an ARN, from whatever thread; that it never arrives is no fault."""


@contextmanager
def s3_notifications(deliver: Deliver) -> Iterator[None]:
    """While the block runs, moto's S3 in this process notifies the queues behind `deliver`."""
    notifier = _Notifier(deliver)
    before = moto_notifications.send_event, moto_notifications.send_test_event
    moto_notifications.send_event = notifier.send_event
    moto_notifications.send_test_event = notifier.send_test_event
    try:
        yield
    finally:
        moto_notifications.send_event, moto_notifications.send_test_event = before


class _Notifier:
    """Stands in for the two functions of moto that tell of events; its signatures are theirs."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._sequence = count(1)

    def send_event(self, _: str, event_name: str, bucket: Any, key: Any) -> None:
        """Tell of what happened to an object, where a configuration asks for it."""
        name = str(getattr(event_name, "value", event_name)).removeprefix("s3:")
        again = name == CREATED_BY_PUT and key.multipart is not None
        if again or not name.startswith((CREATED, REMOVED)):
            return
        if bucket.notification_configuration is None:
            return
        for asked in bucket.notification_configuration.queue:
            if asked.matches(event_name, key.name):
                record = self._record(name, asked.id, bucket, key)
                self._deliver(asked.arn, json.dumps({"Records": [record]}))

    def send_test_event(self, account_id: str, bucket: Any) -> None:  # noqa: ARG002
        """Tell each queue of a new configuration that it would be told."""
        for arn in {asked.arn for asked in bucket.notification_configuration.queue}:
            event = {
                "Service": "Amazon S3",
                "Event": "s3:TestEvent",
                "Time": _now(),
                "Bucket": bucket.name,
                "RequestId": _request_id(),
                "HostId": uuid4().hex,
            }
            self._deliver(arn, json.dumps(event))

    def _record(self, name: str, configuration_id: str, bucket: Any, key: Any) -> dict[str, Any]:
        return {
            "eventVersion": EVENT_VERSION,
            "eventSource": "aws:s3",
            "awsRegion": bucket.region_name,
            "eventTime": _now(),
            "eventName": name,
            "userIdentity": {"principalId": f"AWS:{OWNER}"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": _request_id(), "x-amz-id-2": uuid4().hex},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": configuration_id,
                "bucket": {
                    "name": bucket.name,
                    "ownerIdentity": {"principalId": OWNER},
                    "arn": bucket.arn,
                },
                "object": self._object(name, bucket, key),
            },
        }

    def _object(self, name: str, bucket: Any, key: Any) -> dict[str, Any]:
        about: dict[str, Any] = {"key": quote_plus(key.name, safe="/")}
        if name.startswith(CREATED):
            about |= {"size": key.size, "eTag": key.etag.strip('"')}
        if bucket.is_versioned:
            about["versionId"] = key.version_id
        return {**about, "sequencer": f"{next(self._sequence):016X}"}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _request_id() -> str:
    return uuid4().hex[:16].upper()
