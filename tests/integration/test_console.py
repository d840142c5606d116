"""The console, run as a person runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.running import Cloud, Daemon, console, wait_until

RECORDINGS = Path(__file__).parents[1] / "recordings"
COMMANDS = [
    *(["local", "run"], ["local", "up"], ["daemon"], ["enqueue"], ["status"]),
    *(["dead-letters", name] for name in ("list", "show", "redrive", "purge")),
]


@pytest.fixture(scope="module")
def config(cloud: Cloud, daemon: Daemon) -> str:
    return str(cloud.config())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does_with_an_example(command: list[str]) -> None:
    help_ = console(*command, "--help")

    assert help_.returncode == 0
    assert f"Example: whisper-fleet {' '.join(command)}" in re.sub(r"[\s│]+", " ", help_.stdout)


def test_enqueue_waits_for_a_local_file_and_status_knows_it_afterwards(config: str) -> None:
    weather = str(RECORDINGS / "weather.mp3")
    sent = console(
        *("enqueue", weather, "--config", config, "--wait", "--formats", "srt,json"),
        *("--request-id", "tuesday", "--metadata", "customer=7"),
    )

    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.splitlines()[0] == "tuesday"
    assert "tuesday: done" in sent.stdout
    assert "srt: s3://transcripts/tuesday/weather.mp3/tuesday.srt" in sent.stdout

    known = console("status", "tuesday", "--config", config)
    assert (known.returncode, "tuesday: done" in known.stdout) == (0, True)


def test_enqueue_tells_why_a_request_was_given_up(config: str, cloud: Cloud) -> None:
    sent = console("enqueue", "s3://recordings/nowhere.wav", "--config", config, "--wait")

    assert sent.returncode == 1
    assert "reason: missing" in sent.stdout
    assert "upload it, or correct the location" in sent.stdout

    known = console("status", sent.stdout.splitlines()[0], "--config", config)
    assert known.returncode == 2
    wait_until("its dead letter is there", cloud.dead_letters)


def test_enqueue_tells_of_a_profile_that_no_lane_runs(config: str, cloud: Cloud) -> None:
    sent = console(
        *("enqueue", "s3://recordings/a.wav", "--config", config),
        *("--profile", "gigantic", "--wait"),
    )

    assert sent.returncode == 1
    assert "no lane runs 'gigantic'" in sent.stdout
    wait_until("its dead letter is there", cloud.dead_letters)


def test_status_of_an_unknown_request_tells_where_it_may_be(config: str) -> None:
    known = console("status", "never-heard-of", "--config", config)

    assert known.returncode == 0
    assert "waiting in the queue, or never sent" in known.stdout
    assert "queue: 0 waiting" in known.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["enqueue", "nowhere.mp3"], "nowhere.mp3: there is no such file"),
        (["enqueue", "s3://b/x"], "not an S3 location"),
        (["enqueue", "s3://bbb/x", "--formats", "docx"], "no format 'docx'"),
        (["enqueue", "s3://bbb/x", "--language", "English"], "language: "),
        (["enqueue", "s3://bbb/x", "--metadata", "x"], "expected KEY=VALUE"),
        (["enqueue", "s3://bbb/x", "s3://bbb/y", "--request-id", "r"], "names one request"),
        (["status", "r", "--config", "nowhere.toml"], "nowhere.toml: there is no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_and_no_traceback(
    config: str, arguments: list[str], words: str
) -> None:
    rest = [] if "--config" in arguments else ["--config", config]
    told = console(*arguments, *rest)

    assert told.returncode == 1
    assert words in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr


class LocalUp:
    """`whisper-fleet local up`, with the variables it exported."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "local", "up"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.variables: dict[str, str] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until("it printed its exports", lambda: "METRICS_URL" in self.variables)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, _, value = line.removeprefix("export ").strip().partition("=")
            self.variables[name] = value.strip("'")

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self._reader.join()
        return code


@pytest.fixture
def local_up() -> Iterator[LocalUp]:
    up = LocalUp()
    yield up
    if up.process.poll() is None:
        os.killpg(up.process.pid, signal.SIGKILL)
        up.process.wait()
    assert up.process.stdout is not None
    up.process.stdout.close()


def test_any_client_is_a_producer_while_the_local_cloud_is_up(
    local_up: LocalUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_up.variables.items():
        monkeypatch.setenv(name, value)
    variables = local_up.variables
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    weather = str(RECORDINGS / "weather.mp3")
    s3.upload_file(weather, variables["RECORDINGS_BUCKET"], "weather.mp3")
    body = {"audio": f"s3://{variables['RECORDINGS_BUCKET']}/weather.mp3", "request_id": "mine"}
    sqs.send_message(QueueUrl=variables["REQUESTS_QUEUE_URL"], MessageBody=json.dumps(body))

    wait_until("it is done", lambda: "mine: done" in console("status", "mine").stdout)

    def is_counted() -> bool:
        with urllib.request.urlopen(variables["METRICS_URL"]) as answer:
            return 'requests_settled_total{fate="finish"' in answer.read().decode()

    wait_until("it is counted", is_counted)
    assert boto3.client("batch").describe_job_queues()["jobQueues"]
    assert local_up.stop() == 0
