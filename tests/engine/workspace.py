"""A workspace with everything in it, for any history: caps, quiet hours, suppression, holdouts, calls, keys, look-back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

HOUR = 3_600_000
DAY = 24 * HOUR
SUPPRESSED_FOR = 30 * HOUR
HOLDOUT_PERCENT = 20
POLICY_ZONE = "Australia/Sydney"
NOWHERE = "Mars/Olympus"  # a zone that no database has

POLICY = """
timezone: Australia/Sydney
channels:
  email: {topic: actions.email, quiet_hours: {from: "21:00", to: "08:00"}}
  sms: {topic: actions.sms}
  desk: {topic: actions.desk, kind: action}
purposes:
  care: {consent: not_required, basis: contract}
  promotion: {consent: required}
consent: {unknown: deny, expires: 30d}
caps:
  - {id: all, limit: 3, per: 1d}
  - {id: sms, channels: [sms], limit: 1, per: 6h, over: hold, max_hold: 1d}
  - {id: promos, purposes: [promotion], limit: 1, per: 1d, window: calendar, over: hold, max_hold: 2d}
suppress: [{id: negative, on: csat, when: event.score <= 2, purposes: [promotion], for: 30h}]
exclusive: [{id: money, journeys: [recovery, winback], on_conflict: preempt}]
holdout: {percent: 20, salt: s}
limits: {instances_per_customer: 6}
"""

JOURNEYS = (
    """
journey: onboarding
version: 1
purpose: promotion
priority: 60
lifetime: 9d
entry: {on: signup, reentry: {after: 2d, since: exit}, max_age: 12h}
exit: [{on: closed, outcome: closed, send: {channel: email, template: goodbye, purpose: care}}]
context: {plan: event.plan}
goals: [{id: active, on: login, within: 3d}]
start: fresh
states:
  fresh:
    on: [{event: failed, when: event.account == "A", go: pending}]
    steps:
      - {id: welcome, send: {channel: preferred, template: welcome, on_suppressed: quiet, expires: 2d}}
      - id: login
        hold_until:
          - {on: login, when: event.device == "app", go: active, as: seen}
          - {on: login, as: seen}
          - {on: signup, when: event.plan == "pro", go: quiet}
        timeout: 20h
        on_timeout: quiet
        lookback: since_entry
        on_repeat: {restart: 2}
        on_late: late
      - {id: note, set: {journey.device: journey.seen.device, profile.device: journey.seen.device}}
      - {id: on, go: active}
  pending:
    steps:
      - {id: pause, delay: 6h, smooth_over: 3h}
      - {id: pay, send: {channel: [sms, email], template: pay, on_suppressed: exit}}
      - {id: back, split: [{when: journey.plan == "pro", go: fresh}, {else: quiet}]}
  quiet:
    steps:
      - {id: morning, delay: {at: "09:00", days: [mon, tue, wed, thu, fri]}}
      - id: test
        randomize:
          experiment: offer
          branches: [{arm: control, weight: 40, holdout: true}, {arm: offer, weight: 60}]
      - {id: remind, send: {channel: email, template: remind, urgent: true}}
      - {id: stop, end: {outcome: quiet}}
  late:
    rest: true
    steps:
      - {id: sorry, send: {channel: email, template: sorry, purpose: care}}
  active: {final: true, outcome: activated}
""",
    """
journey: recovery
version: 1
purpose: care
priority: 80
entry: {on: failed, key: event.account, reentry: always}
exit: [{on: closed}]
start: open
states:
  open:
    steps:
      - id: case
        call:
          action: open-case
          timeout: 2h
          retry: [{on: [busy, timeout], max_attempts: 3, interval: 30m, jitter: full}]
          on_error: mail
          result: found
      - {id: solved, hold_until: [{on: login, go: solved}], timeout: 12h}
      - {id: goes, go: mail}
  mail:
    steps:
      - {id: tell, send: {channel: sms, template: case}}
      - {id: also, send: {channel: email, template: case}}
      - {id: check, call: {action: check-account, timeout: 1h}}
      - {id: stop, end: {}}
  solved: {final: true}
""",
    """
journey: winback
version: 1
purpose: promotion
priority: 20
entry: {on: [signup, login], when: 'count_within("login", duration("24h")) >= 2', reentry: {after: 1d, since: entry}}
start: waits
states:
  waits:
    steps:
      - id: best
        hold_until: [{on: csat, when: event.score > 3, go: happy}, {on: login, go: here}]
        timeout: 10h
        match: ranked
        lookback: 1d
        on_timeout: gone
  happy:
    steps: [{id: praise, send: {channel: sms, template: praise}}, {id: out, end: {}}]
  here:
    steps: [{id: hello, send: {channel: email, template: hello, purpose: care}}, {id: again, go: waits}]
  gone:
    rest: true
    steps: [{id: offer, send: {channel: email, template: offer}}, {id: chain, start: {journey: chained}}]
""",
    """
journey: chained
version: 1
purpose: care
entry: {on: never, reentry: always}
start: s
states:
  s: {steps: [{id: later, delay: 1d}, {id: mail, send: {channel: email, template: chained}}, {id: stop, end: {}}]}
""",
)

_GOES = frozenset({"go", "on_timeout", "on_error", "else", "on_suppressed"})
_LATE = frozenset({"on_late"})


def _named(node: Any, settings: frozenset[str]) -> Iterator[str]:
    """Every state that one of these settings names, anywhere below."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in settings and isinstance(value, str) and value not in ("continue", "exit"):
                yield value
            else:
                yield from _named(value, settings)
    elif isinstance(node, list):
        for item in node:
            yield from _named(item, settings)


# By journey: where it starts, from which state which can follow, and where late events lead to from anywhere.
STARTS: dict[str, str] = {}
EDGES: dict[str, dict[str, set[str]]] = {}
LATE: dict[str, set[str]] = {}
for _journey in (YAML(typ="safe", pure=True).load(text) for text in JOURNEYS):
    STARTS[_journey["journey"]] = _journey["start"]
    EDGES[_journey["journey"]] = {name: set(_named(state, _GOES)) for name, state in _journey["states"].items()}
    LATE[_journey["journey"]] = set(_named(_journey, _LATE))
