"""Requests that the embedded Batch refuses, in the form that AWS gives its refusals."""

from daemon.embedded.refusals import RefusedError


class InvalidRequestError(RefusedError):
    """{operation}: {problem}."""


class NotFoundError(RefusedError):
    """{kind} {name!r} does not exist. Create it first, or correct the name."""


class NameTakenError(RefusedError):
    """{kind} {name!r} exists already. Choose another name, or use the one there is."""


class UnsupportedParameterError(RefusedError):
    """{operation}: the embedded Batch does not emulate {parameter}. Leave it out."""


class NotEmulatedError(RefusedError):
    """The embedded Batch does not emulate {operation}. Use one of: {emulated}."""

    code = "NotImplemented"
    http_status = 501


class TooManyRequestsError(RefusedError):
    """Too Many Requests: {operation} is throttled. Ask again a little later."""

    code = "TooManyRequestsException"
    http_status = 429


class UnknownRouteError(RefusedError):
    """{method} {path} is no operation of AWS Batch. Point only Batch clients at this address."""

    code = "UnknownOperationException"
    http_status = 404
