"""The wire form of AWS Batch, taken from the service model that botocore ships.

Operations are found by HTTP method and path, requests and answers are checked against their shapes:
what a boto client could not have sent is refused, what it could not read is a fault of this
service.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from daemon.embedded.batch.errors import InvalidRequestError, UnknownRouteError
from daemon.embedded.shapes import Shapes

ANY_CASE_ENUMS = frozenset({"RetryAction"})
"""Shapes whose values "aren't case sensitive" (botocore, EvaluateOnExit)."""


class Protocol:
    """Batch's operations as botocore knows them."""

    def __init__(self) -> None:
        self._shapes = Shapes("batch", open_enums=ANY_CASE_ENUMS)
        self._routes: list[tuple[str, re.Pattern[str], str]] = []
        for name in self._shapes.service.operation_names:
            http = self._shapes.service.operation_model(name).http
            path = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", http["requestUri"])
            self._routes.append((http["method"], re.compile(path), name))

    def read(self, method: str, raw_path: str, query: str, body: bytes) -> tuple[str, Any]:
        """Find the operation, and its checked parameters; `raw_path` is still percent-encoded."""
        for route_method, pattern, operation in self._routes:
            match = pattern.fullmatch(raw_path)
            if route_method == method and match is not None:
                labels = {name: unquote(value) for name, value in match.groupdict().items()}
                parameters = self._parameters(operation, labels, query, body)
                for problem in self._shapes.request_departures(operation, parameters):
                    raise InvalidRequestError(operation=operation, problem=problem)
                return operation, parameters
        raise UnknownRouteError(method=method, path=raw_path)

    def _parameters(
        self, operation: str, labels: Mapping[str, str], query: str, body: bytes
    ) -> dict[str, Any]:
        try:
            parameters = json.loads(body or b"{}")
        except ValueError as error:
            raise InvalidRequestError(
                operation=operation, problem=f"the body is not JSON ({error})"
            ) from None
        if not isinstance(parameters, dict):
            raise InvalidRequestError(operation=operation, problem="the body is not a JSON object")
        asked = parse_qs(query, keep_blank_values=True)
        members = self._shapes.service.operation_model(operation).input_shape.members
        for name, shape in members.items():
            location = shape.serialization.get("location")
            wire_name = shape.serialization.get("name", name)
            if location == "uri":
                parameters[name] = labels[wire_name]
            elif location == "querystring" and wire_name in asked:
                values = asked[wire_name]
                parameters[name] = values if shape.type_name == "list" else values[0]
        return parameters

    def write(self, operation: str, answer: Mapping[str, Any]) -> bytes:
        """The answer as JSON; TypeError if it is not of the operation's shape."""
        self._shapes.check_answer(operation, answer)
        return json.dumps(answer).encode()
