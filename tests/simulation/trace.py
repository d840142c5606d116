"""The log of one play with virtual times, and the lines of it that concern a problem."""

import logging
import re
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from daemon.simulation.clock import elapsed_seconds

LINES_MAX = 80
"""Of one problem: the last ones."""

_NAMES = re.compile(r"\b(?:r\d{4}|wf-\w+-\w+)\b")


def be_silent() -> None:
    """Log nothing: what no one reads costs the most time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Keep every line of the log meanwhile."""
    lines: list[str] = []

    def keep(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
        name = event.pop("event")
        fields = " ".join(f"{key}={value}" for key, value in event.items())
        lines.append(f"{elapsed_seconds():10.3f} {level:7} {name} {fields}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )
    try:
        yield lines
    finally:
        be_silent()


def concerning(problem: str, lines: Iterable[str]) -> list[str]:
    """The lines that name what the problem names, or an order that one of those names."""
    lines = list(lines)
    names = set(_NAMES.findall(problem))
    named = [line for line in lines if names.intersection(_NAMES.findall(line))]
    orders = {name for line in named for name in _NAMES.findall(line) if name.startswith("wf-")}
    wanted = names | orders
    found = [
        line
        for line in lines
        if wanted.intersection(_NAMES.findall(line)) or " daemon_" in line or " lane_" in line
    ]
    return found[-LINES_MAX:]
