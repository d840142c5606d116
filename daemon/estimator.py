"""The estimator: how long work will take on a core, learned from what workers report.

A shard of n requests takes  per_job + n · per_request + audio seconds · per_audio_second.  The
three are found by least squares over the relative errors of all shards so far, so that a short one
says as much as a long one; newer ones count more. The settings are a first guess: it is made as
fast or slow as the shards are, and holds what they leave open. How long a recording is, its hint
says, or its size with what recordings in such containers have taken per second so far, or else the
mean of those nothing was known of. Memory only: a new daemon learns again. Invariant: no cost is
ever below `COST_SHARE_MIN` of the first guess, so that every estimate is positive.

Exponential forgetting: Åström and Wittenmark, "Adaptive Control", 2nd ed., section 2.2; the guess
is a ridge (Hoerl and Kennard, Technometrics 12, 1970) around itself.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from math import exp, log

from daemon.metrics import Metrics
from daemon.request import Hints
from daemon.settings import EstimatorSettings

COST_SHARE_MIN = 0.01

GUESS_SPREAD = 1.0
"""How far each cost may be from what is guessed of it, as a multiple of that."""

SHARD_SPREAD = 0.1
"""How far shards of the same kind differ, as a share of what they take."""

FORGETTING = 0.95
"""A shard counts half as much 14 shards later: models and images change."""

LOST_FORGETTING = 0.995
"""The same for interruptions: half after 138 requests."""

LENGTHS_FORGETTING = 0.998
"""The same for the lengths of single recordings: half after 346."""

GUESSED_SHARDS = 0.1
"""How many shards the first guess of the speed counts as."""

CONTAINERS = frozenset(
    {"aac", "aiff", "amr", "avi", "flac", "flv", "m4a", "m4b", "mka", "mkv", "mov", "mp3"}
    | {"mp4", "mpeg", "mpg", "oga", "ogg", "opus", "wav", "webm", "wma"}
)
"""Names that are told apart; all others are one."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a core needs, in seconds: to get a job going, for a request, for a second of audio."""

    per_job: float
    per_request: float
    per_audio_second: float

    def of_request(self, audio_seconds: float) -> float:
        """Core-seconds of one request inside a job that runs."""
        return self.per_request + audio_seconds * self.per_audio_second

    def of_shard(self, requests: int, audio_seconds: float) -> float:
        """Core-seconds of a whole job."""
        return self.per_job + requests * self.per_request + audio_seconds * self.per_audio_second


