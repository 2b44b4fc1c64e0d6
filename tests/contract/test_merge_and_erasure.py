"""A merge and an erasure outlive the worker that did them, and its local store (rules M1, F1, T6)."""

from __future__ import annotations

import shutil
from typing import Any

from orchestrator.engine.storing import decode
from orchestrator.operate.demo.events import EventLine
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.stage import Stage

START = 1_767_571_200_000  # 2026-01-05T00:00:00Z
DAY = 86_400_000


def _event(day: int, customer: str, event: str, **data: Any) -> EventLine:
    return EventLine(START + day * DAY, customer, event, f"{event}-{day}", data)


def _work_until_handled(stage: Stage, records: int) -> None:
    """A worker that begins with no local store handles so many records in all, and stops in order."""
    shutil.rmtree(stage.state_of("w0"), ignore_errors=True)
    worker = stage.worker()
    stage.wait_until(f"{records} records are handled", lambda: stage.handled_records() == records)
    assert worker.stop() == 0


def test_m1_f1_t6_a_merge_and_an_erasure_are_known_to_a_worker_that_lost_its_store(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=1)
    stage.produce(
        [
            _event(0, "ann", "purchase.made", quantity=1, price=9.5),
            _event(1, "ann", "profile.merged", **{"from": "ann", "into": "bob"}),
        ]
    )
    _work_until_handled(stage, 2)
    known = stage.changelog_documents()
    assert set(known) == {b"ann", b"bob"}

    stage.produce([_event(2, "ann", "profile.updated", fields={"city": "Perth"})])
    _work_until_handled(stage, 3)
    documents = stage.changelog_documents()
    assert documents[b"ann"] == known[b"ann"], "still an alias"
    assert decode(documents[b"bob"]).profile["city"][0] == "Perth"
    assert stage.stored_documents("w0") == documents

    stage.produce([_event(3, "ann", "privacy.erasure_requested", request_id="r-1")])
    _work_until_handled(stage, 4)
    assert stage.changelog_documents() == {}
    assert stage.stored_documents("w0") == {}
    (receipt,) = [one for each in stage.handlings() for one in each["decisions"] if one["kind"] == "erased"]
    assert receipt["detail"]["record"] == f"{stage.events}/0/3"
    stage.produce([_event(4, "ann", "profile.updated", fields={"city": "Hobart"})])
    _work_until_handled(stage, 5)
    assert set(stage.changelog_documents()) == {b"ann"}, "somebody of its own"
    assert [row.value for row in stage.incidents()] == []
    assert_exactly_once(stage)
