"""The service's unit, and the notes that say how to install it."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.settings import load
from tests.clips import CLIPS
from tests.ops import context
from tests.ops.context import REPOSITORY
from tests.ops.image import REGISTRY_VARIABLES, Image
from tests.ops.scratch_root import needs_scratch_root
from tests.ops.service_manager import booted, needs_service_manager
from tests.ops.stand_in import python_image
from tests.running import Cloud, running_cloud, wait_until

FOLDER = REPOSITORY / "config" / "systemd"
UNIT = FOLDER / "whisper-fleet.service"

EXPOSURE_MAX = 2.0
"""Of 10, by systemd's own count."""

CLIP = CLIPS[0]

TEST_DROP_IN = f"""
[Unit]
# There is no other unit.
DefaultDependencies=no
Wants=
After=
[Service]
StandardError=append:/var/log/daemon.log
WatchdogSec=2s
# The interpreter may be below a home, which the unit hides.
ProtectHome=tmpfs
BindReadOnlyPaths={sys.base_prefix}
"""

OF_A_RUNNING_SYSTEM = ("systemctl", "journalctl", "curl")
"""What begins the lines that need the service manager, or the service."""

pytestmark = pytest.mark.timeout(600)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing: it is in the Debian package systemd",
)


def values(name: str) -> list[str]:
    """What the unit says of a key, line by line."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def commands(heading: str) -> list[str]:
    """The commands of a section of the notes."""
    section = (FOLDER / "README.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def seconds(text: str) -> float:
    """A time as the unit writes it."""
    units = {"s": 1, "min": 60}
    number, unit = re.fullmatch(r"(\d+)(s|min)", text).groups()  # type: ignore[union-attr]
    return float(number) * units[unit]


@needs_systemd
def test_little_is_exposed() -> None:
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    level = re.search(r"Overall exposure level for whisper-fleet\.service: (\d+\.\d+)", told)
    assert level
    assert float(level[1]) <= EXPOSURE_MAX


def test_a_stop_may_take_the_daemons_grace() -> None:
    [timeout] = values("TimeoutStopSec")
    assert seconds(timeout) > load(REPOSITORY / "config" / "daemon.toml").grace_seconds


def test_the_back_off_begins_where_the_unit_does() -> None:
    [first] = values("RestartSec")
    [most] = re.findall(r"^RestartMaxDelaySec=(.*)$", (FOLDER / "back-off.conf").read_text(), re.M)
    assert seconds(first) < seconds(most)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """A machine on which the notes' commands were run, but for those of a running system."""
    folder = tmp_path_factory.mktemp("machine")
    context.copy_to(folder / "source")
    for name in ("config/daemon.toml", "config/systemd"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copy(REPOSITORY / name, folder / "source" / name)
    image = python_image(folder / "root")
    registries = {k: v for k, v in os.environ.items() if k.startswith(REGISTRY_VARIABLES)}
    for command in commands("Install"):
        if command.startswith(OF_A_RUNNING_SYSTEM):
            continue
        told = image.root.do(
            *("/bin/sh", "-euc", command),
            environment={"HOME": "/root", **registries, **image.environment},
            directory=str(folder / "source"),
        )
        if command.startswith("systemd-analyze verify"):
            assert told == ""
    yield image
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@needs_service_manager
def test_systemd_runs_what_the_notes_install_with_all_that_the_unit_denies(
    cloud: Cloud, machine: Image
) -> None:
    etc = machine.root.changes / "etc"
    port = free_port()
    shutil.copyfile(cloud.config(monitor={"port": port}), etc / "whisper-fleet" / "daemon.toml")
    given = "".join(f"{name}={value}\n" for name, value in cloud.parts.environment.items())
    (etc / "whisper-fleet" / "environment").write_text(given)
    drop_ins = etc / "systemd" / "system" / f"{UNIT.name}.d"
    (drop_ins / "test.conf").write_text(TEST_DROP_IN)

    with booted(machine.root, UNIT.name) as systemd:
        log = machine.root.changes / "var" / "log" / "daemon.log"
        wait_until(f"it is ready (see {log})", lambda: systemd.show("ActiveState") == "active")
        assert systemd.process("NoNewPrivs") == "1"
        assert systemd.process("Seccomp") == "2"
        assert int(systemd.process("CapBnd"), 16) == 0
        assert systemd.process("Uid").split() == [systemd.show("UID")] * 4
        assert systemd.show("UID") != "0"

        cloud.send({"audio": cloud.put(CLIP.name, CLIP.content()), "request_id": "sentence"})
        assert cloud.fate("sentence").done
        assert "lanes inf2-xlarge" in systemd.show("StatusText")
        pinged = systemd.show("WatchdogTimestampMonotonic")
        wait_until("it pings again", lambda: systemd.show("WatchdogTimestampMonotonic") != pinged)

        systemd.run("systemctl", "stop", UNIT.name)
        assert (systemd.show("Result"), systemd.show("ExecMainStatus")) == ("success", "0")
        assert systemd.show("NRestarts") == "0"


@needs_systemd
@needs_scratch_root
def test_what_the_notes_remove_is_gone(machine: Image, tmp_path: Path) -> None:
    removed = Image(machine.root.copied_to(tmp_path / "root"), machine.environment)
    for command in commands("Remove"):
        if not command.startswith(OF_A_RUNNING_SYSTEM):
            removed.root.do("/bin/sh", "-euc", command)
    left = removed.run("find", "/opt", "/etc", "-path", "*whisper-fleet*").stdout
    assert left == ""


def test_an_upgrade_installs_what_an_install_does() -> None:
    first, again = commands("Install"), commands("Upgrade, and back")
    unit = UNIT.relative_to(REPOSITORY)
    assert [line for line in again if not line.startswith((*OF_A_RUNNING_SYSTEM, "python3"))] == [
        line
        for line in first
        if line.startswith(("/opt/whisper-fleet", "chmod", f"install -D --mode=0644 {unit}"))
    ]
