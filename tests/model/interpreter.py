"""The core rules once more: slow, obvious, and sharing no code with the package.

It reads a journey as plain data, walks it with plain loops, and remembers everything for ever. What it leaves out, the random
journeys of `tests.model.journeys` do not use. Times are whole milliseconds.

Rules: T1-T3, T5-T7, I1, I2, E1-E5, W1-W7, D1, D5, C1-C4, K1-K3, A2, A3, Q2 (refuse), G1, and the rulings that touch them.
"""

from __future__ import annotations

import uuid

from tests.model.facts import Customer, Event, Instance, Json, Wish
from tests.model.walking import DAY, FREEING, UNKNOWN, Walking, ms

IDS = uuid.UUID("7d8ab4b4-06f3-5c63-bbb8-2dc39a3a251e")


class Model(Walking):
    """One partition with all customers. Feed it records, then read `customers`."""

    # The clock.

    def feed(self, time: int, customer: str, type_: str, id_: str, data: Json) -> None:
        """Fire what is due before the newest time, handle the record, fire what it set in the past (T3, A101)."""
        self.clock = max(self.clock, time)
        self.fire(self.clock)
        self.name = customer
        self.customer = self.customers.setdefault(customer, Customer())
        self.now = time
        self.event = Event(len(self.customer.events) + 1, type_, id_, time, data)
        self.handle(self.event)
        self.fire(self.clock)

    def run_until(self, time: int) -> None:
        """Fire what is due up to and at `time`."""
        self.fire(time + 1)

    def fire(self, before: int) -> None:
        for name, customer in self.customers.items():
            while True:
                dues = [due for one in customer.instances for due in (one.due, one.expires) if due is not None and due < before]
                if not dues:
                    break
                self.name, self.customer, self.now, self.event = name, customer, min(dues), None
                self.fire_instant()

    def fire_instant(self) -> None:
        in_order = sorted(self.customer.instances, key=lambda one: (one.journey["journey"], one.id))
        for one in in_order:
            if one.due is not None and one.due <= self.now:
                self.fall_due(one)
        for one in in_order:
            if one in self.customer.instances and one.expires is not None and one.expires <= self.now:
                self.log("expired", one)
                self.remove(one)
        self.settle()

    # One record, rule T7.

    def handle(self, event: Event) -> None:
        customer = self.customer
        first = customer.seen.get(event.id)
        entries = [journey for journey in self.journeys if journey["entry"]["on"] == event.type]
        if first is not None and first <= self.now < first + ms(self.policy["dedupe"]["events"]["window"]):
            for journey in entries:
                self.refuse(journey, "duplicate", "")
            return
        if first is None or self.now >= first:
            customer.seen[event.id] = self.now
        customer.events.append(event)
        self.apply(event)
        self.reach_goals(event)
        for one in list(customer.instances):
            self.exit(one, event)
        for one in list(customer.instances):
            if self.is_for(one, event):
                self.offer(one, event)
        for journey in entries:
            self.consider(journey, event)
        self.settle()

    def exit(self, one: Instance, event: Event) -> None:
        for number, rule in enumerate(one.journey.get("exit", []), 1):
            if rule["on"] == event.type and self.is_for(one, event) and self.holds(rule.get("when"), one, event):
                self.log("exited", one, outcome=rule.get("outcome", ""))
                if "send" in rule:
                    self.send(one, {"send": rule["send"]}, f"exit:{number}")
                self.remove(one)
                return

    def apply(self, event: Event) -> None:
        data, customer = event.data, self.customer
        if event.type == "consent.changed":
            customer.consents.append({"time": event.time, **data})
            if data["status"] == "withdrawn":
                self.withdraw(data)
        elif event.type == "profile.updated":
            customer.profile.update(data)
        elif event.type == "action.outcome":
            customer.unanswered = [each for each in customer.unanswered if each[0].action_id != data["action_id"]]
            if data["status"] in FREEING:
                customer.sent = [sent for sent in customer.sent if sent[0] != data["action_id"]]
        for rule in self.policy["suppress"]:
            if rule["on"] == event.type and self.holds(rule.get("when"), None, event):
                customer.blocks.append((rule["id"], self.now, self.now + ms(rule["for"])))

    def withdraw(self, change: Json) -> None:
        """Ask to cancel what is on its way and has lost its consent (C3)."""
        for wish, expires in list(self.customer.unanswered):
            is_meant = change["channel"] in (wish.channel, "*") and change["purpose"] in (wish.purpose, "*")
            if is_meant and self.now < expires and not self.consented(wish.channel, wish.purpose):
                self.customer.unanswered.remove((wish, expires))
                journey = wish.instance.journey["journey"]
                self.customer.decisions.append(
                    (self.now, "action_cancelled", journey, wish.instance.key, "", wish.step_id, "consent", "", "")
                )

    def reach_goals(self, event: Event) -> None:
        for waiting in list(self.customer.goals):
            _, goal, one = waiting
            in_time = event.time <= one.started + ms(goal["within"])
            if goal["on"] == event.type and in_time and self.is_for(one, event) and self.holds(goal.get("when"), one, event):
                self.customer.goals.remove(waiting)
                self.customer.reached.append((self.now, str(one.id), goal["id"]))

    def offer(self, one: Instance, event: Event) -> None:
        """A late event first, then the state's handlers, then the waiting step; one of them acts."""
        if one.late is not None and not one.parked and event.time <= one.late[1]:
            step = one.late[0]
            number = self.match(one, step, event)
            if number is not None:
                one.late = None
                self.log("late_event", one, step["id"])
                if "on_late" in step:
                    self.take(one, step, event.data, number)
                    self.enter(one, step["on_late"], event)
                    return
        for handler in one.journey["states"][one.state].get("on", []):
            if handler["event"] == event.type and self.holds(handler.get("when"), one, event):
                self.enter(one, handler["go"], event)
                return
        step = one.step
        if step is None or one.parked:
            return
        if "call" in step:
            self.hear_outcome(one, step, event)
        elif "hold_until" in step:
            self.hear(one, step, event)

    # Entry.

    def consider(self, journey: Json, event: Event) -> None:
        entry = journey["entry"]
        if "max_age" in entry and self.clock - event.time > ms(entry["max_age"]):
            self.refuse(journey, "too_old", "")
        elif not self.holds(entry.get("when"), None, event):
            self.refuse(journey, "condition", "")
        elif "key" not in entry or self.key(journey, event):
            key = self.key(journey, event) if "key" in entry else ""
            reason = next((reason for reason, stands in self.against(journey, key).items() if stands), "")
            if reason:
                self.refuse(journey, reason, key)
            else:
                self.start(journey, key, event)

    def against(self, journey: Json, key: str) -> dict[str, bool]:
        """Give every reason to refuse an entry, in the order in which they are logged (A31), and whether it stands."""
        active, name = self.customer.instances, journey["journey"]
        channels = self.entry_channels(journey)
        groups = [group["journeys"] for group in self.policy["exclusive"] if name in group["journeys"]]
        return {
            "consent": bool(channels) and not any(self.consented(channel, journey["purpose"]) for channel in channels),
            "already_active": any(one.journey is journey and one.key == key for one in active),
            "reentry": self.is_too_soon(journey, key),
            "limit": len(active) >= self.policy["limits"]["instances_per_customer"],
            "exclusive": any(
                one.journey is not journey and one.journey["journey"] in group for one in active for group in groups
            ),
        }

    def is_too_soon(self, journey: Json, key: str) -> bool:
        name, rule, customer = (journey["journey"], key), journey["entry"]["reentry"], self.customer
        if name not in customer.entered or rule == "always":
            return False
        if rule == "never":
            return True
        moments = customer.entered if rule["since"] == "entry" else customer.ended
        return name in moments and self.now < moments[name] + ms(rule["after"])

    def entry_channels(self, journey: Json) -> list[str]:
        """Give the channels of the sends for the journey's own purpose (A39)."""
        sends = [step["send"] for state in journey["states"].values() for step in state.get("steps", []) if "send" in step]
        sends += [rule["send"] for rule in journey.get("exit", []) if "send" in rule]
        return [send["channel"] for send in sends if send.get("purpose", journey["purpose"]) == journey["purpose"]]

    def start(self, journey: Json, key: str, event: Event) -> None:
        customer, name = self.customer, journey["journey"]
        use = customer.uses[name, key, event.id] = customer.uses.get((name, key, event.id), 0) + 1
        text = "\x1f".join([name, self.name, key, event.id]) + (f"\x1f{use}" if use > 1 else "")
        one = Instance(uuid.uuid5(IDS, text), journey, key, self.now, event)
        if "lifetime" in journey:
            one.expires = self.now + ms(journey["lifetime"])
        customer.entered[name, key] = self.now
        customer.instances.append(one)
        customer.instances.sort(key=lambda each: (each.started, each.id.bytes))
        customer.goals += [(journey, goal, one) for goal in journey.get("goals", [])]
        self.log("entered", one)
        for target, source in journey.get("context", {}).items():
            value = self.value(source, one, event)
            if value is not UNKNOWN:
                one.context[target] = value
        self.enter(one, journey["start"], event)

    def refuse(self, journey: Json, reason: str, key: str) -> None:
        self.customer.decisions.append((self.now, "entry_refused", journey["journey"], key, "", "", reason, "", ""))

    # Arbitration, rules K1-K3.

    def settle(self) -> None:
        while self.wishes:
            batch, self.wishes = self.wishes, []
            batch.sort(key=lambda wish: (-wish.instance.journey["priority"], wish.instance.journey["journey"]))
            for place, wish in enumerate(batch):
                one = wish.instance
                if wish.overtaken:
                    self.log("action_cancelled", one, wish.step_id, reason="exited", state=wish.state)
                elif wish.kind == "send" and self.is_over_cap(wish):
                    self.log("action_suppressed", one, wish.step_id, reason="cap", state=wish.state)
                    choice = wish.step["send"].get("on_suppressed", "continue")
                    if choice != "continue" and one in self.customer.instances:
                        for later in batch[place + 1 :]:
                            later.overtaken = later.overtaken or later.instance is one
                        self.lose(one, choice, self.event)
                else:
                    self.log("action_emitted", one, wish.step_id, state=wish.state)
                    self.customer.actions.append((self.now, wish.kind, wish.action_id, wish.what, wish.channel, wish.attempt))
                    if wish.kind == "send":
                        self.customer.sent.append((wish.action_id, self.now, wish.channel, wish.purpose))
                        self.customer.unanswered.append((wish, self.now + DAY))

    def is_over_cap(self, wish: Wish) -> bool:
        """K3. A late send counts those after it too: it must not make a window of theirs too full."""
        for cap in self.policy["caps"]:
            if wish.channel not in cap["channels"]:
                continue
            opens = self.now - ms(cap["per"]) + 1 if cap["window"] == "rolling" else self.now // DAY * DAY
            if sum(time >= opens and channel in cap["channels"] for _, time, channel, _ in self.customer.sent) >= cap["limit"]:
                return True
        return False
