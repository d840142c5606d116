import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance import emulators
from tests.conformance.differences import DIFFERENCES
from tests.conformance.emulators import EMULATORS, MINISTACK, Emulator, Server

_names = (f"queue-{number}" for number in count(1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A known difference must show: one that is gone fails, and its line is to be removed."""
    for item in items:
        call = getattr(item, "callspec", None)
        name = call.params.get("emulator") if call is not None else None
        if name in DIFFERENCES:
            case = item.name.replace(f"[{name}-", "[").replace(f"[{name}]", "")
            known = DIFFERENCES[name]
            reason = known.get(case, known.get(case.partition("[")[0]))
            if reason is not None:
                item.add_marker(
                    pytest.mark.xfail(
                        strict=True, reason=reason, raises=(AssertionError, ClientError)
                    )
                )


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """moto and ministack; they get up while the cases run against ours."""
    with ExitStack() as stack:
        servers = {"moto": stack.enter_context(emulators.moto())}
        if MINISTACK.exists():
            servers["ministack"] = stack.enter_context(emulators.ministack())
        yield servers


@pytest.fixture(scope="session", params=EMULATORS)
def emulator(
    request: pytest.FixtureRequest,
    servers: dict[str, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Emulator]:
    if request.param == "embedded":
        with emulators.embedded(tmp_path_factory.mktemp("embedded")) as embedded:
            yield embedded
        return
    if request.param not in servers:
        pytest.skip(f"{MINISTACK} is missing: run make {MINISTACK.parts[-3]}/installed")
    url = servers[request.param].until_ready()
    yield emulators.emulator(request.param, url, url)


class Lab:
    """An emulator's SQS, with the calls that the cases make most."""

    def __init__(self, emulator: Emulator) -> None:
        self.sqs = emulator.sqs

    def queue(self, **attributes: str) -> str:
        """A new queue's URL."""
        return str(self.sqs.create_queue(QueueName=next(_names), Attributes=attributes)["QueueUrl"])

    def arn(self, url: str) -> str:
        return self.attributes(url, "QueueArn")["QueueArn"]

    def attributes(self, url: str, *names: str) -> dict[str, str]:
        """Attributes of a queue, all unless some are named."""
        wanted = list(names) or ["All"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
        return dict(answer.get("Attributes", {}))

    def counts(self, url: str) -> tuple[int, int, int]:
        """Visible, in flight and delayed."""
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
        counts = self.attributes(url, *names)
        visible, in_flight, delayed = (int(counts[name]) for name in names)
        return visible, in_flight, delayed

    def send(self, url: str, body: str = "body", **more: Any) -> dict[str, Any]:
        return dict(self.sqs.send_message(QueueUrl=url, MessageBody=body, **more))

    def receive(self, url: str, most: int = 10, **more: Any) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=most,
            **{"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"], **more},
        )
        return list(answer.get("Messages", []))

    def receive_one(self, url: str, **more: Any) -> dict[str, Any]:
        [message] = self.receive(url, 1, **more)
        return message

    def delete(self, url: str, message: dict[str, Any]) -> None:
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def change(self, url: str, message: dict[str, Any], seconds: int) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def with_dead_letters(self, receives: int) -> tuple[str, str]:
        """A queue that gives messages up after so many receives, and its dead-letter queue."""
        letters = self.queue()
        policy = {"deadLetterTargetArn": self.arn(letters), "maxReceiveCount": receives}
        return self.queue(RedrivePolicy=json.dumps(policy)), letters

    def bury(self, url: str, *bodies: str) -> None:
        """Make dead letters of new messages, in a queue that gives up after one receive."""
        for body in bodies:
            self.send(url, body)
        for _ in range(2 * len(bodies)):
            self.receive(url, VisibilityTimeout=0)


@pytest.fixture
def lab(emulator: Emulator) -> Lab:
    return Lab(emulator)


@pytest.fixture
def refusal() -> Callable[..., str]:
    """The code with which a call is refused."""

    def refusal(call: Callable[..., Any], **parameters: Any) -> str:
        try:
            answer = call(**parameters)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            assert 400 <= status < 500, f"{status} is no refusal"
            return str(error.response["Error"]["Code"])
        raise AssertionError(f"it is not refused but answered with {answer}")

    return refusal
