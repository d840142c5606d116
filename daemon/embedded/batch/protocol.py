"""The wire form of AWS Batch, taken from the service model that botocore ships.

Operations are found by HTTP method and path, requests and answers are checked against their shapes:
what a boto client could not have sent is refused, what it could not read is a fault of this
service.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from daemon.embedded.batch.errors import InvalidRequestError, UnknownRouteError

ANY_CASE_ENUMS = frozenset({"RetryAction"})
"""Shapes whose values "aren't case sensitive" (botocore, EvaluateOnExit)."""

_JSON_TYPES = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
}


class Protocol:
    """Batch's operations as botocore knows them."""

    def __init__(self) -> None:
        self._model = ServiceModel(Loader().load_service_model("batch", "service-2"))
        self._validator = ParamValidator()
        self._routes: list[tuple[str, re.Pattern[str], str]] = []
        for name in self._model.operation_names:
            http = self._model.operation_model(name).http
            path = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", http["requestUri"])
            self._routes.append((http["method"], re.compile(path), name))

    def read(self, method: str, raw_path: str, query: str, body: bytes) -> tuple[str, Any]:
        """Find the operation, and its checked parameters; `raw_path` is still percent-encoded."""
        for route_method, pattern, operation in self._routes:
            match = pattern.fullmatch(raw_path)
            if route_method == method and match is not None:
                labels = {name: unquote(value) for name, value in match.groupdict().items()}
                parameters = self._parameters(operation, labels, query, body)
                self._check_request(operation, parameters)
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
        members = self._model.operation_model(operation).input_shape.members
        for name, shape in members.items():
            location = shape.serialization.get("location")
            wire_name = shape.serialization.get("name", name)
            if location == "uri":
                parameters[name] = labels[wire_name]
            elif location == "querystring" and wire_name in asked:
                values = asked[wire_name]
                parameters[name] = values if shape.type_name == "list" else values[0]
        return parameters

    def _check_request(self, operation: str, parameters: Mapping[str, Any]) -> None:
        shape = self._model.operation_model(operation).input_shape
        report = self._validator.validate(parameters, shape)
        if report.has_errors():
            raise InvalidRequestError(operation=operation, problem=report.generate_report())
        for problem in departures(shape, parameters, operation):
            raise InvalidRequestError(operation=operation, problem=problem)

    def write(self, operation: str, answer: Mapping[str, Any]) -> bytes:
        """The answer as JSON; TypeError if it is not of the operation's shape."""
        shape = self._model.operation_model(operation).output_shape
        for problem in departures(shape, answer, operation):
            raise TypeError(problem)
        return json.dumps(answer).encode()


def departures(shape: Any, value: Any, where: str) -> Iterator[str]:
    """What in a value is not of its botocore shape: wrong types, unknown members or enum values.

    Absent members are no departure. Batch itself leaves some out that its model calls required, as
    `startedAt` of a job that has not started.
    """
    if not _is_of_type(value, shape.type_name):
        yield f"{where} is {value!r}, not a {shape.type_name}"
    elif shape.type_name == "structure":
        yield from (f"{where}.{name} is unknown" for name in value.keys() - shape.members.keys())
        for name in value.keys() & shape.members.keys():
            yield from departures(shape.members[name], value[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for index, member in enumerate(value):
            yield from departures(shape.member, member, f"{where}[{index}]")
    elif shape.type_name == "map":
        for name, member in value.items():
            yield from departures(shape.value, member, f"{where}.{name}")
    elif shape.name not in ANY_CASE_ENUMS:
        allowed = shape.metadata.get("enum", (value,))
        if value not in allowed:
            yield f"{where} is {value!r}; possible are {', '.join(allowed)}"


def _is_of_type(value: Any, type_name: str) -> bool:
    """Whether JSON writes the value as the type that botocore names; others it knows pass."""
    return type(value) is _JSON_TYPES.get(type_name, type(value))
