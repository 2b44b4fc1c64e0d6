"""An invented cohort of new customers: the same seed gives the same events, byte for byte, on every machine.

Only `Random.random()` is used, whose sequence Python guarantees, and only arithmetic that IEEE 754 fixes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from orchestrator.operate.demo.events import DAY, HOUR, MINUTE, SECOND, utc_ms
from orchestrator.wire.lines import EventLine

# After the CDNOW purchases, so that the record times of one partition only rise; long enough ago that every wait is over.
START: Final = utc_ms(2025, 3, 3)
SIGN_UP_DAYS: Final = 28
LAST_DAY: Final = START + 75 * DAY
SEED: Final = 1997
SIZE: Final = 2_000

# Deadlines of the shipped journeys that some customers meet to the millisecond (rule T3) or miss by one.
LOGIN_DEADLINE: Final = 3 * DAY
PAYMENT_DEADLINE: Final = 3 * DAY

_T = TypeVar("_T")

_PLANS: Final = (("free", 0.33), ("pro", 0.44), ("team", 0.17), ("internal", 0.06))
_COUNTRIES: Final = (
    ("AU", "AUD", 0.34),
    ("US", "USD", 0.22),
    ("GB", "GBP", 0.16),
    ("NZ", "NZD", 0.12),
    ("DE", "EUR", 0.10),
    ("JP", "JPY", 0.06),
)
_ZONES: Final = {
    "AU": "Australia/Sydney",
    "US": "America/New_York",
    "GB": "Europe/London",
    "NZ": "Pacific/Auckland",
    "DE": "Europe/Berlin",
    "JP": "Asia/Tokyo",
}
_PRICES: Final = {"pro": (19.0, 29.0, 190.0), "team": (99.0, 249.0, 990.0)}
_REASONS: Final = (
    ("card_declined", 0.45),
    ("insufficient_funds", 0.30),
    ("expired_card", 0.20),
    ("authentication_required", 0.05),
)
_DEVICES: Final = (("web", 0.55), ("ios", 0.27), ("android", 0.18))
_CONSENTS: Final = (("granted", 0.80), ("refused", 0.09), ("unasked", 0.06), ("late", 0.05))
_LOGINS: Final = (("prompt", 0.60), ("on_time", 0.02), ("too_late", 0.02), ("reminded", 0.15), ("never", 0.21))
_FIRST_PAYMENTS: Final = (("succeeds", 0.55), ("fails_first", 0.25), ("never", 0.20))
# Nobody here fails so often that a case is opened: an answer to a call would come months too late by the clock of a backlog.
# Those who do are `live.py`.
_RECOVERIES: Final = (("prompt", 0.55), ("on_time", 0.05), ("reminded", 0.30), ("leaves", 0.10))
_SCORES: Final = ((1, 0.35), (2, 0.30), (3, 0.20), (4, 0.10), (5, 0.05))


class Dice:
    """Chance, from one seeded source."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same lives every time are the point

    def happens(self, probability: float) -> bool:
        """Decide something that happens with a probability."""
        return self._random.random() < probability

    def between(self, low: int, high: int) -> int:
        """Pick a whole number of [low, high)."""
        return low + int(self._random.random() * (high - low))

    def soon(self, low: int, high: int) -> int:
        """Pick a whole number of [low, high), most often near the low end."""
        share = self._random.random()
        return low + int(share * share * share * (high - low))

    def one_of(self, choices: Sequence[_T]) -> _T:
        """Pick one, all equally likely."""
        return choices[self.between(0, len(choices))]

    def weighted(self, choices: Sequence[tuple[Any, ...]]) -> Any:
        """Pick a row by the weight in its last place (weights sum to 1) and give the row's first."""
        left = self._random.random()
        for row in choices:
            left -= row[-1]
            if left < 0:
                return row[0]
        return choices[-1][0]


class Person(Struct, frozen=True):
    """What does not change about a customer."""

    id: str
    plan: str
    country: str
    currency: str
    amount: float


