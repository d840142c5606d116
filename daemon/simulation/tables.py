"""The simulator's TOML files as checked models: a fault names the file, the key, what is wrong."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from daemon.settings import SettingsError

M = TypeVar("M", bound=BaseModel)


class Table(BaseModel):
    """A table of such a file; an unknown key is an error, so that a slip cannot hide."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read(path: Path, model: type[M]) -> M:
    """Read a file as a model. Raises `SettingsError`."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise SettingsError([f"{path}: is not TOML: {error}"]) from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError([_fault(path, fault) for fault in error.errors()]) from error


def _fault(path: Path, fault: Any) -> str:
    key = ".".join(str(step) for step in fault["loc"]) or "the file"
    expected = fault["msg"].removeprefix("Value error, ")
    found = "" if fault["type"] in ("missing", "value_error") else f", found {fault['input']!r}"
    return f"{path}: {key}: {expected}{found}"
