from __future__ import annotations

import pytest

from tests.engine.world import AGAIN, World, journey_of, offset_ms

DAY = offset_ms("1d")

REMINDER = """
journey: reminder
version: 1
purpose: care
entry: {on: signup.created}
start: new
states:
  new:
    steps:
      - id: first-login
        hold_until:
          - {on: auth.login, go: active}
          - {on: auth.token, when: event.kind == "api", go: api}
        timeout: 3d
        on_timeout: quiet
  quiet:
    steps:
      - id: remind
        send: {channel: email, template: remind}
      - id: stop
        end: {outcome: silent}
  active: {final: true, outcome: activated}
  api: {final: true, outcome: api}
"""


@pytest.mark.parametrize(
    ("at", "outcome", "by"), [("3d-1ms", "activated", "event"), ("3d", "activated", "event"), ("3d+1ms", "silent", "timeout")]
)
def test_t3_the_event_wins_the_tie_with_the_deadline(at: str, outcome: str, by: str) -> None:
    # signup 0 ------------------- 3d deadline
    #                            ^ login just before, exactly at, just after
    world = World(REMINDER)
    world.event("signup.created", "0s")
    world.event("auth.login", at)
    world.until("10d")
    assert [(decision.outcome) for decision in world.decisions("ended")] == [outcome]
    assert [decision.by for decision in world.decisions("hold_resolved")] == [by]
    assert world.sent() == ([("remind", 3 * DAY)] if by == "timeout" else [])


def test_t3_a_timer_fires_at_its_own_time_however_late_the_next_record_comes() -> None:
    # signup 0 ---- 3d deadline .......... 30d an event that nobody waits for
    world = World(REMINDER)
    world.event("signup.created", "0s")
    handlings = world.event("profile.updated", "30d", plan="pro")
    assert next(handling.at for handling in handlings) == handlings[0].actions[0].created_at
    assert world.sent() == [("remind", 3 * DAY)]


def test_hold_started_says_until_when() -> None:
    world = World(REMINDER)
    world.event("signup.created", "0s")
    (started,) = world.decisions("hold_started")
    assert (started.state, started.step) == ("new", "first-login")
    assert started.detail == {"deadline": str(world.handlings[0].at + 3 * DAY)}


def test_w1_an_event_before_the_wait_does_not_count() -> None:
    # login 0 ---- signup 1h ------------ 3d1h deadline
    world = World(REMINDER)
    world.event("auth.login", "0s")
    world.event("signup.created", "1h")
    world.until("10d")
    assert world.sent() == [("remind", 3 * DAY + offset_ms("1h"))]


TWO_BRANCHES = """
journey: two
version: 1
purpose: care
entry: {on: began}
start: s
states:
  s:
    steps:
      - id: wait
        hold_until:
          - {on: bought, when: event.price > 10.0, go: big}
          - {on: bought, go: any}
        timeout: 1d
      - id: late
        end: {outcome: late}
  big: {final: true, outcome: big}
  any: {final: true, outcome: any}
"""


@pytest.mark.parametrize(("price", "outcome", "branch"), [(11.0, "big", "1"), (9.0, "any", "2"), (None, "any", "2")])
def test_w3_a84_the_first_branch_that_matches_wins_and_unknown_is_not_a_match(
    price: float | None, outcome: str, branch: str
) -> None:
    world = World(TWO_BRANCHES)
    world.event("began", "0s")
    world.event("bought", "1h", price=price)
    assert [decision.outcome for decision in world.decisions("ended")] == [outcome]
    (resolved,) = world.decisions("hold_resolved")
    assert (resolved.by, resolved.detail) == ("event", {"branch": branch})
    assert len(world.decisions("condition_error")) == (price is None)


def test_a51_a_wait_without_go_and_on_timeout_goes_on_with_the_next_step() -> None:
    world = World(TWO_BRANCHES)
    world.event("began", "0s")
    world.until("1d")
    assert [decision.outcome for decision in world.decisions("ended")] == ["late"]


TWICE = """
journey: twice
version: 1
purpose: care
entry: {on: bought}
start: one
states:
  one:
    on: [{event: bought, go: two}]
    rest: true
  two:
    steps:
      - id: wait
        hold_until: [{on: bought, go: three}]
        timeout: 30d
      - id: stop
        end: {}
  three: {final: true}
"""


def test_w4_e5_one_record_neither_enters_and_resolves_nor_moves_and_resolves() -> None:
    # bought -> one, bought -> two (waiting), bought -> three: one step of the way a record
    world = World(TWICE)
    seen = []
    for at in ("0s", "1s", "2s"):
        world.event("bought", at)
        seen.append(world.state("twice"))
    assert seen == ["one", "two", None]


def test_on_handlers_come_before_the_waiting_step() -> None:
    steps = """
        - id: wait
          hold_until: [{on: bought, go: by_wait}]
          timeout: 1d
        - id: stop
          end: {}
        """
    finals = "by_handler: {final: true, outcome: handler}\nby_wait: {final: true, outcome: wait}"
    world = World(journey_of(steps, state="on: [{event: bought, go: by_handler}]", states=finals))
    world.event("began", "0s")
    world.event("bought", "1s")
    assert [decision.outcome for decision in world.decisions("ended")] == ["handler"]
    assert world.decisions("hold_resolved") == []


