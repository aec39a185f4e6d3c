"""Keeping logs out of answers."""

import logging
import sys

import structlog


def quiet_logs() -> None:
    """This will keep the adapters' logs out of answers: only errors are told, on stderr."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
        cache_logger_on_first_use=False,
    )
