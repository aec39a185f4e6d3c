"""Logs: one JSON object a line on stderr, with the correlation id of whatever is being done."""

import json
import logging
import sys
from typing import Any

import pydantic_core
import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: str, *, app: str) -> None:
    """This will send structlog's and the standard library's records to stderr as JSON lines, from `level` up."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_json)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(app=app)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.INFO), force=True)
    for chatty in ("uvicorn.access", "httpx2", "httpx", "stripe", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names its part of the service."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger


def _json(event: Any, **_: Any) -> bytes:
    """The event as JSON. Whatever it holds, it is told: there is nobody to tell that it could not be."""
    try:
        return pydantic_core.to_json(event, fallback=repr)
    except ValueError:  # half of a surrogate pair is no UTF-8, but escaped it is JSON
        return json.dumps(event, default=repr).encode()
