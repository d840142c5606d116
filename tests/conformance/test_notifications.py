"""S3's event notifications in a queue.

Sources: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and
notification-how-to-event-types-and-destinations.html. The queue's events come in any order.
"""

import json
from itertools import count
from typing import Any

import pytest

from tests.conformance.emulators import Emulator

KEY = "out/übung 1+2.wav"
ENCODED = "out/%C3%BCbung+1%2B2.wav"
PART_BYTES = 5 * 1_048_576

_buckets = (f"bucket-{number}" for number in count(1))


class Notified:
    """A bucket that tells a queue of everything that is created below `out/`, and of removals."""

    def __init__(self, emulator: Emulator, lab: Any) -> None:
        self.s3 = emulator.s3
        self.bucket = next(_buckets)
        self._lab = lab
        self._url = lab.queue()
        self.s3.create_bucket(Bucket=self.bucket)
        rules = [{"Name": "prefix", "Value": "out/"}, {"Name": "suffix", "Value": ".wav"}]
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "Id": "to-the-queue",
                        "QueueArn": lab.arn(self._url),
                        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                        "Filter": {"Key": {"FilterRules": rules}},
                    }
                ]
            },
        )
        self.test_event = self.take()

    def take(self) -> dict[str, Any]:
        """The next event."""
        message = self._lab.receive_one(self._url, WaitTimeSeconds=5)
        self._lab.delete(self._url, message)
        return dict(json.loads(message["Body"]))

    def record(self) -> dict[str, Any]:
        """The next event's only record."""
        [record] = self.take()["Records"]
        return dict(record)

    def empty(self) -> bool:
        return bool(self._lab.counts(self._url) == (0, 0, 0))


@pytest.fixture
def notified(emulator: Emulator, lab: Any) -> Notified:
    return Notified(emulator, lab)


def test_a_new_configuration_is_announced(notified: Notified) -> None:
    assert notified.test_event["Event"] == "s3:TestEvent"
    assert notified.test_event["Bucket"] == notified.bucket


def test_a_put_is_told_with_the_objects_key_size_and_tag(notified: Notified) -> None:
    tag = notified.s3.put_object(Bucket=notified.bucket, Key=KEY, Body=b"12345")["ETag"]
    record = notified.record()
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["s3"]["configurationId"] == "to-the-queue"
    assert record["s3"]["bucket"]["name"] == notified.bucket
    assert record["s3"]["object"]["size"] == 5
    assert record["s3"]["object"]["eTag"] == tag.strip('"')


def test_a_key_is_encoded_as_in_a_form_with_its_slashes(notified: Notified) -> None:
    notified.s3.put_object(Bucket=notified.bucket, Key=KEY, Body=b"x")
    assert notified.record()["s3"]["object"]["key"] == ENCODED


def test_the_sequencers_of_a_key_ascend(notified: Notified) -> None:
    sequencers = []
    for _ in range(2):
        notified.s3.put_object(Bucket=notified.bucket, Key=KEY, Body=b"x")
        about = notified.record()["s3"]["object"]
        assert "sequencer" in about
        sequencers.append(about["sequencer"])
    assert len(sequencers[0]) == len(sequencers[1])
    assert sequencers[0] < sequencers[1]


def test_only_what_the_filter_lets_through_is_told(notified: Notified) -> None:
    for key in ("in/a.wav", "out/a.txt"):
        notified.s3.put_object(Bucket=notified.bucket, Key=key, Body=b"x")
    notified.s3.put_object(Bucket=notified.bucket, Key="out/a.wav", Body=b"123")
    assert notified.record()["s3"]["object"]["size"] == 3
    assert notified.empty()


def test_a_copy_and_a_removal_are_told_as_such(notified: Notified) -> None:
    bucket = notified.bucket
    notified.s3.put_object(Bucket=bucket, Key="a.wav", Body=b"x")
    notified.s3.copy_object(Bucket=bucket, Key=KEY, CopySource={"Bucket": bucket, "Key": "a.wav"})
    assert notified.record()["eventName"] == "ObjectCreated:Copy"
    notified.s3.delete_object(Bucket=bucket, Key=KEY)
    assert notified.record()["eventName"] == "ObjectRemoved:Delete"


def test_a_removal_says_nothing_of_the_content(notified: Notified) -> None:
    """As seen of AWS; its documentation does not say."""
    place = {"Bucket": notified.bucket, "Key": KEY}
    notified.s3.put_object(**place, Body=b"x")
    notified.record()
    notified.s3.delete_object(**place)
    about = notified.record()["s3"]["object"]
    assert about["key"] == ENCODED
    assert not about.keys() & {"size", "eTag"}


def test_a_multipart_upload_is_told_once(notified: Notified) -> None:
    place = {"Bucket": notified.bucket, "Key": KEY}
    upload = {**place, "UploadId": notified.s3.create_multipart_upload(**place)["UploadId"]}
    tags = [
        notified.s3.upload_part(**upload, PartNumber=number, Body=b"x" * size)["ETag"]
        for number, size in ((1, PART_BYTES), (2, 1))
    ]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    notified.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    record = notified.record()
    assert record["eventName"] == "ObjectCreated:CompleteMultipartUpload"
    assert record["s3"]["object"]["size"] == PART_BYTES + 1
    assert notified.empty()
