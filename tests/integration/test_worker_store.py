"""The worker's way to S3."""

import io
import json
import random
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from neuron_worker import store as worker_store
from neuron_worker.contract import Reason, S3Uri
from neuron_worker.store import ChangedMeanwhile, Store, StoreError
from tests.running import Cloud

CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture
def store(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(worker_store, "READ_AHEAD_BYTES", 50_000)
    cloud.put("blob", CONTENT)
    return Store()


BLOB = S3Uri.parse("s3://recordings/blob")


def test_an_object_reads_like_a_file(store: Store) -> None:
    rng = random.Random(1)
    with store.open(BLOB, None) as found, io.BytesIO(CONTENT) as expected:
        for _ in range(200):
            whence = rng.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
            reach = {io.SEEK_SET: (0, 320_000), io.SEEK_CUR: (-500, 500), io.SEEK_END: (-400, 0)}
            offset = rng.randint(*reach[whence])
            if whence == io.SEEK_CUR:
                offset = max(offset, -expected.tell())
            assert found.seek(offset, whence) == expected.seek(offset, whence)
            size = rng.randint(0, 60_000)
            piece = found.read(size)
            assert piece == expected.read(len(piece)), "not what stands there"
            assert piece or not size or not expected.read(1), "ended too early"
            expected.seek(found.tell())
        found.seek(0)
        assert found.readall() == CONTENT


def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed(
    store: Store, cloud: Cloud
) -> None:
    with store.open(BLOB, None) as file:
        assert file.read(10) == CONTENT[:10]
        cloud.put("blob", CONTENT[::-1])
        file.seek(200_000)
        with pytest.raises(StoreError, match="replaced while it was read"):
            file.read(10)


def test_what_is_not_there_is_missing(store: Store) -> None:
    for place in ("s3://recordings/nowhere", "s3://no-such-bucket-here/blob"):
        with pytest.raises(StoreError, match="there is no such object") as error:
            store.open(S3Uri.parse(place), None)
        assert error.value.reason is Reason.MISSING
    assert store.get(S3Uri.parse("s3://recordings/nowhere")) is None


def test_an_empty_object_is_an_empty_file(store: Store, cloud: Cloud) -> None:
    cloud.put("empty", b"")
    with store.open(S3Uri.parse("s3://recordings/empty"), None) as file:
        assert (file.size, file.read(10), file.tell()) == (0, b"", 0)
        assert file.etag


def test_an_archived_object_must_be_restored_first(store: Store, cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="recordings", Key="old", Body=b"x", StorageClass="GLACIER")
    with pytest.raises(StoreError, match="archive of S3 Glacier: restore it") as error:
        store.open(S3Uri.parse("s3://recordings/old"), None)
    assert error.value.reason is Reason.ARCHIVED


@pytest.fixture
def access_key(cloud: Cloud) -> Iterator[dict[str, str]]:
    """The key of a user who may read and write the object; the cloud checks keys meanwhile."""
    cloud.put("blob", CONTENT)
    iam = boto3.client("iam")
    user = {"UserName": f"worker-{uuid4().hex}"}
    iam.create_user(**user)
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::recordings/blob"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(**user, PolicyName="use", PolicyDocument=policy)
    key = iam.create_access_key(**user)["AccessKey"]
    check_keys_after(cloud, "0")
    yield key
    check_keys_after(cloud, "inf")


def check_keys_after(cloud: Cloud, requests: str) -> None:
    """Have moto check signatures after so many requests."""
    url = f"{cloud.s3.meta.endpoint_url}/moto-api/reset-auth"
    order = urllib.request.Request(url, requests.encode(), {"Content-Type": "text/plain"})
    urllib.request.urlopen(order).close()


def store_with(monkeypatch: pytest.MonkeyPatch, key_id: str, secret: str) -> Store:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return Store()


def test_the_right_key_opens_what_it_may(
    access_key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_with(monkeypatch, access_key["AccessKeyId"], access_key["SecretAccessKey"])
    with store.open(BLOB, None) as file:
        assert file.readall() == CONTENT
    with pytest.raises(StoreError, match="forbidden to the job's role") as error:
        store.open(S3Uri.parse("s3://ledger/orders/o1.json"), None)
    assert error.value.reason is Reason.FORBIDDEN


def test_wrong_credentials_are_nobodys_recordings_fault(
    access_key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key_id, secret, code in (
        ("AKIAUNKNOWNTOANYBODY", "secret", "InvalidAccessKeyId"),
        (access_key["AccessKeyId"], "another secret", "SignatureDoesNotMatch"),
    ):
        store = store_with(monkeypatch, key_id, secret)
        for attempt in (
            lambda store=store: store.open(BLOB, None),
            lambda store=store: store.get(BLOB),
            lambda store=store: store.put(BLOB, b""),
        ):
            with pytest.raises(StoreError, match=f"{code}.*check the role") as error:
                attempt()
            assert error.value.reason is Reason.BAD_CREDENTIALS


def test_no_credentials_are_told_from_a_store_that_is_away(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(StoreError, match="Unable to locate credentials") as error:
        Store().open(BLOB, None)
    assert error.value.reason is Reason.BAD_CREDENTIALS


def test_a_document_is_written_only_over_what_was_read(store: Store) -> None:
    uri = S3Uri.parse("s3://ledger/records/r1.json")
    store.put_unchanged(uri, b"first", None)
    with pytest.raises(ChangedMeanwhile):
        store.put_unchanged(uri, b"also first", None)

    found = store.get(uri)
    assert found is not None
    store.put_unchanged(uri, b"second", found[1])
    with pytest.raises(ChangedMeanwhile):
        store.put_unchanged(uri, b"late", found[1])

    again = store.get(uri)
    assert again is not None
    assert again[0] == b"second"