class Life:
    """One customer's events, as they come to be."""

    def __init__(self, person: Person, dice: Dice) -> None:
        self.person = person
        self.dice = dice
        self.events: list[EventLine] = []
        self._number = 0

    def happens(self, at: int, event: str, data: dict[str, Any]) -> None:
        """Add an event, unless the cohort's time is over by then."""
        self._number += 1
        if at < LAST_DAY:
            self.events.append(EventLine(at, self.person.id, event, f"{self.person.id}-{self._number}", data))

    def consent(self, at: int, status: str, source: str, channel: str = "email", purpose: str = "onboarding") -> None:
        """The customer answers the question whether the company may write."""
        answer = {"channel": channel, "purpose": purpose, "status": status, "source": source, "version": "2025-01"}
        self.happens(at, "consent.changed", answer)

    def sign_up(self, at: int) -> None:
        """The account is opened; the consent question stands on the same form."""
        person, answer = self.person, self.dice.weighted(_CONSENTS)
        profile = {"email": f"{person.id}@example.com", "phone": f"+1555{person.id[1:]}", "timezone": _ZONES[person.country]}
        self.happens(at - 2 * SECOND, "profile.updated", profile)
        if answer == "granted":
            self.consent(at - SECOND, "granted", "web-form")
            self._tick_boxes(at - SECOND)
        elif answer == "refused":
            self.consent(at - SECOND, "withdrawn", "web-form")
        self._open_account(at, f"a{person.id[1:]}")
        if self.dice.happens(0.02):
            self._open_account(at + self.dice.soon(2 * DAY, 40 * DAY), f"b{person.id[1:]}")
        if answer == "late":
            self.consent(at + self.dice.soon(HOUR, 9 * DAY), "granted", "preference-centre")
        if answer == "granted" and self.dice.happens(0.06):
            self.consent(at + self.dice.soon(HOUR, 6 * DAY), "withdrawn", "unsubscribe-link")

    def _tick_boxes(self, at: int) -> None:
        """The other boxes of the form; a preference is no consent, so some prefer what they did not allow."""
        boxes = (("sms", "onboarding", 0.35), ("email", "promotion", 0.60), ("sms", "promotion", 0.30))
        for channel, purpose, probability in boxes:
            if self.dice.happens(probability):
                self.consent(at, "granted", "web-form", channel, purpose)
        if self.dice.happens(0.20):
            self.happens(at, "preference.updated", {"preferred_channel": "sms"})

    def _open_account(self, at: int, account: str) -> None:
        person = self.person
        facts = {"account_id": account, "plan": person.plan, "email": f"{person.id}@example.com", "country": person.country}
        self.happens(at, "signup.created", facts)

    def log_in(self, signed_up: int) -> int | None:
        """The first login and some more; gives the time of the first, None where there is none."""
        dice = self.dice
        delay = self._login_delay(dice.weighted(_LOGINS))
        if delay is None:
            return None
        first = signed_up + delay
        at = first
        for _ in range(1 + dice.soon(0, 5)):
            self.happens(at, "auth.login", {"device": dice.weighted(_DEVICES)})
            at += dice.between(6 * HOUR, 4 * DAY)
        return first

    def _login_delay(self, course: str) -> int | None:
        if course == "prompt":
            return self.dice.soon(2 * MINUTE, LOGIN_DEADLINE)
        if course == "reminded":
            return LOGIN_DEADLINE + self.dice.soon(10 * MINUTE, 8 * DAY)
        return {"on_time": LOGIN_DEADLINE, "too_late": LOGIN_DEADLINE + 1}.get(course)

    def pay(self, first_login: int) -> None:
        """The first payment: at once, after some failures, or never."""
        course = self.dice.weighted(_FIRST_PAYMENTS)
        at = first_login + self.dice.soon(HOUR, 20 * DAY)
        if course == "succeeds":
            self.succeed(at, 1)
        elif course == "fails_first":
            self.recover(at)

    def succeed(self, at: int, attempt: int) -> None:
        """The money arrives."""
        self._payment(at, "payment.succeeded", "subscription" if attempt == 1 else "retry", attempt)

    def fail(self, at: int, attempt: int, reason: str) -> None:
        """The bank says no."""
        self._payment(at, "payment.failed", reason, attempt)

    def _payment(self, at: int, event: str, reason: str, attempt: int) -> None:
        person = self.person
        self.happens(at, event, {"amount": person.amount, "currency": person.currency, "reason": reason, "attempt": attempt})

    def recover(self, at: int) -> None:
        """A first payment that fails, and what becomes of it."""
        dice, reason = self.dice, self.dice.weighted(_REASONS)
        self.fail(at, 1, reason)
        course = dice.weighted(_RECOVERIES)
        if course == "prompt":
            self.succeed(at + dice.soon(20 * MINUTE, PAYMENT_DEADLINE), 2)
            if dice.happens(0.2):  # and the next instalment fails as well: too soon for another round of reminders
                self.fail(at + 14 * DAY, 1, reason)
                self.succeed(at + 15 * DAY, 2)
        elif course == "on_time":
            self.succeed(at + PAYMENT_DEADLINE, 2)
        elif course == "reminded":
            self.fail(at + DAY, 2, reason)
            self.succeed(at + dice.between(PAYMENT_DEADLINE + HOUR, 7 * DAY), 3)
        elif course == "leaves":
            self.fail(at + DAY, 2, reason)
            self.close(at + dice.between(2 * DAY, 6 * DAY))

    def complain(self, signed_up: int) -> None:
        """Who cannot log in may write to the help desk, and is asked how that was."""
        at = signed_up + self.dice.between(6 * HOUR, 4 * DAY)
        self.happens(at, "csat.submitted", {"score": self.dice.weighted(_SCORES)})

    def close(self, at: int) -> None:
        """A few leave for good, once; nothing happens to them afterwards."""
        if any(event.event == "account.closed" and event.at <= at for event in self.events):
            return
        self.events = [event for event in self.events if event.at < at]
        self.happens(at, "account.closed", {"reason": self.dice.one_of(("too_expensive", "missing_feature", "no_reason_given"))})


