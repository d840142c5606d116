"""Images as the steps of a Dockerfile make them, without Docker: each stage is a scratch root.

COPY, RUN and WORKDIR are carried out; of the rest is kept what a container's process gets. In the
place of the image that is pulled stands a root of this machine's own. Layers, caches and the
mounts of RUN are left out.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.ops.dockerfile import Dockerfile, Instruction, Stage, expand
from tests.ops.scratch_root import ROOT, ScratchRoot, as_user, beside

REGISTRY_VARIABLES = ("PIP_", "SSL_", "HTTP_", "HTTPS_", "NO_PROXY")
"""What a builder may need of its environment to reach package registries."""


@dataclass(frozen=True, slots=True)
class Image:
    """A root, and how a process is started in it."""

    root: ScratchRoot
    environment: Mapping[str, str]
    user: str = ROOT
    directory: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health_check: tuple[str, ...] = ()

    def start(
        self, environment: Mapping[str, str], *, read_only: bool = False
    ) -> "subprocess.Popen[str]":
        """Start a container: the entry point with its command, as the image's user.

        Its standard error is a pipe.
        """
        words = self.root.command(
            [*self.entrypoint, *self.command],
            directory=self.directory,
            user=self.user,
            read_only=read_only,
        )
        given = {**self.environment, **environment}
        return subprocess.Popen(words, env=given, stderr=subprocess.PIPE, text=True)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run other words in a container of their own."""
        return self.root.run(
            *words, environment=self.environment, directory=self.directory, user=self.user
        )

    def exec(self, process: "subprocess.Popen[str]", *words: str) -> int:
        """Run other words in a container that runs; their exit code."""
        there = beside(process.pid, as_user(self.user, self.directory, words))
        return subprocess.run(there, env=self.environment, capture_output=True).returncode


@dataclass
class Builder:
    """Builds the last stage of a Dockerfile, and those that it needs."""

    dockerfile: Dockerfile
    context: Path
    base: Image
    folder: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    """As with --build-arg."""
    log: list[str] = field(default_factory=list)
    """What the steps printed."""

    def build(self) -> Image:
        """Carry the steps out; the test fails with a step's output unless it succeeds."""
        before: dict[str, Image] = {}
        image = self.base
        for number, stage in enumerate(self.dockerfile.stages):
            base = before.get(stage.base, self.base)
            root = base.root.copied_to(self.folder / str(number))
            image = _StageBuilder(self, stage, replace(base, root=root), before).build()
            if stage.name:
                before[stage.name] = image
        return image


class _StageBuilder:
    def __init__(
        self, builder: Builder, stage: Stage, image: Image, before: Mapping[str, Image]
    ) -> None:
        self._builder = builder
        self._stage = stage
        self._image = image
        self._before = before
        self._arguments: dict[str, str] = {}

    def build(self) -> Image:
        for instruction in self._stage.instructions:
            step = getattr(self, f"_{instruction.name.lower()}")
            step(instruction)
        return self._image

    @property
    def _variables(self) -> dict[str, str]:
        return self._arguments | dict(self._image.environment)

    def _arg(self, instruction: Instruction) -> None:
        name = instruction.text.partition("=")[0]
        outside = self._builder.dockerfile.arguments
        defaults = {**outside, **instruction.assignments(self._variables)}
        self._arguments[name] = self._builder.arguments.get(name, defaults[name])

    def _env(self, instruction: Instruction) -> None:
        assigned = instruction.assignments(self._variables)
        self._image = replace(self._image, environment={**self._image.environment, **assigned})

    def _run(self, instruction: Instruction) -> None:
        registries = {k: v for k, v in os.environ.items() if k.startswith(REGISTRY_VARIABLES)}
        home = "/root" if self._image.user == ROOT else "/"
        ran = self._image.root.run(
            *("/bin/sh", "-c", instruction.text),
            environment=registries | {"HOME": home} | self._variables,
            directory=self._image.directory,
            user=self._image.user,
        )
        self._builder.log.append(ran.stdout)
        assert ran.returncode == 0, f"RUN {instruction.text}\n{ran.stdout}"

    def _copy(self, instruction: Instruction) -> None:
        assert set(instruction.flags) <= {"from"}, f"COPY {instruction.flags}"
        *sources, target = expand(instruction.text, self._variables).split()
        outside = self._builder.context
        if origin := instruction.flags.get("from"):
            outside = self._before[origin].root.changes
        target = f"{Path(self._image.directory) / target}{'/' if target.endswith('/') else ''}"
        for source in sources:
            path = outside / source.lstrip("/")
            assert path.exists(), f"COPY {instruction.text}: there is no {source}"
            whole = path.is_file() and target.endswith("/")
            to = f"{target}{path.name}" if whole else target
            self._do("mkdir", "--parents", to if path.is_dir() else str(Path(to).parent))
            self._do("cp", "--archive", "--no-target-directory", str(path), to)

    def _do(self, *words: str) -> None:
        self._image.root.do(*words)

    def _workdir(self, instruction: Instruction) -> None:
        self._do("mkdir", "--parents", instruction.text)
        self._image = replace(self._image, directory=instruction.text)

    def _user(self, instruction: Instruction) -> None:
        self._image = replace(self._image, user=instruction.text)

    def _entrypoint(self, instruction: Instruction) -> None:
        self._image = replace(self._image, entrypoint=_words(instruction), command=())

    def _cmd(self, instruction: Instruction) -> None:
        self._image = replace(self._image, command=_words(instruction))

    def _healthcheck(self, instruction: Instruction) -> None:
        kind, _, rest = instruction.text.partition(" ")
        check = () if kind == "NONE" else _words(replace(instruction, text=rest.strip()))
        self._image = replace(self._image, health_check=check)

    def _described(self, instruction: Instruction) -> None:
        """What says something to people and schedulers alone."""

    _label = _expose = _stopsignal = _described


def _words(instruction: Instruction) -> tuple[str, ...]:
    assert instruction.array is not None, f"{instruction.name} {instruction.text} is no array"
    return tuple(instruction.array)
