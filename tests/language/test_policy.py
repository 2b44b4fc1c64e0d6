"""policy.yaml, streams.yaml and experiments.yaml: what is read, what is refused and where (language.md 4 and 5)."""

# ruff: noqa: E501 - a row of these tables holds a line of output

from __future__ import annotations

import pytest
from msgspec import structs

from orchestrator.language import codes
from orchestrator.language.composer import compose
from orchestrator.language.experiments import read_experiments
from orchestrator.language.model import EventDedupe, Limits
from orchestrator.language.policy import read_policy
from orchestrator.language.problems import Problems
from orchestrator.language.remarks import remarks
from tests.language.texts import POLICY, journey, lines, loaded, topology

STREAMS = """\
app: journeys
partitions: 12
events:
  - topic: customer.events
    schemas: [signup.created, auth.login, payment.failed]
outcomes: journeys.outcomes
"""


def test_a26_what_a_policy_leaves_out_has_its_default() -> None:
    policy = topology(journey()).policy
    assert (policy.consent.unknown, policy.consent.expires_ms) == ("deny", None)
    assert policy.dedupe_events == EventDedupe(86_400_000, 256)
    assert policy.limits == Limits(5, 50, 30, 25, 32_768, 400 * 86_400_000)
    assert (policy.caps, policy.suppress, policy.exclusive, policy.holdout, policy.dedupe_addresses) == ((), (), (), None, None)


def test_what_works_of_a_policy_is_read() -> None:
    text = POLICY.replace("onboarding: {consent: required}", "onboarding: {consent: required, unknown: allow}")
    text += "consent: {unknown: allow, expires: 730d}\ndedupe: {events: {window: 2h, max: 8}}\nlimits: {wait: 30d}\n"
    policy = topology(journey(), policy=text).policy
    assert policy.timezone == "Australia/Sydney"
    assert policy.purposes["onboarding"].unknown == "allow"  # ruling A107
    assert (policy.purposes["service"].consent, policy.purposes["service"].basis) == ("not_required", "contract")
    assert (policy.consent.unknown, policy.consent.expires_ms) == ("allow", 730 * 86_400_000)
    assert policy.dedupe_events == EventDedupe(7_200_000, 8)
    assert policy.limits.wait_ms == 30 * 86_400_000
    address = policy.channels["email"].address
    assert address is not None
    assert address.source == "profile.email"


def test_a68_an_address_is_optional() -> None:
    assert topology(journey()).policy.channels["sms"].address is None


WHOLE = """\
channels:
  email: {topic: t, quiet_hours: {from: "21:00", to: "08:00"}, rate: {limit: 100, per: 1s}}
purposes:
  onboarding: {}
  promotion: {}
caps:
  - {id: all, limit: 3, per: 1d, window: rolling}
  - {id: promos, purposes: [promotion], channels: [email], limit: 1, per: 1w, window: calendar, over: hold, max_hold: 3d}
suppress:
  - {id: negative, on: payment.failed, when: event.amount <= 2, purposes: [promotion], for: 72h}
exclusive:
  - {id: money, journeys: [j, other], on_conflict: preempt}
dedupe: {addresses: {channels: [email], window: 24h}}
holdout: {percent: 5, salt: "2026-q4", purposes: [promotion]}
"""


def test_settings_are_read_in_full() -> None:
    problems = Problems()
    node = compose("policy.yaml", WHOLE.encode(), problems)
    assert node is not None
    policy = read_policy(node, problems)
    assert list(problems) == []
    quiet = policy.channels["email"].quiet_hours
    rate = policy.channels["email"].rate
    assert quiet is not None
    assert rate is not None
    assert (quiet.start, quiet.end, rate.limit, rate.per_ms) == (21 * 60, 8 * 60, 100, 1_000)
    hold = policy.caps[1]
    assert (hold.purposes, hold.channels, hold.window, hold.over, hold.max_hold_ms) == (
        ("promotion",),
        ("email",),
        "calendar",
        "hold",
        3 * 86_400_000,
    )  # ruling A61
    assert (policy.suppress[0].for_ms, policy.exclusive[0].on_conflict) == (72 * 3_600_000, "preempt")
    assert policy.holdout is not None
    assert (policy.holdout.percent, policy.holdout.salt, policy.holdout.purposes) == (5, "2026-q4", ("promotion",))


