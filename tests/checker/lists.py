"""Lists held against lists: the first difference of two, and in which field it lies. Values of customers are not shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.names import Header
from orchestrator.wire.actions import decode_action
from orchestrator.wire.gate import Message
from orchestrator.wire.handlings import decode_handling
from orchestrator.wire.traces import as_traced
from tests.checker.replay import Expected
from tests.checker.report import Report

Decode = Callable[[bytes], Mapping[str, Any]]

_VERSION = Header.APP_VERSION  # of the process that wrote it, which an upgrade changes; no part of the promise
_STAGES_OF_REFUSALS = {(Header.INCIDENT_STAGE, b"gate"), (Header.INCIDENT_STAGE, b"quarantine")}
# Fields that come from the topology or the clock, and so may be shown.
_MAY_BE_SHOWN = frozenset(
    {"kind", "journey", "version", "state", "step", "reason", "by", "outcome", "arm", "channel", "at", "event", "topic"}
    | {"partition", "offset", "purpose", "template", "action", "attempt", "created_at", "expires_at", "urgency"}
)


def same_list(place: tuple[str, int], expected: Sequence[Expected], found: Sequence[Message], report: Report) -> None:
    """Demand that a log holds exactly these records in this order; only the first difference is told, and both lengths."""
    topic, partition = place
    for index, (wanted, message) in enumerate(zip(expected, found, strict=False)):
        what = _difference(wanted, message)
        if what:
            report.differ(f"{topic}/{partition}/{message.offset()}", f"record {index}, {_origin(wanted)}: {what}")
            break
    if len(expected) != len(found):
        report.differ(f"{topic}/{partition}", f"has {len(found)} records, expected {len(expected)}{_rest(expected, found)}")


def _rest(expected: Sequence[Expected], found: Sequence[Message]) -> str:
    if len(expected) > len(found):
        return f"; the last one missing would be {_origin(expected[-1])}"
    return f"; the last one is at offset {found[-1].offset()}"


def _origin(wanted: Expected) -> str:
    source = wanted.source
    if source is None:
        return f"of timers in cycle {wanted.cycle}"
    return f"of {source.topic()}/{source.partition()}/{source.offset()} in cycle {wanted.cycle}"


def _difference(wanted: Expected, message: Message) -> str:
    """Tell how a record differs from the expected one; the empty text where it does not."""
    if message.key() != wanted.key:
        return "it has another key"
    if message.value() != wanted.value:
        return _of_values(wanted.value, message.value())
    headers = message.headers() or []
    if headers not in (wanted.headers, as_traced([*wanted.headers])):  # a worker that exports spans writes the latter
        return _of_headers(wanted.headers, message.headers() or [])
    return _of_time(wanted.source, message) if _STAGES_OF_REFUSALS.intersection(wanted.headers) else ""


def _of_time(source: Message | None, message: Message) -> str:
    """A refused record keeps its time, unless brokers might not take it: then the incident has the time of its production."""
    at = message.timestamp()[1]
    kept = at if source is None else source.timestamp()[1]
    return "" if at == kept or kept < 0 or kept > at else f"its time is {at}, expected {kept}"


def _of_headers(wanted: Sequence[tuple[str, bytes | None]], found: Sequence[tuple[str, bytes | None]]) -> str:
    expected, actual = ([each for each in side if each[0] != _VERSION] for side in (wanted, found))
    if expected == actual:
        return ""
    names, theirs = [name for name, _ in expected], [name for name, _ in actual]
    if names != theirs:
        return f"its headers are {theirs}, expected {names}"
    return f"its header {next(e[0] for e, a in zip(expected, actual, strict=True) if e != a)} differs"


def _of_values(wanted: bytes | None, found: bytes | None) -> str:
    if wanted is None or found is None:
        return f"its value is {'absent' if found is None else 'there'}, expected the opposite"
    for decode in (decode_handling, decode_action):
        try:
            expected, actual = decode(wanted), decode(found)
        except ValueError:
            continue
        return _of_fields("", expected, actual) or "its bytes differ, its fields do not"
    return f"its value of {len(found)} bytes differs from the expected one of {len(wanted)} bytes"


def _of_fields(path: str, expected: Any, found: Any) -> str:
    """Name the first field that differs in two decoded records."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name in expected:
            what = _of_fields(f"{path}.{name}" if path else str(name), expected[name], found.get(name))
            if what:
                return what
        return "" if expected == found else f"{path or 'it'} has other fields"
    if isinstance(expected, list) and isinstance(found, list):
        for index, (one, other) in enumerate(zip(expected, found, strict=False)):
            what = _of_fields(f"{path}[{index}]", one, other)
            if what:
                return what
        return "" if len(expected) == len(found) else f"{path} has {len(found)} entries, expected {len(expected)}"
    if expected == found:
        return ""
    name = path.rpartition(".")[2]
    return f"{path} is {found!r}, expected {expected!r}" if name in _MAY_BE_SHOWN else f"{path} differs"
