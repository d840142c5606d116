"""CodeBuild: the images of a stack."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from daemon.aws.deployment.refusal import in_words

LOOK_PERIOD_SECONDS = 10.0


class BuildFailed(Exception):
    """The build of {project} ended as {status}; its log: {log}"""

    def __init__(self, project: str, status: str, log: str) -> None:
        super().__init__(project, status, log)
        self.project = project
        self.status = status
        self.log = log

    def __str__(self) -> str:
        return str(self.__doc__).format(project=self.project, status=self.status, log=self.log)


@dataclass(frozen=True, slots=True)
class Build:
    """A build as it stands; `phase` as CodeBuild calls it."""

    project: str
    phase: str
    status: str
    log: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.status != "IN_PROGRESS"


class Builds:
    """Builds of some projects. Every method may raise `Refused`."""

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        self._codebuild: Any = boto3.client("codebuild")
        self._pause = pause

    def run(
        self, variables: Mapping[str, Mapping[str, str]], tell: Callable[[Build], None]
    ) -> None:
        """Build projects side by side, each with its variables; tell whenever one has got on.

        Raises `BuildFailed` when one fails; the others go on.
        """
        with in_words("codebuild"):
            ids = [
                self._codebuild.start_build(
                    projectName=project,
                    environmentVariablesOverride=[
                        {"name": name, "value": value, "type": "PLAINTEXT"}
                        for name, value in wanted.items()
                    ],
                )["build"]["id"]
                for project, wanted in variables.items()
            ]
        told: set[Build] = set()
        while True:
            builds = self._look(ids)
            for build in builds:
                if build not in told:
                    told.add(build)
                    tell(build)
            for build in builds:
                if build.is_over and build.status != "SUCCEEDED":
                    raise BuildFailed(build.project, build.status, build.log)
            if all(build.is_over for build in builds):
                return
            self._pause(LOOK_PERIOD_SECONDS)

    def _look(self, ids: list[str]) -> list[Build]:
        with in_words("codebuild"):
            found = self._codebuild.batch_get_builds(ids=ids)["builds"]
        return [
            Build(
                one["projectName"],
                one.get("currentPhase", ""),
                one["buildStatus"],
                one.get("logs", {}).get("deepLink", "in CloudWatch, group .../builds"),
            )
            for one in found
        ]
