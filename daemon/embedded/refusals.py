"""Requests that an embedded service refuses, in the form that AWS gives its refusals."""

from inspect import cleandoc


class RefusedError(Exception):
    """The request was refused.

    The first paragraph of a subclass's docstring is its message; the fields fill it in. `code` and
    `http_status` are what the client sees as the error's type and the answer's status.
    """

    code = "ClientException"
    http_status = 400

    def __init__(self, **fields: object) -> None:
        template, _, _ = cleandoc(str(self.__doc__)).partition("\n\n")
        super().__init__(" ".join(template.split()).format(**fields))
