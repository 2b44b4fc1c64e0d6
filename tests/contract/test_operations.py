"""What operators ask for, through the commands and workers on a real Kafka (rules A4, F1)."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.names import ExitCode
from orchestrator.operate.operations import Desk, Request
from orchestrator.wire.partitioning import partition_for
from orchestrator.wire.schemas import load_schemas
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.operators import Shell, fail_call, kinds, log_in, make, now_ms, sign_up, wait_for_help


def test_a4_an_operator_acts_on_one_customer(stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str]) -> None:
    stage = make(stage_on_kafka, 1)
    shell = Shell(stage, capsys)
    worker = stage.worker()
    sign_up(stage, "ann", "bob")
    wait_for_help(stage, "waiting", "ann", "bob")

    plan = shell.json("customer", "move", "ann", "--to", "calling")
    assert [each["state"] for each in plan["instances"]] == ["waiting"] and not plan["executed"]
    assert kinds(plan) == [("operated", "move"), ("state_entered", ""), ("action_emitted", "")]
    assert stage.actions() == [], "a plan changes nothing"
    assert shell.run("customer", "move", "ann", "--to", "caling") == ExitCode.USAGE and "did you mean calling?" in shell.err
    assert shell.run("customer", "move", "ann", "--to", "calling", "--execute") == ExitCode.USAGE, "no reason given"
    assert kinds(shell.do("customer", "move", "ann", "--to", "calling")) == kinds(plan)
    assert shell.run("customer", "retry", "ann") == ExitCode.REFUSED and "not_failed" in shell.err
    assert shell.run("customer", "skip", "nobody") == ExitCode.REFUSED

    fail_call(stage, "ann")
    stage.wait_until("the call has failed", lambda: any(row.key == b"ann" for row in stage.incidents()))
    assert kinds(shell.do("customer", "retry", "ann")) == [("operated", "retry"), ("action_emitted", "")]
    assert kinds(shell.do("customer", "hold", "ann", "--until", "2h"))[0] == ("operated", "hold")
    assert kinds(shell.do("customer", "skip", "ann"))[-1] == ("action_held", "operator")
    assert kinds(shell.do("customer", "release", "ann")) == [
        ("operated", "release"), ("action_released", "operator"), ("action_emitted", ""),
    ]  # fmt: skip
    assert kinds(shell.do("customer", "eject", "bob")) == [("operated", "eject"), ("exited", "operator")]
    assert shell.run("customer", "eject", "bob") == ExitCode.REFUSED and "no_instance" in shell.err

    assert worker.stop() == 0
    said = [one for each in stage.handlings() for one in each["decisions"] if one["kind"] == "operated"]
    assert {one["detail"]["requested_by"] for one in said} == {"olga"} and len(said) == 6
    assert_exactly_once(stage)

    assert shell.run("customer", "hold", "bob", "--execute", "--reason", "x", "--wait", "1") == ExitCode.UNREACHABLE
    assert "ORC-020" in shell.err and "it stands" in shell.err


@pytest.mark.long
def test_i3_a4_kill_9_between_a_request_and_its_handling_and_it_is_done_once(stage_on_kafka: MakeStage) -> None:
    stage = make(stage_on_kafka, 4)
    customers = [f"c{n}" for n in range(12)]
    assert {partition_for(each.encode(), 4) for each in customers} == set(range(4))
    workers = [stage.worker("w1"), stage.worker("w2")]
    stage.wait_until("both work", lambda: all("worker_ready" in each.log.read_text() for each in workers))
    sign_up(stage, *customers)
    wait_for_help(stage, "waiting", *customers)

    desk = Desk({"bootstrap.servers": stage.broker.bootstrap}, stage.topology.streams, load_schemas())
    asked = [Request("move", each, "olga", "a test", now_ms(), journey="help", state="calling") for each in customers]
    for worker in workers:
        worker.send(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        answering = thread.submit(desk.ask, asked, 120.0)
        stage.wait_until("they are written", lambda: len(stage.rows(stage.topology.streams.operations)) == len(asked))
        stage.produce(each.line() for each in asked)
        workers[0].kill()
        workers[1].send(signal.SIGCONT)
        answers = answering.result(240)
        workers.append(stage.worker("w1"))
        stage.wait_until("it is back", lambda: "worker_ready" in workers[-1].log.read_text())
        stage.wait_until("repeats too", lambda: stage.handled_records() == len(customers) * 3)
    assert all(each.is_done and not each.refusals for each in answers)
    assert [each["action"] for each in stage.actions()] == ["open-case"] * len(customers)
    assert [each.stop() for each in workers[1:]] == [0, 0]
    report = assert_exactly_once(stage)
    assert report is not None and report.counts["source records"] == len(customers) * 3


def test_a4_parked_calls_are_listed_tried_again_and_given_up(
    stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = make(stage_on_kafka, 1)
    shell = Shell(stage, capsys)
    worker = stage.worker()
    customers = [f"c{n}" for n in range(6)]
    sign_up(stage, *customers, "fine")
    log_in(stage, *customers)
    wait_for_help(stage, "calling", *customers)
    for index, customer in enumerate(customers):
        fail_call(stage, customer, "busy" if index % 2 else "desk-closed")
    stage.wait_until("all have failed", lambda: len(stage.incidents()) == len(customers))

    listed = shell.json("parked", "list", "--journey", "help")["parked"]
    assert {(each["customer"], each["code"]) for each in listed} == {
        (each, "busy" if index % 2 else "desk-closed") for index, each in enumerate(customers)
    }
    assert all(each["at"] and each["reason"] == "action_failed" and each["step"] == "open-case" for each in listed)
    assert shell.json("parked", "list", "--until", listed[0]["at"])["parked"] == []
    assert shell.json("parked", "list", "--step", "ask")["parked"] == []
    assert shell.json("parked", "show", "c1")["parked"][0]["call"] == {"plan": "free"}
    assert shell.run("parked", "show", "fine") == ExitCode.REFUSED

    actions = len(stage.actions())
    assert shell.json("parked", "redrive", "--code", "busy")["executed"] is False
    assert shell.run("parked", "redrive", "--code", "busy") == 0 and "3 to retry. Nothing was done" in shell.err
    assert len(stage.actions()) == actions
    done = {"executed": True, "refused": {}, "unanswered": 0, "not_asked": 0}
    assert shell.do("parked", "redrive", "--code", "busy") == done | {"asked": 3, "done": 3}
    assert [each["attempt"] for each in stage.actions()].count(2) == 3
    assert shell.do("parked", "fail", "--max", "2") == done | {"asked": 2, "done": 2}
    assert [each["code"] for each in shell.json("parked", "list")["parked"]] == ["desk-closed"]
    assert worker.stop() == 0
    assert_exactly_once(stage)
