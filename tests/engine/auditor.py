"""What must hold of every history, worked out anew from what went in and what came out; it shares no code with the engine.

It is told of each record and of the handlings that came of it, in order, and raises AssertionError at the first thing that must
not be. It knows the policy and the journeys of `tests.engine.workspace` as plain data.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.engine.handling import Action, Handling
from orchestrator.engine.record import Record
from tests.engine.workspace import DAY, EDGES, HOLDOUT_PERCENT, HOUR, LATE, NOWHERE, POLICY_ZONE, STARTS, SUPPRESSED_FOR

FREEING = ("failed", "bounced", "cancelled")
OVER = ("ended", "exited", "expired")


class Life:
    """What the auditor knows of one customer."""

    def __init__(self, customer: str) -> None:
        self.seen: dict[str, int] = {}
        self.consents: dict[tuple[str, str], tuple[int, bool]] = {}
        self.zone = (POLICY_ZONE, 0)
        self.zone_changed = -1
        self.blocks: list[int] = []
        self.sent: list[tuple[int, Action]] = []
        self.returned: set[str] = set()
        self.commands: set[tuple[str, int, str]] = set()
        self.stood: dict[str, str] = {}
        self.waits: dict[str, str] = {}
        self.heard_late: set[str] = set()
        self.silent: set[str] = set()
        self.over: set[str] = set()
        self.held: set[str] = set()
        digest = sha256(f"s\x1f{customer}".encode()).digest()
        self.held_out = int.from_bytes(digest[:8], "big") % 1_000_000 < HOLDOUT_PERCENT * 10_000


class Auditor:
    """Watches all customers of one partition."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}

    def see(self, record: Record | None, handlings: list[Handling], *, is_late: bool) -> None:
        """Take a record, None for the clock alone, and what came of it.

        Timers that were due fire before a record in time, so under what was known before it. A late record finds none due; what
        it arms itself fires after it.
        """
        own = [each for each in handlings if each.event]
        before = [] if is_late else [each for each in handlings if not each.event]
        for each in before:
            self._check(each)
        if record is not None:
            self._apply(record, own)
        for each in handlings if is_late else own:
            self._check(each)

    def _life(self, customer: str) -> Life:
        return self.lives.setdefault(customer, Life(customer))

    def _apply(self, record: Record, own: list[Handling]) -> None:
        life, time = self._life(record.customer), record.time
        if record.event_id:
            first = life.seen.get(record.event_id)
            if first is not None and time < first + DAY:
                assert not any(each.actions or each.incidents for each in own), "an event id was acted on twice"
                assert all(decision.reason == "duplicate" for each in own for decision in each.decisions)
                return
            life.seen[record.event_id] = time
        payload = record.payload
        match record.type:
            case "consent.changed":
                pair, change = (payload["channel"], payload["purpose"]), (time, payload["status"] == "withdrawn")
                life.consents[pair] = max(life.consents.get(pair, change), change)
            case "profile.updated" if time >= life.zone[1]:
                life.zone, life.zone_changed = (_zone_named(payload.get("timezone")), time), time
            case "csat" if payload["score"] <= 2:
                life.blocks.append(time)
            case "action.outcome" if payload["status"] in FREEING:
                life.returned.add(payload["action_id"])

    def _check(self, handling: Handling) -> None:
        life = self._life(handling.customer)
        silent = set(life.silent)
        for decision in handling.decisions:
            self._check_path(life, decision)
        for action in handling.actions:
            if action.kind == "cancel":
                assert _newest(life, action.channel, action.purpose)[1], "asked back although nothing was withdrawn"
                continue
            command = (action.action_id, action.attempt, action.kind)
            assert command not in life.commands, "one command twice"
            life.commands.add(command)
            assert action.instance not in silent or action.action_id in life.held, "a holdout arm acted"
            if action.kind == "send":
                _check_send(life, action, handling.at)
                life.sent.append((handling.at, action))
                _check_caps(life, action, handling.at)
        assert not any(incident.reason == "handler_error" for incident in handling.incidents), handling.incidents

    def _check_path(self, life: Life, decision: Any) -> None:
        """Every change of state is along a `go` of the file, and every wait that ends had begun."""
        instance, kind = decision.instance, decision.kind
        if kind == "state_entered":
            assert instance not in life.over
            before = life.stood.get(instance)
            legal = EDGES[decision.journey][before] if before else {STARTS[decision.journey]}
            if instance in life.heard_late:  # `on_late` compensates wherever the instance stands by now (ruling A08)
                legal = LATE[decision.journey]
                life.heard_late.discard(instance)
            assert decision.state in legal, f"{decision.journey}: {before} -> {decision.state} is no `go` of the file"
            life.stood[instance] = decision.state
            life.waits.pop(instance, None)
        elif kind in ("hold_started", "delay_started"):
            life.waits[instance] = decision.step
        elif kind == "delay_ended" or (kind == "hold_resolved" and decision.by != "lookback"):
            assert life.waits.pop(instance, None) == decision.step, f"{kind} of a wait that was not there"
        elif kind == "late_event" and LATE[decision.journey]:
            life.heard_late.add(instance)
        elif kind == "action_held":
            life.held.add(decision.action_id)
        elif kind == "branch_taken" and decision.arm == "control":
            life.silent.add(instance)
        elif kind in OVER:
            assert instance not in life.over
            life.over.add(instance)


def _newest(life: Life, channel: str, purpose: str) -> tuple[int, bool]:
    matching = [said for (c, p), said in life.consents.items() if c in (channel, "*") and p in (purpose, "*")]
    return max(matching, default=(0, True))


def _zone_named(name: str | None) -> str:
    return POLICY_ZONE if name is None or name == NOWHERE else name


def _local(zone: str, at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone))


def _check_send(life: Life, action: Action, at: int) -> None:
    assert at < action.expires_at
    assert action.channel != "email" or action.urgent or 8 <= _local(life.zone[0], at).hour < 21, "sent in quiet hours"
    if action.purpose != "promotion":
        return
    given, withdrawn = _newest(life, action.channel, action.purpose)
    assert not withdrawn and given <= at < given + 30 * DAY, "sent without consent"
    assert not any(block <= at < block + SUPPRESSED_FOR for block in life.blocks), "sent while suppressed"
    assert not life.held_out, "sent to the holdout"


def _check_caps(life: Life, action: Action, at: int) -> None:
    counted = [(time, each) for time, each in life.sent if each.action_id not in life.returned]
    _check_rolling([time for time, _ in counted], at, 3, DAY)
    if action.channel == "sms":
        _check_rolling([time for time, each in counted if each.channel == "sms"], at, 1, 6 * HOUR)
    if action.purpose == "promotion" and life.zone_changed < at - 3 * DAY:
        today = _local(life.zone[0], at).date()
        promotions = [time for time, each in counted if each.purpose == "promotion"]
        assert sum(_local(life.zone[0], time).date() == today for time in promotions) <= 1, "over the calendar cap"


def _check_rolling(times: list[int], at: int, limit: int, per: int) -> None:
    """No window that the send at `at` stands in has more than `limit`; a late send also stands in windows of later ones."""
    for end in times:
        if at <= end < at + per:
            assert sum(end - per < time <= end for time in times) <= limit, "over a rolling cap"
