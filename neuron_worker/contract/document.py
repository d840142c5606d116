"""The base of every document that crosses between dispatcher and worker."""

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from neuron_worker.contract.ledger import S3Uri

_BETWEEN_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


class UnreadableDocument(Exception):
    """{uri} is not a {kind} ({cause}): put back an older version of it, or delete it."""

    def __init__(self, uri: S3Uri, kind: str, cause: str) -> None:
        super().__init__(uri, kind, cause)
        self.uri = uri
        self.kind = kind
        self.cause = cause

    def __str__(self) -> str:
        return str(self.__doc__).format(uri=self.uri, kind=self.kind, cause=self.cause)


class Document(BaseModel):
    """A frozen JSON document.

    Writing is strict: an unknown field is an error, so a typing slip cannot hide. Reading is
    lenient: another version of the daemon or the worker may have written more than this one knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_json(cls, content: bytes | str) -> Self:
        """What `to_json` of any version wrote, without the fields that this one does not know.

        ValueError for anything else.
        """
        return cls.model_validate_json(content, extra="ignore")

    @classmethod
    def read(cls, content: bytes, uri: S3Uri) -> Self:
        """The document that stands there; UnreadableDocument if it is none of this kind."""
        try:
            return cls.from_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            cause = f"{place}: {first['msg']}" if place else first["msg"]
            raise UnreadableDocument(
                uri, _BETWEEN_WORDS.sub(" ", cls.__name__).lower(), cause
            ) from error

    def to_json(self) -> bytes:
        """The document as UTF-8 JSON, without the fields that stand at their default."""
        return self.model_dump_json(exclude_defaults=True).encode()
