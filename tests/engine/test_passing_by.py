"""What nothing of a customer hears is handled without a turn (`handle.pass_by`): with the same outcome as with one."""

from __future__ import annotations

import pytest

from orchestrator.engine import handle
from orchestrator.engine.engine import Engine
from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.simulate import Simulation
from tests.engine.world import topology
from tests.model.journeys import HOUR, START, Maker, as_yaml

WORLDS = 60


def outcome(engine: Engine, records: list[Record]) -> tuple[list[Handling], dict[str, bytes | None]]:
    simulation = Simulation(engine)
    handlings = [handling for record in records for handling in simulation.feed(record)]
    handlings += simulation.run_until(START + 500 * HOUR)
    return handlings, {name: customer.stored for name, customer in simulation.customers.items()}


@pytest.mark.interpreted
def test_i2_a_record_that_nothing_hears_is_handled_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    passed, pass_by = list[Handling | None](), handle.pass_by
    for seed in range(WORLDS):
        maker = Maker(seed)
        journeys, policy = maker.world()
        engine = Engine(topology(*map(as_yaml, journeys), policy=as_yaml(policy)))
        records = [
            Record(step.type, step.customer, step.id, step.time, dict(step.data), "events", 0, offset, step.time)
            for offset, step in enumerate(maker.history(60))
            if step.type != "action.outcome"
        ]
        with monkeypatch.context() as patch:
            patch.setattr(handle, "is_unheard", lambda *_: False)
            expected = outcome(engine, records)
        with monkeypatch.context() as patch:
            patch.setattr(handle, "pass_by", lambda *given: passed.append(pass_by(*given)) or passed[-1])
            assert outcome(engine, records) == expected, f"world {seed}"
    assert len(passed) > WORLDS
    assert any(passed), "repeats among them"
