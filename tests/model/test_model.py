"""The engine against the independent model, over random journeys and histories; MODEL_WORLDS=N asks for more of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.simulate import Simulation
from tests.engine.world import topology, what_is_read
from tests.model.interpreter import Model
from tests.model.journeys import HOUR, START, Maker, Step, as_yaml

COMPARED = frozenset({
    "entered", "entry_refused", "state_entered", "hold_started", "hold_resolved", "late_event", "delay_started", "delay_ended",
    "branch_taken", "action_emitted", "action_suppressed", "action_cancelled", "retry_scheduled", "call_failed",
    "exited", "ended", "expired",
})  # fmt: skip
WORLDS = int(os.environ.get("MODEL_WORLDS", "240"))
HISTORIES = 5  # of one world
SHARDS = 4
Run = dict[str, tuple[list[Any], list[Any], list[Any]]]


def runs(seed: int) -> Iterator[tuple[Run, Run]]:
    """Give the histories of one world as the model and as the engine see them."""
    maker = Maker(seed)
    journeys, policy = maker.world()
    engine = Engine(topology(*map(as_yaml, journeys), policy=as_yaml(policy)))
    for _ in range(HISTORIES):
        yield both(Model(journeys, policy), Simulation(engine), maker.history(maker.pick(10, 30, 60)))


def both(model: Model, simulation: Simulation, history: list[Step]) -> tuple[Run, Run]:
    """Run one history through both; an outcome answers an action of the model's."""
    handlings: list[Handling] = []
    for offset, step in enumerate(history):
        data = dict(step.data)
        if step.type == "action.outcome":
            known = model.customers.get(step.customer)
            if known is None or not known.actions:
                continue
            data["action_id"] = known.actions[-1 - step.pick % len(known.actions)][2]
        model.feed(step.time, step.customer, step.type, step.id, data)
        record = Record(step.type, step.customer, step.id, step.time, data, "events", 0, offset, step.time)
        handlings += simulation.feed(what_is_read(simulation.engine, record))  # no more of it reaches a worker's engine
    end = START + 500 * HOUR
    model.run_until(end)
    handlings += simulation.run_until(end)
    expected = {name: (one.decisions, one.actions, one.reached) for name, one in model.customers.items()}
    return expected, by_customer(handlings, model.customers)


def by_customer(handlings: Iterable[Handling], names: Iterable[str]) -> Run:
    """Give what the engine did in the model's form."""
    found: Run = {name: ([], [], []) for name in names}
    for handling in handlings:
        decisions, actions, reached = found[handling.customer]
        for each in handling.decisions:
            if each.kind in COMPARED:
                decisions.append(
                    (handling.at, each.kind, each.journey, each.key, each.state, each.step, each.reason, each.by, each.outcome)
                )
            elif each.kind == "goal_reached":
                reached.append((handling.at, each.instance, (each.detail or {})["goal"]))
        for action in handling.actions:
            if action.kind != "cancel":
                what = action.template or action.action
                actions.append((handling.at, action.kind, action.action_id, what, action.channel, action.attempt))
    return found


def difference(expected: list[Any], found: list[Any]) -> str:
    """Say where two lists part, with what came before."""
    at = next(
        (n for n, (one, other) in enumerate(zip(expected, found, strict=False)) if one != other), min(len(expected), len(found))
    )
    before = "\n".join(f"    {line}" for line in expected[max(0, at - 5) : at])
    return f"after\n{before}\n  model:  {expected[at : at + 2]}\n  engine: {found[at : at + 2]}"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_engine_does_what_the_model_does(shard: int) -> None:
    for seed in range(shard, WORLDS, SHARDS):
        for expected, found in runs(seed):
            for name, parts in expected.items():
                for what, one, other in zip(("decisions", "actions", "goals"), parts, found[name], strict=True):
                    assert one == other, f"world {seed}, customer {name}, {what}: {difference(one, other)}"
