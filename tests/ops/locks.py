"""Which packages an environment needs, by the metadata of what is installed in this one."""

import ast
import configparser
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.ops.context import REPOSITORY

Pins = dict[NormalizedName, str]
"""Versions by name."""


def pins(lock: Path) -> Pins:
    """The lines of a lock file, each of which must be `name==version`."""
    found = {}
    for line in lock.read_text().splitlines():
        if line.startswith("#"):
            continue
        name, equals, version = line.partition("==")
        assert equals, f"{lock}: {line!r} pins nothing"
        found[canonicalize_name(name)] = version
    return found


def required(section: str, key: str) -> list[Requirement]:
    """A list of requirements in setup.cfg."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg")
    return [Requirement(line) for line in settings[section][key].split("\n") if line]


def closure(
    roots: Iterable[Requirement], python_version: str, brought: Collection[str] = ()
) -> set[NormalizedName]:
    """All that these need on Linux with that Python, but for what is brought and what it needs."""
    here = {name: str(value) for name, value in default_environment().items()}
    environment = here | {"python_version": python_version}
    todo = list(roots)
    seen = set[tuple[NormalizedName, frozenset[str]]]()
    while todo:
        root = todo.pop()
        key = canonicalize_name(root.name), frozenset(root.extras)
        if key[0] in brought or key in seen:
            continue
        seen.add(key)
        for text in distribution(root.name).requires or []:
            one = Requirement(text)
            if one.marker is None or any(
                one.marker.evaluate(environment | {"extra": extra}) for extra in ("", *root.extras)
            ):
                todo.append(one)
    return {name for name, _ in seen}


def imported(package: Path) -> set[Requirement]:
    """The other distributions here that a package imports, or looks for by name."""
    distributions = packages_distributions()
    return {
        Requirement(name)
        for file in package.rglob("*.py")
        for module in _modules(ast.parse(file.read_text()))
        if module.partition(".")[0] != package.name
        for name in distributions.get(module.partition(".")[0], [])
    }


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(func=ast.Name(id="find_spec"), args=[ast.Constant(value=str(module))]):
                yield module
