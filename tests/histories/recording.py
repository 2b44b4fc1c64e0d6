"""Recording a run and replaying it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from orchestrator.engine.engine import SEMANTICS, Engine
from orchestrator.engine.handling import Action, Handling
from orchestrator.engine.record import Record
from orchestrator.engine.verbs import TABLE
from orchestrator.language.loading import Source, SourceKind, load
from orchestrator.simulate import Simulation

FOLDER = Path(__file__).parent
HOUR = 3_600_000
SHARED: dict[str, SourceKind] = {"policy.yaml": "policy", "experiments.yaml": "experiments"}
# What channels answer, in turn; None where no answer comes.
ANSWERS = (
    {"status": "delivered"}, {"status": "succeeded", "data": {"case": "C-7"}}, {"status": "bounced"}, None,
    {"status": "failed", "code": "throttled"}, {"status": "delivered"}, {"status": "succeeded"},
)  # fmt: skip

YOUNGER = frozenset({"joined", "export"})
MEASURED = frozenset({"stays"})  # for metrics: nothing is decided by it and no record has it


def run(
    files: dict[str, str], records: Iterable[dict[str, Any]], until: int, semantics: int = SEMANTICS
) -> tuple[list[str], dict[str, str]]:
    """Give every handling as a line of JSON, and each document that is left as hex."""
    simulation = _simulation(files, semantics)
    lines = [line for record in records for line in _lines(simulation.feed(_record(record)))]
    lines += _lines(simulation.run_until(until))
    left = sorted(simulation.customers.items())
    return lines, {name: customer.stored.hex() for name, customer in left if customer.stored is not None}


def record(files: dict[str, str], events: Iterable[dict[str, Any]], until: int) -> dict[str, Any]:
    """Give a history: the events, the answers of channels to what they bring about, and what comes of all."""
    records = list(_answered(files, events, until))
    handlings, documents = run(files, records, until)
    came = {"handlings": handlings, "documents": documents}
    return {"semantics": SEMANTICS, "files": files, "until": until, "records": records, **came}


def event_of(time: int, customer: str, type_: str, id_: str, data: dict[str, Any]) -> dict[str, Any]:
    """Give an event as histories keep it."""
    return {"time": time, "customer": customer, "type": type_, "id": id_, "data": data}


def write(path: Path, history: dict[str, Any]) -> None:
    """Write a history so that a difference between two of them reads line by line."""
    path.write_text(json.dumps(history, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


def _answered(files: dict[str, str], events: Iterable[dict[str, Any]], until: int) -> Iterator[dict[str, Any]]:
    """Put answers among the events, an hour after each action."""
    simulation = _simulation(files)
    answers: list[dict[str, Any]] = []
    number = 0
    for event in [*events, event_of(until, "nobody", "", "end", {})]:
        while True:
            due = [answer for answer in answers if answer["time"] <= event["time"]]
            one = min(due, key=lambda answer: (answer["time"], answer["id"])) if due else event
            if one is not event:
                answers.remove(one)
            elif event["id"] == "end":
                return
            yield one
            for action in _actions(simulation.feed(_record(one))):
                data = ANSWERS[number % len(ANSWERS)]
                number += 1
                if data is not None and action.created_at + HOUR < until:
                    data = {"action_id": action.action_id, **data}
                    answers.append(
                        event_of(action.created_at + HOUR, action.customer, "action.outcome", f"answer-{number}", data)
                    )
            if one is event:
                break


def _simulation(files: dict[str, str], semantics: int = SEMANTICS) -> Simulation:
    sources = [Source(name, text.encode(), SHARED.get(name, "journey")) for name, text in files.items()]
    loaded = load(sources, None, TABLE)
    assert loaded.topology is not None, "\n".join(map(str, loaded.problems))
    return Simulation(Engine(loaded.topology, semantics=semantics))


def _record(event: dict[str, Any]) -> Record:
    return Record(event["type"], event["customer"], event["id"], event["time"], event["data"], "events", 0, 0, event["time"])


def _lines(handlings: Iterable[Handling]) -> list[str]:
    return [json.dumps(to_builtins(_said(handling)), ensure_ascii=False) for handling in handlings]


def _said(handling: Handling) -> dict[str, Any]:
    """Leave out fields younger than the recorded histories where they say nothing."""
    found = {name: value for name, value in handling.fields().items() if name not in MEASURED}
    found["actions"] = [action.plain() for action in handling.actions]
    found["decisions"] = [
        {name: value for name, value in each.fields().items() if value not in ("", 0, None)} for each in handling.decisions
    ]
    return {name: value for name, value in found.items() if value or name not in YOUNGER}


def _actions(handlings: Iterable[Handling]) -> list[Action]:
    return [action for handling in handlings for action in handling.actions if action.kind != "cancel"]
