"""What operations answer from, and how they find the queue that a request is about."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from daemon.embedded.sqs.errors import InvalidAddressError, QueueDoesNotExistError
from daemon.embedded.sqs.model import Account, QueueRecord, SqsModel

Parameters = Mapping[str, Any]
"""A request that has the shape of its operation."""

Document = dict[str, Any]
"""An answer, as JSON writes it."""


class Context:
    """What an operation answers from: the model, and the address that its URLs begin with."""

    def __init__(self, model: SqsModel, endpoint_url: str) -> None:
        self.model = model
        self.endpoint_url = endpoint_url

    @property
    def account(self) -> Account:
        """Whose queues these are."""
        return self.model.account

    def url(self, queue_name: str) -> str:
        """A queue's URL."""
        return f"{self.endpoint_url}/{self.account.number}/{queue_name}"

    def record(self, parameters: Parameters) -> QueueRecord:
        """The queue of a request's QueueUrl, whatever host the URL names."""
        url = parameters["QueueUrl"]
        parts = urlsplit(url).path.strip("/").split("/")
        if len(parts) != 2:
            raise InvalidAddressError(url=url)
        account, name = parts
        if account != self.account.number:
            raise QueueDoesNotExistError(queue=url)
        return self.named(name)

    def named(self, name: str) -> QueueRecord:
        """The queue of that name."""
        record = self.model.queues.get(name)
        if record is None:
            raise QueueDoesNotExistError(queue=name)
        return record
