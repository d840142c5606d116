"""Names that AWS would give to the embedded Batch's resources."""

import random
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Arns:
    """Amazon Resource Names in one region of one account."""

    region: str = "us-east-1"
    account: str = "000000000000"

    def compute_environment(self, name: str) -> str:
        """The ARN of a compute environment."""
        return self._batch(f"compute-environment/{name}")

    def job_queue(self, name: str) -> str:
        """The ARN of a job queue."""
        return self._batch(f"job-queue/{name}")

    def job_definition(self, name: str, revision: int) -> str:
        """The ARN of one revision of a job definition."""
        return self._batch(f"job-definition/{name}:{revision}")

    def job(self, job_id: str) -> str:
        """The ARN of a job; `<parent>:<index>` for a child of an array."""
        return self._batch(f"job/{job_id}")

    def cluster(self, environment: str) -> str:
        """The ARN of the ECS cluster under a compute environment."""
        return self._ecs(f"cluster/AWSBatch-{environment}")

    def container_instance(self, environment: str, instance_id: str) -> str:
        """The ARN of an instance in its cluster; ends in the instance's own hexadecimal id."""
        hexadecimal = instance_id.removeprefix("i-")
        return self._ecs(f"container-instance/AWSBatch-{environment}/{hexadecimal}")

    def task(self, environment: str, task_id: str) -> str:
        """The ARN of the ECS task that is one attempt of a job."""
        return self._ecs(f"task/AWSBatch-{environment}/{task_id}")

    def _batch(self, resource: str) -> str:
        return f"arn:aws:batch:{self.region}:{self.account}:{resource}"

    def _ecs(self, resource: str) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}"


class Ids:
    """Fresh identifiers; from a seeded source, the same ones every time."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def job(self) -> str:
        """A job's id: a random UUID."""
        return str(UUID(int=self._source.getrandbits(128), version=4))

    def task(self) -> str:
        """An ECS task's id: 32 hexadecimal digits."""
        return f"{self._source.getrandbits(128):032x}"

    def instance(self) -> str:
        """An EC2 instance's id: 17 hexadecimal digits."""
        return f"i-{self._source.getrandbits(68):017x}"
