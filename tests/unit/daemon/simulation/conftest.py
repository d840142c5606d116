import logging
from collections.abc import Callable

import pytest
import structlog


@pytest.fixture
def silent() -> Callable[[], None]:
    """Log nothing."""
    return lambda: structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )


@pytest.fixture(autouse=True)
def _logging_as_before() -> object:
    yield
    structlog.reset_defaults()
