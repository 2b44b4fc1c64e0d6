"""Suppression rules (C4, A59) and the order of the judgements (A58)."""

from __future__ import annotations

import pytest

from tests.engine.sending import emitted, mail, policy, told
from tests.engine.world import World, offset_ms

RULE = "suppress: [{id: negative, on: csat.submitted, when: event.score <= 2, purposes: [promotion], for: 72h}]"


def world(*journeys: str, rules: str = RULE) -> World:
    made = World(*(journeys or (mail(purpose="promotion"),)), policy=policy(rules, "consent: {unknown: allow}"))
    made.consent("granted", "0s")
    return made


@pytest.mark.parametrize(("at", "goes"), [("1h", False), ("1h+72h-1ms", False), ("1h+72h", True), ("4d", True)])
def test_c4_a59_a_block_holds_from_its_event_up_to_and_not_at_its_end(at: str, goes: bool) -> None:
    # score 1 at 1h |------------ 72h ------------| free from 1h+72h
    w = world()
    w.event("csat.submitted", "1h", score=1)
    w.event("began", at)
    assert bool(emitted(w)) is goes
    assert told(w, "action_suppressed") == ([] if goes else [("suppressed", "suppression", offset_ms(at))])


def test_c4_only_the_rules_purposes_are_blocked() -> None:
    w = world(mail("promo", purpose="promotion"), mail("careful"))
    w.event("csat.submitted", "1h", score=2)
    w.event("began", "2h")
    assert emitted(w) == [("careful", offset_ms("2h"))]


@pytest.mark.parametrize("payload", [{"score": 3}, {}, {"score": "bad"}])
def test_c4_no_block_without_a_true_condition(payload: dict[str, object]) -> None:
    w = world()
    w.event("csat.submitted", "1h", **payload)
    w.event("began", "2h")
    assert len(emitted(w)) == 1
    assert [d.detail["rule"] for d in w.decisions("condition_error") if d.detail] == (
        [] if payload == {"score": 3} else ["negative"]
    )


def test_c4_a_second_event_prolongs_the_block_and_a_late_one_does_not_shorten_it() -> None:
    # 0h -72h-> | 24h -72h-> 96h | a record of 1h arrives last
    w = world()
    for at in ("0s", "24h", "1h"):
        w.event("csat.submitted", at, score=1)
    w.event("began", "96h-1ms")
    assert emitted(w) == []
    w.event("began", "96h")
    assert len(emitted(w)) == 1


def test_c4_t7_the_event_that_blocks_already_blocks_what_it_starts() -> None:
    w = world(mail(on="csat.submitted", purpose="promotion"))
    w.event("csat.submitted", "1h", score=1)
    assert told(w) == [("suppressed", "suppression", offset_ms("1h"))]


def test_c4_a_rule_works_on_a_reserved_event_after_its_own_effect() -> None:
    rule = "suppress: [{id: gone, on: profile.updated, when: profile.vip == false, purposes: [promotion], for: 1d}]"
    w = world(rules=rule)
    w.event("profile.updated", "1h", vip=False)
    w.event("began", "2h")
    assert told(w) == [("suppressed", "suppression", offset_ms("2h"))]


def test_a58_the_first_of_several_reasons_is_logged() -> None:
    text = policy(
        RULE, "holdout: {percent: 100, salt: x}", "caps: [{id: none, limit: 0, per: 1d}]",
        channels='channels: {email: {topic: t, quiet_hours: {from: "00:00", to: "23:59"}}}',
    )  # fmt: skip

    def reasons(text: str, *events: tuple[str, dict[str, object]]) -> list[tuple[str, str]]:
        w = World(mail("j", on="go-on", more=", purpose: promotion"), policy=text)
        for event_type, payload in events:
            w.event(event_type, "1h", **payload)
        w.event("go-on", "1h")
        return [(kind, reason) for kind, reason, _ in told(w)]

    granted = ("consent.changed", {"channel": "email", "purpose": "promotion", "status": "granted"})
    blocked = ("csat.submitted", {"score": 1})
    assert reasons(text, blocked) == [("suppressed", "holdout")]
    text = text.replace("holdout: {percent: 100, salt: x}", "")
    assert reasons(text, blocked) == [("suppressed", "consent")]
    assert reasons(text, granted, blocked) == [("suppressed", "suppression")]
    assert reasons(text, granted) == [("suppressed", "cap")]
    assert reasons(text.replace("limit: 0", "limit: 1"), granted) == [("held", "quiet_hours")]


def test_c4_a_late_record_is_still_under_the_block_of_its_time() -> None:
    # block 1h ... 73h    74h: the send before the block is answered    then a record of 72h arrives
    w = world()
    w.event("began", "0s")
    w.event("csat.submitted", "1h", score=1)
    w.event("action.outcome", "74h", action_id=w.actions[0].action_id, status="delivered")
    w.event("began", "72h")
    assert told(w)[1:] == [("suppressed", "suppression", offset_ms("72h"))]


def test_what_is_over_leaves_nothing_in_the_document() -> None:
    w = world()
    w.event("csat.submitted", "1h", score=1)
    assert w.document().contact is not None
    w.event("began", "5d")
    w.event("action.outcome", "5d", action_id=w.actions[0].action_id, status="delivered")
    assert w.document().contact is None