COMPARED = """\
channels: {email: {topic: t, address: profile.email}, sms: {topic: t}}
purposes: {onboarding: {}, promotion: {}, service: {}}
dedupe: {addresses: {channels: [CHANNEL], window: 24h}}
"""


@pytest.mark.parametrize(
    ("channel", "line"),
    [
        ("email", ""),
        ("emial", "policy.yaml:3:32  ORC-151  policy.yaml has no channel 'emial'; did you mean 'email'?"),
        (
            "sms",
            "policy.yaml:1:60  ORC-196  warning: channel 'sms' has no `address`, so none are compared there:"
            " add one, such as profile.email",
        ),
    ],
)
def test_x1_a68_addresses_are_compared_by_channels_that_have_one(channel: str, line: str) -> None:
    said = loaded(journey(), policy=COMPARED.replace("CHANNEL", channel)).problems
    assert [str(problem) for problem in said] == ([line] if line else [])


@pytest.mark.parametrize("address", ["event.email", "journey.email", "profle.email"])
def test_x1_an_address_is_read_from_the_profile(address: str) -> None:
    said = loaded(journey(), policy=COMPARED.replace("CHANNEL", "email").replace("profile.email", address)).problems
    assert said.has_errors


def test_x1_x2_what_stops_at_a_partitions_border_is_said() -> None:
    policy = COMPARED.replace("CHANNEL", "email").replace("sms: {", "sms: {rate: {limit: 100, per: 1s}, ")
    several = topology(journey(), policy=policy, streams=STREAMS)
    assert list(remarks(several)) == [
        "dedupe.addresses compares the customers of one partition:"
        " two of different partitions (12 here) are not yet noticed to have one address",
        "rate of sms: 100 per 1s over the whole cluster, 8.333 for each of 12 partitions",
    ]
    alone = structs.replace(several, streams=structs.replace(several.streams, partitions=1))
    assert list(remarks(alone)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("timezone: Australia/Sidney", "1:11  ORC-154  there is no time zone 'Australia/Sidney' in the IANA database; did you mean 'Australia/Sydney'?"),
        ("timezone: ../../etc/passwd", "1:11  ORC-154  there is no time zone '../../etc/passwd' in the IANA database"),
        ("limts: {}", "1:1  ORC-120  the policy has no setting `limts`; did you mean 'limits'?"),
        ("limits: {steps: 0}", "1:17  ORC-125  `steps` must be from 1 to 1000, not 0"),
        ("limits: {wait: 400}", "1:16  ORC-124  '400' has no unit: write a whole number and one unit, such as 90s, 15m, 36h, 3d or 2w, or ISO 8601 such as PT36H"),
        ("channels: {email: {}}", "1:19  ORC-121  channel 'email' needs `topic`"),
        ("channels: {email: {topic: a b}}", "1:27  ORC-123  `topic` must be a topic's name: letters, digits, `.`, `_` and `-`, 249 at most, not 'a b'"),
        ("channels: {Email: {topic: a}}", "1:12  ORC-123  a channel's name must be lower-case letters, digits, - and _, beginning with a letter, 64 at most, not 'Email'"),
        ("channels: {email: {topic: a, kind: mesage}}", "1:36  ORC-126  `kind` must be message or action, not 'mesage'; did you mean 'message'?"),
        ("channels: {email: {topic: a, address: profile.}}", "1:47  ORC-140  not an expression: no viable alternative"),
        ("channels: [email]", "1:11  ORC-122  `channels` must be a mapping of settings, not a list"),
        ("purposes: {a: {consent: requird}}", "1:25  ORC-126  `consent` must be required or not_required, not 'requird'; did you mean 'required'?"),
        ("consent: {unknown: maybe}", "1:20  ORC-126  `unknown` must be deny or allow, not 'maybe'"),
        ("dedupe: {events: {max: 0}}", "1:24  ORC-125  `max` must be from 1 to 65536, not 0"),
        ("- a", "1:1  ORC-122  the policy must be a mapping of settings, not a list"),
    ],
)  # fmt: skip
def test_a04_what_is_wrong_in_a_policy_is_said_at_its_place(text: str, line: str) -> None:
    policy = POLICY.replace("timezone: Australia/Sydney\n", "")
    for key in ("channels", "purposes"):
        if text.startswith(key):
            policy = ""
    said = [
        each for each in lines(journey(), policy=f"{text}\n{'' if text.startswith('-') else policy}") if "policy.yaml:1:" in each
    ]
    assert len(said) == 1
    assert said[0].startswith(f"policy.yaml:{line.split('no viable', maxsplit=1)[0]}")


