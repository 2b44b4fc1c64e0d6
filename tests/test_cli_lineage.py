"""`lineage`: what it tells as a table, as JSON and drawn."""

from __future__ import annotations

import json

import pytest

from orchestrator.cli import run
from tests.house.tree import ROOT

COMMAND = ["lineage", "--topologies", str(ROOT / "topologies"), "--schemas", str(ROOT / "schemas/avro")]


def test_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMAND, "--type", "payment.failed", "--journey", "payment-recovery"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["TYPE", "FIELD", "JOURNEY", "STEP", "KIND", "EXPRESSION", "LEADS", "TO"]
    assert any("amount as journey.amount" in row and "payment-reminder" in row and "email|sms" in row for row in rows)
    assert run([*COMMAND, "--type", "payment.failed", "--journey", "payment-recovery", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["uses"]
    assert len(told) == len(rows)
    (reminder,) = [use for use in told if use["step"] == "payment-reminder" and use["field"] == "amount"]
    assert reminder["expression"] == "journey.amount"
    assert reminder["place"]["path"].endswith("payment-recovery.yaml")
    assert [act["channels"] for act in reminder["leads_to"]] == [["email", "sms"]]
    assert reminder["into"] == "amount"


@pytest.mark.parametrize(("form", "begins"), [("mermaid", "flowchart LR"), ("svg", "<svg ")])
def test_drawn(form: str, begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMAND, "--channel", "sms", "--format", form]) == 0
    assert capsys.readouterr().out.startswith(begins)


def test_as_openlineage_a_filter_picks_journeys_and_each_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*COMMAND, "--format", "openlineage", "--bootstrap-server", "kafka-1:9092"]
    assert run(command) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    every = {event["job"]["name"]: {**event, "eventTime": ""} for event in events}
    assert len({event["eventTime"] for event in events}) == 1, "one look at the clock"
    assert run([*command, "--type", "payment.failed", "--channel", "sms"]) == 0
    some = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "payment-recovery" in {event["job"]["name"] for event in some}
    assert 0 < len(some) < len(every)
    assert [{**event, "eventTime": ""} for event in some] == [every[event["job"]["name"]] for event in some]
    assert {each["namespace"] for event in some for each in event["inputs"]} == {"kafka://kafka-1:9092"}


def test_a_misspelt_type_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMAND, "--type", "payment.faild"]) == 2
    assert "did you mean payment.failed?" in capsys.readouterr().err
