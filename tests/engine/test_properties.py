"""What holds for every history of two journeys: the same bytes on replay, no send without consent, no id twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.engine import NEVER, Customer, Engine
from orchestrator.engine.handling import Action, Handling
from orchestrator.engine.record import Record
from orchestrator.engine.storing import decode, encode, next_due
from orchestrator.simulate import Simulation
from tests.engine.world import START, as_bytes, offset_ms, topology

JOURNEYS = (
    """
journey: onboarding
version: 1
purpose: promotion
entry: {on: signup.created, reentry: {after: 2d, since: exit}}
exit: [{on: account.closed, outcome: closed, send: {channel: email, template: goodbye, purpose: care}}]
context: {plan: event.plan}
start: new
states:
  new:
    on: [{event: payment.failed, go: pending}]
    steps:
      - {id: welcome, send: {channel: email, template: welcome, data: {plan: journey.plan}}}
      - id: first-login
        hold_until:
          - {on: auth.login, when: event.device == "app", as: login}
          - {on: auth.login, go: active}
        timeout: 1d
        on_timeout: quiet
        on_repeat: {restart: 1}
      - {id: note, set: {profile.app: 'true', journey.device: journey.login.device}}
      - {id: on, go: active}
  pending:
    steps:
      - {id: pause, delay: 6h}
      - {id: pay, send: {channel: sms, template: pay, on_suppressed: quiet}}
      - {id: back, split: [{when: profile.app, go: active}, {else: quiet}]}
  quiet:
    steps:
      - {id: remind, send: {channel: email, template: remind, on_suppressed: exit}}
      - {id: stop, end: {outcome: quiet}}
  active: {final: true, outcome: activated}
""",
    """
journey: cases
version: 1
purpose: care
priority: 80
entry: {on: payment.failed, key: event.account, reentry: always}
start: open
states:
  open:
    steps:
      - id: solved
        hold_until: [{on: auth.login, go: solved}]
        timeout: 12h
      - {id: mail, send: {channel: email, template: case}}
      - {id: survey, send: {channel: sms, template: survey, purpose: survey}}
      - {id: cry, alert: {message: unsolved}}
      - {id: stop, end: {}}
  solved: {final: true}
