from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.emulators import Server
from tests.conformance.ports.differences import DIFFERENCES
from tests.conformance.ports.world import Ports, SimulatedPorts, wire_ports

SIMULATED = pytest.param("simulated", marks=pytest.mark.looptime)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A known difference must show: one that is gone fails, and its line is to be removed."""
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and call.params.get("ports") == "simulated":
            reason = DIFFERENCES.get(item.name.partition("[")[0])
            if reason is not None:
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))


@pytest.fixture(params=[SIMULATED, "wire"])
async def ports(
    request: pytest.FixtureRequest, servers: dict[str, Server], tmp_path: Path
) -> AsyncIterator[Ports]:
    if request.param == "simulated":
        yield SimulatedPorts()
        return
    async with wire_ports(servers["moto"].until_ready(), tmp_path) as wire:
        yield wire
