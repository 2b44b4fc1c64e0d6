"""Replay: one partition of a real Kafka through the shadow again, in one process, compared with the log and written to files.

Twice: purchases and sign-ups that journeys hear, each with all that comes of it, timers included; and logins that no journey of
the topology hears, which only move the clock. Every repeat must find no difference. Reading is included.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from orchestrator.operate.demo.cohort import cohort
from orchestrator.operate.replay import logs
from orchestrator.operate.replay.following import Following, Order, Outcome
from orchestrator.operate.replay.processes import Basis
from orchestrator.operate.replay.window import Window
from orchestrator.wire.gate import DEFAULT_LIMITS
from orchestrator.wire.lines import EventLine
from tests.brokers import Broker
from tests.contract.cdnow import some_purchases, wait_for_all
from tests.contract.stage import SHIPPED, Stage

NAME = "replay"
NEEDS_BROKER = True

_JOURNEYS = ("winback", "onboarding", "payment-recovery", "welcome-offer")
_ONE_IN = 4
_UNHEARD = 200_000
_START = 946_684_800_000  # 2000-01-01


def run(broker: Broker, repeats: int, say: Callable[[str], None]) -> dict[str, float]:
    """Measure. Gives medians: records a second, and microseconds of CPU a record."""
    found: dict[str, list[float]] = {}
    cases: dict[str, tuple[tuple[str, ...], Iterable[EventLine]]] = {
        "heard": (_JOURNEYS, [*some_purchases(_ONE_IN), *cohort(1, 500)]),
        "unheard": (("winback",), [EventLine(_START + n, f"c{n % 5_000}", "auth.login", f"e{n}", {}) for n in range(_UNHEARD)]),
    }
    for name, (journeys, lines) in cases.items():
        with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
            stage = _recorded(broker, Path(folder), journeys, lines)
            for number in range(repeats):
                records_per_s, cpu_us = _once(stage, Path(folder) / f"replay-{number}")
                say(f"  {name} {number + 1}/{repeats}: {records_per_s:,.0f} records/s, {cpu_us:.1f} us CPU a record")
                found.setdefault(f"{name}_records_per_s", []).append(records_per_s)
                found.setdefault(f"{name}_cpu_us", []).append(cpu_us)
    return {name: median(values) for name, values in found.items()}


def _recorded(broker: Broker, folder: Path, journeys: tuple[str, ...], lines: Iterable[EventLine]) -> Stage:
    experiments = (SHIPPED / "experiments.yaml").read_text(encoding="utf-8")
    own: dict[str, Any] = {"experiments.yaml": experiments} if "welcome-offer" in journeys else {}
    stage = Stage(broker, folder, journeys=journeys, partitions=1, own=own)
    try:
        records = stage.produce(lines)
        worker = stage.worker()
        if own:
            wait_for_all(stage, records)
        else:
            stage.wait_until("all is handled", lambda: stage.handled_records() == records)
        assert worker.stop() == 0
    finally:
        stage.close()
    return stage


def _once(stage: Stage, folder: Path) -> tuple[float, float]:
    conf = {"bootstrap.servers": stage.broker.bootstrap}
    programs = Basis((stage.topologies,), None, DEFAULT_LIMITS).programs()
    topics = logs.topics_of(stage.topology)
    bounds = {topic: each[0] for topic, each in logs.bounds(conf, topics, [0]).items()}
    started, cpu = time.perf_counter(), time.process_time()
    outcome: Outcome = Following(Order(0, 1, topics, bounds, Window(), folder, conf), programs).run(lambda _: None, lambda: False)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    assert outcome.is_finished
    assert not outcome.differences
    return outcome.records / seconds, cpu_s / outcome.records * 1e6
