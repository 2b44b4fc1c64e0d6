"""Who has personal values shown is on the audit topic before anything is shown, and what cannot be noted is not shown."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from orchestrator import cli
from orchestrator.names import ExitCode
from orchestrator.operate.demo.events import EventLine
from orchestrator.wire.acts import decode_operator_act
from tests.contract.conftest import MakeStage
from tests.contract.operators import Shell, log_in, make, now_ms, sign_up, wait_for_help
from tests.contract.stage import Stage
from tests.contract.test_http import READ, REVEAL, ask, seen, with_http

NICK = "zaphod"


def _reveal(shell: Shell, command: str, *more: str, status: int = 0) -> str:
    assert shell.run(command, "ann", "--offline", "--reveal", "--json", *more) == status, shell.err
    return shell.out


def _acts(stage: Stage) -> list[tuple[str, str, str, str, dict[str, str]]]:
    found = [decode_operator_act(row.value or b"") for row in stage.rows(stage.topology.streams.audit)]
    return [(act.act, act.subject, act.by, act.reason, act.detail) for act in found]


def _refuse_writing(stage: Stage) -> None:
    admin: Any = AdminClient({"bootstrap.servers": stage.broker.bootstrap})
    entry = ConfigEntry("max.message.bytes", "1", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ConfigResource.Type.TOPIC, stage.topology.streams.audit, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(30)


def test_f2_who_has_values_shown_is_noted_first_or_sees_nothing(
    stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = make(stage_on_kafka, 2)
    shell, me = Shell(stage, capsys), getpass.getuser()
    worker = stage.worker()
    sign_up(stage, "ann")
    stage.produce([EventLine(now_ms(), "ann", "profile.updated", "p1", {"fields": {"nickname": NICK}})])
    wait_for_help(stage, "waiting", "ann")
    stage.wait_until("the profile is known", lambda: NICK.encode() in b"".join(stage.changelog_documents().values()))

    assert shell.run("inspect", "ann", "--offline", "--json") == 0
    assert NICK not in shell.out
    assert _acts(stage) == []

    assert NICK in _reveal(shell, "inspect", "--reason", "ticket 1")
    assert "ann" in _reveal(shell, "why")
    noted = [
        ("revealed", "ann", me, "ticket 1", {"command": "inspect"}),
        ("revealed", "ann", me, "", {"command": "why"}),
    ]
    assert _acts(stage) == noted
    exported = shell.json("export", "ann", "--reason", "ticket 2", "--by", "olga", "--wait", "120")
    noted.append(("revealed", "ann", "olga", "ticket 2", {"command": "export"}))
    assert _acts(stage) == noted
    told = exported["document"]["topics"][stage.topology.streams.audit]["records"]
    assert [each["detail"]["command"] for each in told] == ["inspect", "why", "export"]
    assert worker.stop() == 0

    _refuse_writing(stage)
    for command in ("inspect", "why"):
        assert _reveal(shell, command, status=ExitCode.UNREACHABLE) == ""
        assert "not shown" in shell.err
        assert NICK not in shell.err
    assert shell.run("export", "ann", "--reason", "ticket 3") == ExitCode.UNREACHABLE
    assert shell.out == ""
    assert _acts(stage) == noted

    admin: Any = AdminClient({"bootstrap.servers": stage.broker.bootstrap})
    for future in admin.delete_topics([stage.topology.streams.audit]).values():
        future.result(30)
    assert _reveal(shell, "inspect", status=ExitCode.REFUSED) == ""
    assert "ORC-005" in shell.err


def _commands_that_reveal(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands_that_reveal(each, (*path, name))
    if any("--reveal" in option.opts for option in command.params):
        yield path


@pytest.mark.long
def test_f2_every_command_that_reveals_and_every_caller_of_a_worker_is_noted_first_or_sees_nothing(
    stage_on_kafka: MakeStage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What each command shows only with --reveal, a name, must come with a record of the audit, and not come without."""
    stage = make(stage_on_kafka, 2)
    shell = Shell(stage, capsys)
    worker = stage.worker(**with_http(tmp_path))
    address = seen(worker, stage)
    sign_up(stage, NICK)
    log_in(stage, NICK)
    wait_for_help(stage, "calling", NICK)
    forged = Producer({"bootstrap.servers": stage.broker.bootstrap})
    desk = stage.topology.policy.channels["case-desk"].topic
    (row,) = stage.rows(desk)
    forged.produce(desk, row.value, row.key, row.partition)  # a difference for the ledger
    forged.produce(stage.events, b"no event", NICK.encode(), row.partition)  # the incident
    forged.flush(30)
    stage.wait_until("there is an incident", lambda: len(stage.incidents()) == 1)
    (incident,) = shell.json("incidents", "list")
    ways = {
        ("why",): (NICK, "--offline", "--json"),
        ("inspect",): (NICK, "--offline", "--json"),
        ("ledger",): ("--json",),
        ("incidents", "show"): (incident["id"],),
    }
    assert set(_commands_that_reveal(typer.main.get_command(cli.build()))) == {*ways}, "name what else reveals here"

    assert ask(address, "/reveal", READ, {"customer": NICK})[0] == 403
    status, told = ask(address, "/reveal", REVEAL, {"customer": NICK, "reason": "ticket 9"})
    assert (status, told["document"]["instances"][0]["state"]) == (200, "calling")
    me = getpass.getuser()
    noted = [("revealed", NICK, "revealer", "ticket 9", {"command": "POST /reveal"})]
    assert _acts(stage) == noted
    for path, more in ways.items():
        assert shell.run(*path, *more, "--reveal") in (0, 1), shell.err
        assert NICK in shell.out
        about = NICK if path != ("incidents", "show") else f"incident {incident['id']}"
        noted.append(("revealed", about, me, "", {"command": " ".join(path)}))
        assert _acts(stage) == noted, path

    _refuse_writing(stage)
    assert ask(address, "/reveal", REVEAL, {"customer": NICK})[0] == 503
    for path, more in ways.items():
        assert shell.run(*path, *more, "--reveal") == ExitCode.UNREACHABLE
        assert (shell.out, NICK in shell.err) == ("", False)
    assert _acts(stage) == noted
    assert worker.stop() == 0
