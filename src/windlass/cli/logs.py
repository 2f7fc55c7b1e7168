"""What the program says of its own running, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_logs(level: int, *processors: structlog.typing.Processor) -> None:
    """Write entries of this level and above, tracebacks without the values of variables: secrets are among them."""
    chosen: Sequence[structlog.typing.Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        *processors,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    )
    structlog.configure(
        processors=list(chosen),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def write_server_logs(*, verbose: bool) -> None:
    """Write the server's log, everything with `verbose`."""
    # Libraries speak up when something is broken; a client that mistakes http for https is no such thing.
    logging.basicConfig(level=logging.DEBUG if verbose else logging.CRITICAL, format="%(name)s: %(message)s")
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    write_logs(logging.DEBUG if verbose else logging.INFO, stamp)


def write_errors_only() -> None:
    """Be heard only where something is broken."""
    write_logs(logging.ERROR)
