"""What a person reads when the demo has ended, 80 columns wide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.names import Kind, Reason
from orchestrator.operate.demo.progress import WIDTH
from orchestrator.operate.demo.story import Story, clock
from orchestrator.operate.demo.tally import Tally

_BAR: Final = 18

# Reasons in words, for people who meet them here for the first time.
_REFUSED: Final = {
    "duplicate": "the same event again",
    "too_old": "the event came too late",
    "condition": "its `when` is not true",
    "consent": "no consent for its purpose",
    "already_active": "already on this journey",
    "reentry": "was on it before",
    "limit": "on too many journeys",
    "exclusive": "on a rival journey",
}
_SUPPRESSED: Final = {
    "consent": "taken back, or never given",
    "no_channel": "none that they agreed to",
    "cap": "enough for this day or week",
    "suppression": "they are unhappy with us",
    "holdout": "in a control group",
    "quiet_hours_expired": "too late by then",
}
_HELD: Final = {"quiet_hours": "for their morning", "cap": "for a day without a message"}
_INCIDENTS: Final = {
    Reason.NOT_AVRO: "not Avro at all",
    Reason.UNKNOWN_SCHEMA: "written with a schema nobody knows",
    Reason.TRUNCATED: "ends too soon",
    Reason.TRAILING_BYTES: "goes on after its end",
    Reason.UNDECODABLE: "bytes that do not fit the schema",
    Reason.TOO_LARGE: "larger than the limits",
    Reason.NO_VALUE: "no value",
    Reason.KEY_ABSENT: "no key, so nobody's event",
    Reason.KEY_MISMATCH: "key and customer_id differ",
    Reason.TIME_ABSURD: "from the far future",
    Reason.NOT_DECLARED: "a type this topic does not carry",
    Reason.ALERT: "alerts that a journey raised",
}


class Result(Struct, frozen=True):
    """What the demo did. `seconds` is the whole run; `commands` are (what for, command line) to try next."""

    events: int
    broken: int
    seconds: float
    events_per_s: float | None
    tally: Tally
    story: Story | None
    commands: Sequence[tuple[str, str]]


def render(result: Result, console: Console) -> None:
    """Print the summary."""
    _headline(result, console)
    _journeys(result.tally, console)
    _actions(result.tally, console)
    _experiment(result.tally, console)
    _cases(result.tally, console)
    _kept_out(result.tally, console)
    _incidents(result.tally, console)
    if result.story:
        _story(result.story, console)
    _next(result.commands, console)


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """Most first; equals by name, so that two runs read the same."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold cyan"))


