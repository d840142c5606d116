"""Daemons that are killed while there is work, and what must be true when the last is through."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from daemon.claims import TAKEN_OVER_AFTER
from neuron_worker.contract import Order, OutcomeKind, TranscriptFormat
from tests.clips import CLIPS, Clip, words_of
from tests.running import Cloud, Daemon, wait_until
from tests.workers import lines_of_workers

SETTINGS: Mapping[str, Mapping[str, object]] = {
    "intake": {"wait_seconds": 1, "visibility_seconds": 30}
}
"""What a killed daemon held comes back after the least time that may be set."""

LIFE_MAX_SECONDS = 15.0
"""The kill comes then at the latest: not every moment comes in every life."""

LAST_LIFE_PATIENCE_SECONDS = 600 + TAKEN_OVER_AFTER.total_seconds()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a daemon is killed: so long after that event of its log, or after its start (None)."""

    event: str | None
    seconds: float


EVENTS = (
    "request_held",
    "order_submitted",
    "request_done",
    None,
    "order_written",
    "order_adopted",
    "order_closed",
    "started",
)


def moments(source: random.Random) -> Iterator[Moment]:
    """Every event in turn: at once, or a little later; and any moment of the first seconds."""
    while True:
        for event in EVENTS:
            most_seconds = source.choice([0.0, 0.02, 0.3]) if event else 4.0
            yield Moment(event, source.uniform(0.0, most_seconds))


@dataclass
class Ordeal:
    """So many requests, sent bit by bit, while one daemon after the other is killed."""

    cloud: Cloud
    source: random.Random
    sent: dict[str, Clip] = field(default_factory=dict)
    lives: list[Daemon] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for clip in CLIPS:
            self.cloud.put(clip.name, clip.content())

    def send(self, requests: int) -> None:
        """Ask for so many transcripts, of clips that are drawn."""
        for _ in range(requests):
            clip = self.source.choice(CLIPS)
            request_id = f"request-{len(self.sent):03d}"
            self.sent[request_id] = clip
            audio = f"s3://recordings/{clip.name}"
            self.cloud.send({"audio": audio, "request_id": request_id})

    def begin(self) -> Daemon:
        """A new daemon, on the same settings; it is not up yet."""
        daemon = Daemon(self.cloud.config(**SETTINGS))
        self.lives.append(daemon)
        return daemon

    def kill(self, daemon: Daemon, moment: Moment) -> None:
        """SIGKILL for the daemon at that moment."""
        came = True
        if moment.event is not None:
            came = daemon.wait_for(moment.event, LIFE_MAX_SECONDS) is not None
        time.sleep(moment.seconds)
        assert daemon.process.poll() is None, f"it ended by itself: {daemon.log[-3:]}"
        daemon.kill()
        self.kills[str(moment.event if came else "late")] += 1

    def finish(self) -> None:
        """Let the daemon that runs now settle everything."""
        for request_id in self.sent:
            self.cloud.fate(request_id, LAST_LIFE_PATIENCE_SECONDS)
        wait_until("all messages are gone", lambda: self.cloud.depth() == (0, 0))
        wait_until("all orders are closed", lambda: not self.cloud.keys("ledger", "orders/open/"))

    def close(self) -> None:
        """Leave nothing behind."""
        for daemon in self.lives:
            daemon.close()


def endure(ordeal: Ordeal, requests: int, kills: int) -> None:
    """Send all requests in the first two thirds of the lives; once, replace a daemon in order."""
    lives_with_work = max(1, kills * 2 // 3)
    for number, moment in enumerate(islice(moments(ordeal.source), kills)):
        daemon = ordeal.begin()
        ordeal.send(min(-(-requests // lives_with_work), requests - len(ordeal.sent)))
        if number == kills // 2:
            daemon.wait_until_started()
            successor = ordeal.begin().wait_until_started()
            assert daemon.terminate() == 0
            daemon = successor
        ordeal.kill(daemon, moment)
    ordeal.begin().wait_until_started()
    ordeal.finish()


@dataclass(frozen=True, slots=True)
class Findings:
    """What it cost: transcriptions, places in orders and tries beyond one for each request."""

    transcribed_again: int
    ordered_again: int
    failures: Counter[str]
    orders: int


def audit(ordeal: Ordeal) -> Findings:
    """Every request has its transcript, nothing contradicts, nobody is blamed, nothing is left."""
    cloud, sent = ordeal.cloud, ordeal.sent
    assert cloud.dead_letters() == []
    assert_transcripts(cloud, sent)
    orders = closed_orders(cloud)
    assert Counter(job_names(cloud)) == Counter(order.order_id for order in orders)
    done = Counter(
        line["request_id"] for line in lines_of_workers(cloud) if line["event"] == "request_done"
    )
    records = [record for name in sent if (record := cloud.record(name))]
    failures = [one.reason for record in records for one in record.outcomes if one.reason]
    assert [record.outcomes for record in records if record.blamed_attempts] == []
    return Findings(
        transcribed_again=done.total() - len(done),
        ordered_again=sum(len(order.items()) for order in orders) - len(sent),
        failures=Counter(failures),
        orders=len(orders),
    )


def assert_transcripts(cloud: Cloud, sent: Mapping[str, Clip]) -> None:
    """Each request was done once, and all that asked for the same clip were told the same."""
    heard: dict[str, dict[str, Any]] = {}
    files = set[str]()
    for request_id, clip in sent.items():
        record = cloud.record(request_id)
        assert record
        assert record.dead_lettered_at is None
        [done] = [one for one in record.outcomes if one.kind is OutcomeKind.DONE]
        files |= set(done.transcripts.values())
        transcript = json.loads(cloud.read(done.transcripts[TranscriptFormat.JSON]))
        assert transcript.pop("request_id") == request_id
        assert transcript == heard.setdefault(clip.name, transcript)
        assert words_of(transcript["text"]) == clip.words
        text = cloud.read(done.transcripts[TranscriptFormat.TXT]).decode()
        assert words_of(text) == clip.words
    assert {f"s3://transcripts/{key}" for key in cloud.keys("transcripts")} == files
    assert len(files) == 2 * len(sent)


def closed_orders(cloud: Cloud) -> list[Order]:
    """All orders there have been, once they are closed."""
    keys = cloud.keys("ledger", "orders/closed/")
    return [Order.model_validate_json(cloud.read(f"s3://ledger/{key}")) for key in keys]


def job_names(cloud: Cloud) -> list[str]:
    """The name of every job there has been."""
    pages = cloud.batch.get_paginator("list_jobs").paginate(
        jobQueue=cloud.parts.job_queue, filters=[{"name": "AFTER_CREATED_AT", "values": ["0"]}]
    )
    return [job["jobName"] for page in pages for job in page["jobSummaryList"]]
