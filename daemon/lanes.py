"""A lane: where a profile can run, on instances of one size.

Batch knows no NeuronCore, so two jobs share a chip only because each asks for exactly half of it:
one job definition fits one instance size, and that pair is a lane.
"""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from daemon import catalogue
from neuron_worker.contract.document import Document


def _in_catalogue(name: str) -> str:
    try:
        return catalogue.instance_type(name).name
    except catalogue.UnknownInstanceTypeError as error:
        raise ValueError(str(error)) from error


class Lane(Document):
    """A Batch job queue and job definition for one profile on one instance size."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    profile: str = Field(min_length=1)
    instance_type: Annotated[str, AfterValidator(_in_catalogue)]
    job_queue: str = Field(min_length=1)
    job_definition: str = Field(min_length=1)
    compute_environment: str | None = None
    max_vcpus: int = Field(ge=4)
    instance_dollars_per_hour: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _room_for_an_instance(self) -> Self:
        if self.max_vcpus < self.instance.vcpus:
            raise ValueError(
                f"max_vcpus is {self.max_vcpus}, and one {self.instance_type} has "
                f"{self.instance.vcpus} vCPUs: none could ever be launched"
            )
        return self

    @property
    def dollars_per_hour(self) -> float:
        """The price of one instance: as given, else the catalogue's."""
        return self.instance_dollars_per_hour or self.instance.dollars_per_hour

    @property
    def slot_dollars_per_hour(self) -> float:
        """The price of one core."""
        return self.dollars_per_hour / self.instance.cores

    @property
    def instances_max(self) -> int:
        """How many instances are below the ceiling."""
        return self.max_vcpus // self.instance.vcpus

    @property
    def slots_max(self) -> int:
        """How many single-core jobs run at the ceiling."""
        return self.instances_max * self.instance.cores

    @property
    def instance(self) -> catalogue.InstanceType:
        """The catalogue's entry for the lane's instances."""
        return catalogue.instance_type(self.instance_type)
