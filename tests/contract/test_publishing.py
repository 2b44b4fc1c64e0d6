"""Publishing on a real Kafka while workers run and customers are under way (rules V1, V2, V4, V5, V6)."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.names import ExitCode
from orchestrator.wire.lines import EventLine
from orchestrator.wire.programs import revision_of
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.operators import Shell, now_ms
from tests.contract.stage import Stage

GREETING = """
journey: greeting
version: 1
owner: tests
purpose: service
entry: {on: purchase.made}
start: s
states:
  s:
    on: [{event: auth.login, go: heard}]
    rest: true
  heard:
    steps:
      - {id: mail, send: {channel: email, template: first, urgent: true}}
      - {id: stop, end: {outcome: greeted}}
"""
SECOND = GREETING.replace("version: 1", "version: 2").replace("first", "second")
POLICY = """
channels: {email: {topic: journeys.actions.email}}
purposes: {service: {consent: not_required, basis: contract}}
"""
DO = ("--reason", "ticket 7", "--by", "olga", "--wait", "120")


def _purchases(customers: Sequence[str]) -> list[EventLine]:
    return [EventLine(now_ms(), each, "purchase.made", f"p-{each}", {"quantity": 1, "price": 9.5}) for each in customers]


def _logins(customers: Sequence[str]) -> list[EventLine]:
    return [EventLine(now_ms(), each, "auth.login", f"l-{each}", {}) for each in customers]


def _make(stage_on: MakeStage, partitions: int) -> Stage:
    return stage_on(journeys=(), partitions=partitions, own={"policy.yaml": POLICY, "journeys/greeting.yaml": GREETING})


def _rewrite(stage: Stage, text: str) -> None:
    (stage.topologies / "journeys" / "greeting.yaml").write_text(text)


def _sent(stage: Stage) -> dict[str, tuple[int, str]]:
    found = stage.actions()
    assert len({each["customer"] for each in found}) == len(found)
    return {each["customer"]: (each["version"], each["template"]) for each in found}


def _handled(stage: Stage, count: int) -> None:
    stage.wait_until(f"{count} records are handled", lambda: stage.handled_records() >= count)


@pytest.mark.long
def test_v1_v2_v4_three_workers_take_a_version_while_they_run_and_one_leaves(
    stage_on_kafka: MakeStage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = _make(stage_on_kafka, 6)
    before = shutil.copytree(stage.topologies, tmp_path / "before")
    shell = Shell(stage, capsys)
    workers = [stage.worker(f"w{n}") for n in range(3)]
    old, new = [f"old{n}" for n in range(30)], [f"new{n}" for n in range(30)]
    stage.produce(_purchases(old))
    _handled(stage, 30)

    # The folder itself becomes the first revision; nothing differs then.
    assert shell.run("plan", "--detailed-exitcode") == 2
    assert shell.json("apply", "--execute", *DO)["revision"] == 1
    assert shell.run("plan", "--detailed-exitcode") == ExitCode.OK

    _rewrite(stage, SECOND)
    kept = tmp_path / "plan.json"
    plan = shell.json("plan", "--detailed-exitcode", "--out", str(kept), status=2)
    (change,) = plan["journeys"]
    assert (change["before"], change["after"], change["instances"]) == (1, 2, 30)
    assert [(c["what"], c["state"], c["step"], c["policy"]) for c in change["changes"]] == [("changed", "heard", "mail", "stay")]

    workers[1].send(signal.SIGKILL)  # its partitions go to the others while the version becomes live
    stage.produce(_purchases(new[:10]))
    shell.json("apply", str(kept), *DO)
    stage.produce(_purchases(new[10:]))
    stage.produce(_logins(old))
    _handled(stage, 90)
    # Everybody who entered after the apply came back has the second version.
    stage.produce(_logins(new))
    workers.append(stage.worker("w1"))
    _handled(stage, 120)
    stage.wait_until("w1 is back", lambda: "worker_ready" in workers[-1].log.read_text())
    assert shell.run("apply", str(kept), *DO) == ExitCode.REFUSED and "ORC-031" in shell.err, "the plan is stale"

    assert [worker.stop() for worker in workers if worker.exit_code is None] == [0, 0, 0]
    sent = _sent(stage)
    assert {sent[each] for each in old} == {(1, "first")}, "they keep the version that they started on"
    assert {sent[each] for each in new[10:]} == {(2, "second")}
    assert {sent[each] for each in new[:10]} <= {(1, "first"), (2, "second")}
    by_partition: dict[int, list[int]] = {}
    for record, _ in stage.journal():
        by_partition.setdefault(record.partition, []).append(revision_of(record.program))
    assert len(by_partition) == 6
    for revisions in by_partition.values():
        assert revisions == sorted(revisions) and revisions[-1] == 2, "no partition goes back, and each is told live"
    assert_exactly_once(stage, earlier=[before])


@pytest.mark.long
def test_v5_v6_pause_resume_and_roll_back_with_nothing_lost(
    stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage = _make(stage_on_kafka, 2)
    before = shutil.copytree(stage.topologies, tmp_path / "before")
    shell = Shell(stage, capsys)
    worker = stage.worker()
    assert shell.run("journeys", "list") == ExitCode.REFUSED and "ORC-030" in shell.err
    shell.json("apply", "--execute", *DO)
    _rewrite(stage, GREETING.replace("first", "second"))
    assert shell.run("plan") == ExitCode.REFUSED and "raise its `version`" in shell.err
    _rewrite(stage, SECOND)
    assert shell.run("apply", "--execute") == ExitCode.USAGE, "no reason given"
    shell.json("apply", "--execute", *DO)

    stage.produce(_purchases(["ann", "bob", "cem"]))
    assert shell.json("journeys", "pause", "greeting")["executed"] is False
    shell.json("journeys", "pause", "greeting", "--execute", *DO)
    stage.produce(_logins(["ann", "bob"]))
    _handled(stage, 5)
    assert stage.actions() == []
    assert worker.stop() == 0
    worker = stage.worker()  # the pause outlives the worker
    stage.produce(_logins(["cem"]))
    _handled(stage, 6)
    assert stage.actions() == []
    assert shell.json("journeys", "resume", "greeting", "--execute", "--rate", "1", *DO)["customers"] == 3
    stage.wait_until("what was held is sent", lambda: len(stage.actions()) == 3)
    assert shell.json("journeys", "resume", "greeting", "--execute", *DO)["customers"] == 0

    assert shell.json("journeys", "rollback", "greeting")["entries"] == {"greeting": 1}
    shell.json("journeys", "rollback", "greeting", "--execute", *DO)
    stage.produce([*_purchases(["dan"]), *_logins(["dan"])])
    stage.wait_until("dan is greeted", lambda: "dan" in _sent(stage))
    shown = shell.json("journeys", "show", "greeting")
    assert [(each["version"], each["status"]) for each in shown["versions"]] == [(2, "earlier"), (1, "entries")]
    assert [each["by"] for each in shown["revisions"]] == ["olga"] * 5
    shell.json("apply", "--execute", *DO)  # the folder's version takes the entries again
    stage.produce([*_purchases(["eve"]), *_logins(["eve"])])
    stage.wait_until("eve is greeted", lambda: "eve" in _sent(stage))

    assert worker.stop() == 0
    sent = _sent(stage)
    assert {name: version for name, (version, _) in sent.items()} == {"ann": 2, "bob": 2, "cem": 2, "dan": 1, "eve": 2}
    assert_exactly_once(stage, earlier=[before])

    replayed = ("replay", "--earlier", str(before), "--out", str(tmp_path / "replayed"), "--jobs", "1")
    assert shell.run(*replayed) == ExitCode.OK, shell.out + shell.err


GROUPS = """
journey: greeting
version: 1
owner: tests
purpose: service
entry: {on: purchase.made}
start: s
states:
  s:
    steps:
      - id: which
        split:
          - {when: event.quantity == 1, go: a}
          - {when: event.quantity == 2, go: b}
          - {when: event.quantity == 3, go: c}
          - {else: d}
  a: {steps: [{id: wait-a, hold_until: [{on: auth.login, go: heard}], timeout: 3d}, {id: stop-a, end: {}}]}
  b: {steps: [{id: wait-b, hold_until: [{on: auth.login, go: heard}], timeout: 3d}, {id: stop-b, end: {}}]}
  c: {steps: [{id: wait-c, hold_until: [{on: auth.login, go: heard}], timeout: 3d}, {id: stop-c, end: {}}]}
  d: {steps: [{id: wait-d, hold_until: [{on: auth.login, go: heard}], timeout: 3d}, {id: stop-d, end: {}}]}
  heard: {steps: [{id: mail, send: {channel: email, template: first, urgent: true}}, {id: stop, end: {outcome: greeted}}]}
