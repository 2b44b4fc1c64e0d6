"""One partition's books: what was decided, sent and answered, action by action, and where the sums do not come out.

    decided = emitted + held + suppressed + cancelled + parked        by the decision log and the commands on the topics
    emitted = acknowledged + outstanding                              by what channel services reported
    cycles  = decisions and commands that the journal says there are  by the journal, where no cycle of it was compacted away

The sides of an equation come from different topics, so that a record which is missing or too many shows. `parked` is an action
whose command was too large for its topic: the log says emitted, an incident says that it was not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.names import Kind
from orchestrator.operate.sight.shelf import Action, Place, Shelf

DECIDED: Final = "decided"
EMITTED: Final = "emitted"
CYCLES: Final = "cycles"
_ACTION_KINDS: Final = frozenset(
    {Kind.ACTION_EMITTED, Kind.ACTION_HELD, Kind.ACTION_RELEASED, Kind.ACTION_SUPPRESSED, Kind.ACTION_CANCELLED}
)
ERASED: Final = "erased"


class Difference(Struct, frozen=True, order=True):
    """Where an equation does not hold. `customer` is the id; whoever shows it hashes it first, unless told to reveal."""

    equation: str
    partition: int
    what: str
    journey: str = ""
    step: str = ""
    channel: str = ""
    customer: str = ""
    action_id: str = ""


class Sums(Struct):
    """The sums of one step and channel, or of the whole."""

    decided: int = 0
    emitted: int = 0
    held: int = 0
    suppressed: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    parked: int = 0
    unaccounted: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    outstanding: int = 0

    def add(self, other: Sums) -> None:
        """Add other sums to these."""
        for name in ("decided", "emitted", "held", "parked", "unaccounted", "outstanding"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.suppressed.update(other.suppressed)
        self.cancelled.update(other.cancelled)
        self.acknowledged.update(other.acknowledged)


class Report(Struct, frozen=True, gc=False):
    """What a channel service reported of an action, and where that stands in the partition."""

    status: str
    offset: int
    event_id: str
    customer: str


class Books:
    """Takes a partition's records in any order between topics, each topic in its own; then gives sums and differences.

    `is_whole` says that the topics are there from their beginnings; else what is unknown may have been before them, and is no
    difference.
    """

    def __init__(self, partition: int, *, is_whole: bool) -> None:
        self.partition = partition
        self.is_whole = is_whole
        self._shelf = Shelf()
        self._without_id: dict[Place, Counter[str]] = {}
        self._too_large: Counter[tuple[str, str, str]] = Counter()  # customer, journey, step
        self._decisions = self._commands = 0
        self._cycle = self._cycles = self._cycle_decisions = self._cycle_actions = 0  # the latest, how many, and their counts
        self._outcomes_to = 0

    # What goes in

    def handling(self, handling: Mapping[str, Any]) -> None:
        """Take a record of the decision log."""
        for decision in handling["decisions"]:
            self._decisions += 1
            kind = decision["kind"]
            if kind in _ACTION_KINDS:
                self._decide(handling["customer"], decision)
            elif kind == Kind.OUTCOME_RECEIVED and decision["action_id"]:
                self._shelf.action(decision["action_id"]).logged = True
            elif kind == Kind.ERASED:
                self._erase(handling["customer"])

    def _decide(self, customer: str, decision: Mapping[str, Any]) -> None:
        place = (decision["journey"] or "", decision["step"] or "", decision["channel"] or "")
        if not decision["action_id"]:
            self._without_id.setdefault(place, Counter())[decision["reason"] or ""] += 1
            return
        action, kind = self._shelf.action(decision["action_id"]), decision["kind"]
        action.place, action.customer = place, customer
        if kind == Kind.ACTION_EMITTED:
            action.emissions += 1
        elif kind == Kind.ACTION_CANCELLED and action.emissions:
            return  # it is out; its channel was asked to stop it, which is a command of its own
        action.last, action.reason = kind, decision["reason"] or ""

    def _erase(self, customer: str) -> None:
        for _, action in self._shelf.of_customer(customer):
            if action.last == Kind.ACTION_HELD:
                action.last, action.reason = Kind.ACTION_CANCELLED, ERASED

    def command(self, command: Mapping[str, Any]) -> None:
        """Take a record of a channel's topic."""
        self._commands += 1
        if command["kind"] == "cancel":
            return
        action = self._shelf.action(command["action_id"])
        action.commands += 1
        action.is_call = command["kind"] == "call"
        if not action.customer:
            action.place = (command["journey"], command["step"], command["channel"])
            action.customer = command["customer"]

    def outcome(self, action_id: str, report: Report) -> None:
        """Take a record of the outcomes' topic."""
        if report.event_id and not self._shelf.is_new(report.event_id):
            return  # a repeat, which nobody logs
        action = self._shelf.action(action_id)
        if not action.reported:
            action.reported_at = report.offset
        action.reported = report.status
        action.customer = action.customer or report.customer

    def too_large(self, customer: str, journey: str, step: str) -> None:
        """Take an incident of a command that its topic would not take."""
        self._too_large[customer, journey, step] += 1

    def cycle(self, number: int, decisions: int, actions: int, outcomes_to: int) -> None:
        """Take a record of the journal; outcomes before the offset `outcomes_to` are handled."""
        self._cycle, self._cycles = max(self._cycle, number), self._cycles + 1
        self._cycle_decisions += decisions
        self._cycle_actions += actions
        self._outcomes_to = max(self._outcomes_to, outcomes_to)

    def close(self) -> None:
        """Let go of what is kept."""
        self._shelf.close()

    # What comes out

    def sums(self) -> dict[Place, Sums]:
        """Give the sums by journey, step and channel."""
        found: dict[Place, Sums] = {}
        for place, reasons in self._without_id.items():
            sums = found.setdefault(place, Sums())
            sums.decided += reasons.total()
            sums.suppressed.update(reasons)
        too_large = self._too_large.copy()
        for _, action in self._shelf.actions():
            if action.last:
                self._account(found.setdefault(action.place, Sums()), action, too_large)
        return found

    @staticmethod
    def _account(sums: Sums, action: Action, too_large: Counter[tuple[str, str, str]]) -> None:
        sums.decided += 1
        if action.emissions and action.commands:
            sums.emitted += 1
            if action.reported:
                sums.acknowledged[action.reported] += 1
            else:
                sums.outstanding += 1
        elif action.emissions and too_large[action.customer, action.place[0], action.place[1]] > 0:
            too_large[action.customer, action.place[0], action.place[1]] -= 1
            sums.parked += 1
        elif action.emissions or action.last == Kind.ACTION_RELEASED:
            sums.unaccounted += 1
        elif action.last == Kind.ACTION_HELD:
            sums.held += 1
        else:
            (sums.suppressed if action.last == Kind.ACTION_SUPPRESSED else sums.cancelled)[action.reason] += 1

    def differences(self) -> Iterator[Difference]:
        """Give where equations do not hold, one for each action concerned."""
        too_large = self._too_large.copy()
        for action_id, action in self._shelf.actions():
            for equation, what in self._faults(action, too_large):
                yield Difference(equation, self.partition, what, *action.place, action.customer, action_id)
        yield from self._of_cycles()

    def _faults(self, action: Action, too_large: Counter[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
        place = action.customer, action.place[0], action.place[1]
        missing = action.emissions - action.commands
        if missing > 0 and too_large[place] >= missing:
            too_large[place] -= missing
        elif missing > 0:
            yield DECIDED, "decided and logged as emitted; its command is not on the channel's topic"
        elif missing < 0 and (action.last or self.is_whole):
            yield DECIDED, "a command on the channel's topic that no decision emitted"
        if action.emissions > 1 and not action.is_call:
            yield DECIDED, "emitted more than once"
        if not action.emissions and action.last == Kind.ACTION_RELEASED:
            yield DECIDED, "released and then neither emitted nor held, suppressed or cancelled"
        yield from self._answers(action)

    def _answers(self, action: Action) -> Iterator[tuple[str, str]]:
        if action.reported and not action.commands and self.is_whole:
            yield EMITTED, "acknowledged, and never emitted"
        if action.logged and not action.reported and self.is_whole:
            yield EMITTED, "logged as acknowledged; no such report is on the outcomes' topic"
        if action.reported and not action.logged and action.reported_at < self._outcomes_to and self.is_whole:
            yield EMITTED, "acknowledged on the outcomes' topic; the log knows nothing of it"

    @property
    def has_all_cycles(self) -> bool:
        """Whether the journal is there from the first cycle on, so that it can be added up."""
        return self.is_whole and self._cycles == self._cycle

    def _of_cycles(self) -> Iterator[Difference]:
        if not self.has_all_cycles:
            return
        sides = (
            ("decisions", self._cycle_decisions, self._decisions),
            ("commands", self._cycle_actions, self._commands),
        )
        for what, wanted, found in sides:
            if wanted != found:
                more = f"{abs(wanted - found)} {'more' if wanted > found else 'fewer'} {what}"
                yield Difference(CYCLES, self.partition, f"the journal counts {more} than are on the topics")
