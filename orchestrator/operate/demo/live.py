"""The end of the demo, in the present: payments that are refused for the fourth time now, and a case desk that is asked now.

An answer to a call takes real time. In a backlog of months a worker gets to the call's timeout sooner than the case desk gets to
the call; once it has caught up it goes by the wall clock (rule T4), and a retry is five seconds away.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from orchestrator.operate.demo.cohort import Dice
from orchestrator.operate.demo.events import SECOND
from orchestrator.wire.lines import EventLine

SEED: Final = 1998
SIZE: Final = 40
ATTEMPTS: Final = 4  # after so many refusals payment-recovery asks the case desk
_NOON: Final = 12
_AMOUNTS: Final = (19.0, 29.0, 99.0, 249.0, 990.0)


def refusals(now: int, size: int = SIZE) -> list[EventLine]:
    """Give the events of `size` customers v001..., in time order, the last of them at `now` (ms UTC).

    Apart from their times they are the same in every run. The customers live where it is noon, so that no quiet hours come in.
    """
    dice = Dice(SEED)
    events: list[EventLine] = []
    for number in range(1, size + 1):
        customer = f"v{number:03d}"
        profile = {"email": f"{customer}@example.com", "phone": f"+1555{number:06d}", "timezone": zone_of_noon(now)}
        payment = {"amount": dice.one_of(_AMOUNTS), "currency": "AUD", "reason": "insufficient_funds"}
        began = now - ATTEMPTS * SECOND
        events.append(EventLine(began, customer, "profile.updated", f"{customer}-0", profile))
        for attempt in range(1, ATTEMPTS + 1):
            refused = {**payment, "attempt": attempt}
            events.append(EventLine(began + attempt * SECOND, customer, "payment.failed", f"{customer}-{attempt}", refused))
    return sorted(events, key=lambda event: event.at)


def zone_of_noon(now: int) -> str:
    """Give the zone in which it is between twelve and one. (`Etc/GMT-3` is three hours ahead of Greenwich.)"""
    ahead = _NOON - datetime.fromtimestamp(now / SECOND, UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"
