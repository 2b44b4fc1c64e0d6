"""Where event types and fields are used, and what comes of it: each way that a field can take, and each that it cannot."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestrator.operate.lineage import picture
from orchestrator.operate.lineage.uses import Use, matching, uses
from orchestrator.workspace import Workspace
from tests.house.tree import ROOT

POLICY = """
purposes: {care: {consent: not_required}}
channels:
  email: {topic: t.email, address: profile.mail}
  sms: {topic: t.sms}
  desk: {topic: t.desk, kind: action}
suppress:
  - {id: quiet, on: payment.failed, when: event.attempt > 3, purposes: [care], for: 1d}
"""
FIRST = """
journey: first
version: 1
purpose: care
entry: {on: payment.failed, when: event.amount > 0.0}
exit:
  - {on: account.closed, outcome: closed}
context: {amount: event.amount}
start: waiting
states:
  waiting:
    on: [{event: payment.succeeded, when: event.amount >= journey.amount, go: paid}]
    steps:
      - {id: often, when: 'count_within("auth.login", "7d") > 2', send: {channel: sms, template: often}}
      - {id: copy, set: {journey.copied: journey.amount}}
      - id: hold
        hold_until: [{on: purchase.made, as: bought, go: bought}]
        timeout: 1d
        on_timeout: late
  late:
    steps:
      - {id: next, start: {journey: second, data: {sum: journey.copied}}}
      - {id: over, end: {outcome: late}}
  bought:
    steps:
      - {id: thanks, send: {channel: preferred, template: thanks, data: {item: journey.bought.currency}}}
      - {id: done, end: {outcome: bought}}
  paid: {final: true, outcome: paid}
"""
SECOND = """
journey: second
version: 1
purpose: care
entry: {on: csat.submitted}
start: only
states:
  only:
    steps:
      - {id: case, call: {action: open-case, data: {sum: journey.sum}, result: answer}}
      - {id: told, send: {channel: email, template: told, data: {number: journey.answer.number}}}
      - {id: done, end: {outcome: told}}
"""


@pytest.fixture
def found(tmp_path: Path) -> list[Use]:
    (tmp_path / "journeys").mkdir()
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "journeys/first.yaml").write_text(FIRST)
    (tmp_path / "journeys/second.yaml").write_text(SECOND)
    workspace = Workspace.load(tmp_path, ROOT / "schemas/avro")
    return uses(workspace.topology, workspace.catalog)


def at(found: list[Use], journey: str, step: str, kind: str) -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    """Give, by type and field, through what it came and what it leads to."""
    rows = [use for use in found if (use.journey, use.step, use.kind) == (journey, step, kind)]
    return {(use.type, use.field): (use.through, tuple(act.what for act in use.leads_to)) for use in rows}


def test_an_entry_leads_to_what_needs_no_other_event(found: list[Use]) -> None:
    """Through the time-out and the journey that is started, not through the branch that waits for a purchase."""
    after = ("often", "open-case", "told")
    assert at(found, "first", "entry", "entry") == {
        ("payment.failed", ""): ("", after),
        ("payment.failed", "amount"): ("", after),
    }
    assert at(found, "first", "hold", "hold_until") == {("purchase.made", ""): ("", ("thanks",))}


def test_a_field_is_followed_through_the_names_that_keep_it(found: list[Use]) -> None:
    amount = ("payment.failed", "amount")
    assert at(found, "first", "waiting", "on")[amount] == ("journey.amount", ())
    assert at(found, "first", "copy", "set") == {amount: ("journey.amount", ())}
    assert at(found, "first", "next", "start") == {amount: ("journey.copied", ("open-case", "told"))}
    assert at(found, "second", "case", "data") == {amount: ("journey.sum", ("open-case",))}, "into another journey"
    assert at(found, "first", "thanks", "data") == {("purchase.made", "currency"): ("journey.bought", ("thanks",))}
    assert at(found, "second", "told", "data") == {("action.outcome", "data.number"): ("journey.answer", ("told",))}


def test_an_event_at_a_handler_is_that_event_and_no_other(found: list[Use]) -> None:
    read = at(found, "first", "waiting", "on")
    assert read["payment.succeeded", "amount"] == ("", ())
    assert set(read) == {("payment.succeeded", ""), ("payment.succeeded", "amount"), ("payment.failed", "amount")}


def test_counts_exits_and_the_policy_are_uses_too(found: list[Use]) -> None:
    assert at(found, "first", "often", "when") == {("auth.login", ""): ("count_within", ("often",))}
    assert ("account.closed", "") in at(found, "first", "exit:1", "exit")
    assert set(at(found, "", "suppress:quiet", "suppress")) == {("payment.failed", ""), ("payment.failed", "attempt")}
    (address,) = [use for use in found if use.kind == "address"]
    assert (address.type, address.field, address.channels) == ("profile.updated", "mail", {"email"})


def test_each_place_is_where_the_text_stands(found: list[Use]) -> None:
    for use in found:
        line = Path(use.place.path).read_text().splitlines()[use.place.line - 1]
        assert use.kind in ("entry", "exit", "suppress", "hold_until", "on") or use.expression in line, use


def test_filters(found: list[Use]) -> None:
    assert {use.journey for use in matching(found, journey="second")} == {"second"}
    assert {use.type for use in matching(found, event_type="purchase.made")} == {"purchase.made"}
    sms = matching(found, channel="sms")
    assert sms
    assert all("sms" in use.channels for use in sms)
    assert ("second", "case") not in {(use.journey, use.step) for use in sms}
    assert {act.what for use in sms for act in use.leads_to} == {"often", "thanks"}, "what cannot go by sms is left out"
    drawn = picture.picture(sms, only="sms")
    assert {node.name for node in drawn.nodes if node.kind == "channel"} == {"sms"}


def test_a_send_by_the_preferred_channel_may_take_any_that_is_for_messages(found: list[Use]) -> None:
    (thanks,) = [use for use in found if use.step == "hold"]
    assert thanks.channels == {"email", "sms"}


@pytest.mark.parametrize("is_coarse", [True, False])
def test_the_picture_has_every_box_once(found: list[Use], is_coarse: bool) -> None:
    nodes = picture.picture(found, is_coarse=is_coarse).nodes
    root = ElementTree.fromstring(picture.svg(found, is_coarse=is_coarse))
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for node in nodes:
        assert texts.count(node.name) == sum(other.name == node.name for other in nodes), node
    drawn = picture.mermaid(found, is_coarse=is_coarse)
    assert drawn.startswith("flowchart LR\n")
    assert all(node.name in drawn for node in nodes)
    assert ("hold" in drawn) is not is_coarse


def test_nothing_found_is_an_empty_picture() -> None:
    assert ElementTree.fromstring(picture.svg([])) is not None
    assert picture.mermaid([]) == "flowchart LR\n"
