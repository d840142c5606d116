"""Compiled models on disk: one folder each, named by all that it depends on.

A folder appears whole or not at all, and is used only where nothing that it depends on differs.
"""

import ast
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from safetensors import SafetensorError

from neuron_worker.whisper.checkpoint import ModelConfig
from neuron_worker.whisper.errors import (
    AmbiguousArtifactError,
    ArtifactMismatchError,
    IncompleteArtifactError,
    UnwritableArtifactError,
)

DESCRIPTION = "artifact.json"
"""The file in an artifact's folder that says what was compiled: its key and configuration."""

GRAPH_SOURCES = ("layers", "state", "graphs", "alignment", "traced")
"""The modules beside this one that say what a graph computes."""


@cache
def graph_digest() -> str:
    """Changes with the code of the graphs."""
    return code_digest(Path(__file__).with_name(f"{name}.py").read_text() for name in GRAPH_SOURCES)


def code_digest(sources: Iterable[str]) -> str:
    """Changes with what code does, not with its comments and docstrings."""
    digest = hashlib.sha256()
    for source in sources:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                node.body = [part for part in node.body if not _is_docstring(part)] or [ast.Pass()]
        digest.update(ast.unparse(tree).encode())
    return digest.hexdigest()[:16]


def _is_docstring(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return False
    return isinstance(node.value.value, str)


@dataclass(frozen=True, slots=True)
class ArtifactKey:
    """All that a compiled model depends on: where one field differs, it does not fit.

    To look for a model, the fields that are not known where it runs are None.
    """

    runtime: str
    model: str
    batch_size: int
    dtype: str
    compiler: str | None = None
    revision: str | None = None
    step_tokens: int | None = None
    flags: str = ""
    libraries: str = ""
    graphs: str = field(default_factory=graph_digest)

    def folder(self, directory: Path) -> Path:
        """Where below `directory` the artifact of this key stands."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return directory / digest[:16]

    def describe(self, folder: Path, config: ModelConfig) -> None:
        """Write into `folder` that it holds the artifact of this key."""
        described = {"key": asdict(self), "config": config.to_dict()}
        (folder / DESCRIPTION).write_text(json.dumps(described, indent=1, default=str))

    def find(self, directory: Path) -> tuple[Path, ModelConfig]:
        """The folder of the one artifact that fits, and its configuration.

        Raises ArtifactMismatchError, which says what differs, where none fits, and
        AmbiguousArtifactError where several do.
        """
        described = {
            file.parent: _read(file) for file in sorted(directory.glob(f"*/{DESCRIPTION}"))
        }
        differences = {folder: self._differences(said["key"]) for folder, said in described.items()}
        fitting = [folder for folder, difference in differences.items() if not difference]
        if not fitting:
            told = " | ".join(sorted(differences.values())) or "it holds none at all"
            raise ArtifactMismatchError(
                directory=directory, differences=told, command=self.export_command(directory)
            )
        if len(fitting) > 1:
            raise AmbiguousArtifactError(
                directory=directory, model=self.model, folders=" ".join(map(str, fitting))
            )
        return fitting[0], ModelConfig.from_dict(described[fitting[0]]["config"])

    def export_command(self, directory: Path) -> str:
        """What to run so that `directory` holds the artifact of this key."""
        steps = f" --step-tokens {self.step_tokens}" if self.step_tokens else ""
        return (
            f"python -m neuron_worker export --runtime {self.runtime} --model {self.model}"
            f" --batch {self.batch_size} --dtype {self.dtype}{steps} --out {directory}"
        )

    def _differences(self, other: dict[str, object]) -> str:
        return ", ".join(self._each_difference(other))

    def _each_difference(self, other: dict[str, object]) -> Iterator[str]:
        for name, value in asdict(self).items():
            found = other.get(name)
            if value is None or found == value:
                continue
            if name == "graphs":
                yield "it was compiled from other graphs than this version's"
            else:
                yield f"{name} is {found!r} there and must be {value!r}"


def require(folder: Path, *files: str) -> None:
    """Raises IncompleteArtifactError where one of the files is not in an artifact's folder."""
    for file in files:
        if not (folder / file).is_file():
            raise IncompleteArtifactError(directory=folder, file=file)


def publish(folder: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill an artifact's folder, which takes the place of what was there.

    Raises UnwritableArtifactError where there is no room, or no right to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=folder.parent) as scratch:
            draft = Path(scratch) / folder.name
            draft.mkdir()
            write(draft)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(draft, folder)
    except (OSError, SafetensorError) as error:
        raise UnwritableArtifactError(directory=folder.parent, cause=error) from error
    return folder


def _read(file: Path) -> dict[str, dict[str, object]]:
    described: dict[str, dict[str, object]] = json.loads(file.read_bytes())
    return described
