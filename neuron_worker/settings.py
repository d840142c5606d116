"""What one worker process is told, all of it by environment variables."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from neuron_worker.contract.ledger import ObjectUri


class RuntimeName(StrEnum):
    """What runs Whisper's graphs."""

    CPU = "cpu"
    NEURON = "neuron"


class WorkerMisconfigured(Exception):
    """The worker's environment is wrong: {faults}"""

    def __init__(self, faults: str) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return str(self.__doc__).format(faults=self.faults)


def _open_order(uri: str) -> str:
    if "orders/open/" not in uri:
        raise ValueError("is not the location of an open order")
    return uri


class ModelSettings(BaseSettings):
    """Which model an image runs, and how: all of it is the image's own."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    model: str = Field(default="tiny.en", min_length=1, validation_alias="WHISPER_FLEET_MODEL")
    batch_size: int = Field(default=8, ge=1, le=64, validation_alias="WHISPER_FLEET_BATCH_SIZE")
    threads: int = Field(default=1, ge=1, validation_alias="WHISPER_FLEET_THREADS")
    runtime: RuntimeName = Field(default=RuntimeName.CPU, validation_alias="WHISPER_FLEET_RUNTIME")
    artifacts: Path | None = Field(default=None, validation_alias="WHISPER_FLEET_ARTIFACTS")
    weights: Literal["float32", "int8", "bfloat16"] | None = Field(
        default=None, validation_alias="WHISPER_FLEET_WEIGHTS"
    )
    step_tokens: int = Field(default=4, ge=1, le=16, validation_alias="WHISPER_FLEET_STEP_TOKENS")

    @model_validator(mode="after")
    def _needs_artifacts(self) -> Self:
        if self.runtime is RuntimeName.NEURON and self.artifacts is None:
            raise ValueError(
                "WHISPER_FLEET_RUNTIME=neuron needs WHISPER_FLEET_ARTIFACTS, the directory that "
                "`python -m neuron_worker export` wrote"
            )
        return self

    @property
    def dtype(self) -> str:
        """The type of the weights, PyTorch's name of it."""
        usual = "bfloat16" if self.runtime is RuntimeName.NEURON else "float32"
        return self.weights or usual


class WorkerSettings(ModelSettings):
    """Batch sets the array index and the attempt, the dispatcher the order, the image the model."""

    order: Annotated[ObjectUri, AfterValidator(_open_order)] = Field(
        validation_alias="WHISPER_FLEET_ORDER"
    )
    events_queue: str | None = Field(default=None, validation_alias="WHISPER_FLEET_EVENTS_QUEUE")
    shard_index: int = Field(default=0, ge=0, validation_alias="AWS_BATCH_JOB_ARRAY_INDEX")
    job_attempt: int = Field(default=1, ge=1, validation_alias="AWS_BATCH_JOB_ATTEMPT")
    audio_max_seconds: float = Field(
        default=24 * 3600.0, gt=0, validation_alias="WHISPER_FLEET_AUDIO_MAX_SECONDS"
    )


S = TypeVar("S", bound=ModelSettings)


def load(kind: type[S]) -> S:
    """Read the environment. Raises `WorkerMisconfigured` naming each wrong variable."""
    try:
        return kind()
    except ValidationError as error:
        faults = [": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors()]
        raise WorkerMisconfigured("; ".join(faults)) from error
