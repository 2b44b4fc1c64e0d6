"""The commands that tell something about one journey."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.names import ExitCode
from tests.house.tree import ROOT

ONBOARDING = ROOT / "topologies" / "journeys" / "onboarding.yaml"


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
    assert cli.run(["runbook", str(ONBOARDING)]) == ExitCode.OK

    out = capsys.readouterr().out
    assert "# Runbook: From sign-up to first payment" in out
    assert "Owner: growth-team." in out
    assert '- On `signup.created`, when `event.plan != "internal"`.' in out
    assert "- An event older than 1w starts nothing." in out
    assert "| `not_activated` | `first-login` | `auth.login` | 3d | `activated`, the next step |" in out
    assert "| `activated` | `time-to-try` | time | 1w | the next step |" in out
    either = "`journeys.actions.email`, `journeys.actions.sms`"  # what `preferred` may be
    assert f"| `not_activated` | `welcome` | `preferred` | {either} | `welcome` | 1d |" in out
    assert "| `activated` | `choose-a-plan` | `email` | `journeys.actions.email` | `choose-a-plan` | 3d |" in out
    assert "- Who was here before never enters again." in out
    for heading in ("Who enters", "What it does", "Where customers wait", "What goes out", "Why somebody did not enter"):
        assert f"\n## {heading}\n" in out


def test_a_runbook_leaves_out_what_cannot_happen(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["runbook", str(ONBOARDING)])
    onboarding = capsys.readouterr().out
    cli.run(["runbook", str(ONBOARDING.with_name("winback.yaml"))])
    winback = capsys.readouterr().out

    assert "- `consent`" in onboarding
    assert "- `consent`" not in winback  # its purpose needs none
    assert "- `reentry`" in onboarding
    assert "- `reentry`" not in winback  # always allowed
    assert "- `too_old`" not in winback
    cli.run(["runbook", str(ONBOARDING.with_name("payment-recovery.yaml"))])
    recovery = capsys.readouterr().out
    assert "- `cap`" in onboarding
    assert "- `holdout`" not in onboarding  # the global holdout is for promotions
    assert all(f"- `{reason}`" not in recovery for reason in ("cap", "suppression", "holdout"))  # its purpose is `service`
    assert "| `support_needed` | `open-case` | `case-desk` | `journeys.actions.case-desk` | `open-case` | 15m |" in recovery
    assert "- Outcomes of this journey: `closed`, `paid`, `written-off`." in recovery
    cli.run(["runbook", str(ONBOARDING.with_name("welcome-offer.yaml"))])
    offer = capsys.readouterr().out
    assert "- `holdout`" in offer
    assert "`not-interested`" in offer
