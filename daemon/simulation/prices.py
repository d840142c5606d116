"""What an hour of audio costs on each lane while its cores are busy, as a Markdown table.

`python -m daemon.simulation.prices [PARAMETERS]`: the price of an instance by its NeuronCores,
times the core-seconds that an hour of audio takes. Boot, idle time and what is repeated come on
top; how much, a simulation says.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from daemon.catalogue import CATALOGUE
from daemon.simulation.parameters import DEFAULT_FILE, SECONDS_PER_HOUR, Parameters, load


def table(parameters: Parameters) -> Iterator[str]:
    """The lines of the table: a row for each instance size, a pair of columns for each profile."""
    profiles = sorted(parameters.profiles)
    columns = [f"{profile}, {market}" for profile in profiles for market in ("On-Demand", "Spot")]
    yield f"| instance | cores | per hour | {' | '.join(columns)} |"
    yield f"|---|{'---:|' * (2 + len(columns))}"
    for size in CATALOGUE.values():
        cells = [
            f"${dollars_per_audio_hour(parameters, size.name, profile, spot=spot):.4f}"
            for profile in profiles
            for spot in (False, True)
        ]
        price = parameters.dollars_per_hour(size.name, spot=False)
        yield f"| {size.name} | {size.cores} | ${price:.4f} | {' | '.join(cells)} |"


def dollars_per_audio_hour(
    parameters: Parameters, instance_type: str, profile: str, *, spot: bool
) -> float:
    """The price of a core-second, times those of an hour of audio."""
    hourly = parameters.dollars_per_hour(instance_type, spot=spot)
    core_second = hourly / CATALOGUE[instance_type].cores / SECONDS_PER_HOUR
    return core_second * parameters.profile(profile).core_seconds_per_audio_hour


if __name__ == "__main__":
    file = Path(sys.argv[1]) if sys.argv[1:] else DEFAULT_FILE
    sys.stdout.write("".join(f"{line}\n" for line in table(load(file))))
