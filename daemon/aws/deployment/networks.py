"""The network that a stack gets if none is given: the region's default VPC."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import boto3

from daemon.aws.deployment.refusal import in_words


class NoNetwork(Exception):
    """No network was found: {problem}"""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.__doc__).format(problem=self.problem)


@dataclass(frozen=True, slots=True)
class Network:
    """Ids of a VPC, and of what in it a stack uses."""

    vpc: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    route_tables: tuple[str, ...]


def default_network(instance_types: Collection[str]) -> Network:
    """The default VPC with its default security group, its route tables, and the subnets in those
    Availability Zones that have all of the instance types.

    Raises `NoNetwork` where there is none, `Refused` where AWS does not let us look.
    """
    ec2 = boto3.client("ec2")
    with in_words("ec2"):
        return _default_network(ec2, instance_types)


def _default_network(ec2: Any, instance_types: Collection[str]) -> Network:
    region = ec2.meta.region_name
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not vpcs:
        raise NoNetwork(
            f"{region} has no default VPC; give VpcId, SubnetIds and SecurityGroupIds with "
            "--parameter"
        )
    vpc = vpcs[0]["VpcId"]
    of_vpc = {"Filters": [{"Name": "vpc-id", "Values": [vpc]}]}
    zones = _zones_with(ec2, instance_types)
    subnets = [
        subnet["SubnetId"]
        for subnet in ec2.describe_subnets(**of_vpc)["Subnets"]
        if subnet["AvailabilityZone"] in zones
    ]
    if not subnets:
        raise NoNetwork(
            f"{vpc} has no subnet in an Availability Zone with {', '.join(sorted(instance_types))} "
            f"(those of {region}: {', '.join(sorted(zones)) or 'none'}); choose another region or "
            "other sizes"
        )
    groups = ec2.describe_security_groups(
        Filters=[*of_vpc["Filters"], {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    tables = ec2.describe_route_tables(**of_vpc)["RouteTables"]
    return Network(
        vpc,
        tuple(sorted(subnets)),
        tuple(group["GroupId"] for group in groups),
        tuple(sorted(table["RouteTableId"] for table in tables)),
    )


def _zones_with(ec2: Any, instance_types: Collection[str]) -> set[str]:
    """The Availability Zones that have all of the instance types."""
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": sorted(instance_types)}],
    )
    found: dict[str, set[str]] = {}
    for page in pages:
        for offer in page["InstanceTypeOfferings"]:
            found.setdefault(offer["Location"], set()).add(offer["InstanceType"])
    return {zone for zone, types in found.items() if types >= set(instance_types)}
