"""A small cloud and its daemons, run for a test the way a person runs them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import boto3
import tomli_w

from daemon.cli.local_run import settings_document
from daemon.embedded.batch.service import EmbeddedBatch
from daemon.embedded.cloud import Services, SmallCloud, small_cloud
from neuron_worker.contract import Ledger, Record, S3Uri

T = TypeVar("T")

PATIENCE_SECONDS = 90.0
LOOK_PERIOD_SECONDS = 0.1


def wait_until(what: str, look: Callable[[], T | None], patience: float = PATIENCE_SECONDS) -> T:
    """The first true answer of `look`; the test fails with `what` when patience is at its end."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(LOOK_PERIOD_SECONDS)
    raise AssertionError(f"waited {patience:g} s in vain until {what}")


class DaemonProcess:
    """`whisper-fleet daemon` as a process of its own, however it was started; its log is in memory.

    Its standard error is a pipe of text. It has been started, but may not have said so yet.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self._told = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_started(self) -> Self:
        """Wait for its `started`; the test fails if it ended instead."""
        try:
            wait_until("the daemon has started or ended", self._started_or_ended)
            assert self.process.poll() is None, f"the daemon ended at once: {self.log}"
        except BaseException:
            self.close()
            raise
        return self

    @property
    def url(self) -> str:
        """Where its monitor listens."""
        listening = self.event("monitor_listening")
        return str(listening["url"]) if listening else ""

    def _started_or_ended(self) -> bool:
        return self.event("started") is not None or self.process.poll() is not None

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                said = json.loads(line)
            except ValueError:
                said = {"event": "not_json", "line": line}
            self._note(said)
        self._note(None)

    def _note(self, said: dict[str, Any] | None) -> None:
        with self._told:
            if said is None:
                self._ended = True
            else:
                self.log.append(said)
            self._told.notify_all()

    def event(self, name: str, **fields: object) -> dict[str, Any] | None:
        """The first log line of that event with these fields."""
        for line in self.log:
            if line["event"] == name and fields.items() <= line.items():
                return line
        return None

    def wait_for(self, name: str, patience: float) -> dict[str, Any] | None:
        """The first log line of that event, as soon as it comes; None if it does not."""
        with self._told:
            self._told.wait_for(lambda: self.event(name) or self._ended, patience)
        return self.event(name)

    def get(self, path: str) -> tuple[int, str]:
        """Ask the monitor; status and text."""
        try:
            with urllib.request.urlopen(self.url + path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value, summed over the labels that are not given."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            head, _, value = line.rpartition(" ")
            series, _, given = head.partition("{")
            if series == name and all(f'{k}="{v}"' in given for k, v in labels.items()):
                total += float(value)
        return total

    def terminate(self, patience: float = 30) -> int:
        """SIGTERM, then wait; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(patience)
        self._reader.join(patience)
        return code

    def kill(self) -> None:
        """SIGKILL, if it still runs; its log is complete afterwards."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        assert self.process.stderr is not None
        self.process.stderr.close()


class Daemon(DaemonProcess):
    """One that runs from this repository, with that settings file."""

    def __init__(self, config: Path) -> None:
        command = [sys.executable, "-m", "daemon", "daemon", "--config", str(config)]
        super().__init__(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))


class Cloud:
    """A small cloud in a thread of its own; clients are boto3's, as any producer's."""

    def __init__(self, cloud: SmallCloud, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.parts = cloud
        self.folder = folder
        self._loop = loop
        self.sqs = boto3.client("sqs")
        self.s3 = boto3.client("s3")
        self.batch = boto3.client("batch")
        self.ledger = Ledger(S3Uri.parse("s3://ledger/"))
        self._daemons = 0

    def config(self, **changes: Mapping[str, object]) -> Path:
        """A settings file for a daemon on this cloud; tables are merged over the usual ones."""
        document = settings_document(self.parts, "tiny.en")
        for table, values in changes.items():
            document[table] = {**document.get(table, {}), **values}
        self._daemons += 1
        path = self.folder / f"daemon-{self._daemons}.toml"
        path.write_text(tomli_w.dumps(document))
        return path

    @contextmanager
    def daemon(self, **changes: Mapping[str, object]) -> Iterator[Daemon]:
        """A running daemon."""
        daemon = Daemon(self.config(**changes)).wait_until_started()
        try:
            yield daemon
        finally:
            daemon.close()

    @contextmanager
    def outage(self, services: Services | EmbeddedBatch | None = None) -> Iterator[None]:
        """All services or one do not answer while the block runs; nothing is lost, jobs run on."""
        services = services or self.parts.services
        self._await(services.cut_off())
        try:
            yield
        finally:
            self._await(services.restore())

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    def put(self, key: str, content: bytes) -> str:
        """Put a recording; its location."""
        self.s3.put_object(Bucket="recordings", Key=key, Body=content)
        return f"s3://recordings/{key}"

    def send(self, body: object) -> str:
        """Send a request message, JSON unless it is text already; its message id."""
        text = body if isinstance(body, str) else json.dumps(body)
        sent = self.sqs.send_message(QueueUrl=self.parts.requests_url, MessageBody=text)
        return str(sent["MessageId"])

    def record(self, request_id: str) -> Record | None:
        """What is known of a request."""
        uri = self.ledger.record(request_id)
        try:
            content = self.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return Record.model_validate_json(content)

    def fate(self, request_id: str, patience: float = PATIENCE_SECONDS) -> Record:
        """Wait for the request's end."""

        def ended() -> Record | None:
            record = self.record(request_id)
            if record and (record.done or record.dead_lettered_at or record.rejection):
                return record
            return None

        return wait_until(f"{request_id} has found its end", ended, patience)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of the objects that begin like this."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, uri: str) -> bytes:
        """An object's content."""
        place = S3Uri.parse(uri)
        content: bytes = self.s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        return content

    def dead_letters(self) -> list[dict[str, Any]]:
        """Take what stands in the dead-letter queue: bodies with their attributes as text."""
        return [
            {"body": message["Body"]}
            | {
                name: value["StringValue"]
                for name, value in message.get("MessageAttributes", {}).items()
            }
            for message in self._take(self.parts.dead_letters_url)
        ]

    def take_requests(self) -> list[str]:
        """Take what is visible in the request queue: bodies."""
        return [message["Body"] for message in self._take(self.parts.requests_url)]

    def _take(self, url: str) -> Iterator[dict[str, Any]]:
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                yield message

    def depth(self) -> tuple[int, int]:
        """Visible and in-flight messages of the request queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(
            QueueUrl=self.parts.requests_url, AttributeNames=names
        )["Attributes"]
        return int(counts[names[0]]), int(counts[names[1]])


@contextmanager
def running_cloud(folder: Path, cores: int = 2) -> Iterator[Cloud]:
    """A small cloud while the block runs; AWS variables of this process point at it."""

    @asynccontextmanager
    async def up() -> AsyncIterator[Cloud]:
        async with small_cloud(cores=cores, model="tiny.en", work_folder=folder) as cloud:
            yield Cloud(cloud, folder, asyncio.get_running_loop())

    with kept_up(up()) as cloud:
        yield cloud


@contextmanager
def kept_up(what: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What an asynchronous context gives; a thread with an event loop of its own keeps it open."""
    ready: list[T | BaseException] = []
    up, down = threading.Event(), threading.Event()

    async def run() -> None:
        try:
            async with what as given:
                ready.append(given)
                up.set()
                await asyncio.to_thread(down.wait)
        except BaseException as error:
            ready.append(error)
            up.set()
            raise

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert up.wait(PATIENCE_SECONDS), "it did not come up"
        given = ready[0]
        if isinstance(given, BaseException):
            raise given
        yield given
    finally:
        down.set()
        thread.join()


def console(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `whisper-fleet` with these arguments, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "daemon", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
