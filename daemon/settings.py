"""The daemon's settings: a TOML file, with environment variables above it.

`config/daemon.toml` documents every setting. `WHISPER_FLEET_<TABLE>__<KEY>` overrides a key of the
file; a value that is not a plain word or number is JSON.
"""

import os
import re
from functools import cached_property
from itertools import combinations
from math import inf
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as UndecodableVariable

from daemon.aws.limits import (
    ARRAY_SIZE_MAX,
    LONG_POLL_MAX_SECONDS,
    VISIBILITY_MAX_SECONDS,
)
from daemon.lanes import Lane
from daemon.locations import AllowedLocations, LocationPattern, overlap
from neuron_worker.contract import S3Uri
from neuron_worker.contract.ledger import PrefixUri

ENVIRONMENT_PREFIX = "WHISPER_FLEET_"


class SettingsError(Exception):
    """The settings are wrong:
    {faults}"""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return str(self.__doc__).format(faults="\n".join(f"  {fault}" for fault in self.faults))


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QueueSettings(_Table):
    """[queues]: the SQS queues, by URL."""

    requests: str = Field(pattern=r"^https?://")
    dead_letters: str = Field(pattern=r"^https?://")
    events: str | None = Field(default=None, pattern=r"^https?://")


class LocationSettings(_Table):
    """[locations]: where the daemon and its workers write in S3."""

    ledger: PrefixUri
    output: PrefixUri
    input: PrefixUri | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        given = {name: S3Uri.parse(uri) for name, uri in self if uri is not None}
        for one, other in combinations(given, 2):
            if overlap(given[one], given[other]):
                raise ValueError(
                    f"{one} and {other} overlap: what is written to one must not turn up in the "
                    "other"
                )
        return self


class SecuritySettings(_Table):
    """[security]: which locations in S3 a request may name; see `locations`."""

    allowed_inputs: tuple[LocationPattern, ...] = ()
    allowed_outputs: tuple[LocationPattern, ...] = ()


class IntakeSettings(_Table):
    """[intake]: how messages are taken from the request queue."""

    pollers: int = Field(default=2, ge=1, le=32)
    wait_seconds: int = Field(default=20, ge=0, le=LONG_POLL_MAX_SECONDS)
    outstanding_max: int = Field(default=20_000, ge=1, le=50_000)
    visibility_seconds: int = Field(default=600, ge=30, le=VISIBILITY_MAX_SECONDS)


