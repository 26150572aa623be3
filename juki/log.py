"""Structured logs on standard error: one JSON object a line, redacted by type.

Deny by default holds for logs too: a value is written only if its type is harmless. A domain value,
a message, bytes, an exception's text or any other object is replaced by the name of its type. Runs
of 11 or 12 digits, the lengths of resident record codes and Individual Numbers, are blanked in
texts and numbers as a second line of defence.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any, TextIO
from uuid import UUID

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_PERSONAL_DIGITS = re.compile(r"(?<!\d)\d{11,12}(?!\d)")
_REDACTED_DIGITS = "(digits)"


def redact(value: object) -> object:  # noqa: PLR0911 - one line a type reads best
    """The value if its type may be logged, otherwise the name of its type in angle brackets.

    Dates without a time of day are not logged: they may be birth dates.
    """
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, Enum):
        return str(value.value) if isinstance(value.value, str) else value.name
    if type(value) is str:
        return _PERSONAL_DIGITS.sub(_REDACTED_DIGITS, value)
    if type(value) is int:
        return _REDACTED_DIGITS if 10**10 <= abs(value) < 10**12 else value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, PurePath | UUID):
        return _PERSONAL_DIGITS.sub(_REDACTED_DIGITS, str(value))
    if isinstance(value, dict):
        return {_redacted_key(key): redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [redact(item) for item in value]
    if isinstance(value, date):
        return "<date>"
    return f"<{type(value).__name__}>"


def _redacted_key(key: object) -> str:
    return str(redact(key))


def exception_types(error: BaseException) -> str:
    """The exception's type and those it came from, outermost first; never their texts."""
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and len(names) < 8:
        names.append(f"{type(current).__module__}.{type(current).__qualname__}")
        current = current.__cause__ or current.__context__
    return " from ".join(names)


def exception_frames(error: BaseException) -> list[str]:
    """Where it was raised, `file:line function`, outermost call first; no source, no locals."""
    return [
        f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.StackSummary.extract(
            traceback.walk_tb(error.__traceback__), lookup_lines=False
        )
    ]


def configure_logging(
    *,
    request_id: Callable[[], str | None] = lambda: None,
    stream: TextIO | None = None,
    level: int = logging.INFO,
) -> None:
    """Sends structlog's and the standard library's records to `stream` (default standard error).

    `request_id` gives the id of the call being served, if any; a composition root passes
    `juki.rpc.call.current_request_id`. Of libraries' records the unfilled template is kept; the
    arguments, and the whole text of grpcio's records (it logs exceptions' texts), are left out.
    """
    output = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _with_exception,
        _with_request_id(request_id),
        _redacted,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *name: _StreamLogger(output, name[0] if name else ""),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _exception_of_record,
            ],
            processors=[
                _template_of_record,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared[2:],
            ],
            keep_exc_info=False,  # kept, the formatter would print it with its text
            use_get_message=False,
            pass_foreign_args=False,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))


class _StreamLogger:
    """Writes lines, whole, to a stream; carries the logger's name for no one else."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def msg(self, message: str) -> None:
        self._stream.write(message + "\n")
        self._stream.flush()

    debug = info = warning = error = critical = fatal = exception = log = msg


def _template_of_record(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    withheld = record.name.partition(".")[0] == "grpc"
    event["event"] = "(text withheld)" if withheld else str(record.msg)
    return event


def _exception_of_record(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["exc_info"] = record.exc_info
    return event


def _with_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        given = given[1]
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        event["exception"] = exception_types(error)
        event["frames"] = exception_frames(error)
    return event


def _with_request_id(source: Callable[[], str | None]) -> Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if "request_id" not in event:
            found = source()
            if found is not None:
                event["request_id"] = found
        return event

    return add


def _redacted(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    # A request id is random hexadecimal digits of ours; blanking it would lose the thread.
    return {
        key: value if key == "request_id" and isinstance(value, str) else redact(value)
        for key, value in event.items()
    }
