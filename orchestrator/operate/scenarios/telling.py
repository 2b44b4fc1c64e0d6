"""A failed expectation as lines of at most 80 columns: the customer's timeline, with the first difference marked."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.engine.handling import Action, Decision
from orchestrator.engine.outputs import Incident
from orchestrator.language.durations import UNIT_MS
from orchestrator.names import Kind
from orchestrator.operate.scenarios.judging import Failure, is_instant
from orchestrator.operate.scenarios.matching import Fact
from orchestrator.operate.scenarios.playing import Moment, Seen
from orchestrator.operate.scenarios.scenario import Expected, Scenario, Span
from orchestrator.wire.lines import iso

WIDTH: Final = 80
BEFORE: Final = 30  # lines of the timeline before the mark; what is further away is counted
AFTER: Final = 8

_TIME: Final = 13
_QUIET: Final = frozenset({Kind.ACTION_EMITTED})  # told by the action itself


class Line(Struct):
    """One line of a timeline; `fact` is the object that it tells."""

    text: str
    fact: object = None
    is_marked: bool = False


def offset(at: int, start: int) -> str:
    """Give a time as its distance from the start: 3d, 2d 23h 59m, -1h."""
    left, sign = abs(at - start), "-" if at < start else ""
    parts = []
    for unit in "dhms":
        count, left = divmod(left, UNIT_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if left:
        parts.append(f"{left}ms")
    return sign + (" ".join(parts) or "0s")


def told(failure: Failure, scenario: Scenario, seen: Seen) -> tuple[str, ...]:
    """Give the lines of one failure, the message first."""
    head = textwrap.wrap(f"line {failure.place.line}: {failure.message}", WIDTH - 2, subsequent_indent="  ")
    if not failure.customer:
        return tuple(head)
    lines = _timeline(failure, scenario, seen)
    title = f"{failure.customer}, from {iso(scenario.start)}"
    return (*head, f"  {title}", *(_cut(f"{'>' if line.is_marked else ' '} {line.text}") for line in lines))


def expected_text(expected: Expected, start: int) -> str:
    """Give an expectation on one line."""
    return _fields(expected.fields, start)


def seen_text(fact: Fact, names: Mapping[str, Any], start: int) -> str:
    """Give what was seen, under the names of an expectation, else what matters most."""
    wanted = [name for name in names if name in fact.fields] or [
        name
        for name in ("at", "kind", "journey", "step", "reason", "by", "channel", "template", "action")
        if fact.fields.get(name)
    ]
    return _fields({name: fact.fields[name] for name in wanted}, start)


def _fields(fields: Mapping[str, Any], start: int) -> str:
    return ", ".join(f"{name} {_value(name, value, start)}" for name, value in fields.items() if name != "customer")


def _value(name: str, value: Any, start: int) -> str:
    if isinstance(value, Span):
        ends = (offset(value.first, start), offset(value.last, start))
        return ends[0] if is_instant(value) else f"[{', '.join(ends)}]"
    if name in {"at", "expires_at"}:
        return offset(value, start)
    if isinstance(value, Struct):
        value = msgspec.to_builtins(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(key, each, start)}" for key, each in value.items()) + "}"
    return "none" if value in (None, "") else str(value)


def _timeline(failure: Failure, scenario: Scenario, seen: Seen) -> list[Line]:
    lines = [line for moment in seen.of(failure.customer) for line in _moment(moment, scenario.start)]
    at = _place_of_mark(failure, lines, seen, scenario)
    mark = list(_mark(failure, scenario.start))
    if failure.seen is not None and at < len(lines):
        lines[at].is_marked = True
        at += 1
    lines[at:at] = mark
    if not mark and at == len(lines) and not any(line.is_marked for line in lines):
        lines.append(Line(f"{'':{_TIME}}(the end, {offset(scenario.until, scenario.start)})", is_marked=True))
    return _around(lines)


def _place_of_mark(failure: Failure, lines: list[Line], seen: Seen, scenario: Scenario) -> int:
    """Give the position of the fact that differs; without one, where the expected one should have been."""
    if failure.seen is not None:
        source = failure.seen.source
        return next((n for n, line in enumerate(lines) if _tells(line.fact, source)), len(lines))
    start = 0
    if failure.after is not None:
        start = next((n + 1 for n, line in enumerate(lines) if _tells(line.fact, failure.after.source)), 0)
    at = None if failure.expected is None else failure.expected.fields.get("at")
    if not isinstance(at, Span):
        return len(lines)
    # Lines of one moment stand together, so the first line of a later moment is where an earlier one would end.
    position, later = 0, None
    for moment in seen.of(failure.customer):
        if moment.at > at.last:
            later = position
            break
        position += len(list(_moment(moment, scenario.start)))
    return max(start, len(lines) if later is None else later)


def _tells(shown: object, source: Action | Decision | Incident) -> bool:
    """Tell whether a line is about this one; an action's line is about its decision too."""
    if isinstance(source, Decision) and source.kind in _QUIET and isinstance(shown, Action):
        return shown.action_id == source.action_id
    return shown is source