def _life(number: int, dice: Dice) -> list[EventLine]:
    country = dice.weighted(_COUNTRIES)
    plan = dice.weighted(_PLANS)
    currency = next(currency for code, currency, _ in _COUNTRIES if code == country)
    life = Life(Person(f"u{number:06d}", plan, country, currency, dice.one_of(_PRICES.get(plan, (0.0,)))), dice)
    # Sign-ups are fewer at night: the better of two draws of the hour, in the company's own day.
    hour = max(dice.between(0, 24), dice.between(0, 24))
    signed_up = START + dice.between(0, SIGN_UP_DAYS) * DAY + hour * HOUR + dice.between(MINUTE, HOUR)
    life.sign_up(signed_up)
    first_login = life.log_in(signed_up)
    if first_login is not None and plan in _PRICES:
        life.pay(first_login)
    if (first_login is None or first_login - signed_up > LOGIN_DEADLINE) and dice.happens(0.20):
        life.complain(signed_up)
    if dice.happens(0.03):
        life.close(signed_up + dice.between(6 * HOUR, 25 * DAY))
    return life.events


def _repeats(events: list[EventLine], dice: Dice) -> list[EventLine]:
    """Producers repeat themselves after a time-out: the same event again, same id, a little later."""
    return [
        EventLine(event.at + dice.between(SECOND, 5 * MINUTE), event.customer, event.event, event.id, event.data)
        for event in events
        if dice.happens(0.015)
    ]


def cohort(seed: int = SEED, size: int = SIZE) -> list[EventLine]:
    """Give the events of `size` customers u000001... who sign up in 28 days from `START`, in time order, repeats included."""
    dice = Dice(seed)
    events = [event for number in range(1, size + 1) for event in _life(number, dice)]
    events += _repeats(events, dice)
    # A stable sort: one customer's events of one instant keep the order in which they were told.
    return sorted(events, key=lambda event: event.at)
