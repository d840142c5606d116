"""The audit: whether every promise of the design was kept, as it happened and in the end."""

import hashlib
from collections import Counter

from daemon.embedded.batch.jobs import ArrayJob, Job
from daemon.ports import Outgoing, Received
from daemon.simulation.clock import elapsed_seconds
from daemon.simulation.cloud import SimulatedCloud
from daemon.simulation.workers import Nature
from neuron_worker.contract import Ledger, Record, S3Uri, TranscriptFormat
from tests.simulation.scenario import Scenario, Sent

REPEATED_SHARE_MAX = 0.05
DEATHS_PER_MESSAGE_MAX = 8
"""Three blamed attempts, and some as one of several suspects or in the order of a second daemon.

A copy that comes after the dead letter of the first asks anew.
"""

RECEIVES_PER_DAEMON_MAX = 3
"""Once by each, and again when SQS cannot be reached for longer than a message stays hidden.

While SQS answers badly, deletes fail as well: then a message may come as often as it is visible.
When the queue's clock jumps, it may come once more.
"""

FORMATS = (TranscriptFormat.JSON, TranscriptFormat.TXT)


class Audit:
    """Watches messages and letters, and reads the ledger."""

    def __init__(self, scenario: Scenario) -> None:
        self.cloud: SimulatedCloud
        self.request_ids: dict[str, str] = {}
        """The audio of each request."""
        self._scenario = scenario
        self._ledger = Ledger(S3Uri.parse(scenario.settings.locations.ledger))
        self._messages: dict[str, Sent] = {}
        self._letters: Counter[str] = Counter()
        self._nonsense_letters: Counter[str] = Counter()
        self._asked = Counter(sent.request_id for sent in scenario.sent)
        self._unsettled: set[str] = set()
        self._found: list[str] = []
        self._receives = 0
        for sent in scenario.sent:
            if sent.request_id is not None:
                self.request_ids[sent.request_id] = f"s3://recordings/{sent.request_id}.wav"
        self._unsettled.update(self.request_ids)

    def sent(self, message_id: str, sent: Sent) -> None:
        """A producer's message is in the queue."""
        self._messages[message_id] = sent

    def letter(self, letter: Outgoing) -> None:
        """A dead letter is in its queue."""
        request_id = letter.attributes.get("request_id")
        if request_id is None:
            self._nonsense_letters[letter.body] += 1
        else:
            self._letters[request_id] += 1

    def deleted(self, message_id: str) -> None:
        """A request message is about to be deleted: it must be settled by now."""
        sent = self._messages[message_id]
        if sent.request_id is None:
            if not self._nonsense_letters[sent.body]:
                self._found.append(f"{sent.body!r} was deleted before its dead letter was sent")
        elif not self._is_settled(sent.request_id):
            self._found.append(
                f"the message of {sent.request_id} was deleted before it was settled"
            )

    def received(self, message: Received) -> None:
        """A request message was handed out."""
        self._receives = max(self._receives, message.receive_count)

    def is_over(self) -> bool:
        """Whether there is nothing to wait for: all is settled, or a promise is broken already."""
        return bool(self._found) or self.all_settled()

    def all_settled(self) -> bool:
        """Whether every request has its fate, the queue is empty and every order closed."""
        if len(self._messages) < len(self._scenario.sent):
            return False
        self._unsettled = {name for name in self._unsettled if not self._is_settled(name)}
        counts = self.cloud.requests.model.counts(self.cloud.requests.now_seconds())
        owed = counts.visible + counts.in_flight + counts.delayed
        return not self._unsettled and not owed and not self._open_orders()

    def problems(self, daemons: int) -> list[str]:
        """Every broken promise, after so many daemons."""
        found = [*dict.fromkeys(self._found)]
        if not self.all_settled():
            counts = self.cloud.requests.model.counts(self.cloud.requests.now_seconds())
            found.append(
                f"not settled: {sorted(self._unsettled)[:10]} of {len(self._unsettled)} requests, "
                f"{counts} messages, open orders {self._open_orders()[:5]}"
            )
        for request_id, audio in self.request_ids.items():
            found += self._fate_problems(request_id, audio)
        for name, times in self._submissions().items():
            if times > 1:
                found.append(f"the order {name} was submitted {times} times")
        toil = self.cloud.workshop.toil
        if toil.orders_missing:
            found.append(f"{toil.orders_missing} workers did not find their order")
        bad_times = self._bad_timeouts() + len(self._scenario.clock_jumps)
        if self._receives > RECEIVES_PER_DAEMON_MAX * daemons + bad_times:
            found.append(f"a message was received {self._receives} times by {daemons} daemons")
        if self.repeated_share() > REPEATED_SHARE_MAX:
            found.append(f"{self.repeated_share():.1%} of the work was done again")
        return found

    def _bad_timeouts(self) -> int:
        """How many visibility timeouts SQS answered badly for."""
        spells = (spell for spell in self._scenario.forecast.spells if spell.service == "sqs")
        bad_seconds = sum(spell.end_seconds - spell.start_seconds for spell in spells)
        return int(bad_seconds / self._scenario.settings.intake.visibility_seconds)

    def _fate_problems(self, request_id: str, audio: str) -> list[str]:
        record = self._record(request_id)
        nature = self._scenario.recordings[audio].nature
        innocent = nature in (Nature.GOOD, Nature.FLAKY)
        letters = self._letters[request_id]
        found = []
        if record.done and letters:
            found.append(f"{request_id} is done, and a dead letter")
        if innocent and letters:
            reasons = [str(outcome.reason) for outcome in record.outcomes]
            found.append(f"{request_id} is innocent and was given up: {reasons}")
        if not innocent and record.done:
            found.append(f"{request_id} is {nature} and done")
        if record.done:
            found += [
                f"{request_id} is done without {name}"
                for name in FORMATS
                if self.cloud.objects.get(S3Uri.parse(record.done.transcripts[name])) is None
            ]
        deaths = self.cloud.workshop.toil.deaths[request_id]
        if deaths > DEATHS_PER_MESSAGE_MAX * self._asked[request_id]:
            found.append(f"{request_id} killed {deaths} workers")
        return found

    def repeated_share(self) -> float:
        """Work that led to a second transcript, as a share of that for the first ones."""
        useful = self.cloud.workshop.toil.useful.values()
        first = sum(done[0] for done in useful)
        again = sum(sum(done[1:]) for done in useful)
        return again / first if first else 0.0

    def digest(self) -> str:
        """A fingerprint of the ledger and of the time."""
        digest = hashlib.sha256(repr(elapsed_seconds()).encode())
        for entry in self.cloud.objects.list(S3Uri("ledger", "")):
            digest.update(f"{entry.uri} {entry.etag}\n".encode())
        return digest.hexdigest()[:16]

    def jobs(self) -> int:
        """How many jobs were submitted; an array is one."""
        return sum(self._submissions().values())

    def _submissions(self) -> Counter[str]:
        roots: list[Job | ArrayJob] = list(self.cloud.model.jobs.of_queue("lane").values())
        return Counter(root.spec.name for root in roots)

    def _is_settled(self, request_id: str) -> bool:
        record = self._record(request_id)
        return record.done is not None or (
            record.dead_lettered_at is not None and self._letters[request_id] > 0
        )

    def _record(self, request_id: str) -> Record:
        found = self.cloud.objects.get(self._ledger.record(request_id))
        if found is None:
            return Record(request_id=request_id)
        return Record.model_validate_json(found[0])

    def _open_orders(self) -> list[str]:
        return [str(entry.uri) for entry in self.cloud.objects.list(self._ledger.open_orders())]
