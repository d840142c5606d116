"""The sizes of EC2 Inf2 instances, and the slot that one NeuronCore's job gets on each."""

from dataclasses import dataclass

CORES_PER_CHIP = 2
"""NeuronCores on an Inferentia2 chip.

Source: AWS Neuron SDK, about-neuron/arch/neuron-hardware/inf2-arch.rst
"""

MIB_PER_GIB = 1_024

HELD_BACK_FRACTION = 0.10
"""Share of an instance's memory that is never promised to jobs.

The kernel keeps some for itself (an m4.large of 8,192 MiB registers 7,985 MiB, 2.5 %) and AWS
recommends a buffer of 5 % on top. UNVERIFIED for Inf2: what an instance really registers stands in
DescribeContainerInstances, `registeredResources`. A second job that does not fit would sit RUNNABLE
for ever, so this errs on the safe side.
Source: docs.aws.amazon.com/batch/latest/userguide/memory-management.html
"""

HELD_BACK_MIB = 768
"""Memory kept back whatever the size: ECS agent, container runtime, Neuron driver.

UNVERIFIED, chosen so that a slot of inf2.xlarge stays under 7,000 MiB.
"""


class UnknownInstanceTypeError(LookupError):
    """{name!r} is not an Inf2 instance type; known are {known}. Correct the instance type."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(str(self.__doc__).format(name=name, known=", ".join(CATALOGUE)))


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One size of instance. The price is that of On-Demand Linux in us-east-1.

    UNVERIFIED: many public repositories say these prices, no page of AWS was at hand.
    """

    name: str
    chips: int
    vcpus: int
    memory_gib: int
    dollars_per_hour: float

    @property
    def cores(self) -> int:
        """NeuronCores of the instance: how many single-core jobs fill it."""
        return self.chips * CORES_PER_CHIP

    @property
    def usable_memory_mib(self) -> int:
        """Memory that jobs may reserve: the size less both `HELD_BACK_` amounts."""
        return int(self.memory_gib * MIB_PER_GIB * (1 - HELD_BACK_FRACTION)) - HELD_BACK_MIB

    @property
    def template_id(self) -> str:
        """`Inf2XL8` of inf2.8xlarge: names in a CloudFormation template are letters and digits."""
        return "Inf2XL" + self.name.removeprefix("inf2.").removesuffix("xlarge")

    @property
    def slot_vcpus(self) -> int:
        """One NeuronCore's share of the vCPUs."""
        return self.vcpus // self.cores

    @property
    def slot_memory_mib(self) -> int:
        """One NeuronCore's share of the usable memory."""
        return self.usable_memory_mib // self.cores


CATALOGUE = {
    size.name: size
    for size in (
        InstanceType("inf2.xlarge", chips=1, vcpus=4, memory_gib=16, dollars_per_hour=0.7582),
        InstanceType("inf2.8xlarge", chips=1, vcpus=32, memory_gib=128, dollars_per_hour=1.9679),
        InstanceType("inf2.24xlarge", chips=6, vcpus=96, memory_gib=384, dollars_per_hour=6.4906),
        InstanceType(
            "inf2.48xlarge", chips=12, vcpus=192, memory_gib=768, dollars_per_hour=12.9813
        ),
    )
}
"""Every Inf2 size by name, smallest first.

Source: AWS Neuron SDK, about-neuron/arch/neuron-hardware/inf2-arch.rst
"""


def instance_type(name: str) -> InstanceType:
    """Look a size up by its name; UnknownInstanceTypeError if there is none."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise UnknownInstanceTypeError(name) from None
