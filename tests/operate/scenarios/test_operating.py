"""What people do in a scenario's time: publish, redrive what is parked, pause a journey; and shares of an experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operate.scenarios.stage import BEGAN, HEAD, messages, run

SECOND = """\
journey: nudge
version: 2
purpose: care
entry: {on: began, reentry: always}
start: greeted
states:
  greeted:
    steps:
      - {id: greet, send: {channel: email, template: hello}}
      - {id: answer, hold_until: [{on: done, go: over}], timeout: 1d}
      - {id: stop, end: {outcome: quiet}}
  over: {final: true}
"""

PUBLISHED = """given:
  - {at: 0s, customer: old, event: began, data: {n: 1}}
  - {at: 1d, publish: second.yaml}
  - {at: 1d, customer: new, event: began}
until: 3d
expect:
  actions:
    - {at: 1d, customer: new, step: greet, version: 2}
    - {at: 2d, customer: old, step: remind, version: 1}
  decisions:
    - {customer: old, kind: entered, version: 1}
    - {customer: new, kind: entered, version: 2}
    - {at: 2d, customer: new, kind: hold_resolved, version: 2, by: timeout}
  states: {new: {nudge: greeted}, old: {nudge: waiting}}
"""

CALL = """\
scenario: a call fails
start: 2026-01-05T00:00:00Z
policy: {channels: {desk: {topic: desk, kind: action}}, purposes: {care: {consent: not_required, basis: contract}}}
journeys:
  - journey: help
    version: 1
    purpose: care
    entry: {on: began}
    start: asking
    states:
      asking:
        steps:
          - {id: open-case, call: {action: open-case}}
          - {id: done, end: {outcome: helped}}
"""

FAILED = """given:
  - {at: 0s, customer: c1, event: began}
  - {at: 1m, outcome: failed, code: broken, of: open-case}
"""


def test_v1_entries_after_a_publication_take_the_new_version_and_running_instances_keep_theirs(tmp_path: Path) -> None:
    # old enters v1 at 0, waits to 2d; v2 goes live at 1d; new enters v2 at 1d, waits to 2d
    (tmp_path / "second.yaml").write_text(SECOND)

    assert messages(run(tmp_path, PUBLISHED)) == []


def test_v1_who_enters_before_the_publication_is_decided_by_the_version_of_then(tmp_path: Path) -> None:
    (tmp_path / "second.yaml").write_text(SECOND)
    body = PUBLISHED.replace("at: 1d, publish", "at: 2d, publish").replace(
        "at: 1d, customer: new, event", "at: 2d, customer: new, event"
    )

    assert "this action differs in at" in messages(run(tmp_path, body))


@pytest.fixture
def topologies(tmp_path: Path) -> Path:
    """A folder in which `nudge` takes entries in version 2, and version 1 is kept."""
    folder = tmp_path / "topologies"
    for name in ("journeys", "earlier"):
        (folder / name).mkdir(parents=True)
    (folder / "policy.yaml").write_text(
        "channels: {email: {topic: actions.email}}\npurposes: {care: {consent: not_required, basis: contract}}\n"
    )
    second = SECOND.replace("on: began", "on: auth.login").replace("on: done", "on: account.closed")
    (folder / "journeys" / "nudge.yaml").write_text(second)
    (folder / "earlier" / "nudge.yaml").write_text(second.replace("version: 2", "version: 1"))
    return folder


IN_FOLDER = """\
scenario: a folder that keeps an earlier version
start: 2026-01-05T00:00:00Z
topologies: topologies
given:
  - {at: 0s, customer: old, event: auth.login}
  - {at: 1h, publish: third.yaml}
  - {at: 2h, customer: new, event: auth.login}
expect:
  actions: [{customer: old, version: 2}, {customer: new, version: 3}]
  states: {old: {nudge: greeted}, new: {nudge: greeted}}
