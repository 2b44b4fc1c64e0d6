"""Seeing into a running group: why, inspect and status on three workers, one of which dies; and what is never seen."""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from orchestrator.cli import run
from orchestrator.operate.produce import Encoder
from orchestrator.operate.sight.owners import group_of
from orchestrator.wire.lines import EventLine
from orchestrator.wire.partitioning import partition_for
from orchestrator.wire.schemas import load_schemas
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.contract.test_http import READ, REVEAL, ask, seen, with_http
from tests.observe.collector import Collector, attributes, collector
from tests.wire.test_traces import GOOD, PARENT, TRACE

PARTITIONS = 6
MARK = "xyzzy"  # in every value of a customer: it must never be seen where it was not asked for
ANN, BOB, CYD = (f"{MARK}-{name}@example.org" for name in ("ann", "bob", "cyd"))
BIG_SPENDER = """\
journey: big-spender
version: 1
title: Thanks for a large purchase
owner: retention-team
purpose: promotion
entry: {on: purchase.made, when: event.price > 100.0 && event.quantity >= 1, reentry: never}
exit: [{on: account.closed, outcome: closed}]
context: {spent: event.price, who: profile.nickname}
start: thanked
states:
  thanked:
    on: [{event: csat.submitted, go: rated}]
    steps:
      - id: thanks
        send: {channel: email, template: thanks, data: {spent: journey.spent}, purpose: winback, urgent: true}
      - id: more
        send: {channel: email, template: more}
      - id: month
        delay: 30d
      - id: done
        end: {outcome: forgotten}
  rated: {final: true, outcome: rated}
"""


def _event(at: int, customer: str, event: str, **data: Any) -> EventLine:
    return EventLine(at, customer, event, f"{MARK}-{event}-{customer}-{at}", data)


def _events(now: int) -> list[EventLine]:
    consent = {
        "channel": "email",
        "purpose": "promotion",
        "status": "granted",
        "time": now - 9_000,
        "source": "form",
        "version": "1",
    }
    lines = []
    for customer in (ANN, BOB, *(f"{MARK}-{n}@example.org" for n in range(60))):
        lines.append(_event(now - 9_000, customer, "profile.updated", fields={"nickname": f"{MARK} nick"}))
        lines.append(_event(now - 8_500, customer, "consent.changed", **consent))
    lines.append(_event(now - 8_000, ANN, "purchase.made", quantity=1, price=20.5))
    lines.append(_event(now - 7_000, BOB, "purchase.made", quantity=2, price=777.25))
    lines.append(_event(now - 6_000, BOB, "purchase.made", quantity=3, price=888.25))
    lines.append(_event(now - 6_000, CYD, "purchase.made", quantity=3, price=999.25))
    return lines


