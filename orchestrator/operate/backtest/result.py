"""A backtest as a whole: both versions over the same events, side by side; as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from orchestrator.operate.backtest.assumptions import Assumptions
from orchestrator.operate.backtest.draft import Pair
from orchestrator.operate.backtest.history import History
from orchestrator.operate.backtest.trial import DAY_MS, Figures, Trial
from orchestrator.wire.lines import iso

# In which order figures are told.
_ORDER: Final = (
    "entered",
    "entry refused",
    "sent",
    "called",
    "held",
    "suppressed",
    "cancelled",
    "goal",
    "ended",
    "exited",
    "expired",
)
# What others lose or win by a draft: slots of caps, places in an exclusive group, entries.
_CONFLICTS: Final = frozenset({"entered", "entry refused", "sent", "called", "held", "suppressed"})

Row = dict[str, Any]


class Backtest(Struct, frozen=True):
    """The result. `live` and `draft` are of all journeys of the two topologies; a draft that is new has no figures in `live`."""

    pair: Pair
    assumptions: Assumptions
    window: tuple[int, int]
    events: int
    customers: int
    left_out: int
    live: Figures
    draft: Figures


def run(pair: Pair, history: History, assumptions: Assumptions, window: tuple[int, int], tell: Callable[[int], None]) -> Backtest:
    """Run both versions over the same events. `tell` hears how many are behind, those of both versions."""
    records, found = history.records, list[Figures]()
    for topology in (pair.live, pair.draft):
        before = len(records) * len(found)
        trial = Trial(topology, pair.tried.id, assumptions, window)
        found.append(trial.run(records, lambda count, before=before: tell(before + count)))  # type: ignore[misc]
    counted = [record for record in records if window[0] <= record.time <= window[1]]
    customers = len({record.customer for record in counted})
    return Backtest(pair, assumptions, window, len(counted), customers, history.left_out, *found)


def as_json(backtest: Backtest) -> dict[str, Any]:
    """Give the result as JSON."""
    pair, replaced = backtest.pair, backtest.pair.replaced
    return {
        "journey": pair.tried.id,
        "live_version": None if replaced is None else replaced.version,
        "draft_version": pair.tried.version,
        "from": iso(backtest.window[0]),
        "to": iso(backtest.window[1]),
        "events": backtest.events,
        "customers": backtest.customers,
        "events_left_out": backtest.left_out,
        "assumed": backtest.assumptions.told(),
        "figures": rows(backtest, pair.tried.id),
        "reached": {"live": len(backtest.live.reached), "draft": len(backtest.draft.reached)},
        "others": [{"journey": name, **row} for name in _others(backtest) for row in _conflicts(backtest, name)],
        "days": days(backtest),
        "incidents": {"live": backtest.live.incidents, "draft": backtest.draft.incidents},
    }


def rows(backtest: Backtest, journey: str) -> list[Row]:
    """Give the figures of one journey, both versions side by side."""
    live, draft = (figures.counts.get(journey, Counter()) for figures in (backtest.live, backtest.draft))
    keys = sorted(live.keys() | draft.keys(), key=lambda key: (_ORDER.index(key[0]), -live[key] - draft[key], key[1]))
    return [{"what": what, "by": by, "live": live[what, by], "draft": draft[what, by]} for what, by in keys]


def days(backtest: Backtest) -> list[Row]:
    """Give messages and customers reached of each day of the window, ISO dates; days without any are there, too."""
    sides = (backtest.live, backtest.draft)
    found = sorted({day for side in sides for day in side.sends_by_day})
    if not found:
        return []
    return [
        {
            "day": iso(day * DAY_MS)[:10],
            "live": len(backtest.live.reached_by_day.get(day, ())),
            "draft": len(backtest.draft.reached_by_day.get(day, ())),
            "live_sends": backtest.live.sends_by_day[day],
            "draft_sends": backtest.draft.sends_by_day[day],
        }
        for day in range(found[0], found[-1] + 1)
    ]


def lines(backtest: Backtest) -> Iterator[str]:
    """Give the result as text of 80 columns."""
    told = as_json(backtest)
    live = "no live version" if told["live_version"] is None else f"v{told['live_version']} live"
    yield f"{told['journey']}: {live}, v{told['draft_version']} draft, {told['from'][:10]} to {told['to'][:10]}"
    yield f"{told['events']:,} events of {told['customers']:,} customers"
    if told["events_left_out"]:
        yield f"{told['events_left_out']:,} records that are no valid events were left out"
    yield ""
    yield _line("", "LIVE", "DRAFT", "CHANGE")
    for row in told["figures"]:
        yield _row(f"{row['what']} {row['by']}".rstrip(), row["live"], row["draft"])
    yield _row("customers reached", told["reached"]["live"], told["reached"]["draft"])
    most = [max((day[side] for day in told["days"]), default=0) for side in ("live", "draft")]
    yield _row("customers reached, most on one day", *most)
    if any(told["incidents"].values()):
        yield _row("incidents, of all journeys", told["incidents"]["live"], told["incidents"]["draft"])
    yield ""
    if told["others"]:
        yield "What it changes for other journeys: caps, exclusive groups, entries"
        yield from (_row(f"{r['journey']}: {r['what']} {r['by']}".rstrip(), r["live"], r["draft"]) for r in told["others"])
    else:
        yield "Nothing changes for other journeys."
    yield ""
    yield "Assumed"
    yield from (f"  {line}" for line in told["assumed"])


def _others(backtest: Backtest) -> list[str]:
    return sorted((backtest.live.counts.keys() | backtest.draft.counts.keys()) - {backtest.pair.tried.id, ""})


def _conflicts(backtest: Backtest, journey: str) -> list[Row]:
    return [row for row in rows(backtest, journey) if row["what"] in _CONFLICTS and row["live"] != row["draft"]]


def _row(what: str, live: int, draft: int) -> str:
    return _line(what, f"{live:,}", f"{draft:,}", f"{draft - live:+,}" if draft != live else "")


def _line(what: str, live: str, draft: str, change: str) -> str:
    shown = what if len(what) <= 44 else what[:43] + "…"
    return f"{shown:<44} {live:>10} {draft:>10} {change:>10}".rstrip()
