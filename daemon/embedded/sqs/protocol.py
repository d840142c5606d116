"""The wire form of SQS: JSON, with the codes of its older protocol for refusals.

The operation is named by the header `X-Amz-Target`, requests and answers are checked against the
service model that botocore ships. Names that SQS has codes of its own for are left to `operations`.
"""

import json
from collections.abc import Mapping
from typing import Any

from daemon.embedded.shapes import Shapes
from daemon.embedded.sqs.errors import (
    MalformedRequestError,
    MissingParameterError,
    SqsError,
    UnknownOperationError,
)

TARGET_PREFIX = "AmazonSQS."
CONTENT_TYPE = "application/x-amz-json-1.0"

NAMED_BY_CLIENTS = frozenset({"QueueAttributeName", "MessageSystemAttributeName"})
"""Shapes whose unknown values SQS itself refuses, with InvalidAttributeName."""


class Protocol:
    """SQS's operations as botocore knows them."""

    def __init__(self) -> None:
        self._shapes = Shapes("sqs", open_enums=NAMED_BY_CLIENTS)
        self._operations = frozenset(self._shapes.service.operation_names)

    def read(self, target: str, body: bytes) -> tuple[str, dict[str, Any]]:
        """The operation that X-Amz-Target names, and its checked parameters."""
        operation = target.removeprefix(TARGET_PREFIX)
        if not target.startswith(TARGET_PREFIX) or operation not in self._operations:
            raise UnknownOperationError(target=target)
        try:
            parameters = json.loads(body or b"{}")
        except ValueError as error:
            problem = f"the body is not JSON ({error})"
            raise MalformedRequestError(operation=operation, problem=problem) from None
        if not isinstance(parameters, dict):
            problem = "the body is not a JSON object"
            raise MalformedRequestError(operation=operation, problem=problem)
        for name in self._shapes.service.operation_model(operation).input_shape.required_members:
            if name not in parameters:
                raise MissingParameterError(name=name)
        for problem in self._shapes.request_departures(operation, parameters):
            raise MalformedRequestError(operation=operation, problem=problem)
        return operation, parameters

    def write(self, operation: str, answer: Mapping[str, Any]) -> bytes:
        """The answer as JSON; TypeError if it is not of the operation's shape."""
        self._shapes.check_answer(operation, answer)
        return json.dumps(answer).encode()


def write_refusal(refusal: SqsError) -> tuple[bytes, dict[str, str]]:
    """A refusal's body and headers."""
    body = {"__type": f"com.amazonaws.sqs#{refusal.code}", "message": str(refusal)}
    return json.dumps(body).encode(), {"x-amzn-query-error": f"{refusal.shown_code()};Sender"}
