"""What the fast workers of a simulated fleet share: what they find, and where they tell."""

from collections.abc import Callable

from daemon.ports import Outgoing
from daemon.simulation.history import Cores, History
from daemon.simulation.parameters import Parameters
from daemon.simulation.store import Objects
from daemon.simulation.workload import Workload
from neuron_worker.contract import Order, S3Uri

ORDERS_READ_MAX = 64
"""Orders that are kept as they were read: every shard of one reads the same."""


class Bench:
    """One for each simulation; `ring` sends to the events queue."""

    def __init__(
        self,
        workload: Workload,
        parameters: Parameters,
        history: History,
        objects: Objects,
        ring: Callable[[Outgoing], object],
    ) -> None:
        self.workload = workload
        self.parameters = parameters
        self.history = history
        self.objects = objects
        self.ring = ring
        self.cores = Cores()
        self._orders: dict[S3Uri, Order] = {}
        self._images: dict[str, float] = {}

    def order(self, uri: S3Uri) -> Order | None:
        """The order that stands there; None if there is none."""
        if uri not in self._orders:
            found = self.objects.get(uri)
            if found is None:
                return None
            if len(self._orders) >= ORDERS_READ_MAX:
                del self._orders[next(iter(self._orders))]
            self._orders[uri] = Order.read(found[0], uri)
        return self._orders[uri]

    def start_seconds(self, instance_id: str, now_seconds: float) -> float:
        """How long a container of an instance takes to start; the first one pulls the image."""
        pulled_at = self._images.setdefault(
            instance_id, now_seconds + self.parameters.image_pull_seconds
        )
        return max(0.0, pulled_at - now_seconds) + self.parameters.container_start_seconds
