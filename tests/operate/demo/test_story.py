"""One customer's story: who is chosen, and how it is told."""

from __future__ import annotations

from orchestrator.operate.demo.events import DAY, HOUR
from orchestrator.operate.demo.story import MOST_MOMENTS, Line, choose, clock, tell
from orchestrator.operate.demo.tally import Tally
from orchestrator.wire.lines import EventLine
from tests.operate.demo.lives import action, decision, handling


def keeping() -> Tally:
    return Tally(lambda customer: customer.startswith("u"))


def entered(customer: str, at: int) -> dict[str, object]:
    return handling(
        customer, at, decision("entered"), decision("state_entered", state="new"), event="signup.created", event_id="e1"
    )


def test_nobody_is_chosen_where_nobody_entered() -> None:
    tally = keeping()
    tally.take_handling(handling("u1", 1, decision("entry_refused", reason="consent"), event="signup.created"))
    assert choose(tally) is None


def test_the_richest_life_that_fits_on_a_screen_is_chosen() -> None:
    tally = keeping()
    for customer in ("u1", "u2", "u3"):
        tally.take_handling(entered(customer, 1))
    tally.take_handling(handling("u2", 2, decision("hold_resolved", by="timeout", step="first-login")))
    for number in range(MOST_MOMENTS):
        tally.take_handling(handling("u3", 3 + number, decision("alert"), decision("ended", outcome=str(number))))
    assert choose(tally) == "u2"


def test_a_story_has_what_the_customer_did_what_the_journey_did_and_when() -> None:
    # 0h        1h        3d+1h                4d
    # consent   sign-up   timer: reminder      login -> activated
    events = [
        EventLine(
            0, "u1", "consent.changed", "e0", {"channel": "email", "purpose": "onboarding", "status": "granted", "source": "app"}
        ),
        EventLine(HOUR, "u1", "signup.created", "e1", {"plan": "pro", "country": "NZ"}),
        EventLine(4 * DAY, "u1", "auth.login", "e2", {"device": "web"}),
        EventLine(4 * DAY, "u2", "auth.login", "e3", {"device": "ios"}),
    ]
    tally = keeping()
    welcome = decision("action_emitted", step="welcome", channel="email", action_id="a1")
    entry = decision("entered"), decision("state_entered", state="new"), welcome
    tally.take_handling(handling("u1", HOUR, *entry, event="signup.created", event_id="e1"))
    tally.take_handling(
        handling(
            "u1", 3 * DAY + HOUR,
            decision("hold_resolved", by="timeout", step="first-login"),
            decision("action_suppressed", step="reminder", reason="consent"),
            decision("exposed", step="offer-test", arm="discount"),
            decision("action_held", step="offer", reason="cap"),
        )
    )  # fmt: skip
    tally.take_handling(
        handling(
            "u1", 4 * DAY,
            decision("hold_resolved", by="event", step="second-login"),
            decision("state_entered", state="activated"),
            decision("ended", outcome="activated"),
            event="auth.login", event_id="e2",
        )
    )  # fmt: skip
    tally.take_action(action("u1", "a1", "welcome"))
    tally.take_outcome("u1", "a1", "bounced")

    story = tell("u1", events, tally)
    assert story.title == "u1, pro plan, NZ"
    assert story.lines == (
        Line(0, "customer", "agrees to onboarding email (app)"),
        Line(HOUR, "customer", "signs up for the pro plan"),
        Line(None, "journey", "onboarding: now new"),
        Line(None, "journey", "onboarding: email welcome, bounced"),
        Line(3 * DAY + HOUR, "clock", "onboarding: time is up at first-login"),
        Line(None, "journey", "onboarding: reminder kept back, consent"),
        Line(None, "journey", "onboarding: offer-test, discount arm"),
        Line(None, "journey", "onboarding: offer has to wait, cap"),
        Line(4 * DAY, "customer", "logs in (web)"),
        Line(None, "journey", "onboarding: ends, activated"),
    )


def test_a_repeated_event_is_told_as_one() -> None:
    events = [EventLine(at, "u1", "auth.login", "e1", {"device": "web"}) for at in (5, 9)]
    tally = keeping()
    tally.take_handling(handling("u1", 5, decision("state_entered", state="activated"), event="auth.login", event_id="e1"))
    tally.take_handling(handling("u1", 9, decision("entry_refused", reason="duplicate"), event="auth.login", event_id="e1"))
    assert [line.text for line in tell("u1", events, tally).lines] == [
        "logs in (web)",
        "onboarding: now activated",
        "(the same event again) logs in (web)",
        "onboarding: not admitted, duplicate",
    ]


def test_times_are_told_in_utc_to_the_second() -> None:
    assert clock(1_740_964_784_786) == "Mon 03 Mar 01:19:44"
