"""One customer's story: what happened to them and what the journeys made of it, as lines in order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Final, Literal

from msgspec import Struct

from orchestrator.names import Kind
from orchestrator.operate.demo.events import SECOND
from orchestrator.operate.demo.tally import Moment, Plain, Tally
from orchestrator.wire.lines import EventLine

MOST_MOMENTS: Final = 14

Who = Literal["customer", "journey", "clock"]


class Line(Struct, frozen=True):
    """One line of a story. `at` is None where the time is that of the line above; `who` acts."""

    at: int | None
    who: Who
    text: str


class Story(Struct, frozen=True):
    """A customer's story; `title` says who it is."""

    customer: str
    title: str
    lines: tuple[Line, ...]


def choose(tally: Tally) -> str | None:
    """Give the customer whose life shows most of what journeys do, and still fits on a screen; None where nobody entered."""
    candidates = [customer for customer, life in tally.lives.items() if _is_told(life)]
    return max(candidates, key=lambda customer: (_richness(tally.lives[customer]), customer), default=None)


def _is_told(life: Sequence[Moment]) -> bool:
    return len(life) <= MOST_MOMENTS and any(d["kind"] == Kind.ENTERED for moment in life for d in moment.decisions)


def _richness(life: Sequence[Moment]) -> int:
    """Count what is worth telling: journeys entered, ways to end a wait, kinds of decision, reasons."""
    told = set()
    for moment in life:
        for decision in moment.decisions:
            told.add(("kind", decision["kind"]))
            told.add(("by", decision["by"]))
            told.add(("journey", decision["journey"]))
            if decision["kind"] == Kind.ENTERED:
                told.add(("entered", decision["journey"]))
            if decision["kind"] == Kind.STATE_ENTERED:
                told.add(("state", decision["state"]))
            told.add(("reason", decision["reason"]))
    return len(told)


def tell(customer: str, events: Iterable[EventLine], tally: Tally) -> Story:
    """Tell the story of a customer. `events` are all that the demo produced; what was made of them comes from the tally."""
    mine: dict[str, EventLine] = {}
    for event in events:
        if event.customer == customer:
            mine.setdefault(event.id, event)
    sign_up = next((event for event in mine.values() if event.event == "signup.created"), None)
    title = f"{customer}, {sign_up.data['plan']} plan, {sign_up.data['country']}" if sign_up else customer
    moments = list(tally.lives.get(customer, ()))
    decided = {moment.event_id for moment in moments}
    # What nobody decided anything about is part of the story as well.
    moments += [Moment(event.at, event.event, event.id, ()) for event in mine.values() if event.id not in decided]
    lines: list[Line] = []
    for moment in sorted(moments, key=lambda moment: moment.at):
        lines += _told(moment, mine.get(moment.event_id), tally)
    return Story(customer, title, tuple(lines))


def _told(moment: Moment, event: EventLine | None, tally: Tally) -> list[Line]:
    lines: list[Line] = []
    if event is not None:
        fact = _FACTS.get(event.event)
        if fact is None:
            return []
        again = "" if moment.at == event.at else "(the same event again) "
        lines.append(Line(moment.at, "customer", again + fact(event.data)))
    for decision in _worth_telling(moment.decisions):
        text = _DEEDS[decision["kind"]](decision, tally)
        if text:
            line = f"{decision['journey']}: {text}"
            lines.append(Line(None if lines else moment.at, "journey" if lines else "clock", line))
    return lines


def _worth_telling(decisions: Sequence[Plain]) -> list[Plain]:
    """Leave out what the next decision of the same journey says as well: that a wait is over, the last state before the end."""
    told = [decision for decision in decisions if decision["kind"] in _DEEDS]
    return [one for one, following in zip_longest(told, told[1:]) if not _says_the_same(one, following)]


def _says_the_same(one: Plain, following: Plain | None) -> bool:
    if following is None or one["journey"] != following["journey"]:
        return False
    if one["kind"] == Kind.HOLD_RESOLVED and one["by"] != "timeout":
        return bool(following["kind"] == Kind.STATE_ENTERED)
    return bool(one["kind"] == Kind.STATE_ENTERED and following["kind"] == Kind.ENDED)


def _money(data: Mapping[str, Any]) -> str:
    return f"{data['amount']:.2f} {data['currency']}"


def _consent(data: Mapping[str, Any]) -> str:
    verb = "agrees to" if data["status"] == "granted" else "says no to"
    return f"{verb} {data['purpose']} {data['channel']} ({data['source']})"


# What a customer does, in words; an event that is not here is not told.
_FACTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "signup.created": lambda data: f"signs up for the {data['plan']} plan",
    "auth.login": lambda data: f"logs in ({data['device']})",
    "consent.changed": _consent,
    "preference.updated": lambda data: f"prefers {data['preferred_channel']}",
    "csat.submitted": lambda data: f"rates us {data['score']} of 5",
    "payment.failed": lambda data: f"payment {data['attempt']} of {_money(data)} fails, {data['reason']}",
    "payment.succeeded": lambda data: f"pays {_money(data)}",
    "account.closed": lambda data: f"closes the account ({data['reason']})",
}


def _sent(decision: Plain, tally: Tally) -> str:
    action = decision["action_id"]
    status = tally.statuses.get(action)
    return f"{decision['channel']} {tally.templates.get(action, decision['step'])}" + (f", {status}" if status else "")


def _hold(decision: Plain, tally: Tally) -> str:
    return f"time is up at {decision['step']}" if decision["by"] == "timeout" else f"heard at {decision['step']}"


def _refused(decision: Plain, tally: Tally) -> str:
    # An event that the customer's active instance just used also knocks at the journey's door: not worth a line.
    return "" if decision["reason"] == "already_active" else f"not admitted, {decision['reason']}"


def _ended(decision: Plain, tally: Tally) -> str:
    return f"ends, {decision['outcome'] or decision['reason']}"


# What a journey does, in words; a kind that is not here is not told.
_DEEDS: Final[Mapping[str, Callable[[Plain, Tally], str]]] = {
    Kind.ENTRY_REFUSED: _refused,
    Kind.STATE_ENTERED: lambda decision, tally: f"now {decision['state']}",
    Kind.HOLD_RESOLVED: _hold,
    Kind.DELAY_ENDED: lambda decision, tally: f"{decision['step']} is over",
    Kind.ACTION_EMITTED: _sent,
    Kind.EXPOSED: lambda decision, tally: f"{decision['step']}, {decision['arm']} arm",
    Kind.ACTION_HELD: lambda decision, tally: f"{decision['step']} has to wait, {decision['reason']}",
    Kind.ACTION_SUPPRESSED: lambda decision, tally: f"{decision['step']} kept back, {decision['reason']}",
    Kind.ALERT: lambda decision, tally: "alerts the operators",
    Kind.TAKEN_OVER: lambda decision, tally: f"goes on by version {decision['version']}",
    Kind.EXITED: _ended,
    Kind.ENDED: _ended,
    Kind.EXPIRED: _ended,
}


def clock(at: int) -> str:
    """Give an instant as a story shows it: `Mon 03 Mar 09:12:30`, UTC."""
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%a %d %b %H:%M:%S")
