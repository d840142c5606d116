"""A Dockerfile, read as far as this project's own go: no here-documents, no ONBUILD, no SHELL."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_FLAG = re.compile(r"--(?P<name>[a-z-]+)=(?P<value>\S+)\s+")

_VARIABLE = re.compile(
    r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?::(?P<operator>[-+])(?P<word>[^{}]*))?\})"
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `text` is what follows its name and its flags, with its lines joined."""

    name: str
    flags: Mapping[str, str]
    text: str

    @property
    def array(self) -> list[str] | None:
        """The words of the exec form; None of the shell form."""
        if not self.text.startswith("["):
            return None
        words: list[str] = json.loads(self.text)
        return words

    def assignments(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The `NAME=value` of ARG, ENV and LABEL; a bare NAME is left out."""
        pairs = (word.partition("=") for word in shlex.split(self.text))
        return {name: expand(value, variables) for name, equals, value in pairs if equals}


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands between one FROM and the next; `base` is as it is written."""

    base: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction | None:
        """The instruction of that name that counts."""
        return next((one for one in reversed(self.instructions) if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """`arguments` are the ARGs before the first FROM, with their defaults."""

    arguments: Mapping[str, str]
    stages: list[Stage]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file."""
        arguments: dict[str, str] = {}
        stages: list[Stage] = []
        for instruction in _instructions(path.read_text()):
            if instruction.name == "FROM":
                base, *rest = instruction.text.split()
                stages.append(Stage(base, rest[1] if rest else None))
            elif stages:
                stages[-1].instructions.append(instruction)
            else:
                arguments |= instruction.assignments(arguments)
        return cls(arguments, stages)

    @property
    def instructions(self) -> Iterator[Instruction]:
        """Those of all stages."""
        for stage in self.stages:
            yield from stage.instructions

    @property
    def images(self) -> list[str]:
        """The images that are pulled, with the defaults of the arguments."""
        own = {stage.name for stage in self.stages}
        return [expand(one.base, self.arguments) for one in self.stages if one.base not in own]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in, as BuildKit does: `$A`, `${A}`, `${A:-word}`, `${A:+word}`."""

    def value(match: re.Match[str]) -> str:
        found = variables.get(match["plain"] or match["name"], "")
        if match["operator"] == "+":
            return expand(match["word"], variables) if found else ""
        return found or expand(match["word"] or "", variables)

    return _VARIABLE.sub(value, text)


def _instructions(content: str) -> Iterator[Instruction]:
    logical = ""
    for line in content.splitlines():
        if line.lstrip().startswith("#"):
            continue
        logical += line.removesuffix("\\")
        if logical.strip() and not line.endswith("\\"):
            name, _, text = logical.strip().partition(" ")
            yield _instruction(name.upper(), text.strip())
            logical = ""


def _instruction(name: str, text: str) -> Instruction:
    flags = {}
    while flag := _FLAG.match(text):
        flags[flag["name"]] = flag["value"]
        text = text[flag.end() :]
    return Instruction(name, flags, text)
