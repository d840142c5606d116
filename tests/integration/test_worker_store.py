"""The worker's way to S3."""

import io
import random

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
