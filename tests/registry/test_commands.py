"""What is asked of a log whose events name their schema by a registry's id: each command reads them as the worker did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.names import ACTION_OUTCOME, Reason
from orchestrator.wire import framing
from tests.brokers import Broker, fill
from tests.brokers.apicurio import Apicurio
from tests.contract.stage import SHIPPED, Stage
from tests.registry.test_with_kafka import AT, body, command, ids, registered, told
from tests.wire.messages import SCHEMAS

PRICE = 9.5
LARGE = """
journey: large
version: 1
title: Who spends much
owner: growth-team
purpose: promotion
entry:
  on: purchase.made
  when: event.price > 5.0
start: waits
states:
  waits:
    steps:
      - {id: a-day, delay: 1d}
      - {id: done, end: {outcome: done}}
"""
DAY_MS = 86_400_000


class Run:
    """A run whose events were written with a schema that no file has, and one event whose schema came too late."""

    def __init__(self, stage: Stage, apicurio: Apicurio, state: str) -> None:
        self.stage, self.apicurio = stage, apicurio
        with_till = registered(stage, apicurio, more=[{"name": "till", "type": "int", "default": 0}])
        events = [self.event(f"c{n}", f"e{n}", with_till, AT + n) for n in range(8)]
        too_early = self.event("c0", "too-early", with_till + 1, AT + 20, rest=b"\x00")
        # Days later: by then the first have been written to, as the journey says.
        later = [self.event(f"d{n}", f"f{n}", with_till, AT + 90 * DAY_MS + n) for n in range(40)]
        fill(stage.broker.bootstrap, stage.events, [*events, too_early, *later])
        self.worker = stage.worker(state, "--set", f"registry.url={apicurio.url}")
        stage.wait_until("all are handled", lambda: len(set(ids(stage))) == 48 and len(stage.incidents()) == 1)
        stage.wait_until("actions are sent", lambda: len(stage.actions()) >= 8)
        newer = registered(stage, apicurio, more=[{"name": "shop", "type": ["null", "string"], "default": None}])
        assert newer == with_till + 1, "what was unknown then is known now"

    @staticmethod
    def event(customer: str, event_id: str, schema_id: int, at: int, rest: bytes = b"\x02") -> dict[str, Any]:
        value = framing.confluent(schema_id) + body(customer, event_id) + rest
        return {"key": customer.encode(), "value": value, "timestamp": at}

    def told(self, capsys: Any, *arguments: str) -> tuple[int, Any]:
        return told(self.stage, self.apicurio, capsys, *arguments, "--bootstrap-server", self.stage.broker.bootstrap)


@pytest.fixture(scope="module")
def done(kafka: Broker, apicurio: Apicurio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    stage = Stage(kafka, tmp_path_factory.mktemp("by-id"), partitions=2, own={"journeys/large.yaml": LARGE})
    try:
        yield Run(stage, apicurio, "w0")
    finally:
        stage.close()


def test_r1_a_replay_reads_them_and_knows_what_was_unknown_then(done: Run, capsys: Any, tmp_path: Path) -> None:
    status, found = done.told(capsys, "replay", "--out", str(tmp_path / "out"))
    assert (status, found["differences"]) == (0, {"added": 0, "missing": 0, "changed": 0}), found
    assert (found["compared"]["incident"], found["compared"]["action"]) == (1, len(done.stage.actions()))
    assert found["compared"]["decisions"] == len(done.stage.handlings())


def test_r1_where_the_registry_is_away_a_replay_says_so_and_finds_no_differences(done: Run, capsys: Any, tmp_path: Path) -> None:
    more = ("--out", str(tmp_path / "out"), "--set", "registry.timeout=2")
    done.apicurio.pause()
    try:
        status = command(done.stage, done.apicurio, "replay", *more, "--bootstrap-server", done.stage.broker.bootstrap)
    finally:
        done.apicurio.resume()
    said = capsys.readouterr().err
    assert (status, "ORC-003" in said, "schema registry" in said) == (3, True, True), said


def test_why_shows_the_values_that_a_decision_saw(done: Run, capsys: Any) -> None:
    status, found = done.told(capsys, "why", "c3", "--journey", "large", "--offline", "--reveal")
    assert status == 0
    assert {"event.price": PRICE} in [each["values"] for each in found["decisions"]]


def test_the_ledger_counts_reports_by_id(done: Run, capsys: Any) -> None:
    stage, outcome = done.stage, SCHEMAS.get(ACTION_OUTCOME)
    assert outcome is not None
    (sent, *_) = stage.actions()
    schema_id = registered(stage, done.apicurio, event_type=ACTION_OUTCOME, topic=stage.topology.streams.outcomes)
    value = outcome.encode(sent["customer"], "r1", AT, {"action_id": sent["action_id"], "status": "delivered"})
    report = {"key": sent["customer"].encode(), "value": framing.confluent(schema_id) + value[len(outcome.frame) :]}
    fill(stage.broker.bootstrap, stage.topology.streams.outcomes, [report])
    stage.wait_until("it is handled", lambda: "r1" in ids(stage))
    status, found = done.told(capsys, "ledger")
    assert (status, found["whole"]["acknowledged"]) == (0, {"delivered": 1})


def test_r3_a_backtest_lives_through_them(done: Run, capsys: Any, tmp_path: Path) -> None:
    draft = tmp_path / "winback.yaml"
    draft.write_text((SHIPPED / "journeys" / "winback.yaml").read_text().replace("60d", "30d"))
    status, found = done.told(capsys, "backtest", str(draft))
    assert status == 0
    assert found["events"] == 49, "the late one as well: its schema is known by now"
    assert found["events_left_out"] == 0


def test_f2_an_export_has_them_decoded(done: Run, capsys: Any) -> None:
    status, found = done.told(capsys, "export", "c3", "--reason", "a test")
    assert status == 0
    (event,) = found["document"]["topics"][done.stage.events]["records"]
    assert (event["event"], event["payload"]["price"]) == ("purchase.made", PRICE)


def test_incidents_show_decodes_what_is_known_by_now(done: Run, capsys: Any) -> None:
    (refused,) = done.told(capsys, "incidents", "list")[1]
    assert refused["reason"] == Reason.UNKNOWN_SCHEMA
    capsys.readouterr()
    where = ("--bootstrap-server", done.stage.broker.bootstrap, "--reveal")
    assert command(done.stage, done.apicurio, "incidents", "show", refused["id"], *where) == 0
    record = json.loads(capsys.readouterr().out)["record"]
    assert (record["event"], record["fields"]["price"]) == ("purchase.made", PRICE)
