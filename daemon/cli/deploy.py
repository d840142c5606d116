"""`whisper-fleet deploy`: make or change a stack, and build its images."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from daemon.aws.deployment.builds import Builds
from daemon.aws.deployment.networks import default_network
from daemon.aws.deployment.stacks import Plan, Stack, Stacks
from daemon.aws.deployment.uploads import Uploads
from daemon.catalogue import CATALOGUE
from daemon.cli import deploy_report
from daemon.cli.clone import archive_of, commit_of, is_changed
from daemon.cli.problem import Problem

DEFAULT_TEMPLATE = Path("cloudformation/whisper-fleet.yaml")

NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,22}")
"""It begins bucket names, of at most 63 characters: `<name>-transcripts-<account>-<region>` adds 40
in regions with the longest names, such as ap-northeast-1."""

BAKED_IN = {"MODEL": "Model", "MODEL_REVISION": "ModelRevision", "BATCH": "BatchSize"}
"""The worker's build arguments by parameter: another value makes another image."""


def run(
    name: Annotated[str, typer.Option(help="The stack, and the beginning of all names.")] = (
        "whisper-fleet"
    ),
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="Of the template; repeatable."),
    ] = None,
    template: Annotated[Path, typer.Option(help="The template.")] = DEFAULT_TEMPLATE,
    image_tag: Annotated[
        str | None, typer.Option(help="Of images that are built already; else of this commit.")
    ] = None,
    environment_out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the variables that a daemon elsewhere needs."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also replace and remove what holds something.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
) -> None:
    """Make the stack, or change it: show what changes, follow it, print its outputs.

    Run it in a clone. Images of the clone's commit are built in the account, by CodeBuild; a stack
    gets them only when both are there. A new stack is placed in the default VPC, unless VpcId,
    SubnetIds and SecurityGroupIds are given. Parameters that are not given stay as they are.
    Nothing that holds messages, objects, images or jobs is removed or replaced without --yes.

    Example: `whisper-fleet deploy -p Inf2XLMaxVcpus=128 -p AlarmEmail=ops@example.com --dry-run`

    Exit code: 0 when the stack is as wanted (with --dry-run: could be made so), 1 otherwise.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise Problem(f"--name: {name!r} is not 1 to 23 small letters, digits and '-'")
    if not template.is_file():
        raise Problem(f"--template: there is no file {template}; run this in a clone")
    given = parse_parameters(parameter or [])
    if "Model" in given:
        # The revision that a stack has is another model's.
        given.setdefault("ModelRevision", "")
    console = Console(highlight=False, soft_wrap=True)
    stacks, uploads = Stacks(name), Uploads(name)
    before = stacks.look()
    if before is not None:
        _check(name, before)
    made_bucket = uploads.make()
    try:
        template_url = uploads.put_template(template.read_text(encoding="utf-8"))
        declared = stacks.declared(template_url)
        for key in given:
            if key not in declared:
                raise Problem(f"--parameter: there is no {key!r}, only {', '.join(declared)}")
        deployment = Deployment(
            stacks,
            uploads,
            template_url,
            console,
            before,
            declared,
            given | {"SourceBucket": uploads.bucket} | _network(given, declared, before),
            yes=yes,
        )
        if dry_run:
            deployment.show_plan(image_tag)
            return
        stack = deployment.make(image_tag)
    finally:
        if dry_run and made_bucket:
            uploads.remove()
    deploy_report.show_outputs(stack.outputs, console)
    if environment_out is not None:
        environment_out.write_text(environment_of(stack.outputs), encoding="utf-8")
        console.print(f"\n{environment_out} holds the daemon's variables")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stack on its way from how it is (`before`) to what is wanted."""

    stacks: Stacks
    uploads: Uploads
    template_url: str
    console: Console
    before: Stack | None
    declared: Mapping[str, str | None]
    given: Mapping[str, str]
    yes: bool

    def show_plan(self, image_tag: str | None) -> None:
        """Show what would change first, and change nothing."""
        tag = image_tag or (None if self._is_new else self._tag())
        plan = self.stacks.plan(self.template_url, self._parameters(tag))
        if plan is None:
            self.console.print("nothing would change")
            return
        deploy_report.show_plan(plan, self.console)
        self.stacks.discard(plan)
        if self._is_new and image_tag is None:
            self.console.print(
                f"then both images would be built as {self._tag()}, and after that job definitions "
                "and the daemon made"
            )

    def make(self, image_tag: str | None) -> Stack:
        """Make it so: a new stack before its images, an old one after them."""
        if image_tag is None and not self._is_new:
            image_tag = self._built()
        if self._is_new:
            self._apply(self.stacks.plan(self.template_url, self._parameters(image_tag)))
            if image_tag is None:
                tag = self._built()
                made = self.stacks.look()
                parameters = {} if made is None else dict(made.parameters)
                self._apply(self.stacks.plan(self.template_url, parameters | {"ImageTag": tag}))
        else:
            self._apply(self.stacks.plan(self.template_url, self._parameters(image_tag)))
        stack = self.stacks.look()
        if stack is None:
            raise Problem(f"{self.stacks.name} is gone: somebody deleted it meanwhile")
        return stack

    @property
    def _is_new(self) -> bool:
        return self.before is None or self.before.is_new

    def _apply(self, plan: Plan | None) -> None:
        if plan is None:
            self.console.print("nothing to change in the stack")
            return
        deploy_report.show_plan(plan, self.console)
        if (lost := plan.lost) and not self.yes:
            self.stacks.discard(plan)
            raise Problem(
                f"{', '.join(lost)} would be removed or replaced; if that is meant, --yes"
            )
        self.stacks.make(plan, lambda event: deploy_report.show_event(event, self.console))

    def _built(self) -> str:
        """Build both images, unless the stack has them; returns their tag."""
        tag = self._tag()
        stack = self.stacks.look()
        if stack is None or stack.parameters.get("ImageTag") == tag:
            return tag
        clone = Path()
        if is_changed(clone):
            self.console.print("[yellow]what is not committed is not in the images[/]")
        self.console.print(f"building the images {tag}")
        self.uploads.put_source(archive_of(clone))
        tagged = {"IMAGE_TAG": tag}
        baked = {argument: self._value(key) for argument, key in BAKED_IN.items()}
        Builds().run(
            {
                stack.outputs["DaemonBuildName"]: tagged,
                stack.outputs["WorkerBuildName"]: tagged | baked,
            },
            lambda build: deploy_report.show_build(build, self.console),
        )
        return tag

    def _tag(self) -> str:
        """Of this commit, and of what is baked in besides."""
        baked = "\n".join(self._value(key) for key in BAKED_IN.values())
        return f"{commit_of(Path())}-{hashlib.sha256(baked.encode()).hexdigest()[:8]}"

    def _parameters(self, image_tag: str | None) -> dict[str, str]:
        """What to tell CloudFormation: what is given, else what was, else nothing."""
        known = {} if self._is_new or self.before is None else self.before.parameters
        kept = {key: value for key, value in known.items() if key in self.declared}
        return kept | dict(self.given) | ({} if image_tag is None else {"ImageTag": image_tag})

    def _value(self, key: str) -> str:
        known = {} if self.before is None else self.before.parameters
        return self.given.get(key, known.get(key, self.declared.get(key) or ""))


