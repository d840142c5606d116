"""The embedded SQS as a service; that it answers as AWS does is for tests/conformance to show."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import boto3
import pytest
from aiohttp import ClientSession
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from daemon.embedded.sqs.service import REQUEST_MAX_BYTES, EmbeddedSqs

POLLERS = 8
MESSAGES = 400
SOON_SECONDS = 10.0
"""Well below the 20 seconds of a long poll that nothing ends."""


@pytest.fixture
async def service() -> AsyncIterator[EmbeddedSqs]:
    async with EmbeddedSqs() as service:
        yield service


@pytest.fixture
def sqs(service: EmbeddedSqs) -> Any:
    return client_of(service)


def client_of(service: EmbeddedSqs) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=service.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="anything",
        aws_secret_access_key="anything",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=POLLERS),
    )


def fill(sqs: Any, messages: int, name: str = "queue") -> str:
    """A new queue with so many messages; its URL."""
    url = str(sqs.create_queue(QueueName=name)["QueueUrl"])
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(messages)]
    for start in range(0, messages, 10):
        sqs.send_message_batch(QueueUrl=url, Entries=entries[start : start + 10])
    return url


def receive(sqs: Any, url: str, wait_seconds: int = 0, most: int = 10) -> list[dict[str, Any]]:
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=most, WaitTimeSeconds=wait_seconds, VisibilityTimeout=600
    )
    return list(answer.get("Messages", []))


def refusal(call: Any, **parameters: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    answer = refused.value.response
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return answer["Error"]["Code"], status, answer["Error"]["Message"]


async def test_no_message_is_delivered_twice_within_its_visibility(sqs: Any) -> None:
    def poll(url: str) -> list[str]:
        received: list[str] = []
        while messages := receive(sqs, url):
            received += [message["Body"] for message in messages]
        return received

    def poll_together() -> list[str]:
        url = fill(sqs, MESSAGES)
        with ThreadPoolExecutor(POLLERS) as pollers:
            return [body for bodies in pollers.map(poll, [url] * POLLERS) for body in bodies]

    received = await asyncio.to_thread(poll_together)
    assert sorted(received, key=int) == [str(number) for number in range(MESSAGES)]


async def test_waiting_polls_share_what_comes(sqs: Any) -> None:
    def poll_together() -> list[str]:
        url = fill(sqs, 0)
        with ThreadPoolExecutor(POLLERS) as pollers:
            polls = [pollers.submit(receive, sqs, url, 20, 1) for _ in range(POLLERS)]
            for number in range(POLLERS):
                sqs.send_message(QueueUrl=url, MessageBody=str(number))
            return [message["Body"] for poll in polls for message in poll.result()]

    async with asyncio.timeout(SOON_SECONDS):
        received = await asyncio.to_thread(poll_together)
    assert sorted(received) == [str(number) for number in range(POLLERS)]


async def test_at_the_limit_of_flight_a_short_poll_is_refused_and_a_long_one_waits() -> None:
    async with EmbeddedSqs(in_flight_max=2) as service:
        sqs = client_of(service)

        def run() -> None:
            url = fill(sqs, 3)
            first, _ = receive(sqs, url)
            assert refusal(sqs.receive_message, QueueUrl=url)[:2] == ("OverLimit", 403)
            assert receive(sqs, url, wait_seconds=1) == []
            with ThreadPoolExecutor(1) as pollers:
                poll = pollers.submit(receive, sqs, url, 20)
                sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
                [third] = poll.result()
            assert third["Body"] == "2"

        async with asyncio.timeout(SOON_SECONDS):
            await asyncio.to_thread(run)


async def test_a_poll_whose_client_has_gone_takes_no_message(
    service: EmbeddedSqs, sqs: Any
) -> None:
    url = await asyncio.to_thread(fill, sqs, 0)
    target = {"X-Amz-Target": "AmazonSQS.ReceiveMessage"}
    query = {"QueueUrl": url, "WaitTimeSeconds": 20}
    async with ClientSession() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await session.post(service.endpoint_url, json=query, headers=target)
    await asyncio.to_thread(sqs.send_message, QueueUrl=url, MessageBody="kept")
    [message] = await asyncio.to_thread(receive, sqs, url, 5)
    assert message["Body"] == "kept"


async def test_a_service_that_stops_ends_its_polls() -> None:
    asked = asyncio.Event()

    def clock() -> float:
        asked.set()
        return time.time()

    async with asyncio.timeout(SOON_SECONDS):
        async with EmbeddedSqs(clock=clock) as service:
            sqs = client_of(service)
            url = await asyncio.to_thread(fill, sqs, 0)
            asked.clear()
            poll = asyncio.create_task(asyncio.to_thread(receive, sqs, url, 20))
            await asked.wait()
        assert await poll == []


async def test_a_service_that_is_cut_off_breaks_its_polls_and_keeps_its_messages() -> None:
    asked = asyncio.Event()

    def clock() -> float:
        asked.set()
        return time.time()

    async with asyncio.timeout(SOON_SECONDS), EmbeddedSqs(clock=clock) as service:
        sqs = client_of(service)
        full = await asyncio.to_thread(fill, sqs, 1, "full")
        url = await asyncio.to_thread(fill, sqs, 0)
        asked.clear()
        poll = asyncio.create_task(asyncio.to_thread(receive, sqs, url, 20))
        await asked.wait()
        await service.cut_off()
        with pytest.raises(ConnectionClosedError):
            await poll
        await service.restore()
        assert len(await asyncio.to_thread(receive, sqs, full)) == 1


def with_dead_letters(sqs: Any) -> tuple[str, str, str]:
    """A queue with two messages that it gives up after this receive: its URL, and its letters'."""
    letters = str(sqs.create_queue(QueueName="letters")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=letters, AttributeNames=["QueueArn"])
    arn = arn["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = fill(sqs, 2)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return url, letters, str(arn)


async def test_a_dead_letter_ends_a_poll_for_it_and_so_does_its_return(sqs: Any) -> None:
    def run() -> None:
        url, letters, arn = with_dead_letters(sqs)
        with ThreadPoolExecutor(1) as pollers:
            poll = pollers.submit(sqs.receive_message, QueueUrl=letters, WaitTimeSeconds=20)
            assert receive(sqs, url) == []
            [letter] = poll.result()["Messages"]
            sqs.change_message_visibility(
                QueueUrl=letters, ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0
            )
            sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=2)
            for _ in range(2):
                assert len(receive(sqs, url, wait_seconds=20)) == 1

    async with asyncio.timeout(SOON_SECONDS):
        await asyncio.to_thread(run)


