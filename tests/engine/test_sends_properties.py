"""What holds for every history of sends: replay, round trip, consent at the moment of leaving, nobody woken, order kept."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.engine import NEVER, Customer, Engine
from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.engine.storing import decode, earliest, encode, next_due
from tests.engine.sending import mail, policy
from tests.engine.world import START, as_bytes, topology

HOUR = 3_600_000
POLICY = policy(
    """
caps:
  - {id: all, limit: 3, per: 1d}
  - {id: promos, purposes: [promotion], limit: 1, per: 1d, window: calendar, over: hold, max_hold: 2d}
suppress: [{id: negative, on: csat, when: event.score <= 2, purposes: [promotion], for: 30h}]
holdout: {percent: 10, salt: s}
""",
    channels='channels: {email: {topic: t, quiet_hours: {from: "21:00", to: "08:00"}}, sms: {topic: t}}',
)
WAITS = """
journey: waits
version: 1
purpose: promotion
entry: {on: visit, reentry: always}
exit: [{on: left, send: {channel: email, template: bye, purpose: care}}]
start: s
states:
  s:
    rest: true
    steps:
      - {id: one, send: {channel: preferred, template: one, on_suppressed: other, expires: 2d}}
      - {id: pause, delay: 5h}
      - {id: two, send: {channel: [sms, email], template: two, on_suppressed: exit}}
  other:
    rest: true
    steps:
      - {id: three, send: {channel: email, template: three, purpose: care}}
"""
ENGINE = Engine(
    topology(WAITS, mail("care", on="visit"), mail("promo", on="buy", purpose="promotion", priority=80), policy=POLICY)
)

payloads = {
    "visit": st.just({}),
    "buy": st.just({}),
    "left": st.just({}),
    "csat": st.fixed_dictionaries({"score": st.integers(1, 4)}),
    "preference.updated": st.fixed_dictionaries({"preferred_channel": st.sampled_from(["sms", "email", None])}),
    "consent.changed": st.fixed_dictionaries(
        {
            "channel": st.sampled_from(["email", "sms", "*"]),
            "purpose": st.sampled_from(["promotion", "*"]),
            "status": st.sampled_from(["granted", "granted", "withdrawn"]),
        }
    ),
    "action.outcome": st.fixed_dictionaries({"nth": st.integers(0, 5), "status": st.sampled_from(["delivered", "failed"])}),
}
events = st.sampled_from(sorted(payloads)).flatmap(lambda name: st.tuples(st.just(name), payloads[name], st.integers(-1, 8)))
histories = st.lists(events, max_size=25)
History = list[tuple[str, dict[str, object], int]]


Check = Callable[[list[Handling], int], None]


def run(history: History, *, restart: bool = False, check: Check | None = None) -> tuple[list[Handling], bytes | None]:
    """Run one customer's history to its end; `check` gets each record's handlings and the record's number."""
    customer, out, hours = Customer("c", None), list[Handling](), 0
    for number, (event_type, payload, step) in enumerate(history):
        hours = max(0, hours + step)
        answered: dict[str, object] = payload
        sent = [action.action_id for handling in out for action in handling.actions if action.kind == "send"]
        if event_type == "action.outcome":
            nth = payload["nth"]
            assert isinstance(nth, int)
            answered = {"action_id": sent[-1 - nth] if nth < len(sent) else "none", "status": payload["status"]}
        if restart:
            customer = Customer("c", customer.stored)
        time = START + hours * HOUR
        handlings = ENGINE.handle(customer, Record(event_type, "c", f"e{number}", time, answered, "t", 0, number), time)
        if check is not None:
            check(handlings, number)
        out += handlings
        assert encode(decode(customer.stored)) == customer.stored
        assert next_due(customer.stored) == earliest(decode(customer.stored))
    handlings = ENGINE.fire(customer, NEVER)
    if check is not None:
        check(handlings, len(history))
    out += handlings
    assert next_due(customer.stored) == NEVER
    return out, customer.stored


@given(histories)
def test_t1_k2_a_replay_from_memory_or_from_the_store_gives_the_same_bytes(history: History) -> None:
    first, second = run(history), run(history, restart=True)
    assert as_bytes(first) == as_bytes(second)
    assert [incident for handling in first[0] for incident in handling.incidents] == []


Book = dict[tuple[str, str], tuple[int, bool]]


def allowed(book: Book, channel: str, purpose: str) -> bool:
    """Whether the newest matching consent was given; at equal times the withdrawal counts."""
    if purpose == "care":
        return True
    matching = [change for (c, p), change in book.items() if c in (channel, "*") and p in (purpose, "*")]
    return bool(matching) and not max(matching)[1]


@given(histories)
def test_c2_c3_q1_what_leaves_has_consent_at_that_moment_and_wakes_nobody(history: History) -> None:
    """The rules worked out anew: what went in before each handling against what came out of it."""
    books: list[Book] = [{}]
    hours = 0
    for event_type, payload, step in history:
        hours = max(0, hours + step)
        book = dict(books[-1])
        if event_type == "consent.changed":
            pair = str(payload["channel"]), str(payload["purpose"])
            change = (START + hours * HOUR, payload["status"] == "withdrawn")
            book[pair] = max(book.get(pair, change), change)
        books.append(book)

    def check(handlings: list[Handling], number: int) -> None:
        for handling in handlings:
            book = books[number if handling.event == "" else number + 1]  # timers fire before the record that came with them
            for action in handling.actions:
                if action.kind == "send":
                    assert allowed(book, action.channel, action.purpose)
                    assert handling.at < action.expires_at
                    assert action.channel != "email" or 8 <= (handling.at - START) // HOUR % 24 < 21
                else:
                    assert not allowed(book, action.channel, action.purpose)

    run(history, check=check)


@given(histories)
def test_k1_i1_every_send_comes_to_one_end(history: History) -> None:
    """Emitted, suppressed, or cancelled; what was emitted may be asked back once, and what was held comes out of it."""
    told: dict[str, list[str]] = {}
    for handling in run(history)[0]:
        for decision in handling.decisions:
            if decision.action_id and decision.kind.startswith("action_"):
                told.setdefault(decision.action_id, []).append(decision.kind.removeprefix("action_"))
    for story in told.values():
        ends = [kind for kind in story if kind not in ("held", "released")]
        assert ends in (["emitted"], ["suppressed"], ["cancelled"], ["emitted", "cancelled"]), story
        assert "released" not in story or story.index("released") < story.index("emitted")
