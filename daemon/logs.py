"""Logs: an event name plus fields; JSON for machines, colours for a person at a terminal.

No signed URL and no key of AWS reaches them, in whatever field or exception it stands.
"""

import logging
import sys
from typing import TextIO

import structlog

from neuron_worker.contract.redaction import redact_line


def configure(stream: TextIO = sys.stderr) -> None:
    """Send every log line of the process to `stream`."""
    pretty = stream.isatty()
    renderer = (
        # A plain traceback: rich's is coloured within a word, and shows what variables hold.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *([] if pretty else [structlog.processors.format_exc_info]),
            renderer,
            redact_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