class PlannerSettings(_Table):
    """[planner]: when held requests become an order, and of what shape."""

    linger_seconds: float = Field(default=60, ge=0)
    startup_share: float = Field(default=0.05, gt=0, lt=1)
    shard_min_seconds: float = Field(default=120, gt=0)
    shard_max_seconds: float = Field(default=1_800, gt=0)
    range_min_seconds: float = Field(default=600, ge=60)
    order_shards_max: int = Field(default=200, ge=2, le=ARRAY_SIZE_MAX)
    order_requests_max: int = Field(default=1_000, ge=1, le=10_000)
    aging_seconds: float = Field(default=900, gt=0)
    deadline_notice_seconds: float = Field(default=900, ge=0)
    overflow_after_seconds: float = Field(default=1_800, ge=0)
    starved_after_seconds: float = Field(default=900, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.order_shards_max % 2:
            raise ValueError("order_shards_max must be even: a chip has two cores")
        if self.shard_min_seconds > self.shard_max_seconds:
            raise ValueError("shard_min_seconds is above shard_max_seconds")
        return self


class EstimatorSettings(_Table):
    """[estimator]: the first guess of what work takes, until workers have reported."""

    seconds_per_job: float = Field(default=30, gt=0)
    seconds_per_request: float = Field(default=0.5, gt=0)
    seconds_per_audio_second: float = Field(default=0.02, gt=0, le=10)
    audio_seconds: float = Field(default=300, gt=0)
    bytes_per_second: float = Field(default=16_000, gt=0)


class RetrySettings(_Table):
    """[retries]: how often a request is tried, and how long it waits in between."""

    attempts_max: int = Field(default=3, ge=1, le=10)
    infrastructure_attempts_max: int = Field(default=20, ge=1, le=1_000)
    backoff_seconds: float = Field(default=30, ge=0)
    backoff_max_seconds: float = Field(default=900, ge=0)


class ReconcileSettings(_Table):
    """[reconcile]: how the ledger is compared with Batch and the outcomes."""

    period_seconds: float = Field(default=15, gt=0)


class AutoscalerSettings(_Table):
    """[autoscaler]: the bounds of each lane's compute environment."""

    period_seconds: float = Field(default=30, gt=0)
    keep_warm_seconds: float = Field(default=600, ge=0)
    boot_seconds: float = Field(default=180, ge=0)
    idle_seconds: float = Field(default=300, ge=0)
    dollars_per_hour_max: float = Field(default=inf, gt=0)
    dollars_per_day_max: float = Field(default=inf, gt=0)
    dry_run: bool = False


class MonitorSettings(_Table):
    """[monitor]: the HTTP port for /metrics, /healthz and /readyz."""

    host: str = "127.0.0.1"
    port: int = Field(default=9090, ge=0, le=65_535)


class Settings(BaseSettings):
    """Everything the daemon is told."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    default_profile: str = Field(min_length=1)
    grace_seconds: float = Field(default=60, gt=0)
    queues: QueueSettings
    locations: LocationSettings
    security: SecuritySettings = SecuritySettings()
    lanes: tuple[Lane, ...] = Field(min_length=1)
    intake: IntakeSettings = IntakeSettings()
    planner: PlannerSettings = PlannerSettings()
    estimator: EstimatorSettings = EstimatorSettings()
    retries: RetrySettings = RetrySettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    autoscaler: AutoscalerSettings = AutoscalerSettings()
    monitor: MonitorSettings = MonitorSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [lane.name for lane in self.lanes]
        if len(set(names)) < len(names):
            raise ValueError("two lanes have the same name")
        if self.default_profile not in self.profiles:
            raise ValueError(
                f"default_profile is {self.default_profile!r}, but no lane runs it "
                f"(lanes run: {', '.join(sorted(self.profiles))})"
            )
        cheapest = min(lane.dollars_per_hour for lane in self.lanes)
        if self.autoscaler.dollars_per_hour_max < cheapest:
            raise ValueError(
                f"autoscaler.dollars_per_hour_max is {self.autoscaler.dollars_per_hour_max:g}, and "
                f"the cheapest instance of a lane costs {cheapest:g}: nothing could ever run"
            )
        for pattern in self.security.allowed_inputs:
            if pattern.overlaps(self.allowed_locations.output):
                raise ValueError(
                    f"security.allowed_inputs: {pattern} overlaps locations.output, so that "
                    "transcripts could be taken for recordings"
                )
        return self

    @cached_property
    def allowed_locations(self) -> AllowedLocations:
        """What a request may name."""
        return AllowedLocations(
            ledger=S3Uri.parse(self.locations.ledger),
            output=S3Uri.parse(self.locations.output),
            inputs=self.security.allowed_inputs,
            outputs=self.security.allowed_outputs,
        )

    @property
    def profiles(self) -> frozenset[str]:
        """The profiles that some lane runs."""
        return frozenset(lane.profile for lane in self.lanes)

    def lane_named(self, name: str) -> Lane:
        """The lane of that name. `SettingsError` when an order names one that is gone."""
        for lane in self.lanes:
            if lane.name == name:
                return lane
        raise SettingsError([f"lanes: an open order belongs to the lane {name!r}: keep it listed"])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment above the file (which arrives as the initial values)."""
        return env_settings, init_settings


def load(path: Path) -> Settings:
    """Read the settings. Raises `SettingsError` naming the file, the key and what was expected."""
    try:
        content = TomlConfigSettingsSource(Settings, toml_file=path)() if path.is_file() else None
    except ValueError as error:
        raise SettingsError([f"{path}: is not TOML: {error}"]) from error
    if content is None:
        raise SettingsError([f"{path}: there is no such file"])
    try:
        return Settings(**content)
    except UndecodableVariable as error:
        raise SettingsError([_undecodable(error)]) from error
    except ValidationError as error:
        raise SettingsError([_fault(path, fault) for fault in error.errors()]) from error


def _undecodable(error: UndecodableVariable) -> str:
    """The library names the key alone."""
    named = re.search(r'field "(\w+)"', str(error))
    beginning = ENVIRONMENT_PREFIX + (named[1].upper() if named else "")
    variables = sorted(name for name in os.environ if name.startswith(beginning))
    return f"{' or '.join(variables)}: is not JSON: {error.__cause__}"


def _fault(path: Path, fault: Any) -> str:
    """One wrong setting: where it was set, its key, what was expected and what was found."""
    key = ".".join(str(step) for step in fault["loc"]) or "the settings"
    steps = [str(step).upper() for step in fault["loc"]]
    # A variable can hold a whole table.
    variables = (
        ENVIRONMENT_PREFIX + "__".join(steps[:count]) for count in range(len(steps), 0, -1)
    )
    source = next((name for name in variables if name in os.environ), str(path))
    expected = fault["msg"].removeprefix("Value error, ")
    found = "" if fault["type"] in ("missing", "value_error") else f", found {fault['input']!r}"
    return f"{source}: {key}: {expected}{found}"
