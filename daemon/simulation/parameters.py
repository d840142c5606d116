"""What the simulator takes for granted: how long things take, and what they cost.

`config/simulation.toml` documents every parameter with its source. A policy gets all its times and
prices from here, so that two policies differ by what they decide and by nothing else.
"""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from daemon.catalogue import CATALOGUE
from daemon.embedded.batch.pace import Pace
from daemon.settings import SettingsError
from daemon.simulation import tables
from daemon.simulation.tables import Table

DEFAULT_FILE = Path("config/simulation.toml")

SECONDS_PER_HOUR = 3_600.0


class SpotParameters(Table):
    """[spot]: the price as a share of the one on demand, and how often an instance is lost."""

    price_share: float = Field(gt=0, le=1)
    losses_per_instance_hour: float = Field(ge=0)


class ProfileParameters(Table):
    """[profiles.<profile>]: how fast one core transcribes, and loads."""

    core_seconds_per_audio_hour: float = Field(gt=0)
    load_seconds: float = Field(ge=0)


class Parameters(Table):
    """All of the file; times in seconds, prices in dollars per hour on demand by instance type."""

    boot_seconds: float = Field(gt=0)
    image_pull_seconds: float = Field(ge=0)
    container_start_seconds: float = Field(ge=0)
    evaluate_seconds: float = Field(ge=0)
    idle_seconds: float = Field(ge=0)
    billing_minimum_seconds: float = Field(ge=0)
    submissions_per_second: float = Field(gt=0)
    file_seconds: float = Field(ge=0)
    spot: SpotParameters
    profiles: dict[str, ProfileParameters]
    instances: dict[str, float]

    @model_validator(mode="after")
    def _every_size_has_a_price(self) -> Self:
        missing = sorted(CATALOGUE.keys() - self.instances.keys())
        if missing:
            raise ValueError(f"instances: no price for {', '.join(missing)}")
        return self

    def pace(self) -> Pace:
        """The same as the embedded Batch's pace."""
        return Pace(
            evaluate_seconds=self.evaluate_seconds,
            boot_seconds=self.boot_seconds,
            idle_seconds=self.idle_seconds,
        )

    def profile(self, name: str) -> ProfileParameters:
        """How fast a profile is. `SettingsError` for one that the file does not know."""
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise SettingsError([f"profiles.{name}: not among the parameters, only {known}"])
        return self.profiles[name]

    def dollars_per_hour(self, instance_type: str, *, spot: bool) -> float:
        """What an instance costs while it is up."""
        return self.instances[instance_type] * (self.spot.price_share if spot else 1.0)


def load(path: Path) -> Parameters:
    """Read the parameters. Raises `SettingsError` naming the file, the key and what is wrong."""
    return tables.read(path, Parameters)
