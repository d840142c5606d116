"""Which Spot instances are taken away, and when: by chance, at the rate of the hour.

Every instance has the same chance in the same time, whoever dispatches to it.
"""

import math
import random
from collections.abc import Iterable

from daemon.simulation.parameters import SECONDS_PER_HOUR, Parameters
from daemon.simulation.scenario import Scenario

LOOK_SECONDS = 10.0
"""How often it is decided; losses fall on these times."""


class Reclaims:
    """Decides, look by look."""

    def __init__(self, scenario: Scenario, parameters: Parameters, seed: int) -> None:
        self._storms = scenario.storms
        self._usual = parameters.spot.losses_per_instance_hour
        self._source = random.Random(f"{seed} spot")

    def rate(self, at_seconds: float) -> float:
        """Losses per instance and hour at a time."""
        for storm in self._storms:
            if storm.start_seconds <= at_seconds < storm.end_seconds:
                return storm.losses_per_instance_hour
        return self._usual

    def lost(self, instance_ids: Iterable[str], at_seconds: float) -> list[str]:
        """The Spot instances that were taken away since the last look."""
        chance = 1 - math.exp(-self.rate(at_seconds) * LOOK_SECONDS / SECONDS_PER_HOUR)
        return [one for one in instance_ids if self._source.random() < chance]
