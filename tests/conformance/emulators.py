"""The emulators that the cases run against: ours, moto's server and ministack.

ministack lives in an environment of its own, because it pins another botocore; `make test` makes it
(see the Makefile).
"""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.running import running_cloud, wait_until

EMULATORS = ("embedded", "moto", "ministack")

MINISTACK = Path(__file__).parents[2] / ".conformance-venv" / "bin" / "ministack"

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Emulator:
    """A running emulator: its name, and clients of it."""

    name: str
    sqs: Any
    s3: Any


def emulator(name: str, sqs_url: str, s3_url: str) -> Emulator:
    """Clients of an emulator at its addresses; they repeat nothing."""
    options = {
        "region_name": "us-east-1",
        "aws_access_key_id": "anything",
        "aws_secret_access_key": "anything",
        "config": Config(retries={"total_max_attempts": 1}, read_timeout=30),
    }
    sqs = boto3.client("sqs", endpoint_url=sqs_url, **options)
    s3 = boto3.client("s3", endpoint_url=s3_url, **options)
    return Emulator(name, sqs, s3)


class Server:
    """An emulator as a process of its own, from entering the context to leaving it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._command = command
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> "Server":
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def until_ready(self) -> str:
        """Wait until it answers anything; its address."""
        wait_until(f"{self._command[0]} answers or ends", self._answers_or_ended)
        assert self._process.poll() is None, f"{self._command} ended at once"
        return self.url

    def _answers_or_ended(self) -> bool:
        if self._process.poll() is not None:
            return True
        try:
            urllib.request.urlopen(self.url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        return True


def moto() -> Server:
    """moto's server, in a process of its own because its state belongs to a process."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(port)]
    return Server(command, {}, port)


def ministack() -> Server:
    """ministack's SQS and S3, without the ports of its other services."""
    port = free_port()
    environment = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "SERVICES": "sqs,s3",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    return Server([str(MINISTACK)], environment, port)


@contextmanager
def embedded(folder: Path) -> Iterator[Emulator]:
    """Our SQS with moto's S3, as the small cloud puts them together."""
    with running_cloud(folder) as cloud:
        urls = cloud.parts.environment
        yield emulator("embedded", urls["AWS_ENDPOINT_URL_SQS"], urls["AWS_ENDPOINT_URL"])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])