class Fleet:
    """Three workers with an HTTP side that export traces, and the commands that look at them."""

    def __init__(self, stage: Stage, folder: Path, traces: Collector) -> None:
        self.stage, self.folder, self.traces = stage, folder, traces
        told = {"ORCHESTRATOR_TRACES_ENDPOINT": traces.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        self.workers = {name: stage.worker(name, **with_http(folder), **told) for name in ("w0", "w1", "w2")}
        for name, token in (("read", READ), ("reveal", REVEAL)):
            (folder / name).write_text(f"{token}\n")
        self.said: list[str] = []  # by commands that were not asked to reveal

    def run(self, *arguments: str, token: str = "read", code: int | None = 0, both: bool = False) -> str:
        """Run a command in this process, which spares the start of one; give what it prints, or else says. `code` None: any."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(
                [
                    *arguments, "--topologies", str(self.stage.topologies),
                    "--bootstrap-server", self.stage.broker.bootstrap, "--set", f"http_token_file={self.folder / token}",
                ]
            )  # fmt: skip
        assert code is None or status == code, err.getvalue() + out.getvalue()
        if "--reveal" not in arguments:
            asked = arguments[1] if len(arguments) > 1 else ""
            self.said += [err.getvalue(), out.getvalue().replace(f'"customer":"{asked}"', "")]
        return out.getvalue() + err.getvalue() if both else out.getvalue() or err.getvalue()

    def json(self, *arguments: str, **options: Any) -> Any:
        return json.loads(self.run(*arguments, "--json", **options))

    def owner(self, customer: str) -> str:
        number = partition_for(customer.encode(), PARTITIONS)
        group = group_of({"bootstrap.servers": self.stage.broker.bootstrap}, self.stage.topology.streams.app)
        found = group.owner_of(number)
        return "" if found is None else found.worker


@pytest.fixture
def fleet(stage_on_kafka: MakeStage, tmp_path: Path) -> Iterator[Fleet]:
    stage = stage_on_kafka(journeys=(), partitions=PARTITIONS, own={"journeys/big-spender.yaml": BIG_SPENDER})
    with collector() as traces:
        made = Fleet(stage, tmp_path, traces)
        addresses = [seen(worker, stage) for worker in made.workers.values()]
        stage.wait_until("all are ready", lambda: all(ask(a, "/health/ready")[0] == 200 for a in addresses))
        yield made


def _spoil(stage: Stage) -> int:
    """Records that are none, with a customer's words in all their parts."""
    client = Producer({"bootstrap.servers": stage.broker.bootstrap})
    for value in (f"{MARK} not avro".encode(), b"\xc3\x01" + MARK.encode() * 4, MARK.encode(), None):
        client.produce(stage.events, value, ANN.encode(), 0, headers={MARK: MARK.encode(), "traceparent": GOOD})
    client.flush(30)
    return 4


def test_why_inspect_and_status_on_three_workers_one_of_which_dies(fleet: Fleet) -> None:
    stage, now = fleet.stage, int(time.time() * 1000)
    records = _produce_traced(stage, _events(now)) + _spoil(stage)
    stage.wait_until("all is handled", lambda: stage.handled_records() == records)
    _traces_go_on(fleet)
    _why_it_was(fleet, now)
    _what_is_known(fleet)
    _how_things_stand(fleet)
    _while_an_owner_dies(fleet)
    _the_books(fleet)
    _nothing_was_let_out(fleet)


def _produce_traced(stage: Stage, lines: list[EventLine]) -> int:
    """Each event in a trace of its own: its number and one."""
    producer, encoder = stage.producer(), Encoder(load_schemas(), stage.topology.streams)
    for number, line in enumerate(lines, 1):
        topic, value = encoder.encode(line)
        trace = f"00-{number:032x}-{PARENT}-01".encode()
        producer.send_raw(topic, line.customer.encode(), value, line.at, [("traceparent", trace), ("tracestate", b"k=v")])
    producer.close()
    return len(lines)


def _traces_go_on(fleet: Fleet) -> None:
    """From the event's header over the spans to the action's header, and into no other trace."""
    stage, traces = fleet.stage, fleet.traces
    (row,) = stage.rows(stage.topology.policy.channels["email"].topic)
    told = dict(row.headers or [])
    _, trace, span, _ = (told["traceparent"] or b"").decode().split("-")
    assert told["tracestate"] == b"k=v"
    stage.wait_until("the action's span is there", lambda: span in {each.span_id.hex() for each in traces.spans()})
    found = {each.span_id.hex(): each for each in traces.spans() if each.trace_id.hex() == trace}
    sent = found[span]
    handled = found[sent.parent_span_id.hex()]
    assert handled.parent_span_id.hex() == PARENT
    assert attributes(sent)["messaging.message.id"] == (told["ce_id"] or b"").decode()
    assert attributes(handled)["orchestrator.event.type"] == "purchase.made"
    assert (attributes(sent)["orchestrator.journey"], attributes(sent)["orchestrator.step"]) == ("big-spender", "thanks")
    assert len(found) == 2
    failures = {each.status.message for each in traces.spans() if each.trace_id.hex() == TRACE}
    assert failures == {"not_avro", "unknown_schema", "no_value"}, "what is refused is seen, too"


def _why_it_was(fleet: Fleet, now: int) -> None:
    refused = fleet.run("why", ANN)
    assert "big-spender: did not enter (condition)" in refused
    assert "rule: event.price > 100.0" in refused
    assert "event.price = ***, event.quantity = ***" in refused
    assert "to change: an event for which the condition is true" in refused
    assert "Nothing: the customer is on no journey." in refused
    assert max(map(len, refused.splitlines())) <= 80
    assert "event.price = 20.5" in fleet.run("why", ANN, "--reveal", token="reveal")

    told = fleet.json("why", BOB)
    kinds = [(each["kind"], each.get("step", ""), each.get("reason", "")) for each in told["decisions"]]
    assert kinds[:2] == [("entered", "", ""), ("action_emitted", "thanks", "")]
    assert kinds[-1] == ("entry_refused", "", "already_active")
    assert told["decisions"][0]["expression"].startswith("event.price > 100.0")
    (wait,) = told["waits"]
    assert (wait["state"], wait["step"], wait["events"], wait["exits"]) == (
        "thanked",
        "month",
        ["csat.submitted"],
        ["account.closed"],
    )
    assert wait["change"] == f"csat.submitted or the time to be {wait['until']}"
    assert told["document_from"].startswith("worker w")

    lacking = fleet.json("why", CYD)["decisions"]
    assert [(each["reason"], each["change"]) for each in lacking] == [
        ("consent", "a consent.changed that grants a channel of the journey for promotion")
    ]
    before = fleet.json("why", BOB, "--at", _iso(now - 7_500))
    assert (before["decisions"], before["waits"]) == ([], [])
    then = fleet.json("why", BOB, "--at", _iso(now - 6_500))
    assert [wait["step"] for wait in then["waits"]] == ["month"]
    assert fleet.json("why", BOB, "--offline")["waits"] == told["waits"]
    assert "Nothing is known of this customer" in fleet.run("why", "somebody-else")
    assert "did you mean big-spender" in fleet.run("why", BOB, "--journey", "big-spendr", code=2)


def _iso(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at / 1000)) + f".{at % 1000:03}Z"


