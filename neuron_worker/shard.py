"""A shard: the requests that this process works through, in order.

The feeder reads ahead, Whisper transcribes, the delivery writes down: three threads, so that the
device does not wait for the network. Requests that are done already are skipped. Whatever happens
to one request becomes its outcome and the others go on; only SIGTERM, or a ledger out of reach,
ends the shard early.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from neuron_worker.contract import ExitCode, Ledger, Order, Reason, Record, UnreadableDocument
from neuron_worker.delivery import Delivery, given_up, left_alone
from neuron_worker.feeder import Feeder
from neuron_worker.in_hand import RequestInHand
from neuron_worker.reporter import Reporter
from neuron_worker.stop import Stop
from neuron_worker.store import Store
from neuron_worker.whisper.transcriber import Transcriber

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ShardWorker:
    """Works through one shard; the model is loaded when the first request needs it."""

    store: Store
    ledger: Ledger
    order: Order
    shard_index: int
    reporter: Reporter
    load: Callable[[], Transcriber]
    audio_max_seconds: float
    stop: Stop

    def run(self) -> ExitCode:
        """Work until all requests have outcomes, or until told to stop.

        Raises `StoreError` when the ledger cannot be written, and whatever loading raises.
        """
        requests = self._requests()
        first = next(requests, None)
        if first is not None:
            self._transcribe(self.load(), first, requests)
        items = self.order.shards[self.shard_index].items
        through = all(self.reporter.knows(item.request_id) for item in items)
        return ExitCode.FINISHED if through else ExitCode.INTERRUPTED

    def _requests(self) -> Iterator[RequestInHand]:
        """The requests that are not done; each is in hand from here on."""
        for item in self.order.shards[self.shard_index].items:
            if self.reporter.knows(item.request_id):
                continue
            if self.stop.requested.is_set():
                return
            uri = self.ledger.record(item.request_id)
            known = self.store.get(uri)
            try:
                record = Record.read(known[0], uri) if known else None
            except UnreadableDocument as error:
                log.error("record_unreadable", request_id=item.request_id, cause=str(error))
                reason = Reason.RECORD_UNREADABLE
                self.reporter.end(
                    left_alone(self.order, self.shard_index, item.request_id, reason, str(error))
                )
                continue
            if record and record.done:
                log.info(
                    "request_done_before",
                    request_id=item.request_id,
                    done_by_order_id=record.done.order_id,
                )
                here = {"order_id": self.order.order_id, "shard_index": self.shard_index}
                self.reporter.end(record.done.model_copy(update=here))
                continue
            if record and record.given_up_since(self.order.asked_at(item.request_id)):
                log.info("request_given_up_before", request_id=item.request_id)
                self.reporter.end(given_up(self.order, self.shard_index, item.request_id))
                continue
            self.reporter.begin(item.request_id)
            yield RequestInHand(item, record, known[1] if known else None)

    def _transcribe(
        self, transcriber: Transcriber, first: RequestInHand, others: Iterator[RequestInHand]
    ) -> None:
        under_way = [first]

        def requests() -> Iterator[RequestInHand]:
            yield first
            for request in others:
                under_way.append(request)
                yield request

        def settle(request: RequestInHand) -> None:
            if request.complete:
                under_way.remove(request)
                delivery.finish(request, transcriber.model_name)

        delivery = Delivery(self.store, self.ledger, self.order, self.shard_index, self.reporter)
        feeder = Feeder(
            store=self.store,
            transcriber=transcriber,
            requests=requests(),
            progress=delivery.saved,
            agree=delivery.ranges.agree,
            audio_max_seconds=self.audio_max_seconds,
            whole=settle,
            stop=self.stop,
        )
        with delivery:
            with feeder:
                for transcript in transcriber.transcribe(feeder):
                    request, track = feeder.owner(transcript.recording)
                    track.take(transcript)
                    delivery.note_progress(request)
                    delivery.check()
                    settle(request)
            # Only now is it certain what the feeder has begun.
            delivery.put_down(under_way)
            delivery.wait()
