from __future__ import annotations

import pytest

from tests.engine.world import POLICY, START, World, offset_ms

MAIL = """
journey: j
version: 1
purpose: {purpose}
entry: {{on: began, reentry: always}}
start: s
states:
  s:
    steps:
      - {{id: ask, alert: {{message: here}}}}
      - {{id: wait, delay: 1h}}
      - {{id: mail, send: {{channel: email, template: hello{more}}}}}
      - {{id: stop, end: {{outcome: through}}}}
"""


def mail(purpose: str = "promotion", more: str = "") -> str:
    return MAIL.format(purpose=purpose, more=more)


def sent_after(world: World, at: str) -> bool:
    """Whether the mail of an entry at `at` goes out an hour later."""
    before = len(world.actions)
    world.event("began", at)
    world.until(offset_ms(at) + offset_ms("1h"))
    return len(world.actions) > before


def test_c2_consent_is_checked_again_at_the_send() -> None:
    # granted 0s, entry 1m, withdrawn 30m, send due 61m: suppressed
    world = World(mail())
    world.consent("granted", "0s")
    world.event("began", "1m")
    world.consent("withdrawn", "30m")
    world.until("2h")
    assert world.actions == []
    assert [(decision.reason, decision.step, decision.channel) for decision in world.decisions("action_suppressed")] == [
        ("consent", "mail", "email")
    ]
    assert [decision.outcome for decision in world.decisions("ended")] == ["through"]


@pytest.mark.parametrize(("setting", "kind", "outcome"), [("exit", "exited", ""), ("refused", "ended", "no-consent")])
def test_on_suppressed_exits_or_moves(setting: str, kind: str, outcome: str) -> None:
    text = mail(more=f", on_suppressed: {setting}") + "  refused: {final: true, outcome: no-consent}\n"
    if setting == "exit":
        text = text.replace("  refused: {final: true, outcome: no-consent}\n", "")
    world = World(text)
    world.consent("granted", "0s")
    world.event("began", "1m")
    world.consent("withdrawn", "30m")
    world.until("2h")
    (over,) = list(world.decisions("exited", "ended"))
    assert (over.kind, over.outcome) == (kind, outcome)
    assert over.reason == ("suppressed" if setting == "exit" else "")


def test_c1_the_newest_version_time_wins_not_the_newest_arrival() -> None:
    # arrives: withdrawn (version time 10m), then granted (version time 5m): still withdrawn
    world = World(mail())
    world.consent("withdrawn", "20m", time=START + offset_ms("10m"))
    world.consent("granted", "21m", time=START + offset_ms("5m"))
    assert not sent_after(world, "30m")
    world.consent("granted", "2h", time=START + offset_ms("11m"))
    assert sent_after(world, "3h")


@pytest.mark.parametrize("order", [("granted", "withdrawn"), ("withdrawn", "granted")])
def test_a55_at_equal_times_withdrawn_wins(order: tuple[str, str]) -> None:
    world = World(mail())
    for status in order:
        world.consent(status, "1m", time=START)
    assert not sent_after(world, "2m")


@pytest.mark.parametrize(("at", "allowed"), [("730d-1h-1ms", True), ("730d-1h", False)])
def test_c1_a56_consent_holds_up_to_and_not_at_its_expiry(at: str, allowed: bool) -> None:
    # granted 0 ------------------------------ 730d: the send is an hour after the entry
    world = World(mail())
    world.consent("granted", "0s")
    assert sent_after(world, at) is allowed


def test_a56_consent_given_for_a_later_time_does_not_hold_before_it() -> None:
    # the record arrives at 0s and holds from 2h: an entry just before is refused, one at that instant is not
    world = World(mail("survey"))
    world.consent("granted", "0s", purpose="survey", time=START + offset_ms("2h"))
    assert not sent_after(world, "2h-1ms")
    assert [decision.reason for decision in world.decisions("entry_refused")] == ["consent"]
    assert sent_after(world, "2h")