def _what_is_known(fleet: Fleet) -> None:
    masked = fleet.json("inspect", BOB)["document"]
    assert masked["profile"]["nickname"]["value"] == "***"
    assert masked["instances"][0]["context"] == {"spent": "***", "who": "***"}
    revealed = fleet.json("inspect", BOB, "--reveal", token="reveal")["document"]
    assert revealed["instances"][0]["context"] == {"spent": 777.25, "who": f"{MARK} nick"}
    assert [each["status"] for each in masked["consents"]] == ["granted"]
    assert "ORC-050" in fleet.run("inspect", BOB, "--reveal", code=4)
    assert "Nothing is kept" in fleet.run("inspect", "somebody-else", code=1)
    logs = "".join(worker.log.read_text() for worker in fleet.workers.values())
    assert logs.count('"customer_revealed"') == 2  # `why` and `inspect`
    assert logs.count('"caller": "revealer"') == 2
    key = ("--set", f"log_key_file={fleet.folder / 'log-key'}")
    (name,) = re.findall(r"logs call this customer (\w{16})", fleet.run("inspect", BOB, *key, both=True))
    assert logs.count(f'"customer": "{name}"') == 1  # `inspect --reveal`; the other was about ANN


def _how_things_stand(fleet: Fleet) -> None:
    told = fleet.json("status")
    assert (told["state"], [each["worker"] for each in told["workers"]]) == ("STABLE", ["w0", "w1", "w2"])
    assert sorted(number for each in told["workers"] for number in each["partitions"]) == list(range(PARTITIONS))
    assert [part["lag"] for part in told["partitions"]] == [0] * PARTITIONS
    assert told["incidents"] == {"no_value": 1, "not_avro": 2, "unknown_schema": 1}
    assert told["well"]
    assert "Nobody is overdue." in fleet.run("status", "--overdue")
    text = fleet.run("status")
    assert max(map(len, text.splitlines())) <= 80
    assert "3 workers" in text
    assert "big-spender" in text


