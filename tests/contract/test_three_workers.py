"""What operators do while three workers run, customers are under way and partitions move: nothing is lost, doubled or early."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.names import ExitCode, Kind
from orchestrator.operate.publishing.definitions import read_board
from orchestrator.wire.lines import EventLine
from orchestrator.wire.programs import Freeze
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.operators import Shell, now_ms
from tests.contract.stage import Stage
from tests.contract.test_http import READ, with_http

WAIT_S = 40
JOURNEY = f"""
journey: greeting
version: 1
owner: tests
purpose: service
entry: {{on: purchase.made}}
exit: [{{on: account.closed, outcome: closed}}]
start: s
states:
  s:
    steps:
      - {{id: wait, hold_until: [{{on: auth.login, go: heard}}], timeout: {WAIT_S}s}}
      - {{id: remind, send: {{channel: email, template: remind, urgent: true}}}}
      - {{id: over, end: {{outcome: reminded}}}}
  heard:
    steps:
      - {{id: mail, send: {{channel: email, template: heard, urgent: true}}}}
      - {{id: stop, end: {{outcome: greeted}}}}
"""
POLICY = """
channels: {email: {topic: journeys.actions.email}}
purposes: {service: {consent: not_required, basis: contract}}
"""
DO = ("--execute", "--reason", "ticket 7", "--by", "olga", "--wait", "120")


class Trio:
    """Three workers on six partitions, and what is typed beside them."""

    def __init__(self, stage: Stage, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.stage, self.shell, self._folder = stage, Shell(stage, capsys), folder
        self.workers = {name: stage.worker(name, **with_http(folder)) for name in ("w0", "w1", "w2")}
        (folder / "token").write_text(READ)
        self.token = ("--set", f"http_token_file={folder / 'token'}")

    def happens(self, event: str, *customers: str, **data: Any) -> None:
        lines = (EventLine(now_ms(), each, event, f"{event}-{each}-{time.monotonic_ns()}", data) for each in customers)
        before = self.stage.handled_records()
        count = self.stage.produce(lines)
        self.stage.wait_until(f"{count} of {event} are handled", lambda: self.stage.handled_records() >= before + count)

    def kill(self, name: str) -> None:
        self.workers[name].send(signal.SIGKILL)
        self.workers[name].wait(30)

    def start(self, name: str) -> None:
        self.workers[name] = self.stage.worker(name, **with_http(self._folder))

    def kill_after(self, name: str, actions: int) -> threading.Thread:
        """Kill a worker once so many actions went out, while something else goes on."""

        def wait_and_kill() -> None:
            self.stage.wait_until("some went out", lambda: len(self.stage.actions()) >= actions)
            self.kill(name)

        killer = threading.Thread(target=wait_and_kill, daemon=True)
        killer.start()
        return killer

    def stop(self) -> None:
        for name, worker in self.workers.items():
            self.stage.wait_until(f"{name} is ready", lambda log=worker.log: "worker_ready" in log.read_text())
        assert [worker.stop() for worker in self.workers.values() if worker.exit_code is None] == [0, 0, 0]

    def decided(self, kind: str) -> dict[str, tuple[int, dict[str, Any]]]:
        found = [(each["customer"], each["at"], one) for each in self.stage.handlings() for one in each["decisions"]]
        chosen = [(customer, at, one) for customer, at, one in found if one["kind"] == kind]
        assert len({customer for customer, _, _ in chosen}) == len(chosen), f"{kind} twice"
        return {customer: (at, one) for customer, at, one in chosen}

    def sent(self) -> dict[str, str]:
        found = self.stage.actions()
        assert len({each["customer"] for each in found}) == len(found), "a message twice"
        return {each["customer"]: each["template"] for each in found}


def test_v2_v6_t6_a_pause_with_its_timers_frozen_counts_and_resumes_though_workers_die_in_it(
    stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage = stage_on_kafka(journeys=(), partitions=6, own={"policy.yaml": POLICY, "journeys/greeting.yaml": JOURNEY})
    trio = Trio(stage, capsys, tmp_path)
    shell, streams = trio.shell, stage.topology.streams
    shell.json("apply", *DO)
    waits, hears, gone = ([f"{name}{n}" for n in range(12)] for name in ("waits", "hears", "gone"))
    trio.happens("purchase.made", *waits, *hears, *gone, quantity=1, price=9.5)
    shell.json("journeys", "pause", "greeting", "--timers", "freeze", *DO)
    trio.happens("purchase.made", *waits[:6], quantity=1, price=9.5)  # half of them are handled while their clocks stand
    trio.happens("auth.login", *hears, device="web")
    trio.kill("w1")
    trio.happens("account.closed", *gone)

    # The counts: of whom can be asked, and of the changelog where nobody can.
    changed = JOURNEY.replace("version: 1", "version: 2").replace("template: remind", "template: other")
    (stage.topologies / "journeys" / "greeting.yaml").write_text(changed)
    while_away = shell.json("plan", *trio.token)
    trio.start("w1")
    stage.wait_until("all three have partitions", lambda: shell.json("plan", *trio.token)["counted_by"] == ["w0", "w1", "w2"])
    plan, without = shell.json("plan", *trio.token), shell.json("plan")
    assert (plan["counted_in_changelog"], without["counted_by"], without["counted_in_changelog"]) == ([], [], list(range(6)))
    assert plan["journeys"] == without["journeys"] == while_away["journeys"]
    assert plan["journeys"][0]["instances"] == 12
    assert shell.run("plan", *trio.token) == 0
    assert "counted by the workers w0, w1, w2." in shell.err
    assert shell.run("plan") == 0
    assert "counted by the changelog." in shell.err
    (stage.topologies / "journeys" / "greeting.yaml").write_text(JOURNEY)

    # Long after all waits would have run out nobody's has, and nothing was sent.
    latest = max(at for at, _ in trio.decided(Kind.ENTERED).values()) + WAIT_S * 1000
    stage.wait_until("every deadline is past", lambda: stage.timers_fired_before() > latest or now_ms() > latest + 3_000)
    assert (trio.sent(), {one["by"] for _, one in trio.decided(Kind.HOLD_RESOLVED).values()}) == ({}, {"event"})

    killer = trio.kill_after("w2", 4)
    assert shell.json("journeys", "resume", "greeting", "--rate", "3", *DO)["customers"] >= 18
    killer.join()
    stage.wait_until("everybody is written to", lambda: len(stage.actions()) == 24)
    trio.start("w2")
    assert trio.sent() == dict.fromkeys(waits, "remind") | dict.fromkeys(hears, "heard")
    board = read_board({"bootstrap.servers": stage.broker.bootstrap}, streams)
    assert board.latest is not None
    (freeze,) = board.latest.freezes
    assert freeze == Freeze("greeting", freeze.since, freeze.until)
    entered = trio.decided(Kind.ENTERED)
    timed_out = {name: at for name, (at, _) in trio.decided(Kind.HOLD_RESOLVED).items() if name in waits}
    late = {name: at - entered[name][0] - WAIT_S * 1000 for name, at in timed_out.items()}
    assert late == dict.fromkeys(waits, freeze.until - freeze.since), "each wait was as much longer as the pause was long"

    assert shell.run("ledger") == ExitCode.OK, shell.out
    trio.stop()
    assert_exactly_once(stage)
    assert shell.run("replay", "--out", str(tmp_path / "replayed"), "--jobs", "1") == ExitCode.OK, shell.out + shell.err


def test_a4_f1_r1_who_is_moved_held_let_go_and_erased_while_partitions_move_is_so_once(
    stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own = {"policy.yaml": POLICY, "journeys/greeting.yaml": JOURNEY.replace(f"timeout: {WAIT_S}s", "timeout: 30d")}
    stage = stage_on_kafka(journeys=(), partitions=6, own=own)
    trio = Trio(stage, capsys, tmp_path)
    shell = trio.shell
    customers = [f"c{n}" for n in range(18)]
    trio.happens("purchase.made", *customers, quantity=1, price=9.5)
    moved, skipped, ejected, held, erased, other = (customers[n::6] for n in range(6))

    killer = trio.kill_after("w0", 1)
    for each in moved:
        shell.do("customer", "move", each, "--to", "heard")
    for each in skipped:
        shell.do("customer", "skip", each)
    killer.join()
    for each in held:
        shell.do("customer", "hold", each)
    trio.start("w0")  # its partitions come back while the rest is asked for
    for each in ejected:
        shell.do("customer", "eject", each)
    for each in erased:
        receipt = shell.do("erase", each)
        assert receipt["executed"] is True
    trio.happens("auth.login", *held, *erased, *other, device="web")
    assert not {*held} & {*trio.sent()}
    trio.kill("w1")
    for each in held:
        shell.do("customer", "release", each)
    trio.start("w1")
    stage.wait_until("all was sent", lambda: len(stage.actions()) == 12)

    wanted = dict.fromkeys((*moved, *held, *other), "heard") | dict.fromkeys(skipped, "remind")
    assert trio.sent() == wanted
    assert {*trio.decided(Kind.ERASED)} == {*erased}
    assert shell.run("ledger") == ExitCode.OK, shell.out
    trio.stop()
    assert_exactly_once(stage)
    assert shell.run("replay", "--out", str(tmp_path / "replayed"), "--jobs", "1") == ExitCode.OK, shell.out + shell.err
