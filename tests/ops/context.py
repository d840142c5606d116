"""The build context: what of the repository Docker's .dockerignore lets through."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class Ignored:
    """The patterns of a .dockerignore. The last that fits a path or a folder above it counts."""

    def __init__(self, content: str) -> None:
        lines = [line.strip() for line in content.splitlines()]
        self._patterns = [line for line in lines if line and not line.startswith("#")]

    def __call__(self, path: str) -> bool:
        """Whether a path, relative to the context, is left out."""
        left_out = False
        for pattern in self._patterns:
            if _regex(pattern.removeprefix("!")).match(f"{path}/"):
                left_out = not pattern.startswith("!")
        return left_out

    def wholly(self, folder: str) -> bool:
        """Whether nothing below a folder can come through."""
        exceptions = [pattern[1:] for pattern in self._patterns if pattern.startswith("!")]
        return self(folder) and not any(one.startswith(f"{folder}/") for one in exceptions)


def _regex(pattern: str) -> re.Pattern[str]:
    parts = (
        re.escape(part).replace(r"\*", "[^/]*") if part != "**" else ".*"
        for part in pattern.strip("/").split("/")
    )
    return re.compile("/".join(parts).replace(".*/", "(?:.*/)?") + "/")


def files() -> Iterator[str]:
    """The files of this repository's context, relative to it."""
    ignored = Ignored((REPOSITORY / ".dockerignore").read_text())
    for folder, names, found in os.walk(REPOSITORY):
        here = Path(folder).relative_to(REPOSITORY)
        names[:] = [name for name in names if not ignored.wholly(str(here / name))]
        yield from (path for name in found if not ignored(path := str(here / name)))


def copy_to(folder: Path) -> None:
    """Write the context into a folder, as the builder gets it."""
    for file in files():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / file, target)