def _mark(failure: Failure, start: int) -> Iterator[Line]:
    if failure.expected is None:
        return
    rows = [("expected", expected_text(failure.expected, start))]
    if failure.seen is not None:
        rows.append(("seen", seen_text(failure.seen, failure.expected.fields, start)))
    else:
        rows.append(("seen", "nothing"))
    for word, text in rows:
        for n, part in enumerate(textwrap.wrap(text, WIDTH - _TIME - 13) or [""]):
            yield Line(f"{'':{_TIME}}{word if not n else '':<10}{part}", is_marked=True)


def _moment(moment: Moment, start: int) -> Iterator[Line]:
    yield Line(f"{offset(moment.at, start):<{_TIME}}{moment.event or 'timer'}")
    handling = moment.handling
    for decision in handling.decisions:
        if decision.kind not in _QUIET:
            yield Line(f"{'':{_TIME}}  {_decision(decision)}", decision)
    for action in handling.actions:
        yield Line(f"{'':{_TIME}}  {_action(action)}", action)
    for incident in handling.incidents:
        yield Line(f"{'':{_TIME}}  {_incident(incident)}", incident)


def _decision(decision: Decision) -> str:
    words = [decision.kind, decision.journey, decision.key]
    words += [decision.state] if decision.kind == Kind.STATE_ENTERED else [decision.step]
    words += [f"{name} {value}" for name in ("reason", "by", "outcome", "arm", "channel") if (value := getattr(decision, name))]
    expression = (decision.detail or {}).get("expression", "")
    return " ".join(word for word in words if word) + (f": {expression}" if expression else "")


def _action(action: Action) -> str:
    what = action.template or action.action
    attempt = f"attempt {action.attempt}" if action.attempt > 1 else ""
    words = ("->", action.kind, action.journey, action.key, action.step, action.channel, what, attempt)
    return " ".join(word for word in words if word)


def _incident(incident: Incident) -> str:
    words = ("!! incident", incident.reason, incident.journey, incident.step, incident.message)
    return " ".join(word for word in words if word)


def _around(lines: list[Line]) -> list[Line]:
    """Keep what stands near the marks."""
    marked = [n for n, line in enumerate(lines) if line.is_marked]
    first = max(min(marked, default=len(lines)) - BEFORE, 0)
    last = min(max(marked, default=len(lines)) + AFTER + 1, len(lines))
    kept = lines[first:last]
    if first:
        kept.insert(0, Line(f"... {_lines(first)} before"))
    if last < len(lines):
        kept.append(Line(f"... {_lines(len(lines) - last)} after"))
    return kept


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _cut(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= WIDTH - 2 else line[: WIDTH - 3] + "…"