class Estimator:
    """Estimates by lane, and learns."""

    def __init__(self, settings: EstimatorSettings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._guess = Costs(
            settings.seconds_per_job,
            settings.seconds_per_request,
            settings.seconds_per_audio_second,
        )
        self._lanes: dict[str, _Regression] = defaultdict(lambda: _Regression(self._guess))
        self._bytes_per_second: dict[str, _Mean] = defaultdict(
            lambda: _Mean(settings.bytes_per_second, settings.audio_seconds)
        )
        self._length = _Mean(settings.audio_seconds, 1.0)
        self._lost: dict[str, _Mean] = defaultdict(lambda: _Mean(0.0, 1.0))

    def costs(self, lane: str) -> Costs:
        """What work takes on a lane, as far as is known."""
        return self._lanes[lane].costs

    def lost_share(self, lane: str) -> float:
        """How many of the requests begun on a lane are interrupted, newer ones counting more."""
        return self._lost[lane].value

    def ended(self, lane: str, *, interrupted: bool) -> None:
        """A request of a lane ended, or was interrupted through no fault of its own."""
        self._lost[lane].add(float(interrupted), 1.0, LOST_FORGETTING)

    def audio_seconds(self, hints: Hints) -> float:
        """How long a recording will turn out to be."""
        if hints.duration_seconds is not None:
            return hints.duration_seconds
        if hints.size_bytes is not None:
            return hints.size_bytes / self._bytes_per_second[_told_apart(hints.container)].value
        return self._length.value

    def heard(self, hints: Hints, audio_seconds: float) -> None:
        """A recording was that long."""
        if audio_seconds <= 0:
            return
        if hints.size_bytes:
            rate = self._bytes_per_second[_told_apart(hints.container)]
            rate.add(hints.size_bytes, audio_seconds, LENGTHS_FORGETTING)
        if hints.size_bytes is None and hints.duration_seconds is None:
            self._length.add(audio_seconds, 1.0, LENGTHS_FORGETTING)

    def worked(
        self,
        lane: str,
        *,
        requests: int,
        audio_seconds: float,
        seconds: float,
        expected: float | None,
    ) -> None:
        """A shard with that many requests took that long, and so much was expected of it."""
        if requests < 1 or seconds <= 0:
            return
        metrics = self._metrics.fleet
        self._lanes[lane].learn(requests, audio_seconds, seconds)
        if expected is not None:
            metrics.estimate_ratio.labels(lane).observe(seconds / expected)
        costs = self.costs(lane)
        metrics.job_cost.labels(lane).set(costs.per_job)
        metrics.request_cost.labels(lane).set(costs.per_request)
        metrics.audio_cost.labels(lane).set(costs.per_audio_second)


@dataclass(slots=True)
class _Mean:
    """A ratio of two sums, the newer terms counting more; begins with a guess of some weight."""

    guess: float
    weight: float
    sum: float = field(init=False)

    def __post_init__(self) -> None:
        self.sum = self.guess * self.weight

    @property
    def value(self) -> float:
        return self.sum / self.weight

    def add(self, amount: float, weight: float, forgetting: float) -> None:
        self.sum = forgetting * self.sum + amount
        self.weight = forgetting * self.weight + weight


class _Regression:
    """Weighted sums of all shards of one lane, from which its costs follow.

    `_squares` and `_targets` are those of the normal equations, of rows (1, requests, audio
    seconds) divided by the seconds that the shard took: its target is 1 then.
    """

    def __init__(self, guess: Costs) -> None:
        self._guess = guess
        self._least = [COST_SHARE_MIN * cost for cost in _numbers(guess)]
        self._squares = [[0.0] * 3 for _ in range(3)]
        self._targets = [0.0] * 3
        self._log_factor = _Mean(0.0, GUESSED_SHARDS)
        self.costs = guess

    def learn(self, requests: int, audio_seconds: float, seconds: float) -> None:
        row = [1 / seconds, requests / seconds, audio_seconds / seconds]
        self._squares = [
            [FORGETTING * self._squares[i][j] + row[i] * row[j] for j in range(3)] for i in range(3)
        ]
        self._targets = [FORGETTING * self._targets[i] + row[i] for i in range(3)]
        work_seconds = self._guess.of_shard(requests, audio_seconds) - self._guess.per_job
        factor = max((seconds - self._guess.per_job) / work_seconds, COST_SHARE_MIN)
        self._log_factor.add(log(factor), 1.0, FORGETTING)
        self.costs = self._best()

    def _best(self) -> Costs:
        """What fits the shards, near the guess where they leave it open."""
        factor = exp(self._log_factor.value)
        near = [
            self._guess.per_job,
            factor * self._guess.per_request,
            factor * self._guess.per_audio_second,
        ]
        squares, targets = [[*row] for row in self._squares], [*self._targets]
        for k, cost in enumerate(near):
            doubt = (SHARD_SPREAD / (GUESS_SPREAD * cost)) ** 2
            squares[k][k] += doubt
            targets[k] += doubt * cost
        return Costs(*_least_squares(squares, targets, self._least))


def _least_squares(
    squares: list[list[float]], targets: list[float], least: list[float]
) -> list[float]:
    """The best solution in which nothing is below `least`: some are at it, the others free.

    With three unknowns, all eight ways are tried; one of them is the best there is.
    """

    def error(x: list[float]) -> float:
        return sum(
            x[i] * (sum(squares[i][j] * x[j] for j in range(3)) - 2 * targets[i]) for i in range(3)
        )

    found = [least]
    for free in (some for size in (1, 2, 3) for some in combinations(range(3), size)):
        held = [k for k in range(3) if k not in free]
        matrix = [[squares[i][j] for j in free] for i in free]
        vector = [targets[i] - sum(squares[i][k] * least[k] for k in held) for i in free]
        x = [*least]
        for k, value in zip(free, _solved(matrix, vector), strict=True):
            x[k] = value
        if all(value >= bound for value, bound in zip(x, least, strict=True)):
            found.append(x)
    return min(found, key=error)


def _solved(matrix: list[list[float]], vector: list[float]) -> list[float]:
    """Gaussian elimination. The matrix is positive definite, so no rows are swapped."""
    rows = [[*row, target] for row, target in zip(matrix, vector, strict=True)]
    for k, pivot in enumerate(rows):
        for row in rows[k + 1 :]:
            factor = row[k] / pivot[k]
            row[k:] = [a - factor * b for a, b in zip(row[k:], pivot[k:], strict=True)]
    x = [0.0] * len(rows)
    for k in reversed(range(len(rows))):
        known = sum(rows[k][j] * x[j] for j in range(k + 1, len(rows)))
        x[k] = (rows[k][-1] - known) / rows[k][k]
    return x


def _numbers(costs: Costs) -> list[float]:
    return [costs.per_job, costs.per_request, costs.per_audio_second]


def _told_apart(container: str) -> str:
    return container if container in CONTAINERS else ""