EXIT = "exit: [{on: bought, when: event.price > 5.0, outcome: out, send: {channel: email, template: bye}}]"
WAIT = """
- id: wait
  hold_until: [{on: bought, go: won}]
  timeout: 9d
- id: stop
  end: {}
"""


def exit_and_wait(name: str) -> str:
    return journey_of(WAIT, name, entry=AGAIN, more=EXIT, states="won: {final: true, outcome: won}")


def test_w7_a105_the_exits_of_all_instances_come_before_any_wait() -> None:
    # both instances hear one event: the exit wins in each, and both exits come before anything else
    world = World(exit_and_wait("aa"), exit_and_wait("bb"))
    world.event("began", "0s")
    world.event("bought", "1d", price=6.0)
    assert sorted((decision.journey, decision.outcome) for decision in world.decisions("exited")) == [
        ("aa", "out"),
        ("bb", "out"),
    ]
    assert world.decisions("hold_resolved") == []
    assert [(action.journey, action.template, action.step) for action in world.actions] == [
        ("aa", "bye", "exit:1"),
        ("bb", "bye", "exit:1"),
    ]


def test_a50_an_exit_whose_condition_fails_leaves_the_event_to_the_wait() -> None:
    world = World(exit_and_wait("aa"))
    world.event("began", "0s")
    world.event("bought", "1d", price=5.0)
    assert world.decisions("exited") == []
    assert [decision.outcome for decision in world.decisions("ended")] == ["won"]


def test_a87_an_exit_send_names_its_position() -> None:
    world = World(exit_and_wait("aa"))
    world.event("began", "0s")
    world.event("bought", "1d", price=6.0)
    assert [(decision.step, decision.channel) for decision in world.decisions("action_emitted")] == [("exit:1", "email")]


KEYED = """
journey: keyed
version: 1
purpose: care
entry: {on: case.opened, key: event.case}
exit: [{on: case.dropped, outcome: dropped}]
start: open
states:
  open:
    on: [{event: case.raised, go: raised}]
    steps:
      - id: wait
        hold_until: [{on: case.closed, go: closed}]
        timeout: 30d
      - id: stop
        end: {outcome: stale}
  raised: {rest: true, on: [{event: case.closed, go: closed}]}
  closed: {final: true, outcome: closed}
"""


def _two_cases() -> World:
    world = World(KEYED)
    world.event("case.opened", "0s", case="A")
    world.event("case.opened", "1s", case="B")
    return world


@pytest.mark.parametrize("event_type", ["case.closed", "case.dropped", "case.raised"])
def test_w6_a49_an_event_with_a_key_reaches_only_that_instance_in_waits_exits_and_handlers(event_type: str) -> None:
    world = _two_cases()
    world.event(event_type, "2s", case="B")
    assert world.state("keyed", key="A") == "open"
    assert world.state("keyed", key="B") in (None, "raised")


@pytest.mark.parametrize("payload", [{}, {"case": None}, {"case": ""}])
def test_w6_an_event_without_a_key_reaches_every_instance(payload: dict[str, object]) -> None:
    world = _two_cases()
    world.event("case.closed", "2s", **payload)
    assert world.document().instances == []


NUDGE = """
- id: wait
  hold_until: [{on: bought, go: done}]
  timeout: 1h
  on_repeat: {restart: 2}
- id: nudge
  send: {channel: email, template: nudge}
- id: stop
  end: {}
"""
RESTARTED = journey_of(NUDGE, "cart", entry="{on: cart.changed, key: event.cart}", states="done: {final: true}")


def test_w5_a48_a_repeat_restarts_the_deadline_at_most_n_times() -> None:
    # changed 0m -> 60m; changed 30m -> 90m; changed 80m -> 140m; changed 100m: no restart is left; nudge 140m
    world = World(RESTARTED)
    for at in ("0s", "30m", "80m", "100m"):
        world.event("cart.changed", at, cart="A")
    world.until("1d")
    assert world.sent() == [("nudge", offset_ms("140m"))]
    assert [decision.detail.get("restart") for decision in world.decisions("hold_started") if decision.detail] == [None, "1", "2"]


def test_w5_a48_a_repeat_with_another_key_is_no_repeat() -> None:
    world = World(RESTARTED)
    world.event("cart.changed", "0s", cart="A")
    world.event("cart.changed", "30m", cart="B")
    world.until("1d")
    assert world.sent() == [("nudge", offset_ms("60m")), ("nudge", offset_ms("90m"))]


def test_w5_a48_nothing_began_a_wait_that_a_timer_led_to() -> None:
    steps = """
        - id: first
          delay: 1h
        - id: wait
          hold_until: [{on: bought}]
          timeout: 1h
          on_repeat: {restart: 5}
        - id: mail
          send: {channel: email, template: hello}
        - id: stop
          end: {}
        """
    world = World(journey_of(steps))
    world.event("began", "0s")
    world.event("began", "90m")
    world.until("1d")
    assert world.sent() == [("hello", offset_ms("120m"))]


