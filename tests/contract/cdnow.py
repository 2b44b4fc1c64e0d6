"""The CDNOW run for the tests of this folder: purchases in, the oracle's actions expected."""

from __future__ import annotations

import zlib
from collections import Counter

from orchestrator.engine.engine import NEVER, next_due
from orchestrator.operate.demo.dataset import purchases
from orchestrator.operate.demo.events import EventLine
from orchestrator.wire.incidents import is_of_breaker
from tests.contract.stage import Stage
from tests.oracle.compare import differences
from tests.oracle.winback import ExpectedAction, expected_actions, read_purchases

FOR_EVER = 1 << 60
AFTER_THE_LAST_TIMER = 915_148_800_000  # 1999-01-01: every deadline of these purchases is earlier


def chosen(customer: str, one_in: int) -> bool:
    """Take one customer in `one_in`, always the same ones."""
    return zlib.crc32(customer.encode()) % one_in == 0


def some_purchases(one_in: int = 1) -> list[EventLine]:
    """The purchases of one customer in `one_in`, in time order."""
    return [line for line in purchases() if chosen(line.customer, one_in)]


def oracle_actions(one_in: int = 1) -> list[ExpectedAction]:
    """What the oracle expects of them."""
    return expected_actions((row for row in read_purchases() if chosen(row.customer, one_in)), FOR_EVER)


def wait_for_all(stage: Stage, records: int, timeout_s: float = 240.0, every_s: float = 0.2) -> None:
    """Wait until every record is handled and every timer fired; look `every_s`, which takes what the worker may need."""
    stage.wait_until(
        f"{records} records are handled and all timers have fired",
        lambda: stage.handled_records() == records and _all_timers_fired(stage),
        timeout_s,
        every_s,
    )


def _all_timers_fired(stage: Stage) -> bool:
    """A sweep takes so many timers at a time, so only the documents tell that none is left."""
    if stage.timers_fired_before() <= AFTER_THE_LAST_TIMER:
        return False
    return min(map(next_due, stage.changelog_documents().values()), default=NEVER) > AFTER_THE_LAST_TIMER


def assert_as_the_oracle_says(stage: Stage, one_in: int = 1) -> None:
    """Each customer's actions are the oracle's, as lists; the journal is one chain; nothing is an incident."""
    lines = differences(oracle_actions(one_in), stage.winback_actions())
    assert not lines, f"{len(lines)} differences:\n" + "\n".join(lines[:10])
    assert_journal_is_one_chain(stage)
    assert stage.incidents() == []


def assert_journal_is_one_chain(stage: Stage) -> None:
    """Invariant I1: no gap, no overlap, no cycle twice, the checksums linked; and the counts are those of the topics."""
    last: dict[int, tuple[int, int, dict[str, int]]] = {}
    counted = Counter[str]()
    for record, value in stage.journal():
        cycle, chain, sources = last.get(record.partition, (0, 0, {}))
        assert (record.cycle, record.previous) == (cycle + 1, chain), f"partition {record.partition} cycle {record.cycle}"
        for run in record.runs:
            if run.topic:
                assert run.first >= sources.get(run.topic, 0), f"{run.topic}/{record.partition}: {run.first} handled again"
                sources = sources | {run.topic: run.next}
        for topic, following in sources.items():
            assert record.sources[topic] == following
        last[record.partition] = (record.cycle, zlib.crc32(value), sources)
        counted.update(decisions=record.decisions, actions=record.actions, incidents=record.incidents)
    assert counted["actions"] == len(stage.actions())
    assert counted["decisions"] == sum(len(h["decisions"]) for h in stage.handlings())
    assert counted["incidents"] == sum(not is_of_breaker(row.headers) for row in stage.incidents())