"""


def test_v1_a_folder_that_keeps_earlier_versions_takes_entries_in_the_live_and_the_published_one(topologies: Path) -> None:
    live = (topologies / "journeys" / "nudge.yaml").read_text()
    (topologies.parent / "third.yaml").write_text(live.replace("version: 2", "version: 3"))
    assert messages(run(topologies.parent, IN_FOLDER, "")) == []


def test_v1_what_is_published_must_be_newer_than_every_version_that_is_kept(topologies: Path) -> None:
    live = (topologies / "journeys" / "nudge.yaml").read_text()
    (topologies.parent / "third.yaml").write_text(live.replace("version: 2", "version: 1"))
    (topologies / "journeys" / "nudge.yaml").write_text(live.replace("journey: nudge", "journey: other"))
    assert messages(run(topologies.parent, IN_FOLDER, "")) == [
        "third.yaml is version 1 of 'nudge', which runs in version 1: raise its `version`"
    ]


def test_v1_a_broken_earlier_version_breaks_the_scenarios_of_its_folder(topologies: Path) -> None:
    kept = topologies / "earlier" / "nudge.yaml"
    kept.write_text(kept.read_text().replace("go: over", "go: ovr"))
    result = run(topologies.parent, IN_FOLDER, "")
    assert result.status == "broken"
    assert any("earlier/nudge.yaml:" in problem and "'ovr'" in problem for problem in result.problems)


@pytest.mark.parametrize(
    ("change", "place", "complaint"),
    [
        (("version: 2", "version: 1"), "a.scenario.yaml:19:23 ", "second.yaml is version 1 of 'nudge', which runs in version 1"),
        (("go: over", "go: ovr"), "second.yaml:10:50 ", "there is no state 'ovr'; did you mean 'over'?"),
        (("journey: nudge", "journey: nudge\njourney: nudge"), "second.yaml:2:1 ", "already set on line 1"),
    ],
)
def test_what_is_wrong_with_a_published_file_is_told(tmp_path: Path, change: tuple[str, str], place: str, complaint: str) -> None:
    (tmp_path / "second.yaml").write_text(SECOND.replace(*change))
    result = run(tmp_path, PUBLISHED)

    assert result.status == "broken"
    assert any(place in problem and complaint in problem for problem in result.problems), result.problems


def test_a_new_journey_can_be_published_and_its_names_are_known(tmp_path: Path) -> None:
    (tmp_path / "second.yaml").write_text(SECOND.replace("journey: nudge", "journey: other"))
    body = PUBLISHED.replace("{new: {nudge: greeted}, old: {nudge: waiting}}", "{new: {other: greeted, nudge: waiting}}")
    found = run(tmp_path, body)

    assert found.status == "failed"  # both journeys take the new customer
    assert not found.problems


def test_a4_redrive_runs_a_parked_instance_from_the_failed_step(tmp_path: Path) -> None:
    body = f"""{FAILED}  - {{at: 2h, redrive: {{customer: c1, step: open-case}}}}
  - {{at: 3h, outcome: succeeded, of: open-case}}
expect:
  actions: [{{at: 0s, step: open-case}}, {{at: 2h, step: open-case}}]
  incidents: [{{reason: action_failed, step: open-case}}]
  decisions: [{{kind: ended, at: 3h, outcome: helped}}]
"""
    assert messages(run(tmp_path, body, CALL)) == []


def test_a4_a_redrive_of_nothing_is_in_the_timeline_and_moves_nothing(tmp_path: Path) -> None:
    body = f"""{FAILED}  - {{at: 2h, redrive: {{customer: c1, step: open-case, journey: help}}}}
  - {{at: 3h, redrive: {{customer: c1, step: open-case}}}}
expect: {{actions: [{{at: 0s}}]}}
"""
    result = run(tmp_path, body, CALL)
    lines = result.failures[0].lines

    assert messages(result) == ["this action is not listed"]
    assert [line.split() for line in lines if "redrive" in line] == [
        ["2h", "redrive", "open-case"],
        ["3h", "redrive", "open-case"],
    ]


def test_v6_a_pause_and_a_resume_stand_in_every_customers_timeline(tmp_path: Path) -> None:
    body = f"""{BEGAN}  - {{at: 1d, pause: nudge}}
  - {{at: 52h, resume: nudge}}
expect:
  actions: [{{at: 52h, step: remind}}, {{at: 52h, step: remind}}]
  decisions: [{{kind: action_held, at: 2d, reason: paused}}]
"""
    (failure,) = run(tmp_path, body).failures
    lines = [line.split() for line in failure.lines]

    assert (failure.message, failure.customer) == ("this action was not seen", "c1")
    operated = [line for line in lines if "pause" in line or "resume" in line]
    assert operated == [["1d", "pause", "nudge"], ["2d", "4h", "resume", "nudge"]]


SPLIT = HEAD.replace(
    "- {id: stop, end: {}}",
    """- id: toss
            randomize: {experiment: coin, branches: [{arm: heads, weight: 50, go: over}, {arm: tails, weight: 50, go: over}]}""",
)
MANY = "given: [{at: 0s, customers: {prefix: u, count: 500}, event: began, data: {n: 1}}]\nuntil: 2d\n"


@pytest.mark.parametrize(
    ("shares", "complaint"),
    [
        ("{experiment: coin, arm: heads, between: [0.45, 0.55]}", None),
        ("[{experiment: coin, arm: heads, between: [0.4, 0.6]}, {experiment: coin, arm: tails, between: [0.4, 0.6]}]", None),
        ("{experiment: coin, arm: heads, between: [0, 0.2]}", "of 500 exposed customers"),
        ("{experiment: coin, arm: edge, between: [0, 1]}", "no journey of this scenario has the arm 'edge'"),
    ],
)
def test_a28_shares_are_of_customers_exposed(tmp_path: Path, shares: str, complaint: str | None) -> None:
    found = messages(run(tmp_path, f"{MANY}expect: {{counts: {{exposed: 500}}, shares: {shares}}}\n", SPLIT))

    assert len(found) == (complaint is not None)
    assert all(str(complaint) in message for message in found)
