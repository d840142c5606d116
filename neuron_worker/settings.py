"""What one worker process is told, all of it by environment variables."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from neuron_worker.contract.ledger import ObjectUri


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


class WorkerSettings(BaseSettings):
    """Batch sets the array index and the attempt, the dispatcher the order, the image the model."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    order: Annotated[ObjectUri, AfterValidator(_open_order)] = Field(
        validation_alias="WHISPER_FLEET_ORDER"
    )
    shard_index: int = Field(default=0, ge=0, validation_alias="AWS_BATCH_JOB_ARRAY_INDEX")
    job_attempt: int = Field(default=1, ge=1, validation_alias="AWS_BATCH_JOB_ATTEMPT")
    model: str = Field(default="tiny.en", min_length=1, validation_alias="WHISPER_FLEET_MODEL")
    batch_size: int = Field(default=8, ge=1, le=64, validation_alias="WHISPER_FLEET_BATCH_SIZE")
    threads: int = Field(default=1, ge=1, validation_alias="WHISPER_FLEET_THREADS")
    dtype: Literal["float32", "int8", "bfloat16"] = Field(
        default="float32", validation_alias="WHISPER_FLEET_DTYPE"
    )
    audio_max_seconds: float = Field(
        default=24 * 3600.0, gt=0, validation_alias="WHISPER_FLEET_AUDIO_MAX_SECONDS"
    )


def load() -> WorkerSettings:
    """Read the environment. Raises `WorkerMisconfigured` naming each wrong variable."""
    try:
        return WorkerSettings()
    except ValidationError as error:
        faults = [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()]
        raise WorkerMisconfigured("; ".join(faults)) from error
