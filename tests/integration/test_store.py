"""The dispatcher's way to S3."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from daemon.aws.clients import connect
from daemon.aws.store import S3Store
from daemon.ports import Conflict, Refused
from neuron_worker.contract import S3Uri
from tests.running import Cloud


@pytest.fixture
async def s3(cloud: Cloud) -> AsyncIterator[Any]:
    async with connect() as clients:
        yield clients.s3


@pytest.fixture
def store(s3: Any) -> S3Store:
    return S3Store(s3)


@pytest.fixture
def uri() -> S3Uri:
    return S3Uri("ledger", f"records/{uuid4()}.json")


class AnswerLost:
    """A client whose first write arrives, while its answer does not."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self._lost = False

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._s3, operation)

    async def put_object(self, **request: Any) -> Any:
        answer = await self._s3.put_object(**request)
        if not self._lost:
            self._lost = True
            raise TimeoutError
        return answer


async def test_what_is_written_is_read_with_the_etag_it_was_written_under(
    store: S3Store, uri: S3Uri
) -> None:
    assert await store.get_with_etag(uri) is None
    etag = await store.put_if(uri, b"first", None)
    assert await store.get_with_etag(uri) == (b"first", etag)
    [listed] = await store.list(uri)
    assert listed.etag == etag
    newer = await store.put_if(uri, b"second", etag)
    assert newer != etag
    assert await store.get(uri) == b"second"


async def test_an_object_that_is_there_is_not_written_over(store: S3Store, uri: S3Uri) -> None:
    await store.put(uri, b"somebody's")
    with pytest.raises(Conflict):
        await store.put_if(uri, b"mine", None)
    assert await store.get(uri) == b"somebody's"


async def test_an_object_that_has_changed_is_not_written_over(store: S3Store, uri: S3Uri) -> None:
    etag = await store.put_if(uri, b"first", None)
    await store.put(uri, b"somebody's")
    with pytest.raises(Conflict):
        await store.put_if(uri, b"mine", etag)
    assert await store.get(uri) == b"somebody's"


async def test_an_object_that_is_gone_is_not_written_anew(store: S3Store, uri: S3Uri) -> None:
    etag = await store.put_if(uri, b"first", None)
    await store.delete(uri)
    with pytest.raises(Conflict):
        await store.put_if(uri, b"second", etag)
    assert await store.get(uri) is None


async def test_of_many_writers_one_wins(store: S3Store, uri: S3Uri) -> None:
    writes = [store.put_if(uri, str(number).encode(), None) for number in range(8)]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    [winner] = [n for n, answer in enumerate(answers) if isinstance(answer, str)]
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7
    assert await store.get(uri) == str(winner).encode()


@pytest.mark.parametrize("there", [True, False])
async def test_a_write_whose_answer_was_lost_does_not_conflict_with_itself(
    s3: Any, store: S3Store, uri: S3Uri, there: bool
) -> None:
    before = await store.put_if(uri, b"first", None) if there else None
    etag = await S3Store(AnswerLost(s3)).put_if(uri, b"second", before)
    assert await store.get_with_etag(uri) == (b"second", etag)


async def test_other_refusals_are_no_conflict(store: S3Store) -> None:
    with pytest.raises(Refused):
        await store.put_if(S3Uri("no-such-bucket", "key"), b"x", None)


async def test_a_long_listing_comes_page_by_page_and_whole(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    prefix = S3Uri("ledger", f"listed/{uuid4()}/")
    uris = [prefix.join(f"{number}.json") for number in range(8)]
    for uri in uris:
        await store.put(uri, b"x")
    assert [listed.uri for listed in await store.list(prefix)] == uris
