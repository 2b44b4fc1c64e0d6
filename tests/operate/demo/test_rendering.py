"""What a person sees: nothing wider than 80 columns, every number where it belongs, no colour where none is wanted."""

from __future__ import annotations

import io
import time
from collections import Counter

import pytest
from rich.console import Console

from orchestrator.operate.demo import progress
from orchestrator.operate.demo.progress import LiveView, PlainView, Snapshot, line, picture, view_on
from orchestrator.operate.demo.story import Line, Story
from orchestrator.operate.demo.summary import Result, render
from orchestrator.operate.demo.tally import Tally
from tests.operate.demo.lives import action, call, decision, handling

SNAPSHOT = Snapshot("handling events", 80_158, 80_158, 41_002, 21_345.6, 71_410, 77_645, 60_000, 39, 12_345)


def tally() -> Tally:
    found = Tally()
    for at in range(3):
        found.take_handling(handling("c", at, decision("entered"), decision("hold_resolved", by="timeout", step="first-login")))
    last = (
        decision("ended", outcome="paid"),
        decision("exited", outcome="closed"),
        decision("hold_resolved", by="event"),
        decision("entry_refused", reason="already_active", journey="payment-recovery"),
        decision("action_suppressed", reason="consent"),
        decision("action_held", reason="quiet_hours"),
        decision("exposed", arm="control"),
        decision("goal_reached", arm="control", detail={"goal": "paid"}),
        decision("outcome_received", outcome="succeeded"),
        decision("call_failed", reason="busy"),
    )
    found.take_handling(handling("c", 4, *last))
    found.take_action(action("c", "a1", "payment-last-reminder", "case-desk"))
    found.take_action(action("c", "a2", "welcome"))
    found.take_action(action("c", "a2", None, kind="cancel"))
    for customer, attempt in (("c", 1), ("d", 1), ("e", 1), ("e", 2)):
        found.take_action(call(customer, "a3", "open-case", attempt))
    found.take_outcome("c", "a1", "delivered")
    found.take_incident("unknown_schema")
    found.take_incident("alert")
    return found


def result(**changes: object) -> Result:
    story = Story("u1", "u1, pro plan, NZ", (Line(0, "customer", "signs up"), Line(None, "journey", "x" * 200)))
    fields: dict[str, object] = {
        "events": 80_126, "broken": 32, "seconds": 14.4, "events_per_s": 21_345.6, "tally": tally(), "story": story,
        "commands": [("Look:", "orchestrator validate " + "deep/" * 30)],
    }  # fmt: skip
    return Result(**{**fields, **changes})  # type: ignore[arg-type]


def printed(shown: Result, width: int = 80, *, colour: bool = False) -> str:
    out = io.StringIO()
    render(shown, Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_no_line_is_wider_than_80_columns_but_a_command_stays_whole(width: int) -> None:
    lines = printed(result(), width).splitlines()
    command = "    orchestrator validate " + "deep/" * 30
    assert command in lines
    assert [each for each in lines if len(each.rstrip()) > 80] == [command]


def test_the_summary_says_every_number() -> None:
    text = printed(result())
    for part in (
        "80,126 events became 6 actions in 14 s\n",
        "One worker handled 21,346 events a second, and between them 3 timers and 1",
        "32 broken payloads",
        "3 entered  closed 1, paid 1, waiting 1",
        "1 ended  by the event they waited for",
        "3 ended  by their timeout",
        "payment-last-reminder",
        "1: delivered 1",
        "payment-recovery  not admitted  1  already_active: already on this journey",
        "kept back     1  consent: taken back, or never given",
        "made to wait  1  quiet_hours: for their morning",
        "onboarding  control  1  paid 1 (100%)",
        "case-desk  open-case              4",
        "asked for    3",
        "asked again  1",
        "done         1",
        "given up     1",
        "unknown_schema  1  written with a schema nobody knows",
        "Thu 01 Jan 00:00:00  >  signs up",
    ):
        assert part in text, part


def test_a_run_of_a_single_cycle_has_no_rate_and_one_without_cohort_no_story() -> None:
    text = printed(result(events_per_s=None, story=None))
    assert "a second" not in text
    assert "One customer" not in text


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b[" not in printed(result())
    assert "\x1b[" in printed(result(), colour=True)


def test_counts_add_up() -> None:
    found = tally()
    assert found.active == 3 - 2
    assert found.emitted == 6
    assert found.calls_open == 3 - 1 - 1
    assert found.holds == Counter({("onboarding", "timeout"): 3, ("onboarding", "event"): 1})


def test_the_journal_tells_how_much_is_handled() -> None:
    found = Tally()
    found.take_journal(0, {"customer.events": 10, "journeys.outcomes": 1})
    found.take_journal(1, {"customer.events": 5})
    found.take_journal(0, {"customer.events": 12})
    assert found.handled("customer.events") == 17
    assert found.handled("journeys.outcomes") == 1
    assert found.cycles == 3


def test_the_live_picture_fits_80_columns_and_shows_the_lag() -> None:
    out = io.StringIO()
    Console(file=out, width=80, no_color=True).print(picture(SNAPSHOT))
    lines = out.getvalue().splitlines()
    assert all(len(each) <= 80 for each in lines)
    assert len(lines) == 5
    assert "41,002" in lines[2]
    assert "21,346 a second" in lines[2]
    assert "entries 71,410   waiting 12,345   incidents 39   lag 39,156" in lines[4]


def test_a_plain_line_fits_80_columns() -> None:
    text = line(SNAPSHOT, 12.3)
    assert text == "  12s  handled 41,002/80,158  entries 71,410  actions 77,645  waiting 12,345"
    assert len(text) <= 80
    assert line(Snapshot("producing events", 80_158, 1_000), 1.0) == "   1s  producing events: 1,000 of 80,158"


def test_plain_lines_come_with_each_phase_and_every_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    out = io.StringIO()
    view = PlainView(Console(file=out, width=80))
    for _ in range(33):  # four seconds of a look every eighth of a second
        view.show(SNAPSHOT)
        now += 0.125
    view.show(Snapshot("the last timers"))
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert [each[7:14] for each in lines] == ["handlin", "handled", "handled", "the las"]


def test_a_terminal_gets_the_live_view_and_its_screen_back() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)
    with view_on(console) as view:
        assert isinstance(view, LiveView)
        view.show(SNAPSHOT)
    assert out.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in out.getvalue()
    assert isinstance(view_on(Console(file=io.StringIO())), PlainView)
    assert progress.WIDTH == 80
