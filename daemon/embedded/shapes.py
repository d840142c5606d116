"""Requests and answers held against the service models that botocore ships.

What a boto client could not have sent, or could not read, is a departure; what AWS refuses beyond
its shapes is for each embedded service to say.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

_JSON_TYPES = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
}


class Shapes:
    """One service's operations as botocore knows them.

    `open_enums` are the shapes whose values are not held against their enumeration.
    """

    def __init__(self, service: str, open_enums: Set[str] = frozenset()) -> None:
        self.service = ServiceModel(Loader().load_service_model(service, "service-2"))
        self._validator = ParamValidator()
        self._open_enums = open_enums

    def request_departures(self, operation: str, parameters: Mapping[str, Any]) -> Iterator[str]:
        """What in a request a boto client could not have sent."""
        shape = self.service.operation_model(operation).input_shape
        report = self._validator.validate(parameters, shape)
        if report.has_errors():
            yield report.generate_report()
        yield from self._departures(shape, parameters, operation)

    def check_answer(self, operation: str, answer: Mapping[str, Any]) -> None:
        """TypeError if the answer is not of the operation's shape.

        Absent members are no departure: services leave some out that their model calls required,
        as Batch does with `startedAt` of a job that has not started.
        """
        shape = self.service.operation_model(operation).output_shape
        if shape is None:
            if answer:
                raise TypeError(f"{operation} answers nothing, not {answer!r}")
            return
        for problem in self._departures(shape, answer, operation):
            raise TypeError(problem)

    def _departures(self, shape: Any, value: Any, where: str) -> Iterator[str]:
        """Wrong types, unknown members and unknown values of enumerations."""
        if not _is_of_type(value, shape.type_name):
            yield f"{where} is {value!r}, not a {shape.type_name}"
        elif shape.type_name == "structure":
            unknown = value.keys() - shape.members.keys()
            yield from (f"{where}.{name} is unknown" for name in unknown)
            for name in value.keys() & shape.members.keys():
                yield from self._departures(shape.members[name], value[name], f"{where}.{name}")
        elif shape.type_name == "list":
            for index, member in enumerate(value):
                yield from self._departures(shape.member, member, f"{where}[{index}]")
        elif shape.type_name == "map":
            for name, member in value.items():
                yield from self._departures(shape.value, member, f"{where}.{name}")
        elif shape.name not in self._open_enums:
            allowed = shape.metadata.get("enum", (value,))
            if value not in allowed:
                yield f"{where} is {value!r}; possible are {', '.join(allowed)}"


def _is_of_type(value: Any, type_name: str) -> bool:
    """Whether JSON writes the value as the type that botocore names; others it knows pass."""
    return type(value) is _JSON_TYPES.get(type_name, type(value))