def test_a45_as_keeps_the_payload_of_the_matched_event() -> None:
    steps = """
        - id: wait
          hold_until: [{on: bought, as: order}]
          timeout: 1h
        - id: pause
          delay: 1h
        - id: mail
          send: {channel: email, template: thanks, data: {item: journey.order.item, price: journey.order.price}}
        - id: stop
          end: {}
        """
    world = World(journey_of(steps))
    world.event("began", "0s")
    world.event("bought", "1m", item="book", price=3.5, note=None)
    world.until("1d")
    assert world.actions[0].data == {"item": "book", "price": 3.5}


def test_a46_event_is_the_record_in_later_steps_and_absent_after_a_timer() -> None:
    steps = """
        - id: now
          send: {channel: email, template: now, data: {plan: event.plan, kind: event.event_id}}
        - id: pause
          delay: 1h
        - id: later
          send: {channel: email, template: later, data: {plan: event.plan}}
        - id: stop
          end: {}
        """
    world = World(journey_of(steps))
    world.event("began", "0s", id="x", plan="pro")
    world.until("1d")
    assert [action.data for action in world.actions] == [{"plan": "pro", "kind": "x"}, {}]
    assert [(decision.step, decision.detail) for decision in world.decisions("condition_error")] == [
        ("later", {"expression": "event.plan"})
    ]


def test_d1_a_delay_of_one_day_is_86400_seconds_and_d5_one_of_zero_takes_no_timer() -> None:
    steps = """
        - {id: none, delay: 0s}
        - {id: a, send: {channel: email, template: a}}
        - {id: day, delay: 1d}
        - {id: b, send: {channel: email, template: b}}
        - {id: stop, end: {}}
        """
    world = World(journey_of(steps))
    (handling,) = world.event("began", "0s")
    assert [decision.step for decision in handling.decisions if decision.kind == "delay_started"] == ["day"]
    world.until("1d-1ms")
    assert world.sent() == [("a", 0)]
    world.until("1d")
    assert world.sent() == [("a", 0), ("b", 86_400_000)]


def test_a101_a_late_record_counts_from_its_own_time_and_what_is_overdue_fires_at_once() -> None:
    # another customer's record moves the clock to 10d; then a record of 1d arrives: its 3d wait ended at 4d
    world = World(REMINDER)
    world.event("auth.login", "10d", customer="other")
    handlings = world.event("signup.created", "1d")
    assert [handling.at for handling in handlings] == sorted(handling.at for handling in handlings)
    assert world.sent() == [("remind", 4 * DAY)]


def test_a06_timers_of_one_instant_are_one_handling_by_journey_id() -> None:
    def mail(name: str, priority: int) -> str:
        steps = f"""
            - {{id: wait, delay: 1d}}
            - {{id: mail, send: {{channel: email, template: {name}}}}}
            - {{id: stop, end: {{}}}}
            """
        return journey_of(steps, name, more=f"priority: {priority}")

    world = World(mail("aa", 10), mail("bb", 90))
    world.event("began", "0s")
    (handling,) = world.until("1d")
    ended = [decision.journey for decision in handling.decisions if decision.kind == "delay_ended"]
    # T3 says the order of running, K2 the order of sending: by priority.
    assert ended == ["aa", "bb"]
    assert [action.template for action in handling.actions] == ["bb", "aa"]


def test_a83_a_wait_as_long_as_the_lifetime_times_out_and_the_event_at_its_end_is_heard() -> None:
    from msgspec.structs import replace

    from orchestrator.simulate import Simulation
    from tests.engine.world import topology

    short = (
        REMINDER.replace("timeout: 3d", "timeout: 3d")
        .replace("quiet:\n    steps:", "quiet:\n    rest: true\n    steps:")
        .replace("      - id: stop\n        end: {outcome: silent}\n", "")
    )
    given = topology(short)
    journeys = tuple(replace(journey, lifetime_ms=3 * DAY) for journey in given.journeys)
    world = World(short)
    world.simulation = Simulation(replace(given, journeys=journeys))
    world.event("signup.created", "0s")
    world.until("3d")
    assert world.sent() == [("remind", 3 * DAY)]
    assert [decision.kind for decision in world.decisions()][-2:] == ["expired", "action_emitted"]
    assert world.document().instances == []


def test_t7_active_instances_are_offered_an_event_oldest_first() -> None:
    steps = "- {id: answer, hold_until: [{on: done, go: over}], timeout: 9d}"
    entry = "{on: began, key: event.key, reentry: always}"
    keyed = journey_of(steps, "keyed", entry=entry, states="over: {final: true}")
    for order in (("b", "a", "c"), ("c", "b", "a")):
        world = World(keyed)
        for number, key in enumerate(order):
            world.event("began", f"{number}s", key=key)
        world.event("done", "1h")
        assert [decision.key for decision in world.decisions("ended")] == list(order)
