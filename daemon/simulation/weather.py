"""Weather: what goes wrong between a process and a service, and when."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Weather:
    """Probabilities per call, and the longest that a call takes.

    `unheard`: the call fails and is not carried out. `unanswered`: it is carried out, and fails all
    the same. `throttled`: the service turns it away. `entries_failed`: of a batch call, one entry.
    """

    slowest_seconds: float = 0.05
    unheard: float = 0.0
    unanswered: float = 0.0
    throttled: float = 0.0
    entries_failed: float = 0.0


@dataclass(frozen=True, slots=True)
class Spell:
    """Some time of other weather for one service: `sqs`, `s3` or `batch`."""

    service: str
    start_seconds: float
    end_seconds: float
    weather: Weather


@dataclass(frozen=True, slots=True)
class Forecast:
    """All the weather of a simulation; of two spells at once, the one named first holds."""

    usual: Weather = Weather()
    spells: Sequence[Spell] = field(default_factory=tuple)

    def at(self, service: str, seconds: float) -> Weather:
        """The weather for a service at a time."""
        for spell in self.spells:
            if spell.service == service and spell.start_seconds <= seconds < spell.end_seconds:
                return spell.weather
        return self.usual
