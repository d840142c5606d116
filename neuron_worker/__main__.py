"""The container's command: work through the shard that Batch gave this process.

`python -m neuron_worker export` compiles a model instead, and `python -m neuron_worker verify`
looks whether an image is whole; see there.
"""

import logging
import signal
import sys
from functools import partial

import structlog

from neuron_worker import model
from neuron_worker import settings as worker_settings
from neuron_worker.bell import Bell
from neuron_worker.contract import ExitCode, Ledger, Order, S3Uri, UnreadableDocument
from neuron_worker.contract.redaction import redact_line
from neuron_worker.reporter import Reporter
from neuron_worker.settings import WorkerMisconfigured, WorkerSettings
from neuron_worker.shard import ShardWorker
from neuron_worker.stop import Stop
from neuron_worker.store import Store, StoreError
from neuron_worker.whisper.errors import NoCoreError, WhisperError

log = structlog.get_logger()


def main() -> ExitCode:
    """Run one shard; every way this can end has an exit code of the contract."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            redact_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.request())
    try:
        return _run(worker_settings.load(WorkerSettings), stop)
    except NoCoreError as error:
        log.error("no_core", detail=str(error))
        return ExitCode.NO_CORE
    except (WorkerMisconfigured, WhisperError) as error:
        log.error("worker_misconfigured", detail=str(error))
        return ExitCode.MISCONFIGURED
    except StoreError as error:
        log.error("ledger_unreachable", detail=str(error))
        return ExitCode.LEDGER_UNREACHABLE
    except Exception:
        log.exception("worker_broken")
        return ExitCode.BROKEN


def _run(settings: WorkerSettings, stop: Stop) -> ExitCode:
    store = Store()
    uri = S3Uri.parse(settings.order)
    found = store.get(uri)
    if found is None:
        log.error("order_missing", uri=str(uri))
        return ExitCode.ORDER_UNREADABLE
    try:
        order = Order.read(found[0], uri)
    except UnreadableDocument as error:
        log.error("order_unreadable", uri=str(uri), cause=error.cause)
        return ExitCode.ORDER_UNREADABLE
    structlog.contextvars.bind_contextvars(
        order_id=order.order_id, lane=order.lane, shard_index=settings.shard_index
    )
    if settings.shard_index >= len(order.shards):
        log.error("no_such_shard", shards=len(order.shards))
        return ExitCode.ORDER_UNREADABLE

    ledger = Ledger.holding(uri)
    index, attempt = settings.shard_index, settings.job_attempt
    with Bell(settings.events_queue, order.order_id, index) as bell:
        worker = ShardWorker(
            store=store,
            ledger=ledger,
            order=order,
            shard_index=index,
            reporter=Reporter(store, ledger, order, index, attempt, bell),
            load=partial(model.load, settings),
            audio_max_seconds=settings.audio_max_seconds,
            stop=stop,
        )
        return worker.run()


if __name__ == "__main__":
    # Those who build images need none of a worker's environment, and a worker no command line.
    match sys.argv[1:]:
        case ["export", *options]:
            from neuron_worker import export

            sys.exit(export.main(options))
        case ["verify"]:
            from neuron_worker import verify

            sys.exit(verify.main())
    sys.exit(main())
