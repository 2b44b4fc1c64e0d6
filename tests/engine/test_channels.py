"""Which channel a send takes: `preferred`, and lists (A58, A69)."""

from __future__ import annotations

import pytest

from tests.engine.sending import mail, policy
from tests.engine.world import World

CHANNELS = "channels: {email: {topic: t}, desk: {topic: t, kind: action}, sms: {topic: t}, push: {topic: t}}"


def world(channel: str, *consented: str) -> World:
    w = World(mail(purpose="care", channel=channel, more=", purpose: promotion"), policy=policy(channels=CHANNELS))
    for name in consented:
        w.consent("granted", "0s", channel=name)
    return w


def taken(w: World) -> list[str]:
    w.event("began", "1h")
    return [action.channel for action in w.actions]


@pytest.mark.parametrize(
    ("consented", "channels"),
    [(("sms", "email"), ["sms"]), (("email",), ["email"]), (("push",), []), (("*",), ["sms"]), ((), [])],
)
def test_a69_a_list_takes_the_first_channel_that_is_allowed(consented: tuple[str, ...], channels: list[str]) -> None:
    w = world("[sms, email]", *consented)
    assert taken(w) == channels
    assert [d.reason for d in w.decisions("action_suppressed")] == ([] if channels else ["no_channel"])


@pytest.mark.parametrize(
    ("preference", "consented", "channels"),
    [
        ("push", ("email", "push"), ["push"]),
        ("push", ("sms", "email"), ["email"]),  # not allowed: policy order
        (None, ("push", "sms"), ["sms"]),
        ("desk", ("desk", "sms"), ["sms"]),  # no message channel
        ("pigeon", ("sms",), ["sms"]),  # not declared
        (["sms"], ("email",), ["email"]),
        ("sms", (), []),
    ],
)
def test_a69_preferred_is_the_profiles_channel_if_declared_and_allowed_else_policy_order(
    preference: object, consented: tuple[str, ...], channels: list[str]
) -> None:
    w = world("preferred", *consented)
    w.event("preference.updated", "1m", preferred_channel=preference)
    assert taken(w) == channels
    assert [d.reason for d in w.decisions("action_suppressed")] == ([] if channels else ["no_channel"])


def test_a69_a_later_preference_counts_from_then_on_and_null_takes_it_back() -> None:
    w = world("preferred", "*")
    for at, value in (("1m", "sms"), ("2h", "push"), ("3h", None)):
        w.event("preference.updated", at, preferred_channel=value)
        w.event("began", at)
    assert [action.channel for action in w.actions] == ["sms", "push", "email"]


def test_a58_one_channel_without_consent_says_consent() -> None:
    w = world("sms", "email")
    assert taken(w) == []
    assert [(d.reason, d.channel) for d in w.decisions("action_suppressed")] == [("consent", "sms")]


def test_a07_a_cap_does_not_choose_another_channel() -> None:
    w = World(
        mail(channel="[sms, email]"), policy=policy("caps: [{id: c, channels: [sms], limit: 1, per: 1d}]", channels=CHANNELS)
    )
    w.event("began", "1h")
    w.event("began", "2h")
    assert [action.channel for action in w.actions] == ["sms"]
    assert [d.reason for d in w.decisions("action_suppressed")] == ["cap"]
