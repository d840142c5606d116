"""The clone that a person deploys from, as git tells of it."""

import shutil
import subprocess
from pathlib import Path


class NoSource(Exception):
    """The source could not be packed: {problem}"""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.__doc__).format(problem=self.problem)


def commit_of(folder: Path) -> str:
    """The commit that a folder is at, in 12 digits; raises `NoSource` where it is no clone."""
    return _git(folder, "rev-parse", "--short=12", "HEAD").decode().strip()


def is_changed(folder: Path) -> bool:
    """Whether there is something that the commit does not have."""
    return bool(_git(folder, "status", "--porcelain").strip())


def archive_of(folder: Path) -> bytes:
    """The commit that a folder is at, as a ZIP file."""
    return _git(folder, "archive", "--format=zip", "HEAD")


def _git(folder: Path, *arguments: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise NoSource("there is no git; install it, or build from a repository")
    try:
        done = subprocess.run([git, *arguments], cwd=folder, capture_output=True, check=True)
    except subprocess.CalledProcessError as error:
        raise NoSource(
            f"git {arguments[0]} in {folder.resolve()} says: {error.stderr.decode().strip()}"
        ) from error
    return done.stdout
