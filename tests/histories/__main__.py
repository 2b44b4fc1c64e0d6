"""Record the histories anew: `python -m tests.histories`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.operate.demo.cohort import cohort
from tests.histories.recording import FOLDER, HOUR, event_of, record, write
from tests.model.journeys import START, Maker, as_yaml

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
DAY = 24 * HOUR
WORLDS = (3, 14, 15, 92, 65)


def shipped() -> dict[str, Any]:
    """Record a small cohort on the shipped journeys, as they are now."""
    journeys = sorted(path for path in (TOPOLOGIES / "journeys").glob("*.yaml") if ".scenario" not in path.name)
    shared = [TOPOLOGIES / "policy.yaml", TOPOLOGIES / "experiments.yaml"]
    files = {path.name: path.read_text("utf-8") for path in [*journeys, *shared]}
    events = [event_of(line.at, line.customer, line.event, line.id, line.data) for line in cohort(size=40)]
    return record(files, events, events[-1]["time"] + 60 * DAY)


def invented(seed: int) -> dict[str, Any]:
    """Record one random world of the model's."""
    maker = Maker(seed)
    files = {f"j{number}.yaml": as_yaml(maker.journey(f"j{number}")) for number in (1, 2, 3)}
    files["policy.yaml"] = as_yaml(maker.policy(3))
    steps = [step for step in maker.history(80) if step.type != "action.outcome"]
    events = [event_of(step.time, step.customer, step.type, step.id, step.data) for step in steps]
    return record(files, events, START + 500 * HOUR)


if __name__ == "__main__":
    write(FOLDER / "shipped.json", shipped())
    for seed in WORLDS:
        write(FOLDER / f"invented-{seed}.json", invented(seed))
