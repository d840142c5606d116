"""A systemd of the tests' own: it runs a scratch root in namespaces, and is gone with them.

The network is this machine's. Of /dev there is what a container has, and what systemd would set in
/proc/sys stays as it is.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ops.scratch_root import TOOLS, ScratchRoot, beside, obstacle
from tests.running import wait_until

SYSTEMD = Path("/lib/systemd/systemd")

_BOOT = """
echo $$ > "$3/cgroup.procs"
exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup --propagation private \
    /bin/sh -euc "$4" sh "$1" "$2"
"""

_INSIDE = """
folder=$1 unit=$2
root=$folder/root
mkdir -p "$folder/upper" "$folder/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
cd "$root/dev"
for node in null zero full random urandom tty; do
    touch $node
    mount --bind /dev/$node $node
done
mkdir shm pts mqueue hugepages
mount -t tmpfs tmpfs shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts pts
ln -s pts/ptmx ptmx
ln -s /proc/self/fd fd
cd "$root"
# After chroot alone there could be no user namespaces.
pivot_root . .
umount -l .
exec env -i container=scratch PATH="$PATH" /lib/systemd/systemd --unit="$unit" --log-target=null
"""


def _cgroups() -> Path | None:
    """Where control groups of the second version are mounted."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    found = (Path(mount[1]) for mount in mounts if mount[2] == "cgroup2")
    return next((path for path in found if os.access(path / "cgroup.procs", os.W_OK)), None)


def _obstacle() -> str | None:
    if not SYSTEMD.exists():
        return "there is no systemd: it is in the Debian package systemd"
    if _cgroups() is None:
        return "there are no control groups that systemd could use"
    return obstacle()


needs_service_manager = pytest.mark.skipif(_obstacle() is not None, reason=str(_obstacle()))


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """A running systemd and one unit of its root."""

    pid: int
    unit: str

    def run(self, *words: str) -> str:
        """Run words beside systemd; the test fails unless they succeed."""
        ran = subprocess.run(
            beside(self.pid, words),
            env={"PATH": TOOLS},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{words}: {ran.stdout}"
        return ran.stdout

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.run("systemctl", "show", self.unit, "--value", "--property", name).strip()

    def process(self, name: str) -> str:
        """What the kernel says of the unit's main process."""
        status = self.run("cat", f"/proc/{self.show('MainPID')}/status")
        return dict(line.split(":\t", 1) for line in status.splitlines())[name]


@contextmanager
def booted(root: ScratchRoot, unit: str) -> Iterator[ServiceManager]:
    """Boot a root for a unit alone; it is killed when the block is left."""
    cgroups = _cgroups()
    assert cgroups
    group = cgroups / f"whisper-fleet-{os.getpid()}"
    group.mkdir()
    process = subprocess.Popen(
        ["/bin/sh", "-euc", _BOOT, "sh", root.folder, unit, group, _INSIDE],
        env={"PATH": TOOLS},
        stdin=subprocess.DEVNULL,
    )
    try:

        def systemd() -> int | None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return next(filter(_is_up, map(int, children)), None)

        yield ServiceManager(wait_until("systemd is up", systemd), unit)
    finally:
        process.kill()
        process.wait()
        wait_until("nothing of systemd is left", lambda: _removed(group))


def _is_up(pid: int) -> bool:
    words = beside(pid, ["systemctl", "status"])
    ran = subprocess.run(words, env={"PATH": TOOLS}, capture_output=True, check=False)
    return ran.returncode == 0


def _removed(group: Path) -> bool:
    """Remove a control group with those below it, which only works while they are empty."""
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            return False
    return True
