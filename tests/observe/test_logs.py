"""Logs hold one event a line, in one form for our own and the libraries' lines, and nothing of a customer."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from orchestrator.errors import UsageError
from orchestrator.observe import logs


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the logs go; the process' logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_json_line_names_its_event_and_place(out: io.StringIO) -> None:
    logs.setup(json=True, stream=out)
    logs.logger("orchestrator.stream").bind(topic="customer.events", partition=3).info("partition_opened", offset=17)

    (line,) = lines(out)
    at = line.pop("at")

    assert isinstance(at, str)
    assert at.endswith("Z")
    assert line == {
        "event": "partition_opened",
        "level": "info",
        "logger": "orchestrator.stream",
        "topic": "customer.events",
        "partition": 3,
        "offset": 17,
    }


def test_libraries_are_quiet_below_a_warning_and_take_the_same_form(out: io.StringIO) -> None:
    logs.setup(json=True, stream=out)
    for name in ("faust.app", "mode.worker", "orchestrator.librdkafka"):
        logging.getLogger(name).info("banner")
        logging.getLogger(name).warning("lost %s", "a broker")

    assert [(line["event"], line["logger"], line["message"]) for line in lines(out)] == [
        ("library", "faust.app", "lost a broker"),
        ("library", "mode.worker", "lost a broker"),
        ("library", "orchestrator.librdkafka", "lost a broker"),
    ]


def test_libraries_speak_at_level_debug(out: io.StringIO) -> None:
    logs.setup(json=True, level="debug", stream=out)
    logging.getLogger("faust.app").debug("chatter")

    assert [line["message"] for line in lines(out)] == ["chatter"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_values_of_variables(out: io.StringIO, as_json: bool) -> None:
    logs.setup(json=as_json, stream=out)
    address = "ann@example.org"
    try:
        raise KeyError("plan") from None
    except KeyError:
        logs.logger("x").exception("handler_failed", customer=logs.customer_ref(address))

    assert "handler_failed" in out.getvalue()
    assert "KeyError" in out.getvalue()
    assert "ann@example" not in out.getvalue()


def test_text_for_people_has_no_colours_where_nobody_sees_them(out: io.StringIO) -> None:
    logs.setup(json=False, stream=out)
    logs.logger("x").warning("lag_growing", lag_records=12)

    assert "lag_growing" in out.getvalue()
    assert "lag_records=12" in out.getvalue()
    assert "\x1b[" not in out.getvalue()


def test_a_customer_is_told_apart_but_not_told(out: io.StringIO) -> None:
    logs.setup(json=True, stream=out, reference_key=b"one")
    reference = logs.customer_ref("ann@example.org")
    assert reference == logs.customer_ref("ann@example.org") != logs.customer_ref("bob@example.org")
    assert len(reference) == 16
    assert "ann" not in reference

    logs.setup(json=True, stream=out, reference_key=b"another")
    assert logs.customer_ref("ann@example.org") != reference


def test_a_wrong_level_is_refused_with_the_right_ones(out: io.StringIO) -> None:
    with pytest.raises(UsageError, match=r"no log level 'loud'[\s\S]*debug, info, warning, error"):
        logs.setup(json=True, level="loud", stream=out)


def test_a_service_of_faust_says_nothing_of_its_starts_and_sensors(out: io.StringIO) -> None:
    logs.setup(json=True, stream=out)
    service = logging.getLogger("orchestrator.stream.app")
    service.info("[^JourneyApp]: Starting...")
    service.warning("[^JourneyApp]: Missing sensor state for rebalance #%s", 0)
    service.warning("[^JourneyApp]: Crashed")

    assert [line["message"] for line in lines(out)] == ["[^JourneyApp]: Crashed"]


def test_a_line_for_people_fits_a_terminal(out: io.StringIO) -> None:
    logs.setup(json=False, stream=out)
    logs.logger("orchestrator.stream.restore").info("partition_open", cycle=12, partition=3, restored=0, seconds=0.12)

    (line,) = out.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d .info +. partition_open +cycle=12 partition=3 restored=0 seconds=0.12", line)
    assert len(line) <= 80
