"""Batches of a queue's calls beside each other."""

import asyncio

import pytest

from daemon.aws.queue import all_failed
from daemon.ports import Unavailable


async def test_the_batches_behind_one_that_raises_are_made_all_the_same() -> None:
    made = []

    async def batch(name: str, error: Exception | None = None) -> set[str]:
        await asyncio.sleep(0)
        if error is not None:
            raise error
        made.append(name)
        return {name}

    with pytest.raises(Unavailable, match="second"):
        await all_failed(
            [batch("a"), batch("b", Unavailable("sqs", "second")), batch("c"), batch("d")]
        )
    assert made == ["a", "c", "d"]
    assert await all_failed([batch("a"), batch("b")]) == {"a", "b"}
    assert await all_failed([]) == set()
