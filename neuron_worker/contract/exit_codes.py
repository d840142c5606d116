"""How a worker process ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the worker; where sysexits.h has a fitting number, it is used."""

    FINISHED = 0
    """Every request of the shard has an outcome, good or bad."""

    ORDER_UNREADABLE = 66
    """The order is missing or not an order (EX_NOINPUT)."""

    NO_CORE = 69
    """No free NeuronCore, or the runtime could not start (EX_UNAVAILABLE)."""

    BROKEN = 70
    """A fault of the worker itself, outside any request (EX_SOFTWARE)."""

    LEDGER_UNREACHABLE = 74
    """The ledger could not be read or written, however often it was tried (EX_IOERR)."""

    INTERRUPTED = 75
    """SIGTERM: what was finished is reported, the rest can be done by the next attempt."""

    MISCONFIGURED = 78
    """A setting or the model is missing or wrong (EX_CONFIG)."""
