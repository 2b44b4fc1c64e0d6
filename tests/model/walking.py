"""One instance on its journey, for the model: waits, timers, steps, calls, conditions."""

from __future__ import annotations

import re
import uuid
from typing import Any

from tests.model.facts import Customer, Event, Instance, Json, Wish

UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DAY = UNITS["d"]
UNKNOWN = object()
FREEING = ("failed", "bounced", "cancelled")
VERBS = ("send", "set", "split", "delay", "hold_until", "call", "go", "end")


def ms(text: str) -> int:
    """Read "3h"."""
    return int(text[:-1]) * UNITS[text[-1]]


class Walking:
    """The part of the model that moves one instance of the customer at hand."""

    def __init__(self, journeys: list[Json], policy: Json) -> None:
        self.journeys = sorted(journeys, key=lambda journey: (-journey["priority"], journey["journey"]))
        self.policy = {"caps": [], "suppress": [], "exclusive": [], **policy}
        self.clock = 0
        self.customers: dict[str, Customer] = {}
        self.now = 0
        self.event: Event | None = None
        self.wishes: list[Wish] = []

    # Waiting for an event.

    def match(self, one: Instance, step: Json, event: Event) -> int | None:
        """Give the first written branch that matches (W3)."""
        for number, branch in enumerate(step["hold_until"]):
            if branch["on"] == event.type and self.holds(branch.get("when"), one, event):
                return number
        return None

    def take(self, one: Instance, step: Json, data: Json, number: int) -> None:
        branch = step["hold_until"][number]
        if "as" in branch:
            one.context = {**one.context, branch["as"]: data}

    def hear(self, one: Instance, step: Json, event: Event) -> None:
        number = self.match(one, step, event)
        if number is not None and step.get("match") == "ranked":
            self.rank(one, number, event)
        elif number is not None:
            self.resolve(one, step, number, event, "event")
        elif one.began_by == event.type and one.restarts < step.get("on_repeat", {}).get("restart", 0):
            one.restarts += 1
            one.due = self.now + ms(step["timeout"])
            self.log("hold_started", one, step["id"])

    def rank(self, one: Instance, number: int, event: Event) -> None:
        best = one.ranked
        if best is None or number < best[0] or (number == best[0] and event.time < best[1]):
            one.ranked = (number, event.time, event.data)

    def resolve(self, one: Instance, step: Json, number: int, event: Event, by: str) -> None:
        self.take(one, step, event.data, number)
        self.log("hold_resolved", one, step["id"], by=by)
        self.move(one, step, step["hold_until"][number].get("go"), event)

    def hold(self, one: Instance, step: Json) -> None:
        """Begin a wait, unless an earlier event ends it at once (W2)."""
        one.ranked, one.restarts = None, 0
        one.began_by = self.event.type if self.event is not None else ""
        for event in self.earlier(one, step):
            number = self.match(one, step, event)
            if number is None:
                continue
            if step.get("match") == "ranked":
                self.rank(one, number, event)
            else:
                one.step = None
                self.resolve(one, step, number, event, "lookback")
                return
        one.step, one.due = step, self.now + ms(step["timeout"])
        self.log("hold_started", one, step["id"])

    def earlier(self, one: Instance, step: Json) -> list[Event]:
        """Events that a look-back may take (A42, A44), earliest first."""
        back = step.get("lookback", "none")
        if back == "none":
            return []
        found = []
        for event in self.customer.events:
            if event is one.entry:
                ok = bool(step.get("include_entry")) and event.time <= self.now
            elif event is self.event or event.time >= self.now or not self.is_for(one, event):
                ok = False
            elif back == "since_entry":
                ok = event.number > one.entry.number
            else:
                ok = event.time >= self.now - ms(back)
            if ok:
                found.append(event)
        return sorted(found, key=lambda event: (event.time, event.number))

    # Timers.

    def fall_due(self, one: Instance) -> None:
        step = one.step
        assert step is not None
        one.due = None
        if "delay" in step:
            self.log("delay_ended", one, step["id"])
            self.move(one, step, None, None)
        elif "call" in step:
            if one.is_out:
                self.fail(one, step, "timeout")
            else:
                self.call(one, step)
        elif one.ranked is not None:
            number, _, data = one.ranked
            self.take(one, step, data, number)
            self.log("hold_resolved", one, step["id"], by="event")
            self.move(one, step, step["hold_until"][number].get("go"), None)
        else:
            self.log("hold_resolved", one, step["id"], by="timeout")
            one.late = (step, self.now)
            self.move(one, step, step.get("on_timeout"), None)

    # Steps.

    def enter(self, one: Instance, state: str, event: Event | None) -> None:
        one.state, one.step, one.due, one.parked = state, None, None, False
        one.visits[state] = one.visits.get(state, 0) + 1
        self.log("state_entered", one)
        written = one.journey["states"][state]
        if written.get("final"):
            self.log("ended", one, outcome=written.get("outcome", ""))
            self.remove(one)
        elif written.get("steps"):
            self.run(one, written["steps"], 0, event)

    def move(self, one: Instance, step: Json, state: str | None, event: Event | None) -> None:
        """Go to a state, or on to the next step; `event` is what the steps see (A46)."""
        one.step, one.due = None, None
        if state is not None:
            self.enter(one, state, event)
            return
        steps = one.journey["states"][one.state]["steps"]
        self.run(one, steps, steps.index(step) + 1, event)

    def run(self, one: Instance, steps: list[Json], at: int, event: Event | None) -> None:
        """Run steps until the instance waits, moves or is over."""
        for step in steps[at:]:
            if self.holds(step.get("when"), one, event):
                verb = next(verb for verb in VERBS if verb in step)
                if getattr(self, f"do_{verb}")(one, step, event):
                    return
        one.step, one.due = None, None

    # One verb each: True where the run of steps ends here.

    def do_send(self, one: Instance, step: Json, event: Event | None) -> bool:
        choice = step["send"].get("on_suppressed", "continue")
        if self.send(one, step, step["id"]) or choice == "continue":
            return False
        self.lose(one, choice, event)
        return True

    def do_set(self, one: Instance, step: Json, event: Event | None) -> bool:
        for name, source in step["set"].items():
            value = self.value(source, one, event)
            if value is not UNKNOWN:
                one.context = {**one.context, name.removeprefix("journey."): value}
        return False

    def do_split(self, one: Instance, step: Json, event: Event | None) -> bool:
        go = next((way["go"] for way in step["split"] if "go" in way and self.holds(way["when"], one, event)), None)
        go = go or next(way["else"] for way in step["split"] if "else" in way)
        self.log("branch_taken", one, step["id"])
        if go == "continue":
            return False
        self.enter(one, go, event)
        return True

    def do_delay(self, one: Instance, step: Json, event: Event | None) -> bool:
        if ms(step["delay"]) == 0:
            return False
        self.log("delay_started", one, step["id"])
        one.step, one.due = step, self.now + ms(step["delay"])
        return True

    def do_hold_until(self, one: Instance, step: Json, event: Event | None) -> bool:
        self.hold(one, step)
        return True

    def do_call(self, one: Instance, step: Json, event: Event | None) -> bool:
        one.attempt, one.step = 1, step
        self.call(one, step)
        return True

    def do_go(self, one: Instance, step: Json, event: Event | None) -> bool:
        self.enter(one, step["go"], event)
        return True

    def do_end(self, one: Instance, step: Json, event: Event | None) -> bool:
        self.log("ended", one, outcome=step["end"].get("outcome", ""))
        self.remove(one)
        return True

    def lose(self, one: Instance, choice: str, event: Event | None) -> None:
        if choice == "exit":
            self.log("exited", one, reason="suppressed")
            self.remove(one)
        else:
            self.enter(one, choice, event)

    def send(self, one: Instance, step: Json, step_id: str) -> bool:
        """Want a send; False where consent or a suppression rule stands against it at once."""
        wanted = step["send"]
        purpose, channel = wanted.get("purpose", one.journey["purpose"]), wanted["channel"]
        reason = ""
        if not self.consented(channel, purpose):
            reason = "consent"
        elif any(purpose in rule["purposes"] and self.is_blocked(rule["id"]) for rule in self.policy["suppress"]):
            reason = "suppression"
        if reason:
            self.log("action_suppressed", one, step_id, reason=reason)
            return False
        visit = one.visits.get(one.state, 1) if not step_id.startswith("exit:") else 1
        action = str(uuid.uuid5(one.id, f"{step_id}\x1f{visit}"))
        self.wishes.append(Wish(one, step, step_id, "send", action, channel, purpose, wanted["template"], one.state))
        return True

    def is_blocked(self, rule: str) -> bool:
        return any(each == rule and begin <= self.now < end for each, begin, end in self.customer.blocks)

    # Calls, rule A2.

    def call(self, one: Instance, step: Json) -> None:
        one.is_out, one.step, one.due = True, step, self.now + ms(step["call"]["timeout"])
        what = step["call"]["action"]
        self.wishes.append(
            Wish(one, step, step["id"], "call", self.call_id(one, step), "service", "", what, one.state, one.attempt)
        )

    def call_id(self, one: Instance, step: Json) -> str:
        return str(uuid.uuid5(one.id, f"{step['id']}\x1f{one.visits[one.state]}"))

    def hear_outcome(self, one: Instance, step: Json, event: Event) -> None:
        if event.type != "action.outcome" or not one.is_out or event.data["action_id"] != self.call_id(one, step):
            return
        if event.data["status"] == "succeeded":
            if "result" in step["call"]:
                one.context = {**one.context, step["call"]["result"]: event.data.get("data", {})}
            self.move(one, step, None, event)
        elif event.data["status"] in FREEING:
            self.fail(one, step, event.data.get("code") or event.data["status"])

    def fail(self, one: Instance, step: Json, code: str) -> None:
        call = step["call"]
        entry = next((entry for entry in call.get("retry", []) if code in entry["on"] or "*" in entry["on"]), None)
        if entry is not None and one.attempt < entry["max_attempts"]:
            pause = min(ms(entry["interval"]) * entry["backoff"] ** (one.attempt - 1), ms(entry["max_delay"]))
            self.log("retry_scheduled", one, step["id"], reason=code)
            one.attempt, one.is_out, one.due = one.attempt + 1, False, self.now + pause
            return
        self.log("call_failed", one, step["id"], reason=code)
        if "on_error" in call:
            self.move(one, step, call["on_error"], self.event)
        else:
            one.parked, one.due = True, None

    def remove(self, one: Instance) -> None:
        self.customer.instances.remove(one)
        self.customer.ended[one.journey["journey"], one.key] = self.now

    # Consent, rule C1.

    def consented(self, channel: str, purpose: str) -> bool:
        if self.policy["purposes"][purpose]["consent"] == "not_required":
            return True
        records = [
            each for each in self.customer.consents if each["channel"] in (channel, "*") and each["purpose"] in (purpose, "*")
        ]
        if not records:
            return False
        newest = max(records, key=lambda each: (each["time"], each["status"] == "withdrawn"))
        age = self.now - newest["time"]
        return newest["status"] == "granted" and 0 <= age < ms(self.policy["consent"]["expires"])

    # Expressions: `event.n >= 2`, `journey.x.n == 1`, `profile.tier == "gold"`, `event.n`.

    def holds(self, source: str | None, one: Instance | None, event: Event | None) -> bool:
        if source is None:
            return True
        found = re.fullmatch(r"([\w.]+) (>=|<|==) (.+)", source)
        assert found is not None, source
        left, operator, right = found.groups()
        value, other = self.value(left, one, event), int(right)
        if not isinstance(value, int):  # absent, or of another type: unknown is not true
            return False
        return {">=": value >= other, "<": value < other, "==": value == other}[operator]

    def value(self, source: str, one: Instance | None, event: Event | None) -> Any:
        scope, *path = source.split(".")
        value: Any = {
            "event": {} if event is None else event.data,
            "journey": {} if one is None else one.context,
            "profile": self.customer.profile,
        }[scope]
        for name in path:
            if not isinstance(value, dict) or value.get(name) is None:
                return UNKNOWN
            value = value[name]
        return value

    # Keys, rule W6.

    def key(self, journey: Json, event: Event) -> str:
        value = self.value(journey["entry"]["key"], None, event)
        return "" if value is UNKNOWN else str(value)

    def is_for(self, one: Instance, event: Event) -> bool:
        if "key" not in one.journey["entry"]:
            return True
        return self.key(one.journey, event) in ("", one.key)

    def log(
        self, kind: str, one: Instance, step: str = "", *, reason: str = "", by: str = "", outcome: str = "", state: str = ""
    ) -> None:
        self.customer.decisions.append(
            (self.now, kind, one.journey["journey"], one.key, state or one.state, step, reason, by, outcome)
        )