def test_a55_a_consents_own_expiry_shortens_the_policys() -> None:
    world = World(mail())
    world.consent("granted", "0s", expiry=START + offset_ms("1d"))
    assert sent_after(world, "1h")
    assert not sent_after(world, "23h")


@pytest.mark.parametrize(("channel", "purpose"), [("*", "promotion"), ("email", "*"), ("*", "*")])
def test_a55_wildcards_cover_channels_and_purposes(channel: str, purpose: str) -> None:
    world = World(mail())
    world.consent("granted", "0s", channel=channel, purpose=purpose)
    assert sent_after(world, "1m")
    world.consent("withdrawn", "3h")
    assert not sent_after(world, "4h")
    world.consent("granted", "6h", channel=channel, purpose=purpose)
    assert sent_after(world, "7h")


def test_c1_a107_unknown_follows_the_purpose_then_the_policy() -> None:
    denied, allowed = World(mail()), World(mail("survey"))
    assert not sent_after(denied, "0s")
    assert sent_after(allowed, "0s")
    assert allowed.actions[0].consent is not None
    assert allowed.actions[0].consent.status == "unknown"
    allowed.consent("withdrawn", "2h", purpose="survey")
    assert not sent_after(allowed, "3h")
    everywhere = World(mail(), policy=POLICY.replace("unknown: deny, expires", "unknown: allow, expires"))
    assert sent_after(everywhere, "0s")


def test_c1_expired_is_not_unknown() -> None:
    world = World(mail("survey"))
    world.consent("granted", "0s", purpose="survey", expiry=START + 1)
    assert not sent_after(world, "1h")


def test_a_purpose_that_needs_no_consent_sends_after_a_withdrawal() -> None:
    world = World(mail("care"))
    world.consent("withdrawn", "0s", channel="*", purpose="*")
    assert sent_after(world, "1m")
    assert world.actions[0].consent is not None
    assert world.actions[0].consent.status == "not_required"


def test_a1_the_command_carries_the_consent_it_rests_on() -> None:
    world = World(mail())
    world.consent("granted", "0s", source="web-form", version="7")
    sent_after(world, "1m")
    consent = world.actions[0].consent
    assert consent is not None
    assert (consent.status, consent.at, consent.source, consent.version) == ("granted", START, "web-form", "7")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"channel": "email", "purpose": "promotion"},
        {"channel": "email", "purpose": "promotion", "status": "maybe"},
        {"channel": "", "purpose": "promotion", "status": "granted"},
        {"channel": "email", "purpose": "promotion", "status": "granted", "time": "now"},
        {"channel": "email", "purpose": "promotion", "status": ["granted"]},
    ],
)
def test_a5_a_consent_change_that_says_nothing_usable_is_an_incident(payload: dict[str, object]) -> None:
    world = World(mail())
    world.event("consent.changed", "0s", **payload)
    assert [incident.reason for incident in world.incidents] == ["unusable_event"]
    assert world.document().consents == []


def test_t7_consent_counts_for_the_journeys_of_the_same_record() -> None:
    # the record that withdraws also ends the wait: the send that follows already sees the withdrawal
    world = World("""
        journey: j
        version: 1
        purpose: promotion
        entry: {on: began}
        start: s
        states:
          s:
            steps:
              - id: wait
                hold_until: [{on: consent.changed}]
                timeout: 9d
              - {id: mail, send: {channel: email, template: hello}}
              - {id: stop, end: {}}
        """)
    world.consent("granted", "0s")
    world.event("began", "1s")
    world.consent("withdrawn", "2s")
    assert [decision.reason for decision in world.decisions("action_suppressed")] == ["consent"]


def test_consented_in_a_condition_asks_the_same_question() -> None:
    world = World("""
        journey: j
        version: 1
        purpose: care
        entry: {on: began, when: 'consented("email", "promotion")', reentry: always}
        start: over
        states:
          over: {final: true}
        """)
    world.event("began", "0s")
    world.consent("granted", "1s")
    world.event("began", "2s")
    assert [decision.kind for decision in world.decisions()] == ["entry_refused", "entered", "state_entered", "ended"]
