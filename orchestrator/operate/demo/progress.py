"""What a person sees while the demo runs: a live view on a terminal, a plain line every two seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Protocol, Self

from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_EVERY_S: Final = 2.0
REFRESH_PER_S: Final = 8
WIDTH: Final = 80


class Snapshot(Struct, frozen=True):
    """How far the demo is. `phase` is a sentence in the present; `waiting` are instances that have not ended."""

    phase: str
    total: int = 0
    produced: int = 0
    handled: int = 0
    events_per_s: float | None = None
    entries: int = 0
    actions: int = 0
    reported: int = 0
    incidents: int = 0
    waiting: int = 0

    @property
    def lag_records(self) -> int:
        """Events that are produced and not handled."""
        return max(0, self.produced - self.handled)


class View(Protocol):
    """Shows snapshots; a context manager."""

    def show(self, snapshot: Snapshot) -> None:
        """Show how far it is. May be called as often as one likes."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def view_on(console: Console) -> View:
    """Give the view that fits the console."""
    return LiveView(console) if console.is_terminal else PlainView(console)


def _bar(label: str, done: int, total: int, note: str) -> tuple[RenderableType, ...]:
    # rich's own colours are grey on a terminal of 16 colours.
    return (
        Text(label),
        ProgressBar(total=max(total, 1), completed=min(done, total), width=26, complete_style="cyan", finished_style="green"),
        Text(f"{done:>9,}"),
        Text(note, style="dim"),
    )


def picture(snapshot: Snapshot) -> RenderableType:
    """Draw a snapshot, at most 80 columns wide."""
    bars = Table.grid(padding=(0, 2))
    rate = f"{snapshot.events_per_s:,.0f} a second" if snapshot.events_per_s else ""
    bars.add_row(*_bar("events produced", snapshot.produced, snapshot.total, f"of {snapshot.total:,}"))
    bars.add_row(*_bar("events handled", snapshot.handled, snapshot.total, rate))
    bars.add_row(*_bar("outcomes reported", snapshot.reported, max(snapshot.actions, 1), f"of {snapshot.actions:,} actions"))
    facts = (
        f"entries {snapshot.entries:,}   waiting {snapshot.waiting:,}"
        f"   incidents {snapshot.incidents:,}   lag {snapshot.lag_records:,}"
    )
    return Group(Text(snapshot.phase, style="cyan"), bars, Text(facts, style="bold"))


def line(snapshot: Snapshot, elapsed_s: float) -> str:
    """Tell a snapshot in one line of at most 80 columns for what a demo can count."""
    if snapshot.handled == 0 and snapshot.produced < snapshot.total:
        return f"{elapsed_s:4.0f}s  {snapshot.phase}: {snapshot.produced:,} of {snapshot.total:,}"
    return (
        f"{elapsed_s:4.0f}s  handled {snapshot.handled:,}/{snapshot.total:,}  entries {snapshot.entries:,}"
        f"  actions {snapshot.actions:,}  waiting {snapshot.waiting:,}"
    )


class LiveView:
    """Redraws in place, and leaves the screen as it found it."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=True)

    def show(self, snapshot: Snapshot) -> None:
        """Draw at the next refresh."""
        self._live.update(picture(snapshot))

    def __enter__(self) -> Self:
        """Take over the lower end of the screen."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the screen back, the cursor visible."""
        self._live.stop()


class PlainView:
    """Prints a line when the phase changes, and one every two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._next = 0.0
        self._phase = ""

    def show(self, snapshot: Snapshot) -> None:
        """Print, if it is time."""
        now = time.monotonic()
        if snapshot.phase != self._phase:
            self._phase = snapshot.phase
            self._print(f"{now - self._began:4.0f}s  {snapshot.phase}")
        elif now >= self._next:
            self._print(line(snapshot, now - self._began))
        else:
            return
        self._next = now + PLAIN_EVERY_S

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to put back."""
