"""Scenarios as text for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from orchestrator.operate.scenarios.batch import Result, Runner

HEAD = """\
scenario: a scenario
start: 2026-01-05T00:00:00Z
policy: {channels: {email: {topic: actions.email}}, purposes: {care: {consent: not_required, basis: contract}}}
journeys:
  - journey: nudge
    version: 1
    purpose: care
    entry: {on: began, reentry: always}
    start: waiting
    states:
      waiting:
        steps:
          - {id: answer, hold_until: [{on: done, go: over}], timeout: 2d}
          - {id: remind, send: {channel: email, template: nudge, data: {n: event.n}}}
          - {id: stop, end: {}}
      over: {final: true}
"""
BEGAN = "given:\n  - {at: 0s, customer: c1, event: began}\n"


def run(folder: Path, body: str, head: str = HEAD) -> Result:
    """Run one scenario, `head` before `body`."""
    path = folder / "a.scenario.yaml"
    path.write_text(head + body)
    result = Runner().run(path)
    assert result is not None
    return result


def messages(result: Result) -> list[str]:
    """The problem messages without their place and code, or what the failures say."""
    return [problem.split("  ", 2)[2] for problem in result.problems] or [failure.message for failure in result.failures]
