"""What a person sees of a deployment."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from daemon.aws.deployment.builds import Build
from daemon.aws.deployment.stacks import Plan, StackEvent

COLOURS = {"Add": "green", "Modify": "yellow", "Remove": "red", "Import": "green"}


def show_plan(plan: Plan, console: Console) -> None:
    """The changes, one a line; what is replaced loses what it holds, so it stands out."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("change", "resource", "type", "because of"):
        table.add_column(title)
    for change in sorted(plan.changes, key=lambda one: (one.action, one.resource)):
        action = "Replace" if change.replaced else change.action
        colour = "bold red" if change.replaced else COLOURS.get(change.action, "default")
        table.add_row(
            f"[{colour}]{action}[/]",
            escape(change.resource),
            escape(change.resource_type),
            escape(", ".join(change.because)),
        )
    console.print(table)
    count = len(plan.changes)
    console.print(f"{count} {'change' if count == 1 else 'changes'}\n")


def show_event(event: StackEvent, console: Console) -> None:
    """One line of a stack's progress."""
    colour = "bold red" if event.failed else "green" if event.status.endswith("COMPLETE") else "dim"
    reason = f"  {escape(event.reason)}" if event.reason else ""
    console.print(
        f"{event.at:%H:%M:%S}  [{colour}]{event.status:<28}[/]  {escape(event.resource)}{reason}"
    )


def show_build(build: Build, console: Console) -> None:
    """One line of a build's progress."""
    words = build.status if build.is_over else build.phase
    console.print(f"  {escape(build.project)}: {words.lower().replace('_', ' ')}")


def show_outputs(outputs: Mapping[str, str], console: Console) -> None:
    """What the stack tells, by name."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in sorted(outputs.items()):
        table.add_row(f"[bold]{escape(name)}[/]", escape(value))
    console.print()
    console.print(table)
