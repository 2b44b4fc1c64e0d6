"""A replay's result for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.operate.replay.comparing import Difference, by_customer
from orchestrator.operate.replay.run import Result

_CUSTOMERS: Final = 10  # shown; the file has all
_SIGNS: Final = {"added": "+", "missing": "-", "changed": "~"}


def as_json(result: Result) -> dict[str, Any]:
    """Give a result as JSON: figures, and each customer that differs with the first cause."""
    grouped = by_customer(result.differences)
    return {
        "cycles": result.total("shown_cycles"),
        "records": result.total("records"),
        "compared": result.compared,
        "differences": result.kinds,
        "miscounted_cycles": result.total("miscounted"),
        "older_than_the_log": result.total("gone"),
        "programs_stood_in_for": stood_in_for(result),
        "customers": [
            {"customer": customer, "partition": partition, **Counter(each.kind for each in group), "first": _first(group[0])}
            for (partition, customer), group in grouped.items()
        ],
    }


def stood_in_for(result: Result) -> list[str]:
    """Give the programs of the journal that were not at hand."""
    return sorted({name for outcome in result.outcomes.values() for name in outcome.stood_in_for})


def lines(result: Result) -> Iterator[str]:
    """Give a result as text of 80 columns, customers and causes apart."""
    if began := [each.began_after for each in result.outcomes.values() if each.began_after]:
        yield f"{len(began)} partitions began with a snapshot, the earliest after cycle {min(began):,}"
    compared = ", ".join(f"{count:,} {what if what == 'decisions' else what + 's'}" for what, count in result.compared.items())
    yield f"{result.total('shown_cycles'):,} cycles beside the log: {compared or 'nothing'}"
    if gone := result.total("gone"):
        yield f"{gone:,} are older than what the log still has, and were not compared"
    for name in stood_in_for(result):
        yield f"the journal says program {name}; the one at hand was run instead"
    if not result.differences:
        yield _without_difference(result)
        return
    grouped = by_customer(result.differences)
    told = ", ".join(f"{count:,} {kind}" for kind, count in result.kinds.items() if count)
    yield f"{len(result.differences):,} differences of {len(grouped):,} customers: {told}"
    yield ""
    for (_, customer), group in list(grouped.items())[:_CUSTOMERS]:
        counted = Counter(each.kind for each in group)
        yield f"{customer}  " + " ".join(f"{_SIGNS[kind]}{count}" for kind, count in sorted(counted.items()))
        yield from (f"  {line}" for line in _cause(group[0]))
    if len(grouped) > _CUSTOMERS:
        yield f"... and {len(grouped) - _CUSTOMERS:,} customers more"


def is_same(result: Result) -> bool:
    """Tell whether the log has what the replay gives, and the journal counts it so."""
    return not result.differences and not result.total("miscounted")


def _without_difference(result: Result) -> str:
    if miscounted := result.total("miscounted"):
        return f"no difference, but the journal counts otherwise in {miscounted:,} cycles"
    return "no difference"


def _first(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "what": difference.what,
        "cycle": difference.cycle,
        "cause": difference.cause,
        "fields": difference.fields,
        "log": difference.log,
        "replay": difference.replay,
    }


def _cause(difference: Difference) -> Iterator[str]:
    yield f"first at cycle {difference.cycle}: {difference.cause}".rstrip(": ")
    if difference.fields:
        yield f"differs in {', '.join(difference.fields[:6])}" + (" ..." if len(difference.fields) > 6 else "")
    log, replay = (
        _in_words(difference, difference.log, difference.replay),
        _in_words(difference, difference.replay, difference.log),
    )
    yield f"log     {log}"
    yield f"replay  {replay}"


def _in_words(difference: Difference, side: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    """Name what one side decided first that the other did not."""
    if side is None:
        return "nothing"
    if difference.what == "incident":
        return f"incident {side.get('reason', '')} {side.get('journey', '')}".rstrip()
    if difference.what == "export":
        return "an export"
    if difference.what == "action":
        named = side.get("template") or side.get("action") or ""
        return f"{side.get('kind')} {side.get('journey')}/{side.get('step')} {named}".rstrip()
    decisions = side.get("decisions", [])
    others = (other or {}).get("decisions", [])
    number = next((i for i, each in enumerate(decisions) if i >= len(others) or each != others[i]), None)
    if number is None:
        return "nothing more" if decisions else "no decision"
    each = decisions[number]
    place = f"{each.get('journey', '')}/{each['step']}" if each.get("step") else each.get("journey", "")
    words = (each.get("kind"), place, each.get("reason"), each.get("outcome"))
    return " ".join(word for word in words if word)