@pytest.mark.parametrize(
    ("quiet", "code"),
    [
        ('{from: "21:00", to: "21:00"}', codes.CONFLICT),
        ('{from: "24:00", to: "08:00"}', codes.OUT_OF_RANGE),
        ('{from: "9:00", to: "08:00"}', codes.OUT_OF_RANGE),
        ('{from: "21:00"}', codes.MISSING_KEY),
        ("{from: 21:00, to: 08:00}", ""),
    ],
)
def test_a64_quiet_hours_are_two_different_times_of_day(quiet: str, code: str) -> None:
    said = loaded(
        journey(), policy=f"{POLICY}".replace("sms: {topic: actions.sms}", f"sms: {{topic: t, quiet_hours: {quiet}}}")
    ).problems
    assert [problem.code for problem in said] == ([code] if code else [])


@pytest.mark.parametrize(("per", "fine"), [("1d", True), ("1w", True), ("7d", True), ("24h", True), ("2d", False), ("1h", False)])
def test_a63_a_calendar_window_is_a_day_or_a_week(per: str, fine: bool) -> None:
    said = loaded(journey(), policy=f"{POLICY}caps: [{{id: c, limit: 1, per: {per}, window: calendar}}]\n").problems
    assert (codes.OUT_OF_RANGE not in [problem.code for problem in said]) is fine


def test_a61_holding_needs_its_longest_time_and_skipping_has_none() -> None:
    cap = "caps: [{id: c, limit: 1, per: 1d, OVER}]\n"
    for over, code in (("over: hold", codes.MISSING_KEY), ("max_hold: 1d", codes.CONFLICT)):
        said = loaded(journey(), policy=POLICY + cap.replace("OVER", over)).problems
        assert code in [problem.code for problem in said]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("caps: [{id: c, limit: 1, per: 1d, channels: [emial]}]", "policy.yaml has no channel 'emial'"),
        ("caps: [{id: c, limit: 1, per: 1d, purposes: [promo]}]", "policy.yaml has no purpose 'promo'"),
        ("suppress: [{id: s, on: auth.login, purposes: [promo], for: 1d}]", "policy.yaml has no purpose 'promo'"),
        ("caps: [{id: c, limit: 1, per: 1d}, {id: c, limit: 2, per: 1d}]", "the cap id 'c' is already used at policy.yaml:8:8"),
        ("suppress: [{id: s, on: auth.login, when: event.plan == 'x', purposes: [service], for: 1d}]", "no schema of the event declares event.plan"),
    ],
)  # fmt: skip
def test_a_policy_is_checked_against_itself_and_the_schemas(extra: str, message: str) -> None:
    said = loaded(journey(), policy=f"{POLICY}{extra}\n").problems
    assert [problem.message for problem in said] == [message]