""",
)
TOPOLOGY = topology(*JOURNEYS)
ENGINE = Engine(TOPOLOGY)
CHANNELS, PURPOSES = ("email", "sms", "*"), ("promotion", "survey", "*")

payloads = {
    "signup.created": st.fixed_dictionaries({}, optional={"plan": st.sampled_from(["pro", None])}),
    "auth.login": st.fixed_dictionaries(
        {}, optional={"device": st.sampled_from(["app", "web"]), "account": st.sampled_from(["A", ""])}
    ),
    "payment.failed": st.fixed_dictionaries({}, optional={"account": st.sampled_from(["A", "B", 7, None])}),
    "account.closed": st.just({}),
    "profile.updated": st.fixed_dictionaries({}, optional={"app": st.sampled_from([True, False, None])}),
    "consent.changed": st.fixed_dictionaries(
        {
            "channel": st.sampled_from(CHANNELS),
            "purpose": st.sampled_from(PURPOSES),
            "status": st.sampled_from(["granted", "withdrawn"]),
        },
        optional={"time": st.integers(0, 96).map(lambda hours: START + hours * 3_600_000)},
    ),
    "unheard": st.just({}),
}
events = st.sampled_from(sorted(payloads)).flatmap(
    lambda name: st.tuples(st.just(name), payloads[name], st.integers(-3, 12), st.sampled_from(["", "new", "new", "old"]))
)
histories = st.lists(events, max_size=25)


def sends(handling: Handling) -> list[Action]:
    return [action for action in handling.actions if action.kind == "send"]


def records(customer: str, history: list[tuple[str, dict[str, object], int, str]]) -> list[Record]:
    """Make a history into records: hours go forward, now and then back; ids are new, repeated or none."""
    made: list[Record] = []
    hours = 0
    for number, (event_type, payload, step, kind) in enumerate(history):
        hours += step
        event_id = {"": "", "new": f"{customer}-{number}", "old": f"{customer}-{number // 3}"}[kind]
        made.append(Record(event_type, customer, event_id, START + hours * 3_600_000, payload, "events", 0, number))
    return made


def alone(history: list[Record], *, restart: bool = False) -> tuple[list[Handling], bytes | None]:
    """Run one customer; with `restart` from the stored bytes before every record."""
    customer, out = Customer("c", None), []
    for record in history:
        if restart:
            customer = Customer("c", customer.stored)
        out += ENGINE.handle(customer, record, record.time)
    out += ENGINE.fire(customer, NEVER)
    return out, customer.stored


@given(histories)
def test_t1_i3_a_replay_gives_the_same_bytes_from_memory_or_from_the_store(
    history: list[tuple[str, dict[str, object], int, str]],
) -> None:
    given_records = records("c", history)
    first, second, restarted = alone(given_records), alone(given_records), alone(given_records, restart=True)
    assert as_bytes(first) == as_bytes(second) == as_bytes(restarted)
    assert not [incident for handling in first[0] for incident in handling.incidents if incident.reason == "handler_error"]


@given(histories)
def test_documents_of_real_histories_round_trip_and_end_without_timers(
    history: list[tuple[str, dict[str, object], int, str]],
) -> None:
    customer = Customer("c", None)
    for record in records("c", history):
        ENGINE.handle(customer, record, record.time)
        assert encode(decode(customer.stored)) == customer.stored
        dues = [due for one in decode(customer.stored).instances for due in (one.due, one.expires) if due]
        assert next_due(customer.stored) == min(dues, default=NEVER)
    ENGINE.fire(customer, NEVER)
    assert next_due(customer.stored) == NEVER


@given(histories)
def test_c2_no_action_without_valid_consent_at_its_moment(history: list[tuple[str, dict[str, object], int, str]]) -> None:
    """The rule worked out anew from the records, in the order in which the engine saw them."""
    customer, known = Customer("c", None), {}
    seen: dict[str, int] = {}

    def check(handlings: list[Handling]) -> None:
        for handling in handlings:
            for action in sends(handling):
                assert _allowed(known, action.channel, action.purpose, action.created_at), action

    for record in records("c", history):
        check(ENGINE.fire(customer, record.time))
        first = seen.get(record.event_id)
        repeat = record.event_id != "" and first is not None and record.time < first + offset_ms("24h")
        if record.event_id and not repeat and ENGINE.hears(record.type):
            seen = {name: time for name, time in seen.items() if time + offset_ms("24h") > record.time} | {
                record.event_id: record.time
            }
        if record.type == "consent.changed" and not repeat:
            pair = record.payload["channel"], record.payload["purpose"]
            change = (record.payload.get("time", record.time), record.payload["status"] == "withdrawn")
            known[pair] = max(known.get(pair, change), change)
        check(ENGINE.handle(customer, record, record.time))
    check(ENGINE.fire(customer, NEVER))


def _allowed(known: dict[tuple[str, str], tuple[int, bool]], channel: str, purpose: str, now: int) -> bool:
    if purpose == "care":
        return True
    matching = [change for (c, p), change in known.items() if c in (channel, "*") and p in (purpose, "*")]
    if not matching:
        return purpose == "survey"
    time, withdrawn = max(matching)
    return not withdrawn and time <= now < time + offset_ms("730d")


@given(histories)
def test_t3_simulation_and_engine_give_one_customer_the_same(history: list[tuple[str, dict[str, object], int, str]]) -> None:
    """For records in time order, that is: late ones meet a clock that others have moved."""
    ordered = sorted(records("c", history), key=lambda record: record.time)
    simulation = Simulation(TOPOLOGY)
    simulated = [handling for record in ordered for handling in simulation.feed(record)]
    simulated += simulation.run_until(START + offset_ms("99d"))
    assert simulated == alone(ordered)[0]


@given(histories)
def test_i1_no_action_id_is_used_twice(history: list[tuple[str, dict[str, object], int, str]]) -> None:
    ids = [action.action_id for handling in alone(records("c", history))[0] for action in sends(handling)]
    assert len(ids) == len(set(ids))
