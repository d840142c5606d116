"""Write the stack's template: `python cloudformation/render.py`.

A lane is the same for each instance size and market, but for the numbers of `daemon.catalogue`; so
the template is made from the parts under `template/`, and stands beside them whole, to be launched
as it is.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from daemon.catalogue import CATALOGUE, InstanceType
from daemon.embedded.sqs.limits import RECEIVES_MAX

HERE = Path(__file__).parent
TEMPLATE = HERE / "whisper-fleet.yaml"

SPOT_PERCENTS = (30, 40, 50, 60, 70, 80, 90, 100)


@dataclass(frozen=True, slots=True)
class TemplateLane:
    """One instance size on one market."""

    size: InstanceType
    spot: bool

    @property
    def id(self) -> str:
        """In names of the template's resources."""
        return self.size.template_id + ("Spot" if self.spot else "")

    @property
    def parameter(self) -> str:
        """The parameter that says how large the lane may be."""
        return f"{self.id}MaxVcpus"

    @property
    def slug(self) -> str:
        """In names at AWS."""
        return self.size.name.replace(".", "-") + ("-spot" if self.spot else "")


def render() -> str:
    """The whole template."""
    parts = Environment(
        loader=FileSystemLoader(HERE / "template"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # it is YAML
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    text = parts.get_template("main.yaml.j2").render(
        sizes=[*CATALOGUE.values()],
        lanes=[TemplateLane(size, spot) for spot in (False, True) for size in CATALOGUE.values()],
        redrive_receives=RECEIVES_MAX,
        spot_percents=SPOT_PERCENTS,
    )
    lines = [line.rstrip() for line in text.splitlines()]
    # A part's tags leave empty lines, one after the other; a single one may mean something.
    kept = [line for line, before in zip(lines, ["", *lines], strict=False) if line or before]
    return "\n".join([*kept, ""])


if __name__ == "__main__":
    TEMPLATE.write_text(render())
    sys.stderr.write(f"{TEMPLATE.name} has {TEMPLATE.stat().st_size:,} bytes\n")
