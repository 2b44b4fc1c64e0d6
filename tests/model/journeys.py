"""Random journeys, policies and histories for the model and the engine alike, as plain data. Seeded: a number gives one world."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any

Json = dict[str, Any]
HOUR = 3_600_000
START = 1_767_571_200_000  # 2026-01-05T00:00:00Z
TYPES = ("began", "used", "paid", "left")
CUSTOMERS = ("c1", "c2")
OUTCOMES = (
    {"status": "succeeded", "data": {"n": 2}},
    {"status": "failed", "code": "busy"},
    {"status": "failed", "code": "no"},
    {"status": "delivered"},
    {"status": "bounced"},
)
SPANS = ("1h", "2h", "3h", "6h", "24h")


@dataclass
class Step:
    """One thing that happens: an event, or an outcome for the `pick`-th latest action so far."""

    time: int
    customer: str
    type: str
    id: str
    data: Json
    pick: int = 0


class Maker:
    """Makes one world."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.number = 0

    def may(self, chance: float) -> bool:
        return self.random.random() < chance

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def world(self) -> tuple[list[Json], Json]:
        """Give some journeys and their policy."""
        journeys = [self.journey(f"j{number}") for number in range(1, self.pick(1, 2, 3) + 1)]
        return journeys, self.policy(len(journeys))

    def policy(self, journeys: int) -> Json:
        policy: Json = {
            "timezone": "UTC",
            "channels": {
                "email": {"topic": "actions.email"},
                "sms": {"topic": "actions.sms"},
                "service": {"topic": "actions.service", "kind": "action"},
            },
            "purposes": {"care": {"consent": "not_required", "basis": "contract"}, "promo": {"consent": "required"}},
            "consent": {"unknown": "deny", "expires": self.pick("20h", "30d")},
            "dedupe": {"events": {"window": self.pick("3h", "24h"), "max": 10_000}},
            "limits": {"instances_per_customer": self.pick(2, 25)},
        }
        if self.may(0.5):
            cap = {"id": "often", "limit": self.pick(1, 2), "channels": self.pick(["email"], ["email", "sms"])}
            policy["caps"] = [{**cap, **self.pick({"per": "6h", "window": "rolling"}, {"per": "1d", "window": "calendar"})}]
        if self.may(0.3):
            rule = {"id": "unhappy", "on": "left", "purposes": ["promo"], "for": self.pick("2h", "24h")}
            policy["suppress"] = [{**rule, **self.condition("event", 0.5)}]
        if journeys > 1 and self.may(0.3):
            policy["exclusive"] = [{"id": "one", "journeys": ["j1", "j2"], "on_conflict": "refuse"}]
        return policy

    def condition(self, scope: str, chance: float = 0.4) -> Json:
        """Give `when` sometimes."""
        if not self.may(chance):
            return {}
        return {"when": f"{scope}.{self.pick('n', 'm')} {self.pick('>=', '<', '==')} {self.pick(1, 2, 3)}"}

    def journey(self, name: str) -> Json:
        states = ["s1", "s2", "s3"]
        entry: Json = {
            "on": self.pick("began", "began", "used", "paid"),
            "reentry": self.pick(
                "never", "always", "always", {"after": self.pick("2h", "24h"), "since": self.pick("entry", "exit")}
            ),
            **self.condition("event", 0.3),
        }
        if self.may(0.3):
            entry["key"] = "event.k"
        if self.may(0.2):
            entry["max_age"] = "2h"
        journey: Json = {
            "journey": name,
            "version": 1,
            "purpose": self.pick("care", "promo"),
            "priority": self.pick(20, 50, 50, 80),
            "entry": entry,
            "context": {"n": "event.n", "m": "event.m"},
            "start": "s1",
            "states": {state: self.state(states, after) for state, after in zip(states, [*states[1:], "over"], strict=True)}
            | {"over": {"final": True, "outcome": "done"}},
        }
        if self.may(0.4):
            rule: Json = {"on": self.pick("left", "paid"), "outcome": "gone", **self.condition("event", 0.3)}
            if self.may(0.5):
                rule["send"] = self.message()
            journey["exit"] = [rule]
        if self.may(0.3):
            journey["lifetime"] = "30h"
        if self.may(0.4):
            journey["goals"] = [
                {"id": "goal", "on": self.pick("used", "paid"), "within": self.pick("3h", "24h"), "primary": True}
            ]
        return journey

    def state(self, states: list[str], after: str) -> Json:
        """Give a state; a handler leads to the next one, so that every state can be reached."""
        state: Json = {"rest": True, "on": [{"event": "left", "go": after, **self.condition("event")}]}
        if self.may(0.4):
            state["on"].append({"event": self.pick(*TYPES), "go": self.pick(*states, "over"), **self.condition("event", 0.3)})
        state["steps"] = [self.step(states) for _ in range(self.pick(1, 2, 3))]
        if self.may(0.5):
            # A wait between any two transitions keeps random journeys from going in circles within one handling.
            state["steps"].append(self.step_named("go", self.pick(*states, "over")))
            state["steps"].insert(0, self.step_named("delay", self.pick("1h", "2h")))
        return state

    def step_named(self, verb: str, value: Any) -> Json:
        self.number += 1
        return {"id": f"x{self.number}", verb: value}

    def message(self) -> Json:
        send: Json = {"channel": self.pick("email", "sms"), "template": f"t{self.number}"}
        if self.may(0.3):
            send["purpose"] = self.pick("care", "promo")
        return send

    def step(self, states: list[str]) -> Json:
        make = self.pick(
            self.send, self.send, self.wait, self.wait, self.wait, self.delay, self.split, self.set, self.call, self.end
        )
        self.number += 1
        step: Json = {"id": f"x{self.number}", **make(states)}
        return {**step, **self.condition("journey", 0.1)}

    def send(self, states: list[str]) -> Json:
        send = self.message()
        if self.may(0.4):
            send["on_suppressed"] = self.pick("exit", "over", "continue")
        return {"send": send}

    def delay(self, states: list[str]) -> Json:
        return {"delay": self.pick("0s", *SPANS)}

    def wait(self, states: list[str]) -> Json:
        is_ranked = self.may(0.25)
        branches = [self.branch(states) for _ in range(self.pick(1, 2, 3) + is_ranked)]
        step: Json = {"hold_until": branches, "timeout": self.pick(*SPANS)}
        if self.may(0.4):
            step["on_timeout"] = self.pick("over", *states)
        if self.may(0.25):
            step["on_repeat"] = {"restart": self.pick(1, 2)}
        if is_ranked:
            step.update(match="ranked", timeout=self.pick("6h", "24h"))
        if self.may(0.3):
            step["on_late"] = self.pick("over", *states)
        if self.may(0.3):
            # Looking back can go on at once, and so in circles: only to the end.
            step["lookback"] = self.pick("since_entry", "3h", "24h")
            if step["lookback"] == "since_entry" and self.may(0.4):
                step["include_entry"] = True
            for branch in branches:
                branch["go"] = "over"
        return step

    def branch(self, states: list[str]) -> Json:
        branch: Json = {"on": self.pick(*TYPES), **self.condition("event")}
        if self.may(0.6):
            branch["go"] = self.pick("over", *states)
        if self.may(0.3):
            branch["as"] = "got"
        return branch

    def split(self, states: list[str]) -> Json:
        return {"split": [{"when": self.condition("journey", 1)["when"], "go": "over"}, {"else": "continue"}]}

    def set(self, states: list[str]) -> Json:
        return {"set": {"journey.m": self.pick("event.n", "journey.n", "event.m")}}

    def call(self, states: list[str]) -> Json:
        call: Json = {"action": "open-case", "timeout": self.pick("1h", "3h")}
        if self.may(0.6):
            retry = {"on": self.pick(["busy"], ["timeout", "busy"], ["*"]), "max_attempts": self.pick(1, 2, 3)}
            call["retry"] = [{**retry, "interval": self.pick("1h", "2h"), "backoff": self.pick(1, 2), "max_delay": "3h"}]
        if self.may(0.5):
            call["on_error"] = "over"
        if self.may(0.4):
            call["result"] = "m"
        return {"call": call}

    def end(self, states: list[str]) -> Json:
        return {"end": {"outcome": "stopped"}} if self.may(0.3) else self.delay(states)

    # Histories.

    def history(self, length: int) -> list[Step]:
        """Give events in the order in which they arrive; some repeat an id, some come late."""
        steps: list[Step] = []
        clock = START
        for number in range(length):
            clock += self.pick(0, 0, 1, 1, 2, 3, 5) * HOUR
            late = self.pick(1, 2, 4) * HOUR if self.may(0.12) else 0
            if steps and self.may(0.07):
                repeated = self.random.choice(steps)
                steps.append(Step(clock, repeated.customer, repeated.type, repeated.id, repeated.data, repeated.pick))
                continue
            type_, data = self.payload(clock)
            steps.append(Step(max(START, clock - late), self.pick(*CUSTOMERS), type_, f"e{number}", data, self.pick(0, 0, 1, 2)))
        return steps

    def payload(self, clock: int) -> tuple[str, Json]:
        kind = self.pick("event", "event", "event", "event", "outcome", "outcome", "consent")
        if kind == "outcome":
            return "action.outcome", self.pick(*OUTCOMES)
        if kind == "consent":
            data = {"channel": self.pick("email", "sms", "*"), "purpose": self.pick("promo", "*")}
            data["status"] = self.pick("granted", "granted", "withdrawn")
            if self.may(0.3):
                data["time"] = clock - self.pick(1, 5) * HOUR
            return "consent.changed", data
        data = {name: self.pick(1, 2, 3) for name in ("n", "m") if self.may(0.7)}
        if self.may(0.7):
            data["k"] = self.pick("A", "B", 7)
        return self.pick("began", "began", *TYPES), data


def as_yaml(value: Json) -> str:
    """JSON is YAML."""
    return json.dumps(value)