def _while_an_owner_dies(fleet: Fleet) -> None:
    before = fleet.json("inspect", BOB)
    dying = fleet.owner(BOB)
    fleet.workers[dying].kill()
    during = fleet.json("inspect", BOB)  # by nobody's answer but Kafka's, or by who has it next
    assert during["document"] == before["document"]
    assert during["from"] != f"worker {dying}"
    fleet.stage.wait_until("another has it", lambda: fleet.owner(BOB) not in ("", dying))
    assert fleet.json("inspect", BOB)["document"] == before["document"]
    fleet.workers[dying] = fleet.stage.worker(dying, **with_http(fleet.folder))
    asked = 0
    while fleet.owner(BOB) != dying:  # through the whole rebalance that gives it back
        assert fleet.json("inspect", BOB)["document"] == before["document"]
        asked += 1
        assert asked < 300
    assert fleet.json("inspect", BOB)["document"] == before["document"]


def _the_books(fleet: Fleet) -> None:
    """The ledger comes out after a worker's death, with outcomes on their way; then each equation is broken in Kafka."""
    stage = fleet.stage
    (sent,) = stage.actions()
    outcome = {"action_id": sent["action_id"], "status": "delivered"}
    stage.produce([_event(int(time.time() * 1000), BOB, "action.outcome", **outcome)])
    stage.wait_until("the outcome is handled", lambda: fleet.json("status", code=None)["partitions"][_partition(BOB)]["lag"] == 0)
    told = fleet.json("ledger")
    assert told["holds"]
    assert told["partitions_without_cycles"] == []
    whole = told["whole"]
    assert (whole["decided"], whole["emitted"], whole["suppressed"]) == (2, 1, {"cap": 1})
    assert (whole["acknowledged"], whole["outstanding"]) == ({"delivered": 1}, 0)
    assert "All sums come out." in fleet.run("ledger")

    topic = stage.topology.policy.channels["email"].topic
    (row,) = stage.rows(topic)
    forged = Producer({"bootstrap.servers": stage.broker.bootstrap})
    forged.produce(topic, row.value, row.key, _partition(BOB))
    forged.flush(30)
    stage.produce([_event(int(time.time() * 1000), ANN, "action.outcome", action_id="never", status="failed")])
    stage.wait_until("the outcome is handled", lambda: fleet.json("status", code=None)["partitions"][_partition(ANN)]["lag"] == 0)
    found = fleet.json("ledger", code=1)["differences"]
    assert sorted((each["equation"], each["partition"]) for each in found) == sorted(
        [("cycles", _partition(BOB)), ("decided", _partition(BOB)), ("emitted", _partition(ANN))]
    )
    assert not [each for each in found if MARK in each["customer"]]
    revealed = fleet.json("ledger", "--reveal", code=1)["differences"]
    assert {each["customer"] for each in revealed} == {"", ANN, BOB}
    text = fleet.run("ledger", code=1)
    assert "DIFFERENCE in decided" in text
    assert max(map(len, text.splitlines())) <= 80


def _partition(customer: str) -> int:
    return partition_for(customer.encode(), PARTITIONS)


def _nothing_was_let_out(fleet: Fleet) -> None:
    """Logs, metrics, spans, messages and answers of a whole run: nothing of any customer, as nothing was asked to be revealed."""
    alive = [worker for worker in fleet.workers.values() if worker.exit_code is None]
    pages = [ask(seen(worker, fleet.stage), path, READ)[1] for worker in alive for path in ("/metrics", "/status", "/overdue")]
    logs = [worker.log.read_text() for worker in fleet.workers.values()]
    spans = [repr(body) for body in fleet.traces.requests]
    assert spans
    for text in (*logs, *map(str, pages), *fleet.said, *spans):
        assert MARK not in text
        assert "777.25" not in text