async def test_another_service_of_the_cloud_can_send(service: EmbeddedSqs, sqs: Any) -> None:
    url = await asyncio.to_thread(fill, sqs, 0)
    poll = asyncio.create_task(asyncio.to_thread(receive, sqs, url, 20))
    await asyncio.to_thread(sqs.list_queues)
    service.deliver("arn:aws:sqs:us-east-1:000000000000:unknown", "lost")
    service.deliver("arn:aws:sqs:us-east-1:000000000000:queue", "\x00")
    service.deliver("arn:aws:sqs:us-east-1:000000000000:queue", "event")
    async with asyncio.timeout(SOON_SECONDS):
        assert [message["Body"] for message in await poll] == ["event"]


async def test_an_operation_that_is_not_emulated_says_so(sqs: Any) -> None:
    def run() -> None:
        url = fill(sqs, 0)
        code, status, message = refusal(sqs.remove_permission, QueueUrl=url, Label="label")
        assert (code, status) == ("NotImplemented", 501)
        assert message.startswith("The embedded SQS does not emulate RemovePermission.")
        code, status, message = refusal(
            sqs.create_queue, QueueName="q.fifo", Attributes={"FifoQueue": "true"}
        )
        assert (code, status) == ("NotImplemented", 501)
        assert "FIFO" in message

    await asyncio.to_thread(run)


async def test_a_queue_url_of_another_account_or_none_is_refused(sqs: Any) -> None:
    def run() -> None:
        url = fill(sqs, 0)
        other = url.replace("000000000000", "111111111111")
        assert refusal(receive, sqs=sqs, url=other)[0].endswith("NonExistentQueue")
        nowhere = url.removesuffix("/queue")
        assert refusal(receive, sqs=sqs, url=nowhere)[:2] == ("InvalidAddress", 404)

    await asyncio.to_thread(run)


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("AmazonSNS.Publish", b"{}", 404, "UnknownOperationException"),
        ("AmazonSQS.ListQueues", b"{", 400, "SerializationException"),
        ("AmazonSQS.ListQueues", b'{"MaxResults": "1"}', 400, "SerializationException"),
        ("AmazonSQS.DeleteQueue", b"{}", 400, "MissingParameter"),
    ],
)
async def test_what_no_client_of_sqs_would_send_is_refused(
    service: EmbeddedSqs, target: str, body: bytes, status: int, code: str
) -> None:
    headers = {"X-Amz-Target": target}
    async with (
        ClientSession() as session,
        session.post(service.endpoint_url, data=body, headers=headers) as answer,
    ):
        assert answer.status == status
        assert json.loads(await answer.read())["__type"] == f"com.amazonaws.sqs#{code}"


async def test_a_request_larger_than_any_batch_is_refused(service: EmbeddedSqs) -> None:
    headers = {"X-Amz-Target": "AmazonSQS.ListQueues"}
    body = BytesIO(b" " * (REQUEST_MAX_BYTES + 1))
    async with (
        ClientSession() as session,
        session.post(service.endpoint_url, data=body, headers=headers) as answer,
    ):
        assert answer.status == 413


async def test_the_clock_of_the_service_can_be_another() -> None:
    now = time.time()
    async with EmbeddedSqs(clock=lambda: now) as service:
        sqs = client_of(service)
        url = await asyncio.to_thread(fill, sqs, 1)
        assert await asyncio.to_thread(receive, sqs, url)
        now += 599
        assert await asyncio.to_thread(receive, sqs, url) == []
        now += 1
        assert await asyncio.to_thread(receive, sqs, url)
