"""The global holdout for sends (P2; A02, A99)."""

from __future__ import annotations

from hashlib import sha256

from tests.engine.sending import emitted, mail, policy, told
from tests.engine.world import World


def test_p2_a02_a99_the_holdout_enters_and_walks_silently_with_the_reason_logged() -> None:
    w = World(mail(purpose="promotion", more=", on_suppressed: exit"), policy=policy("holdout: {percent: 100, salt: s}"))
    w.consent("granted", "0s")
    w.event("began", "1h")
    assert emitted(w) == []
    assert (len(w.decisions("entered")), w.decisions("entry_refused")) == (1, [])
    assert [d.reason for d in w.decisions("action_suppressed")] == ["holdout"]
    assert [d.outcome for d in w.decisions("ended")] == ["through"]  # as if it had been sent: on_suppressed is not taken


def test_a99_without_purposes_it_is_for_those_that_need_consent() -> None:
    everything = "holdout: {percent: 100, salt: s}"
    for section, sent in ((everything, ["care"]), (everything.replace("}", ", purposes: [care]}"), ["promo"])):
        w = World(mail("promo", purpose="promotion"), mail("care"), policy=policy(section))
        w.consent("granted", "0s")
        w.event("began", "1h")
        assert [template for template, _ in emitted(w)] == sent


def test_a99_who_is_held_out_follows_the_published_hash_and_grows_with_the_percentage() -> None:
    def held_out(percent: str) -> set[str]:
        w = World(mail(purpose="promotion"), policy=policy(f"holdout: {{percent: {percent}, salt: 2026-q4}}"))
        for n in range(400):
            w.consent("granted", "0s", customer=f"u{n}")
            w.event("began", "1h", customer=f"u{n}")
        return {h.customer for h in w.handlings for d in h.decisions if d.kind == "action_suppressed"}

    def bucket(customer: str) -> int:
        return int.from_bytes(sha256(f"2026-q4\x1f{customer}".encode()).digest()[:8], "big") % 1_000_000

    five, half = held_out("5"), held_out("12.5")
    assert five == {f"u{n}" for n in range(400) if bucket(f"u{n}") < 50_000}
    assert half == {f"u{n}" for n in range(400) if bucket(f"u{n}") < 125_000}
    assert five < half


def test_p2_a_held_out_send_takes_no_cap_slot() -> None:
    w = World(
        mail("a", purpose="promotion", priority=90),
        mail("b"),
        policy=policy("holdout: {percent: 100, salt: s}", "caps: [{id: one, limit: 1, per: 1d}]"),
    )
    w.consent("granted", "0s")
    w.event("began", "1h")
    assert told(w, "action_emitted", "action_suppressed") == [("suppressed", "holdout", 3_600_000), ("emitted", "", 3_600_000)]
