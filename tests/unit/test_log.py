"""Logs hold what is harmless by type; everything else is the name of its type."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from io import StringIO

import pytest
import structlog

from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import Reason
from juki.log import configure_logging, redact


@pytest.fixture
def output() -> Iterator[StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = StringIO()
    configure_logging(stream=stream, request_id=lambda: "ab" * 16)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _line(output: StringIO) -> dict[str, object]:
    (line,) = output.getvalue().splitlines()
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_line_has_event_level_time_and_request_id(output: StringIO) -> None:
    structlog.get_logger("juki.x").info("started", port=4433, reason=Reason.OVERLOADED)
    line = _line(output)
    assert line["event"] == "started"
    assert line["level"] == "info"
    assert line["request_id"] == "ab" * 16
    assert line["port"] == 4433
    assert line["reason"] == "OVERLOADED"
    assert "timestamp" in line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (ResidentRecordCode("24727059608"), "<ResidentRecordCode>"),
        (IndividualNumber("621498320257"), "<IndividualNumber>"),
        (date(1980, 2, 29), "<date>"),
        (b"Yamada", "<bytes>"),
        (ValueError("Yamada"), "<ValueError>"),
        (Reason.OVERLOADED, "OVERLOADED"),
        (datetime(2026, 4, 1, tzinfo=UTC), "2026-04-01T00:00:00+00:00"),
        ("code 24727059608, number 621498320257.", "code (digits), number (digits)."),
        ("digest 0123456789012", "digest 0123456789012"),
        (24727059608, "(digits)"),
        (42, 42),
        (True, True),
        (None, None),
        ([ResidentRecordCode("24727059608"), 1], ["<ResidentRecordCode>", 1]),
        ({"who": {"n": b"Yamada"}}, {"who": {"n": "<bytes>"}}),
        ({24727059608: 1}, {"(digits)": 1}),
        ({"Yamada"}, "<set>"),
    ],
)
def test_values_are_shown_by_type(value: object, shown: object) -> None:
    assert redact(value) == shown


def test_a_domain_value_is_never_rendered(output: StringIO) -> None:
    structlog.get_logger().warning("looked up", code=ResidentRecordCode("24727059608"))
    assert _line(output)["code"] == "<ResidentRecordCode>"


def test_an_exception_is_logged_by_type_and_place_without_its_text(output: StringIO) -> None:
    try:
        raise ValueError("Yamada")
    except ValueError:
        structlog.get_logger().error("failed", exc_info=True)
    line = _line(output)
    assert line["exception"] == "builtins.ValueError"
    assert "Yamada" not in output.getvalue()
    assert "test_log.py" in str(line["frames"])


def test_a_librarys_record_keeps_its_template_only(output: StringIO) -> None:
    logging.getLogger("some.library").warning("bad value %s", "Yamada")
    line = _line(output)
    assert line["event"] == "bad value %s"
    assert line["logger"] == "some.library"
    assert "Yamada" not in output.getvalue()


def test_a_librarys_exception_loses_its_text(output: StringIO) -> None:
    try:
        raise ValueError("Yamada")
    except ValueError:
        logging.getLogger("some.library").exception("oh")
    assert _line(output)["exception"] == "builtins.ValueError"
    assert "Yamada" not in output.getvalue()


def test_the_transports_own_texts_are_withheld(output: StringIO) -> None:
    logging.getLogger("grpc._server").error("Exception calling application: Yamada")
    assert _line(output)["event"] == "(text withheld)"
