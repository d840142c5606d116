"""One request under way in one order, and daemons that settle it; on virtual time."""

import asyncio

from neuron_worker.contract import Outcome, Reason, Record
from tests.scripted_services import ScriptedBatch
from tests.simulated import LANE, VISIBILITY_SECONDS, Core, Services, outcome


class Desk:
    """Services with one request, `r`, and daemons at which it is under way in one order."""

    def __init__(self) -> None:
        self.services = Services()
        self.batch = ScriptedBatch()
        self.messages = [self.services.send("r")]

    def daemon(self, name: str) -> Core:
        return Core(self.services, name, batch=self.batch)

    async def ordering(self) -> Core:
        """The daemon that ordered the request."""
        core = self.daemon("first")
        await core.intake.poll()
        await core.place("r")
        core.line.log.clear()
        return core

    async def adopting(self, name: str = "next") -> Core:
        """A daemon that adopted the order, and has taken the message if it is there to take."""
        core = self.daemon(name)
        await core.orders.adopt()
        await core.intake.poll()
        core.line.log.clear()
        return core

    def outcome(self, reason: Reason | None = None) -> Outcome:
        """Of the order under way."""
        [order] = self.services.open_orders()
        return outcome("r", order.order_id, reason)

    @property
    def record(self) -> Record:
        return self.services.record("r")

    @property
    def reasons(self) -> list[str]:
        """Of the letters."""
        return [letter.attributes["reason"] for letter in self.services.letters]


async def settle(core: Core, *outcomes: Outcome) -> None:
    await core.settlement.settle(outcomes, LANE, lambda index: f"job:{index}")


async def come_back() -> None:
    """Messages that nobody cares for are visible again."""
    await asyncio.sleep(VISIBILITY_SECONDS + 1)