def parse_parameters(given: list[str]) -> dict[str, str]:
    """Read KEY=VALUE pairs. `Problem` names one that is none."""
    pairs = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Problem(f"--parameter: {pair!r} is not KEY=VALUE")
        pairs[key] = value
    return pairs


def environment_of(outputs: Mapping[str, str]) -> str:
    """The variables of a daemon that runs elsewhere, a line each, from a stack's outputs."""
    recordings = outputs["RecordingsBucketName"]
    variables = {
        "DEFAULT_PROFILE": outputs["DefaultProfile"],
        "QUEUES__REQUESTS": outputs["RequestsQueueUrl"],
        "QUEUES__DEAD_LETTERS": outputs["DeadLettersQueueUrl"],
        "QUEUES__EVENTS": outputs["EventsQueueUrl"],
        "LOCATIONS__LEDGER": f"s3://{outputs['LedgerBucketName']}/",
        "LOCATIONS__OUTPUT": f"s3://{outputs['TranscriptsBucketName']}/",
        "LOCATIONS__INPUT": f"s3://{recordings}/",
        "SECURITY__ALLOWED_INPUTS": json.dumps([f"s3://{recordings}/*"]),
        "AUTOSCALER__DOLLARS_PER_HOUR_MAX": outputs["BudgetPerHour"],
        "AUTOSCALER__DOLLARS_PER_DAY_MAX": outputs["BudgetPerDay"],
        "LANES": outputs["Lanes"],
    }
    return "".join(f"WHISPER_FLEET_{name}={value}\n" for name, value in variables.items())


def _check(name: str, before: Stack) -> None:
    if before.is_busy:
        raise Problem(f"{name} is {before.status} at the moment; try again when that is over")
    if before.is_stillborn:
        raise Problem(f"{name} could not be made and is {before.status}; delete it, then try again")


def _network(
    given: Mapping[str, str], declared: Mapping[str, str | None], before: Stack | None
) -> dict[str, str]:
    """The default network, for a new stack that is given none."""
    asked = {"VpcId", "SubnetIds", "SecurityGroupIds"}
    if (before is not None and not before.is_new) or asked <= given.keys():
        return {}
    if "VpcId" in given:
        missing = ", ".join(sorted(asked - given.keys()))
        raise Problem(f"--parameter: with a VpcId of yours, give {missing} as well")
    network = default_network(_sizes(declared, given))
    found = {
        "VpcId": network.vpc,
        "SubnetIds": ",".join(network.subnets),
        "SecurityGroupIds": ",".join(network.security_groups),
        "RouteTableIds": ",".join(network.route_tables),
    }
    return {key: value for key, value in found.items() if key not in given}


def _sizes(declared: Mapping[str, str | None], given: Mapping[str, str]) -> set[str]:
    """The instance types of the lanes that are to have vCPUs."""
    wanted = {key: given.get(key, default) for key, default in declared.items()}
    return {
        size.name
        for size in CATALOGUE.values()
        for market in ("", "Spot")
        if wanted.get(f"{size.template_id}{market}MaxVcpus") not in ("0", None)
    }
