"""What a handling does beyond its own customer is kept with the same cycle: other customers, notes, their timers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.engine import handle, vicinity
from orchestrator.engine.customer import Customer
from orchestrator.engine.engine import NEVER
from orchestrator.engine.handling import Handling
from orchestrator.engine.program import Program
from orchestrator.engine.storing import HEAD
from orchestrator.engine.turn import Turn
from orchestrator.engine.vicinity import NOTE, Vicinity
from orchestrator.stream import partition as partition_module
from orchestrator.wire.partitioning import partition_for
from tests.stream.bench import NUMBER, START, STREAMS, Bench, block, purchase, to

HERE, ELSEWHERE = (
    [name for name in (f"c{n}" for n in range(100)) if (partition_for(name.encode(), STREAMS.partitions) == NUMBER) is here]
    for here in (True, False)
)
ONE, OTHER = HERE[:2]


@pytest.fixture
def also(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Turn], None]], None]:
    """Let every record do something more, before its own handling."""
    run = handle.run

    def does(more: Callable[[Turn], None]) -> None:
        monkeypatch.setattr(handle, "run", lambda turn, record, route: (more(turn), run(turn, record, route)))

    return does


def _note_in(turn: Turn, text: bytes = b"seen", due: int = START + 5) -> None:
    turn.note("test:a").stored = HEAD.pack(1, due) + text


def _mark_other(turn: Turn) -> None:
    other = turn.neighbour(OTHER)
    assert other is not None
    other.open().profile["seen"] = (True, turn.now)


def _changelog(bench: Bench) -> dict[str, bytes | None]:
    found = to(bench.commit(), STREAMS.changelog)
    return {record.key.decode(): record.value for record in found if record.key is not None}


def test_a_customer_of_another_partition_is_nobody_here(bench: Bench) -> None:
    assert bench.partition.customer(ELSEWHERE[0]) is None
    found = bench.partition.customer(ONE)
    assert found is not None
    assert (found.id, found.stored) == (ONE, None)


@pytest.mark.interpreted
def test_a_changed_neighbour_and_note_go_to_changelog_store_and_calendar(
    bench: Bench, also: Callable[[Callable[[Turn], None]], None]
) -> None:
    also(lambda turn: (_note_in(turn), _mark_other(turn)))
    bench.partition.handle(block(purchase(ONE, START, 0)), bench.outbox)
    documents = _changelog(bench)
    assert set(documents) == {ONE, OTHER, NOTE + "test:a"}
    assert dict(bench.store.documents()) == {name.encode(): stored for name, stored in documents.items()}
    assert (START + 5, (NOTE + "test:a").encode()) in bench.store.due((0, b""), NEVER, 10)


def test_a_neighbour_that_was_only_looked_at_is_not_written(bench: Bench, also: Callable[[Callable[[Turn], None]], None]) -> None:
    also(lambda turn: (turn.neighbour(OTHER), turn.note("test:a")))
    bench.partition.handle(block(purchase(ONE, START, 0)), bench.outbox)
    assert set(_changelog(bench)) == {ONE}


@pytest.mark.interpreted
def test_a5_a_failure_puts_neighbours_and_notes_back(bench: Bench, also: Callable[[Callable[[Turn], None]], None]) -> None:
    def fail(turn: Turn) -> None:
        _note_in(turn)
        _mark_other(turn)
        raise RuntimeError

    also(fail)
    bench.partition.handle(block(purchase(ONE, START, 0)), bench.outbox)
    assert _changelog(bench) == {}
    other = bench.partition.customer(OTHER)
    assert other is not None
    assert other.open().profile == {}


@pytest.mark.interpreted
def test_a5_what_would_make_a_neighbour_too_large_is_taken_back_for_all(
    bench: Bench, also: Callable[[Callable[[Turn], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    also(lambda turn: (_note_in(turn, b"x" * 2000), _mark_other(turn)))
    monkeypatch.setattr(partition_module, "MAX_VALUE_BYTES", 1500)
    bench.partition.handle(block(purchase(ONE, START, 0)), bench.outbox)
    records = bench.commit()
    assert to(records, STREAMS.changelog) == []
    (incident,) = to(records, STREAMS.incidents)
    assert dict(incident.headers)["orchestrator.incident.reason"] == b"document_too_large"


@pytest.mark.interpreted
def test_a_note_survives_a_restart_and_its_timer_does_what_its_kind_does(
    bench: Bench, also: Callable[[Callable[[Turn], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def clean(program: Program, note: Customer, due: int, near: Vicinity) -> list[Handling]:
        assert (due, near.note("test:a")) == (START + 5, note)
        note.stored = None
        return []

    monkeypatch.setattr(vicinity, "NOTE_TIMERS", {"test": clean})
    monkeypatch.setattr("orchestrator.engine.engine.NOTE_TIMERS", {"test": clean})
    also(_note_in)
    bench.partition.handle(block(purchase(ONE, START, 0)), bench.outbox)
    bench.commit()
    bench.reopen()
    also(lambda turn: None)
    bench.caught_up()
    bench.partition.fire(1, bench.outbox)
    assert _changelog(bench) == {NOTE + "test:a": None}
    assert bench.store.due((0, b""), START + 6, 10) == []


@pytest.mark.interpreted
def test_a_note_of_an_unknown_kind_stays_and_does_not_fire_for_ever(
    bench: Bench, also: Callable[[Callable[[Turn], None]], None]
) -> None:
    also(_note_in)
    bench.partition.handle(block(purchase(ONE, START, 0)), bench.outbox)
    bench.commit()
    bench.caught_up()
    assert bench.partition.fire(500, bench.outbox) == 2
    records = bench.commit()
    assert [dict(each.headers)["orchestrator.incident.reason"] for each in to(records, STREAMS.incidents)] == [b"handler_error"]
    assert {each.key: each.value for each in to(records, STREAMS.changelog)}[(NOTE + "test:a").encode()] == (
        HEAD.pack(1, NEVER) + b"seen"
    )
