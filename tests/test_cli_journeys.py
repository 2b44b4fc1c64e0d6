"""The commands that tell something about one journey."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.names import ExitCode
from tests.house.tree import ROOT

ONBOARDING = ROOT / "topologies" / "journeys" / "onboarding.yaml"


def runbook(journey: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.run(["runbook", str(journey)]) == ExitCode.OK
    return capsys.readouterr().out


def test_graph_draws_a_shipped_journey(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["graph", str(ONBOARDING)]) == ExitCode.OK

    out = capsys.readouterr().out
    assert out.startswith("stateDiagram-v2\n")
    assert "[*] --> s_not__activated: signup.created" in out


def test_graph_draws_a_picture_without_a_browser(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["graph", "--format", "svg", str(ONBOARDING)]) == ExitCode.OK

    out = capsys.readouterr().out
    assert out.startswith("<svg ")
    assert out.endswith("</svg>\n")
    assert cli.run(["graph", "--format", "png", str(ONBOARDING)]) == ExitCode.USAGE
    assert "'mermaid', 'svg'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["graph", "runbook"])
def test_a_journey_that_is_wrong_or_not_there_is_told(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("journey: x\n")

    assert cli.run([command, str(broken)]) == ExitCode.NO
    assert cli.run([command, str(tmp_path / "nowhere.yaml")]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "ORC-121" in err
    assert "no such journey file" in err


def test_runbook_says_what_an_on_call_person_needs(capsys: pytest.CaptureFixture[str]) -> None:
    out = runbook(ONBOARDING, capsys)
    assert "# Runbook: From sign-up to first payment" in out
    assert "Owner: growth-team." in out
    assert '- On `signup.created`, when `event.plan != "internal"`.' in out
    assert "- An event older than 1w starts nothing." in out
    assert "| `not_activated` | `first-login` | `auth.login` | 3d | `activated`, `absent` |" in out
    assert "| `activated` | `time-to-try` | time | 1w | the next step |" in out
    either = "`journeys.actions.email`, `journeys.actions.sms`"  # what `preferred` may be
    assert f"| `not_activated` | `welcome` | `preferred` | {either} | `welcome` | 1d |" in out
    assert "| `activated` | `choose-a-plan` | `email` | `journeys.actions.email` | `choose-a-plan` | 1d |" in out
    assert "- Who was here before never enters again." in out
    for heading in ("Who enters", "What it does", "Where customers wait", "What goes out", "Why somebody did not enter"):
        assert f"\n## {heading}\n" in out


def test_a_runbook_leaves_out_what_cannot_happen(capsys: pytest.CaptureFixture[str]) -> None:
    onboarding = runbook(ONBOARDING, capsys)
    winback = runbook(ONBOARDING.with_name("winback.yaml"), capsys)

    assert "- `consent`" in onboarding
    assert "- `consent`" not in winback  # its purpose needs none
    assert "- `reentry`" in onboarding
    assert "- `reentry`" not in winback  # always allowed
    assert "- `too_old`" not in winback
    recovery = runbook(ONBOARDING.with_name("payment-recovery.yaml"), capsys)
    assert "- `cap`" in onboarding
    assert "- `holdout`" not in onboarding  # the global holdout is for promotions
    assert all(f"- `{reason}`" not in recovery for reason in ("cap", "suppression", "holdout"))  # its purpose is `service`
    assert "| `support_needed` | `open-case` | `case-desk` | `journeys.actions.case-desk` | `open-case` | 15m |" in recovery
    assert "- Outcomes of this journey: `closed`, `paid`, `written-off`." in recovery
    offer = runbook(ONBOARDING.with_name("welcome-offer.yaml"), capsys)
    assert "- `holdout`" in offer
    assert "`not-interested`" in offer


def test_a_runbook_says_what_becomes_of_a_call_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "journeys"
    folder.mkdir()
    (tmp_path / "policy.yaml").write_text(
        "channels: {desk: {topic: desk, kind: action}}\npurposes: {care: {consent: not_required, basis: contract}}\n"
    )
    journey = folder / "help.yaml"
    text = """\
journey: help
version: 1
purpose: care
entry: {on: signup.created}
exit: [{on: account.closed}]
start: asking
states:
  asking:
    on: [{event: auth.login, go: over}]
    steps:
      - {id: open-case, call: {action: open-case, timeout: 10m, retry: [{on: [busy], max_attempts: 4, interval: 5s}]}}
      - {id: tell, call: {action: tell, await: false}}
      - {id: stop, go: over}
  over: {final: true}
"""
    journey.write_text(text)
    parked = runbook(journey, capsys)
    journey.write_text(text.replace("action: open-case,", "action: open-case, on_error: over,"))
    moved = runbook(journey, capsys)

    assert "- `open-case`: tried on `busy` up to 4 times in all, the second 5s later." in parked
    assert "within 10m failed with `timeout`. After that the instance is parked, with the incident `action_failed`." in parked
    assert "- `tell`: nobody waits for its answer" in parked
    assert "`{at: 2h, redrive: {customer: c1, step: open-case}}`" in parked
    assert "4. Until then these events still move or end it: `auth.login`, `account.closed`." in parked
    assert "After that the instance goes to `over`." in moved
    assert "parked instance" not in moved
    assert "`action_failed`" not in moved


def test_every_command_and_log_line_that_a_runbook_names_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    from orchestrator.cli import GROUPS

    journeys = [path for path in sorted(ONBOARDING.parent.glob("*.yaml")) if not path.stem.endswith(".scenario")]
    out = "".join(runbook(path, capsys) for path in journeys)
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "orchestrator" / "stream").glob("*.py"))

    assert set(re.findall(r"`orchestrator (\w+)", out)) <= set(GROUPS)
    for line in ("worker_ready", "restoring", "store_rebuilt", "kafka_unreachable", "commit_failed", "commit_slow"):
        assert f"`{line}`" in out
        assert f'"{line}"' in sources
