"""The store. Sources: AmazonS3/latest/userguide, Welcome.html (consistency),
conditional-writes.html, ListingKeysUsingAPIs.html.
"""

import asyncio
from uuid import uuid4

import pytest

from daemon.ports import Conflict, Refused
from neuron_worker.contract import S3Uri
from tests.conformance.ports.world import Ports


@pytest.fixture
def folder() -> S3Uri:
    """A place of the case's own."""
    return S3Uri("ledger", f"{uuid4()}/")


@pytest.fixture
def uri(folder: S3Uri) -> S3Uri:
    return folder.join("records", "r.json")


async def test_what_was_never_written_is_not_there(ports: Ports, uri: S3Uri) -> None:
    assert await ports.store.get(uri) is None
    assert await ports.store.get_with_etag(uri) is None
    await ports.store.delete(uri)


async def test_what_is_written_is_read_and_listed_at_once(
    ports: Ports, folder: S3Uri, uri: S3Uri
) -> None:
    await ports.store.put(uri, b"first")
    found = await ports.store.get_with_etag(uri)
    assert found is not None
    assert found[0] == b"first" == await ports.store.get(uri)
    [listed] = await ports.store.list(folder)
    assert (listed.uri, listed.etag) == (uri, found[1])


async def test_the_etag_changes_with_the_content_and_comes_back_with_it(
    ports: Ports, uri: S3Uri
) -> None:
    etags = []
    for content in (b"first", b"second", b"first", b""):
        await ports.store.put(uri, content)
        found = await ports.store.get_with_etag(uri)
        assert found is not None
        assert found[0] == content
        etags.append(found[1])
    assert etags[0] == etags[2]
    assert len(set(etags)) == 3


async def test_what_is_deleted_is_gone_at_once(ports: Ports, folder: S3Uri, uri: S3Uri) -> None:
    await ports.store.put(uri, b"x")
    await ports.store.delete(uri)
    assert await ports.store.get(uri) is None
    assert await ports.store.list(folder) == []


async def test_a_first_write_tells_its_etag(ports: Ports, uri: S3Uri) -> None:
    etag = await ports.store.put_if(uri, b"first", None)
    assert await ports.store.get_with_etag(uri) == (b"first", etag)
    newer = await ports.store.put_if(uri, b"second", etag)
    assert await ports.store.get_with_etag(uri) == (b"second", newer)


@pytest.mark.parametrize("case", ["none expected", "changed", "gone", "another etag"])
async def test_a_conditional_write_over_something_else_conflicts(
    ports: Ports, uri: S3Uri, case: str
) -> None:
    store = ports.store
    etag: str | None = await store.put_if(uri, b"first", None)
    expected: bytes | None = b"first"
    if case == "none expected":
        etag = None
    elif case == "changed":
        await store.put(uri, expected := b"somebody's")
    elif case == "gone":
        await store.delete(uri)
        expected = None
    else:
        etag = '"d41d8cd98f00b204e9800998ecf8427e"'
    with pytest.raises(Conflict):
        await store.put_if(uri, b"mine", etag)
    assert await store.get(uri) == expected


@pytest.mark.parametrize("etag", [None, '"d41d8cd98f00b204e9800998ecf8427e"'])
async def test_a_conditional_write_of_what_is_there_is_none(
    ports: Ports, uri: S3Uri, etag: str | None
) -> None:
    there = await ports.store.put_if(uri, b"the same", None)
    assert await ports.store.put_if(uri, b"the same", etag) == there


async def test_an_object_that_went_away_and_came_back_is_the_same(ports: Ports, uri: S3Uri) -> None:
    """An etag is of the content: whoever must notice has to name its writer in it."""
    etag = await ports.store.put_if(uri, b"first", None)
    await ports.store.put(uri, b"second")
    await ports.store.put(uri, b"first")
    assert await ports.store.put_if(uri, b"third", etag)


@pytest.mark.parametrize("there", [False, True])
async def test_of_writers_that_write_at_once_one_wins(
    ports: Ports, uri: S3Uri, there: bool
) -> None:
    before = await ports.store.put_if(uri, b"first", None) if there else None
    writes = [ports.store.put_if(uri, f"writer {n}".encode(), before) for n in range(8)]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    [winner] = [n for n, answer in enumerate(answers) if isinstance(answer, str)]
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7
    assert await ports.store.get_with_etag(uri) == (f"writer {winner}".encode(), answers[winner])


async def test_a_listing_is_of_all_keys_that_begin_so_in_their_order(
    ports: Ports, folder: S3Uri
) -> None:
    names = ["a", "a/b", "a/c/d", "ab", "a b+c", "b", "ä", "B"]
    for name in names:
        await ports.store.put(S3Uri("ledger", folder.key + name), b"x")

    async def listed(prefix: str) -> list[str]:
        found = await ports.store.list(S3Uri("ledger", folder.key + prefix))
        return [entry.uri.key.removeprefix(folder.key) for entry in found]

    assert await listed("") == sorted(names)
    assert await listed("a") == sorted(name for name in names if name.startswith("a"))
    assert await listed("a/") == ["a/b", "a/c/d"]
    assert await listed("a/c") == ["a/c/d"]
    assert await listed("c") == []


async def test_a_bucket_that_is_not_there_is_refused(ports: Ports) -> None:
    with pytest.raises(Refused):
        await ports.store.put(S3Uri("no-such-bucket", "key"), b"x")
