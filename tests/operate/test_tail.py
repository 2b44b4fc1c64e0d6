"""`actions tail`: the actions as channel services see them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator import cli
from orchestrator.engine.handling import Action
from orchestrator.names import ExitCode
from orchestrator.operate.tail import table_line
from orchestrator.wire.actions import ActionEncoder, decode_action
from tests.brokers.choice import Broker
from tests.brokers.topics import fill, unique

START = 852_076_800_000
MINUTE = 60_000
DEADLINE_S = 30


def action(number: int, channel: str = "email", **changes: Any) -> Action:
    plain: dict[str, Any] = {
        "kind": "send",
        "action_id": f"a{number}",
        "customer": f"c{number}",
        "journey": "winback",
        "version": 1,
        "instance": f"i{number}",
        "step": "offer",
        "channel": channel,
        "created_at": START + number * MINUTE,
        "expires_at": START + number * MINUTE + 1,
        "template": "come-back",
    }
    return Action(**{**plain, **changes})


class Desk:
    """A topology with two channels on a broker."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.broker = broker
        self.folder = folder
        self.topics = {"email": unique("email"), "sms": unique("sms")}
        (folder / "streams.yaml").write_text("app: desk\nevents:\n  - topic: events\n")
        listed = "".join(f"  {name}: {{topic: {topic}}}\n" for name, topic in self.topics.items())
        (folder / "policy.yaml").write_text(f"channels:\n{listed}")
        for topic in self.topics.values():
            broker.create_topic(topic, 2)

    def emit(self, *actions: Action) -> None:
        encoder = ActionEncoder("desk")
        for topic_of, topic in self.topics.items():
            encoded = [(each, encoder.encode(each)) for each in actions if each.channel == topic_of]
            rows = [
                {"key": key, "value": value, "headers": headers, "timestamp": each.created_at}
                for each, (key, value, headers) in encoded
            ]
            fill(self.broker.bootstrap, topic, rows)

    def arguments(self, *more: str) -> list[str]:
        return [
            "actions", "tail", "--topologies", str(self.folder), "--bootstrap-server", self.broker.bootstrap,
            "--set", "connect_timeout_s=5", *more,
        ]  # fmt: skip

    def tail(self, *more: str) -> int:
        return cli.run(self.arguments(*more))


@pytest.fixture
def desk(embedded: Broker, tmp_path: Path) -> Desk:
    return Desk(tmp_path, embedded)


def shown(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_last_ones_are_shown_in_the_order_of_their_time(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.emit(*(action(number, "sms" if number % 2 else "email") for number in range(25)))
    assert desk.tail("--json") == ExitCode.OK
    lines = shown(capsys)
    assert [line["action_id"] for line in lines] == [f"a{number}" for number in range(15, 25)]
    assert lines[0] | {"at": "1997-01-01T00:15:00Z", "customer": "c15", "journey": "winback", "step": "offer"} == lines[0]
    assert {"channel", "template", "action_id", "expires_at"} <= lines[0].keys()


def test_max_says_how_many_of_the_last(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.emit(*(action(number) for number in range(9)))
    assert desk.tail("--json", "--max", "3") == ExitCode.OK
    assert [line["action_id"] for line in shown(capsys)] == ["a6", "a7", "a8"]


def test_from_the_beginning_all_are_shown(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.emit(*(action(number, "sms" if number % 2 else "email") for number in range(300)))
    assert desk.tail("--json", "--from-beginning") == ExitCode.OK
    assert {line["action_id"] for line in shown(capsys)} == {f"a{number}" for number in range(300)}
    assert desk.tail("--json", "--from-beginning", "--max", "7") == ExitCode.OK
    assert len(shown(capsys)) == 7


def test_one_channel_can_be_asked_for(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.emit(action(1), action(2, "sms"))
    assert desk.tail("--json", "--channel", "sms") == ExitCode.OK
    assert [line["action_id"] for line in shown(capsys)] == ["a2"]


def test_an_unknown_channel_is_a_usage_error(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.tail("--channel", "emial") == ExitCode.USAGE
    assert "did you mean email?" in capsys.readouterr().err


def test_nothing_yet_is_no_error(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.tail() == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == ["AT                   CUSTOMER   JOURNEY/STEP               ACTION"]


def test_people_get_lines_of_eighty_columns(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.emit(action(1), action(2, customer="x" * 50, journey="j" * 40, template="t" * 40))
    assert desk.tail() == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "1997-01-01T00:01:00Z c1         winback/offer              email come-back"
    assert max(map(len, lines)) <= 80
    assert lines[2].count("…") == 3


def test_calls_and_cancels_are_told_apart() -> None:
    encoder = ActionEncoder("desk")
    found = [
        table_line(decode_action(encoder.encode(each)[1]))
        for each in (action(1, kind="call", template="", action="open-case"), action(2, kind="cancel", action_id="a1"))
    ]
    assert [line.split(" email ")[1] for line in found] == ["open-case", "cancel a1"]


def test_what_is_no_action_is_said_and_passed_over(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    fill(desk.broker.bootstrap, desk.topics["email"], [{"key": b"c", "value": b"junk", "partition": 1}])
    desk.emit(action(1))
    assert desk.tail("--json") == ExitCode.OK
    captured = capsys.readouterr()
    assert f"{desk.topics['email']}/1/0: no action of this version" in captured.err
    assert len(captured.out.splitlines()) == 1


def test_a_missing_topic_is_refused(embedded: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, embedded)
    (tmp_path / "policy.yaml").write_text("channels:\n  email: {topic: nowhere}\n")
    assert desk.tail() == ExitCode.REFUSED
    captured = capsys.readouterr()
    assert "no such topic: nowhere" in captured.err
    assert captured.out == ""


def test_a_broker_that_is_down_gives_exit_3(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.tail("--bootstrap-server", "127.0.0.1:1", "--set", "connect_timeout_s=1") == ExitCode.UNREACHABLE
    assert "ORC-003" in capsys.readouterr().err


def test_follow_shows_what_comes_and_ctrl_c_ends_it_cleanly(desk: Desk, tmp_path: Path) -> None:
    desk.emit(action(1))
    out, errors = tmp_path / "out", tmp_path / "errors"
    with out.open("wb") as stdout, errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *desk.arguments("--follow", "--json")],
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            wait_for_lines(out, 1)
            desk.emit(action(2))
            wait_for_lines(out, 2)
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == ExitCode.INTERRUPTED
        finally:
            process.kill()
            process.wait()
    assert [json.loads(line)["action_id"] for line in out.read_text().splitlines()] == ["a1", "a2"]
    assert "Traceback" not in errors.read_text()


def wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while len(path.read_text().splitlines()) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} has {path.read_text()!r} after {DEADLINE_S} s")
        time.sleep(0.05)


def test_only_committed_actions_are_shown(kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from confluent_kafka import Producer

    desk = Desk(tmp_path, kafka)
    key, value, _ = ActionEncoder("desk").encode(action(1))
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": unique("t")})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(desk.topics["email"], value, key)
    producer.flush(30)
    producer.abort_transaction(30)
    desk.emit(action(2))
    assert desk.tail("--json") == ExitCode.OK
    assert [line["action_id"] for line in shown(capsys)] == ["a2"]
