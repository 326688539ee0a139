"""Structured logs: past-tense events with fields. Never message text, full phone numbers or secrets."""

import logging
import sys
from typing import Any

from services.runtime.settings import Settings

# structlog.dev loads rich when some development tool brought it along: 5 MiB in every process, for colours
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None is how an import is refused

import orjson  # noqa: E402 - after the line above
import structlog  # noqa: E402

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(settings: Settings, room: str) -> None:
    """Set up logging once, at the start of a process."""
    level = _LEVELS[settings.log_level]
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    if settings.log_format == "json":
        renderer = structlog.processors.JSONRenderer(serializer=lambda value, **_: orjson.dumps(value, default=str))
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(room=room)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of each pipeline that an error ended
    # aiokafka writes 40-60 lines a second while a broker is away; our own loop says it once
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def get_logger() -> Any:
    return structlog.get_logger()
