"""How the worker's process ends when it cannot work."""

import json
from collections.abc import Iterator

import pytest
import structlog

from neuron_worker import __main__ as worker
from neuron_worker.contract import ExitCode, Reason, S3Uri
from neuron_worker.settings import WorkerMisconfigured, WorkerSettings
from neuron_worker.stop import Stop
from neuron_worker.store import StoreError
from neuron_worker.whisper.errors import NeuronMissingError, NoCoreError

ORDER = "s3://ledger/orders/open/1.json"


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("error", "code", "event"),
    [
        (NoCoreError(seconds=60.0, cause="NeuronCore(s) not available"), 69, "no_core"),
        (NeuronMissingError(package="torch-neuronx", verb="run"), 78, "worker_misconfigured"),
        (WorkerMisconfigured("WHISPER_FLEET_THREADS: no"), 78, "worker_misconfigured"),
        (
            StoreError(S3Uri.parse(ORDER), Reason.STORE_UNAVAILABLE, "away"),
            74,
            "ledger_unreachable",
        ),
        (RuntimeError("a fault"), 70, "worker_broken"),
    ],
)
def test_the_exit_code_and_the_log_say_what_was_wrong(
    error: Exception,
    code: int,
    event: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(settings: WorkerSettings, stop: Stop) -> ExitCode:
        raise error

    monkeypatch.setenv("WHISPER_FLEET_ORDER", ORDER)
    monkeypatch.setattr(worker, "_run", fail)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert worker.main() == code
    logged = json.loads(capsys.readouterr().err)
    assert logged["event"] == event
    assert str(error) in str(logged)