def _grid(*justify: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for side in justify:
        table.add_column(justify="right" if side == "right" else "left", no_wrap=side == "right")
    return table


def _show(console: Console, table: Table) -> None:
    console.print(Padding(table, (0, 0, 0, 2)), width=min(console.width, WIDTH))


def _headline(result: Result, console: Console) -> None:
    tally, width = result.tally, min(console.width, WIDTH)
    headline = f"{result.events:,} events became {tally.emitted:,} actions in {result.seconds:.0f} s"
    console.print(Text(headline, style="bold green"))
    timers = tally.decisions[Kind.DELAY_ENDED] + sum(count for (_, by), count in tally.holds.items() if by == "timeout")
    rate = f"{result.events_per_s:,.0f} events a second, and between them" if result.events_per_s else "the events,"
    facts = (
        f"One worker handled {rate} {timers:,} timers and {sum(tally.outcomes.values()):,} reports."
        f" {result.broken} broken payloads stopped nothing."
        f" {sum(tally.decisions.values()):,} decisions are logged, each with its reason."
    )
    console.print(Text(facts, style="dim"), width=width)


def _journeys(tally: Tally, console: Console) -> None:
    _section(console, "Journeys")
    table = _grid("left", "right", "left")
    for journey, entered in _ranked(tally.entries):
        ends = Counter({outcome: count for (name, outcome), count in tally.ends.items() if name == journey})
        fates = [*_ranked(ends), ("waiting", entered - ends.total())]
        told = ", ".join(f"{fate} {count:,}" for fate, count in fates if count)
        table.add_row(journey, f"{entered:,} entered", Text(told, style="dim"))
    _show(console, table)
    holds = Counter[str]()
    for (_, by), count in tally.holds.items():
        holds[by] += count
    if holds:
        waits = _grid("left", "right", "left")
        waits.add_row("holds", f"{holds['event']:,} ended", Text("by the event they waited for", style="dim"))
        waits.add_row("", f"{holds['timeout']:,} ended", Text("by their timeout", style="dim"))
        _show(console, waits)


def _actions(tally: Tally, console: Console) -> None:
    _section(console, "Actions")
    table = _grid("left", "left", "right", "left")
    most = max(tally.actions.values(), default=1)
    for (channel, template), count in sorted(tally.actions.items(), key=lambda item: (item[0][0], -item[1])):
        table.add_row(channel, template, f"{count:,}", Text("#" * max(1, round(_BAR * count / most)), style="magenta"))
    _show(console, table)
    reported = sum(tally.outcomes.values())
    told = ", ".join(f"{status} {count:,}" for status, count in _ranked(tally.outcomes))
    if reported:
        outcomes = _grid("left", "left")
        outcomes.add_row("reported back", Text(f"{reported:,}: {told}", style="dim"))
        _show(console, outcomes)


def _experiment(tally: Tally, console: Console) -> None:
    if not tally.arms:
        return
    _section(console, "Arms of experiments")
    table = _grid("left", "left", "right", "left")
    for (journey, arm), exposed in sorted(tally.arms.items()):
        goals = {goal: count for (where, which, goal), count in sorted(tally.goals.items()) if (where, which) == (journey, arm)}
        told = ", ".join(f"{goal} {count:,} ({count / exposed:.0%})" for goal, count in goals.items())
        table.add_row(journey, arm, f"{exposed:,}", Text(told, style="dim"))
    _show(console, table)


def _cases(tally: Tally, console: Console) -> None:
    asked, failed = tally.calls[1], tally.decisions[Kind.CALL_FAILED]
    if not asked:
        return
    _section(console, "Calls, and what came of them")
    later = sum(count for attempt, count in tally.calls.items() if attempt > 1)
    rows = (
        ("asked for", asked, "each with what the person who takes over must know"),
        ("asked again", later, "the desk was busy: the same action id, a while later"),
        ("done", tally.answers["succeeded"], ""),
        ("given up", failed, "the journey goes to its fail state, and alerts the operators"),
    )
    table = _grid("left", "right", "left")
    for what, count, words in rows:
        table.add_row(what, f"{count:,}", Text(words, style="dim"))
    _show(console, table)


def _kept_out(tally: Tally, console: Console) -> None:
    if not (tally.refusals or tally.suppressions or tally.held):
        return
    _section(console, "Said no or not yet, and why")
    table = _grid("left", "left", "right", "left")
    for (journey, reason), count in sorted(tally.refusals.items(), key=lambda item: (item[0][0], -item[1])):
        table.add_row(journey, "not admitted", f"{count:,}", _because(reason, _REFUSED))
    for (journey, reason), count in sorted(tally.held.items(), key=lambda item: (item[0][0], -item[1])):
        table.add_row(journey, "made to wait", f"{count:,}", _because(reason, _HELD))
    for (journey, reason), count in sorted(tally.suppressions.items(), key=lambda item: (item[0][0], -item[1])):
        table.add_row(journey, "kept back", f"{count:,}", _because(reason, _SUPPRESSED))
    _show(console, table)


def _because(reason: str, words: Mapping[str, str]) -> Text:
    return Text(f"{reason}: {words[reason]}" if reason in words else reason, style="dim")


def _incidents(tally: Tally, console: Console) -> None:
    _section(console, "Incidents, each with its original bytes")
    table = _grid("left", "right", "left")
    for reason, count in _ranked(tally.incidents):
        table.add_row(reason, f"{count:,}", Text(_INCIDENTS.get(reason, ""), style="dim"))
    _show(console, table)


_WHO: Final[Mapping[str, tuple[str, str]]] = {"customer": (">", "bold"), "journey": (" ", ""), "clock": ("*", "yellow")}


def _story(story: Story, console: Console) -> None:
    _section(console, f"One customer: {story.title}")
    table = _grid("right", "left", "left")
    for told in story.lines:
        mark, style = _WHO[told.who]
        table.add_row(Text(clock(told.at) if told.at is not None else "", style="dim"), mark, Text(told.text, style=style))
    _show(console, table)
    console.print(Text("  > the customer acts   * a timer fires   times in UTC", style="dim"))


def _next(commands: Sequence[tuple[str, str]], console: Console) -> None:
    _section(console, "Try next")
    for purpose, command in commands:
        console.print(Text(f"  {purpose}", style="dim"))
        # Never wrapped: a command must survive being copied.
        console.print(Text(f"    {command}", style="bold"), soft_wrap=True)