"""
HEIR = """
journey: greeting
version: 2
owner: tests
purpose: service
entry: {on: purchase.made}
inherits:
  - {version: 1, step: wait-a, policy: move_to, to: brief}
  - {version: 1, step: wait-b, policy: restart}
  - {version: 1, step: wait-c, policy: exit}
  - {version: 1, step: wait-d, policy: stay}
start: s
states:
  s:
    steps:
      - {id: mail, send: {channel: email, template: second, urgent: true}}
      - {id: brief, hold_until: [{on: auth.login}], timeout: 1s}
      - {id: late, send: {channel: email, template: late, urgent: true}}
      - {id: stop, end: {}}
"""


@pytest.mark.long
def test_v2_v3_who_stands_on_changed_steps_is_moved_restarted_or_ended_though_a_worker_dies(
    stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage = stage_on_kafka(journeys=(), partitions=4, own={"policy.yaml": POLICY, "journeys/greeting.yaml": GROUPS})
    before = shutil.copytree(stage.topologies, tmp_path / "before")
    shell = Shell(stage, capsys)
    workers = [stage.worker(f"w{n}") for n in range(2)]
    groups = {name: [f"{name}{n}" for n in range(20)] for name in "abcd"}
    stage.produce(
        [
            EventLine(now_ms(), each, "purchase.made", f"p-{each}", {"quantity": number, "price": 9.5})
            for number, name in enumerate(groups, 1)
            for each in groups[name]
        ]
    )
    _handled(stage, 80)
    shell.json("apply", "--execute", *DO)
    _rewrite(stage, HEIR)
    plan = shell.json("plan")
    (change,) = plan["journeys"]
    assert plan["taken_over"] == 60
    told = {each["step"]: (each["instances"], each["policy"], each["to"]) for each in change["changes"] if "wait" in each["step"]}
    assert told == {
        "wait-a": (20, "move_to", "brief"), "wait-b": (20, "restart", ""), "wait-c": (20, "exit", ""), "wait-d": (20, "stay", ""),
    }  # fmt: skip

    assert sum(each["instances"] for each in change["changes"]) == 80, "each counts once"

    # The worker dies while the others are being taken over; the one that is left goes on with its partitions.
    killed_after: list[int] = []

    def kill() -> None:
        stage.wait_until("some are taken over", lambda: len(stage.actions()) >= 5)
        workers[0].send(signal.SIGKILL)
        killed_after.append(len(stage.actions()))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    done = shell.json("apply", "--execute", "--rate", "6", *DO)
    assert (done["executed"], done["customers"]) == (True, 60)
    killer.join()
    assert killed_after and killed_after[0] < 60
    stage.wait_until("everybody is written to", lambda: len(stage.actions()) == 60)
    assert shell.json("plan")["taken_over"] == 0
    assert shell.run("apply", "--execute", *DO) == ExitCode.OK and "No changes" in shell.out + shell.err, "it can be asked again"
    stage.produce(_logins([*groups["c"], *groups["d"]]))
    stage.wait_until("who stayed is greeted", lambda: len(stage.actions()) == 80)

    workers.append(stage.worker("w0"))
    stage.wait_until("w0 is back", lambda: "worker_ready" in workers[-1].log.read_text())
    assert [worker.stop() for worker in workers if worker.exit_code is None] == [0, 0]
    sent: dict[str, list[tuple[int, str]]] = {}
    for each in stage.actions():
        sent.setdefault(each["customer"], []).append((each["version"], each["template"]))
    wanted = {"a": [(2, "late")], "b": [(2, "second"), (2, "late")], "d": [(1, "first")]}
    assert sent == {each: wanted[name] for name in wanted for each in groups[name]}, "and nobody of c"
    assert_exactly_once(stage, earlier=[before])
    replayed = ("replay", "--earlier", str(before), "--out", str(tmp_path / "replayed"), "--jobs", "1")
    assert shell.run(*replayed) == ExitCode.OK, shell.out + shell.err
