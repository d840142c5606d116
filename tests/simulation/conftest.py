from collections.abc import Iterator

import pytest
import structlog

from tests.simulation import trace


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Nobody reads the log of a play that succeeds."""
    trace.be_silent()
    yield
    structlog.reset_defaults()
