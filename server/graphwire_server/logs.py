"""Sets logging up: structlog and the standard library's loggers, one form, on stderr."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Literal

import structlog
from structlog.types import ExcInfo, Processor

from graphwire_server.telemetry.log_fields import add_fields
from graphwire_server.wording import counted

LogFormat = Literal["human", "json"]

#: How much of a long traceback is kept at either end, in characters.
_TRACEBACK_ENDS = 10_000

# They write a line for each statement or event-loop detail, which nobody debugging a
# graph or this server is after.
_CHATTY = ("aiosqlite", "asyncio", "grpc", "psycopg", "watchfiles")
# It writes a line for what it does with each connection; the server tells what comes of it.
_POOL = "psycopg.pool"
# They write a line for each request, with its whole address.
_TELLTALE = ("httpcore", "httpx")


def configure_logging(level: str, form: LogFormat) -> None:
    """Sends every log line of the process to stderr. To be called once, before the first.

    Lines of the standard library's loggers and Python's warnings come out in the same form.

    Args:
        level: The least severe to write: `debug`, `info`, `warning` or `error`.
        form: `human`, coloured on a terminal unless NO_COLOR is set; or `json`, one object
            a line with `timestamp` (ISO 8601, UTC), `level`, `logger` and `event`, and
            `request_id`, `thread_id`, `run_id` and so on where it is about such.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_fields,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_render(form)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.INFO))
    for name in (_POOL, *_TELLTALE):
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_hang_up)
    logging.captureWarnings(True)


def _is_no_hang_up(record: logging.LogRecord) -> bool:
    """Returns whether a line of gRPC's is about more than a caller who has gone.

    It takes a write that fails for an error if it comes before the news that the call was
    cancelled, which is a matter of chance.
    """
    return not str(record.msg).startswith("ExecuteBatchError raised in core")


def _traceback(exc_info: ExcInfo) -> str:
    """Returns a traceback; of a very long one, as of an exception that quotes its input, the
    beginning and the end."""
    text = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    left_out = len(text) - 2 * _TRACEBACK_ENDS
    if left_out <= 0:
        return text
    head, tail = text[:_TRACEBACK_ENDS], text[-_TRACEBACK_ENDS:]
    return f"{head}\n… {counted(left_out, 'character')} left out …\n{tail}"


def _render(form: LogFormat) -> list[Processor]:
    if form == "json":
        # Tracebacks as text: the structured ones carry local variables, secrets among them.
        exceptions = structlog.processors.ExceptionRenderer(_traceback)
        return [exceptions, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
            exception_formatter=lambda file, error: print(f"\n{_traceback(error)}", file=file),
        )
    ]
