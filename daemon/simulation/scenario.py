"""A scenario as data: when requests arrive, what they are, and on which lanes they may run.

The shipped ones stand in `scenarios/`, one TOML file each; a file of one's own is as good. What a
scenario means for a seed is drawn by `workload`.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from daemon import catalogue
from daemon.settings import SettingsError
from daemon.simulation import tables
from daemon.simulation.tables import Table

FOLDER = Path(__file__).parent / "scenarios"
SUFFIX = ".toml"

HOURS_PER_DAY = 24
SHARES_TOLERANCE = 1e-6


class Arrivals(Table):
    """[arrivals]: when requests come.

    `at_once`: spread evenly over `seconds`, all the same for any number of requests. `steady`: by
    chance, at the rate of all requests in `seconds`; fewer requests take less time. `daily`: by
    chance within `seconds`, each hour as busy as its weight; fewer requests thin all hours.
    """

    process: Literal["at_once", "steady", "daily"]
    seconds: float = Field(gt=0)
    hourly_weights: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _whole_hours(self) -> Self:
        if self.process == "daily" and len(self.hourly_weights) != HOURS_PER_DAY:
            raise ValueError(f"hourly_weights: a day has {HOURS_PER_DAY} hours")
        if self.process == "daily" and not any(weight > 0 for weight in self.hourly_weights):
            raise ValueError("hourly_weights: some hour must have a weight")
        return self


class Recordings(Table):
    """[[recordings]]: one kind of recording and its share of all.

    Lengths are log-normal about the median, drawn again outside of the bounds; a `spread` of 0.5
    puts two thirds between 0.6 and 1.6 times the median.
    """

    share: float = Field(gt=0, le=1)
    container: str = Field(pattern=r"^[a-z0-9]{2,5}$")
    bytes_per_second: float = Field(gt=0)
    median_seconds: float = Field(gt=0)
    spread: float = Field(default=0.0, ge=0)
    least_seconds: float = Field(default=1.0, gt=0)
    most_seconds: float = Field(default=86_400.0, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.least_seconds <= self.median_seconds <= self.most_seconds:
            raise ValueError("median_seconds must lie between least_seconds and most_seconds")
        return self


class Natures(Table):
    """[natures]: the shares of requests that go wrong: no audio in them, or fatal to a worker."""

    bad: float = Field(default=0.0, ge=0, le=1)
    poison: float = Field(default=0.0, ge=0, le=1)


class SimulatedLane(Table):
    """[[lanes]]: a lane that the daemon may use. `chips_max` is the ceiling."""

    instance_type: str
    chips_max: int = Field(ge=1)
    spot: bool = False

    @model_validator(mode="after")
    def _whole_instances(self) -> Self:
        if self.instance_type not in catalogue.CATALOGUE:
            raise ValueError(f"instance_type: known are {', '.join(catalogue.CATALOGUE)}")
        if self.chips_max < self.size.chips:
            raise ValueError(f"chips_max: an instance has {self.size.chips} chips already")
        return self

    @property
    def size(self) -> catalogue.InstanceType:
        """The catalogue's entry."""
        return catalogue.instance_type(self.instance_type)

    @property
    def max_vcpus(self) -> int:
        """The ceiling as Batch counts."""
        return self.chips_max // self.size.chips * self.size.vcpus


class Storm(Table):
    """[[storms]]: a time in which Spot instances are lost more often."""

    start_seconds: float = Field(ge=0)
    end_seconds: float = Field(gt=0)
    losses_per_instance_hour: float = Field(gt=0)


class Scenario(Table):
    """One file. `hint` is what producers say of a recording's length."""

    title: str
    about: str
    requests: int = Field(ge=1)
    profile: str = "large-v3-turbo"
    hint: Literal["duration", "size", "none"]
    arrivals: Arrivals
    recordings: tuple[Recordings, ...] = Field(min_length=1)
    natures: Natures = Natures()
    lanes: tuple[SimulatedLane, ...] = Field(min_length=1)
    storms: tuple[Storm, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(sum(kind.share for kind in self.recordings) - 1.0) > SHARES_TOLERANCE:
            raise ValueError("recordings: the shares must sum to 1")
        return self

    @property
    def chips_max(self) -> int:
        """The ceiling of all lanes together."""
        return sum(lane.chips_max for lane in self.lanes)


def shipped() -> list[str]:
    """The names of the shipped scenarios."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def load(file_or_name: str) -> Scenario:
    """Read a shipped scenario by its name, or a file. Raises `SettingsError`."""
    if file_or_name in shipped():
        return tables.read(FOLDER / f"{file_or_name}{SUFFIX}", Scenario)
    path = Path(file_or_name)
    if not path.is_file():
        raise SettingsError([f"{file_or_name}: neither a file nor one of {', '.join(shipped())}"])
    return tables.read(path, Scenario)