def test_streams_are_read_with_their_defaults() -> None:
    streams = topology(journey(), streams=STREAMS).streams
    assert (streams.app, streams.partitions, streams.outcomes, streams.incidents) == (
        "journeys",
        12,
        "journeys.outcomes",
        "journeys.incidents",
    )
    assert [(topic.topic, topic.schemas) for topic in streams.events] == [
        ("customer.events", ("signup.created", "auth.login", "payment.failed"))
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("partitions: 12", "partitions: 0", "2:13  ORC-125  `partitions` must be from 1 to 100000, not 0"),
        ("auth.login", "auth.logn", "5:31  ORC-153  no schema declares the event type 'auth.logn'; did you mean 'auth.login'?"),
        ("journeys.outcomes", "customer.events", "4:12  ORC-127  the topic 'customer.events' is already used for `outcomes`: each needs its own"),
        ("outcomes: journeys.outcomes", "incidents: journeys.outcomes", "6:12  ORC-127  the topic 'journeys.outcomes' is already used for `outcomes`: each needs its own"),
        ("outcomes:", "outcome:", "6:1  ORC-120  the streams file has no setting `outcome`; did you mean 'outcomes'?"),
        ("topic: customer.events", "topic: '..'", "4:12  ORC-123  `topic` must be a topic's name: letters, digits, `.`, `_` and `-`, 249 at most, not '..'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_streams_is_said_at_its_place(old: str, new: str, line: str) -> None:
    assert lines(journey(), streams=STREAMS.replace(old, new)) == [f"streams.yaml:{line}"]


def test_what_operators_ask_for_is_on_no_topic_of_events() -> None:
    said = lines(journey(), streams=STREAMS.replace("auth.login", "operation.requested"))
    wanted = "operation.requested is for operators: only the topic `operations` carries it"
    assert f"streams.yaml:5:31  ORC-127  {wanted}" in said


def test_the_topic_of_operators_is_named_after_the_app_or_as_written() -> None:
    assert topology(journey(), streams=STREAMS.replace("app: journeys", "app: shop")).streams.operations == "shop-operations"
    assert topology(journey(), streams=f"{STREAMS}operations: asked\n").streams.operations == "asked"


def test_an_event_type_that_no_topic_carries_is_a_warning() -> None:
    head = "journey: j\nversion: 1\nowner: t\npurpose: service\nentry: {on: payment.succeeded}\n"
    result = loaded(journey(head=head), streams=STREAMS)
    assert result.topology is not None
    assert [str(problem) for problem in result.problems] == [
        "j.yaml:5:13  ORC-181  warning: no topic of streams.yaml carries 'payment.succeeded', so it is never heard: list it under `events`"
    ]
    everything = STREAMS.replace("    schemas: [signup.created, auth.login, payment.failed]\n", "")
    assert list(loaded(journey(head=head), streams=everything).problems) == []


def test_experiments_are_read_and_checked() -> None:
    text = """\
- experiment: offer-test
  hypothesis: A discount raises first payments.
  owner: growth-team
  metric: paid
  minimum: {exposures_per_arm: 1000, duration: 14d}
  effect: 0.02
  alpha: 0.05
- experiment: offer-test
- {experiment: other, alpha: 2, metrc: x}
- {owner: me}
"""
    problems = Problems()
    node = compose("experiments.yaml", text.encode(), problems)
    assert node is not None
    found = read_experiments(node, problems)
    offer = found["offer-test"]
    assert (offer.owner, offer.metric, offer.exposures_per_arm, offer.duration_ms, offer.effect, offer.alpha) == (
        "growth-team",
        "paid",
        1000,
        14 * 86_400_000,
        0.02,
        0.05,
    )
    assert [str(problem) for problem in problems] == [
        "experiments.yaml:8:15  ORC-156  the experiment 'offer-test' is already registered on line 1",
        "experiments.yaml:9:30  ORC-125  `alpha` must be from 0.0001 to 0.5, not 2",
        "experiments.yaml:9:33  ORC-120  the experiment has no setting `metrc`; did you mean 'metric'?",
        "experiments.yaml:10:3  ORC-121  the experiment needs `experiment`",
    ]


def test_every_code_is_explained_once_and_used() -> None:
    named = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)}
    assert named == set(codes.EXPLAINED)
    assert len(named) == sum(1 for name, value in vars(codes).items() if name.isupper() and isinstance(value, str))
