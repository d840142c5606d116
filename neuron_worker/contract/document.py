"""The base of every document that crosses between dispatcher and worker."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A frozen JSON document; an unknown field is an error, so a typing slip cannot hide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> bytes:
        """The document as UTF-8 JSON, without the fields that stand at their default."""
        return self.model_dump_json(exclude_defaults=True).encode()
