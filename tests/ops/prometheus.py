"""A real Prometheus for a test: Debian's package, or whatever stands on PATH."""

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.running import wait_until


def tool(name: str) -> str:
    """The path of a program of Prometheus's; without it, the test is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on PATH: install it with `apt-get install -y prometheus`")
    return path


class Prometheus:
    """Asks a server that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query; a number is one without labels."""
        answer = self.get("query", query=expression)
        if answer["resultType"] == "vector":
            return list(answer["result"])
        return [{"metric": {}, "value": answer["result"]}]

    def get(self, what: str, **parameters: str) -> Any:
        """Something of its API; an error is raised with Prometheus's words."""
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from error

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready"):
                return True
        except OSError:
            return False


@contextmanager
def running_prometheus(config: Path, folder: Path) -> Iterator[Prometheus]:
    """A server with this configuration while the block runs, its data in the folder."""
    port = _free_port()
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        server = Prometheus(f"http://127.0.0.1:{port}")
        try:
            wait_until("Prometheus is ready", server.is_ready)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
