"""The embedded Batch behind HTTP, for any boto client that is given its address.

Where this departs from AWS: any credentials are accepted, nothing is throttled unless that is asked
for, and all is forgotten when the service stops. Each module of this package says what else it does
differently.
"""

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import structlog
from aiohttp import web

from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.descriptions import Document
from daemon.embedded.batch.driver import Driver
from daemon.embedded.batch.effects import Changed
from daemon.embedded.batch.executor import Executor, SubprocessExecutor
from daemon.embedded.batch.figures import Figures
from daemon.embedded.batch.job_events import job_state_change
from daemon.embedded.batch.limits import STOP_GRACE_SECONDS
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.operations import perform
from daemon.embedded.batch.pace import Pace
from daemon.embedded.batch.protocol import Protocol
from daemon.embedded.batch.throttle import Allowance, Throttle
from daemon.embedded.front import Address, Front
from daemon.embedded.refusals import RefusedError

log = structlog.get_logger(__name__)


class EmbeddedBatch:
    """AWS Batch on this machine, from entering the context to leaving it.

    `environment` is all that jobs inherit, so it must at least hold a PATH; their logs go below
    `log_folder`, each to the file that its `logStreamName` names. `cpus` are the CPUs of this
    machine that jobs may use, by default all that this process may. Port 0 takes a free one;
    `endpoint_url` says which. Operations are throttled that have an allowance. `notify` is handed
    every "Batch Job State Change" as EventBridge would get it, `heard` the name of every operation
    that is asked for. `executor` runs the jobs in another way than as processes. On leaving, no
    process of a job is left behind.
    """

    def __init__(
        self,
        *,
        log_folder: Path,
        environment: Mapping[str, str],
        cpus: Sequence[int] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        boot_seconds: float = 2.0,
        idle_seconds: float = 60.0,
        stop_grace_seconds: float = STOP_GRACE_SECONDS,
        visible_after_seconds: float = 0.0,
        allowances: Mapping[str, Allowance] | None = None,
        notify: Callable[[Document], None] | None = None,
        heard: Callable[[str], None] = lambda _: None,
        executor: Executor | None = None,
        arns: Arns | None = None,
    ) -> None:
        pace = Pace(
            boot_seconds=boot_seconds,
            idle_seconds=idle_seconds,
            stop_grace_seconds=stop_grace_seconds,
            visible_after_seconds=visible_after_seconds,
        )
        self._model = BatchModel(
            pace, arns or Arns(), random.SystemRandom(), reports_changes=notify is not None
        )
        self._throttle = Throttle(allowances or {})
        self._notify = notify
        self._heard = heard
        self._executor = executor
        self._log_folder = log_folder
        self._environment = environment
        self._cpus = tuple(cpus or available_cpus())
        self._front = Front(Address(host, port), self._handle)
        self._protocol = Protocol()

    async def __aenter__(self) -> Self:
        executor = self._executor or SubprocessExecutor(
            self._log_folder, self._environment, self._cpus
        )
        self._driver = Driver(self._model, executor, on_change=self._tell)
        await self._front.listen()
        log.info("embedded_batch_started", endpoint_url=self.endpoint_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._front.close()
        await self._driver.close()
        log.info("embedded_batch_stopped")

    @property
    def endpoint_url(self) -> str:
        """Where the service listens, for a client's `endpoint_url` or AWS_ENDPOINT_URL_BATCH."""
        return self._front.url

    async def cut_off(self) -> None:
        """Break all connections and refuse new ones, until restored; jobs run on."""
        await self._front.cut_off()
        log.info("embedded_batch_cut_off")

    async def restore(self) -> None:
        """Listen again, where it did before."""
        await self._front.listen()
        log.info("embedded_batch_restored")

    def figures(self) -> Figures:
        """How much of the fleet has been used until now."""
        return self._model.figures(self._driver.now_seconds())

    def lose_instance(self, instance_id: str) -> None:
        """Take an instance away at once with all that runs on it, as a Spot reclaim does."""
        self._driver.lose_instance(instance_id)

    def set_out_of_capacity(self, environment: str, out: bool) -> None:
        """Let EC2 have no instances for a compute environment, or have some again."""
        self._model.set_out_of_capacity(environment, out, self._driver.now_seconds())
        self._driver.step()

    def set_invalid(self, environment: str, reason: str | None) -> None:
        """Make a compute environment INVALID for a reason, or VALID again (None)."""
        self._model.set_invalid(environment, reason, self._driver.now_seconds())
        self._driver.step()

    def _tell(self, changed: Changed) -> None:
        if self._notify is not None:
            self._notify(job_state_change(changed, self._model.arns, str(uuid4())))

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        url = request.rel_url
        try:
            operation, parameters = self._protocol.read(
                request.method, url.raw_path, url.raw_query_string, body
            )
            self._heard(operation)
            now_seconds = self._driver.now_seconds()
            self._throttle.admit(operation, now_seconds)
            answer = perform(self._model, operation, parameters, len(body), now_seconds)
            self._driver.step()
            return _response(200, self._protocol.write(operation, answer))
        except RefusedError as refusal:
            log.info("request_refused", path=url.path, reason=str(refusal))
            return _refusal(refusal.http_status, refusal.code, str(refusal))
        except Exception:
            log.exception("request_failed", path=url.path)
            return _refusal(500, "ServerException", "The embedded Batch failed; see its log.")


def available_cpus() -> list[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _response(status: int, body: bytes, **headers: str) -> web.Response:
    headers["x-amzn-RequestId"] = str(uuid4())
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _refusal(status: int, code: str, message: str) -> web.Response:
    body = json.dumps({"__type": code, "message": message}).encode()
    return _response(status, body, **{"x-amzn-ErrorType": code})
