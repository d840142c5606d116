"""This machine's root as a scratch: what is written there goes to a folder, and to it alone.

A process sees an overlay of `/` in a mount namespace of its own, which is gone when it ends.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

TOOLS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where those commands are that enter the root."""

ROOT = "0:0"
"""The user who may do all."""

_ENTER = """
folder=$1 mode=$2
shift 2
mkdir -p "$folder/upper" "$folder/work" "$folder/root"
root=$folder/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
for host in /dev /proc /sys; do mount --rbind "$host" "$root$host"; done
[ "$mode" = rw ] || mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""


@cache
def obstacle() -> str | None:
    """Why there can be no scratch root here."""
    if os.geteuid() != 0:
        return "only root can make a scratch root: run the tests as root, or in a container"
    with_mounts = subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, text=True, check=False
    )
    if with_mounts.returncode:
        return f"there can be no mount namespace: {with_mounts.stderr.strip()}"
    return None


needs_scratch_root = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


@dataclass(frozen=True, slots=True)
class ScratchRoot:
    """A root whose changes stand in `folder`, which is on the machine's own file system."""

    folder: Path

    @property
    def changes(self) -> Path:
        """Holds what was written, at its place below the root."""
        return self.folder / "upper"

    def copied_to(self, folder: Path) -> "ScratchRoot":
        """Another root that begins as this one is now; both have the same files until one is
        replaced."""
        folder.mkdir(parents=True)
        if self.changes.exists():
            subprocess.run(["cp", "--archive", "--link", self.changes, folder], check=True)
        return ScratchRoot(folder)

    def command(
        self,
        words: Sequence[str | Path],
        *,
        directory: str = "/",
        user: str = ROOT,
        read_only: bool = False,
    ) -> list[str | Path]:
        """The command that runs these words in the root; it becomes them, under the same pid.

        `user` is `uid:gid`; any but root is without capabilities and gets none.
        """
        enter = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-euc", _ENTER, "sh"]
        mode = "ro" if read_only else "rw"
        return [*enter, self.folder, mode, *as_user(user, directory, words)]

    def run(
        self,
        *words: str | Path,
        environment: Mapping[str, str] | None = None,
        directory: str = "/",
        user: str = ROOT,
        read_only: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; the output is both streams'."""
        return subprocess.run(
            self.command(words, directory=directory, user=user, read_only=read_only),
            env={"PATH": TOOLS} | (dict(environment) if environment else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def do(
        self, *words: str | Path, environment: Mapping[str, str] | None = None, directory: str = "/"
    ) -> str:
        """Run as root; the test fails with the output unless it succeeds."""
        ran = self.run(*words, environment=environment, directory=directory)
        assert ran.returncode == 0, f"{words}: {ran.stdout}"
        return ran.stdout


def beside(pid: int, words: Sequence[str | Path]) -> list[str | Path]:
    """The command that runs these words in the root of a process."""
    return ["nsenter", "--target", str(pid), "--mount", "--pid", "--root", "--wd", *words]


def as_user(user: str, directory: str, words: Sequence[str | Path]) -> list[str | Path]:
    """The command that runs these words there as that user; see `ScratchRoot.command`."""
    there = ["env", f"--chdir={directory}", *words]
    if user == ROOT:
        return there
    uid, gid = user.split(":")
    become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    return [*become, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", *there]
