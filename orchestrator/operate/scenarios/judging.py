"""What was seen against what was expected: every expectation that does not hold, with the fact at which it first differs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct, structs

from orchestrator.engine.handling import Decision
from orchestrator.language.model import Place
from orchestrator.names import Kind
from orchestrator.operate.scenarios.matching import Fact, action_fact, decision_fact, differing, incident_fact
from orchestrator.operate.scenarios.playing import EVERYBODY, Moment, Seen
from orchestrator.operate.scenarios.scenario import Expected, ExpectedShare, Scenario, Span


class Failure(Struct, frozen=True):
    """One expectation that does not hold. `expected` None: nothing more was; `seen` None: nothing was.

    `after`: the last fact before the place where the expected one was looked for.
    """

    place: Place
    message: str
    customer: str = ""
    expected: Expected | None = None
    seen: Fact | None = None
    differs: tuple[str, ...] = ()
    after: Fact | None = None


def judge(scenario: Scenario, seen: Seen, experiments: dict[tuple[str, str], str]) -> list[Failure]:
    """Give what does not hold, in the order of the sections. `experiments` maps (journey, step) to the experiment."""
    expect = scenario.expect
    only = _only_customer(scenario, seen)
    actions = [action_fact(moment, action) for moment, action in seen.actions()]
    failures: list[Failure] = []
    if expect.actions is not None:
        commands = [fact for fact in actions if fact.fields["kind"] != "cancel"]
        failures += _complete(_named(expect.actions, only), commands, "action", expect.place)
    if expect.cancels is not None:
        cancels = [fact for fact in actions if fact.fields["kind"] == "cancel"]
        failures += _complete(_named(expect.cancels, only), cancels, "cancel command", expect.place)
    decisions = [decision_fact(moment, each) for moment in seen.moments for each in moment.handling.decisions]
    failures += _subsequence(_named(expect.decisions, only), decisions)
    failures += _states(scenario, seen.moments)
    if expect.incidents is not None:
        incidents = [incident_fact(moment, each) for moment in seen.moments for each in moment.handling.incidents]
        failures += _incidents(_named(expect.incidents, only), incidents, expect.place)
    failures += _counts(scenario, decisions)
    failures += [failure for share in expect.shares if (failure := _share(share, decisions, experiments)) is not None]
    return failures


def _only_customer(scenario: Scenario, seen: Seen) -> str:
    """Give the one customer of the scenario, "" where there are several."""
    whose = {moment.customer for moment in seen.moments} | {each.customer for each in scenario.expect.states}
    whose.discard(EVERYBODY)
    return next(iter(whose)) if len(whose) == 1 else ""


def _named(expected: Iterable[Expected], only: str) -> list[Expected]:
    return [each if each.customer or not only else structs.replace(each, customer=only) for each in expected]


def _nameless(expected: Sequence[Expected]) -> list[Failure]:
    message = "the scenario has several customers: say whose this is, with `customer`"
    return [Failure(each.place, message) for each in expected if not each.customer]


def _of_each(facts: Iterable[Fact]) -> defaultdict[str, list[Fact]]:
    """Give the facts of each customer, in their order."""
    of: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        of[fact.customer].append(fact)
    return of


def _complete(expected: Sequence[Expected], seen: Sequence[Fact], what: str, place: Place) -> Iterator[Failure]:
    """Every one is listed, in order for each customer; across customers the list goes by time (ruling A17), but for late ones."""
    if nameless := _nameless(expected):
        yield from nameless
        return
    left = _of_each(seen)
    late = _late(seen)
    latest: Fact | None = None
    wrong: set[str] = set()
    last: dict[str, Fact] = {}
    for each in expected:
        if each.customer in wrong:
            continue
        own = left[each.customer]
        fact = own.pop(0) if own else None
        failure = _compare(each, fact, what, last.get(each.customer))
        if failure is not None:
            wrong.add(each.customer)
            yield failure
        elif fact is not None:
            last[each.customer] = fact
            if latest is not None and fact.at < latest.at and fact not in late:
                message = f"this {what} came before the one listed above it: across customers the list goes by time"
                yield Failure(each.place, message, each.customer, each, fact)
            latest = latest if fact in late else fact
    for customer, unlisted in left.items():
        if unlisted and customer not in wrong:
            more = f", and {len(unlisted) - 1} more" if len(unlisted) > 1 else ""
            yield Failure(place, f"this {what} is not listed{more}", customer, None, unlisted[0], after=last.get(customer))


def _compare(expected: Expected, fact: Fact | None, what: str, after: Fact | None) -> Failure | None:
    if fact is None:
        return Failure(expected.place, f"this {what} was not seen", expected.customer, expected, after=after)
    differs = differing(expected.fields, fact.fields)
    if not differs:
        return None
    message = f"this {what} differs in {_listed(differs)}"
    return Failure(expected.place, message, expected.customer, expected, fact, tuple(differs), after)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _subsequence(expected: Sequence[Expected], decisions: Sequence[Fact]) -> Iterator[Failure]:
    """Each appears, in this order; others may stand between. Taking the earliest that fits loses no other way to fit."""
    if nameless := _nameless(expected):
        yield from nameless
        return
    of = _of_each(decisions)
    late = _late(decisions)
    position: Counter[str] = Counter()
    time = 0
    for each in expected:
        own, start = of[each.customer], position[each.customer]
        may_come = [n for n in range(start, len(own)) if own[n].at >= time or own[n] in late]
        found = next((n for n in may_come if not differing(each.fields, own[n].fields)), None)
        if found is None:
            yield _not_found(each, own, start, [own[n] for n in may_come])
            return
        position[each.customer] = found + 1
        time = time if own[found] in late else own[found].at


def _late(facts: Iterable[Fact]) -> frozenset[Fact]:
    """Give what late records brought: older than something of their own customer before it, so without a place by time."""
    newest: dict[str, int] = {}
    late: set[Fact] = set()
    for fact in facts:
        if fact.at < newest.get(fact.customer, fact.at):
            late.add(fact)
        else:
            newest[fact.customer] = fact.at
    return frozenset(late)


def _not_found(expected: Expected, own: Sequence[Fact], start: int, may_come: Sequence[Fact]) -> Failure:
    after = own[start - 1] if start else None
    if any(not differing(expected.fields, fact.fields) for fact in own):
        message = "this decision was seen, but before one that is listed above it"
        return Failure(expected.place, message, expected.customer, expected, after=after)
    near = [fact for fact in may_come if fact.fields["kind"] == expected.fields["kind"]]
    if not near:
        return Failure(expected.place, "this decision was not seen", expected.customer, expected, after=after)
    closest = min(near, key=lambda fact: len(differing(expected.fields, fact.fields)))
    differs = differing(expected.fields, closest.fields)
    message = f"this decision was not seen; the nearest differs in {_listed(differs)}"
    return Failure(expected.place, message, expected.customer, expected, closest, tuple(differs), after)


def _states(scenario: Scenario, moments: Sequence[Moment]) -> Iterator[Failure]:
    """The latest instance's last state, whether or not it is still active (ruling A18)."""
    lives = _Lives()
    for moment in moments:
        lives.take(moment)
    for each in scenario.expect.states:
        fact = lives.latest(each.customer, each.journey, each.key)
        state = None if fact is None else fact.fields["state"]
        if state == each.state:
            continue
        what = f"{each.journey} {each.key}" if each.key else each.journey
        message = f"{what} should be {_state_word(each.state)} and is {_state_word(state)}"
        yield Failure(each.place, message, each.customer, seen=fact)


class _Lives:
    """Which instances each customer had, in the order of entry, and where each last stood. A merge hands them on."""

    def __init__(self) -> None:
        self._entered: dict[str, dict[str, Decision]] = {}  # by customer and instance
        self._order: dict[str, int] = {}  # instance to the how-manyth entry it was
        self._stood: dict[str, Fact] = {}

    def take(self, moment: Moment) -> None:
        """Note what a moment did."""
        handling = moment.handling
        mine = self._entered.setdefault(moment.customer, {})
        for decision in handling.decisions:
            if decision.kind == Kind.ENTERED:
                mine[decision.instance] = decision
                self._order[decision.instance] = len(self._order)
            elif decision.kind == Kind.STATE_ENTERED:
                self._stood[decision.instance] = decision_fact(moment, decision)
        if handling.joined:
            ended = {decision.instance for decision in handling.decisions if decision.kind == Kind.MERGED}
            both = {**mine, **self._entered.get(handling.joined, {})}
            self._entered[moment.customer] = {
                name: both[name] for name in sorted(both.keys() - ended, key=self._order.__getitem__)
            }

    def latest(self, customer: str, journey: str, key: str | None) -> Fact | None:
        """Give where the latest instance of a journey, and of a key unless that is None, stood last; None where none entered."""
        for decision in reversed(self._entered.get(customer, {}).values()):
            if decision.journey == journey and key in (None, decision.key):
                return self._stood.get(decision.instance)
        return None


def _state_word(state: str | None) -> str:
    return "never entered" if state is None else f"in {state!r}"


def _incidents(expected: Sequence[Expected], seen: Sequence[Fact], place: Place) -> Iterator[Failure]:
    """Every one is listed; in which order does not matter. The most exact expectation chooses first."""
    left = list(seen)
    for each in sorted(expected, key=lambda one: -len(one.fields)):
        own = [fact for fact in left if each.customer in ("", fact.customer)]
        found = next((fact for fact in own if not differing(each.fields, fact.fields)), None)
        if found is not None:
            left.remove(found)
            continue
        nearest = min(own, key=lambda fact: len(differing(each.fields, fact.fields)), default=None)
        differs = () if nearest is None else tuple(differing(each.fields, nearest.fields))
        yield Failure(each.place, "this incident was not seen", each.customer, each, nearest, differs)
        left = [fact for fact in left if fact is not nearest]
    for fact in left:
        yield Failure(place, "this incident is not listed", fact.customer, None, fact)


def _counts(scenario: Scenario, decisions: Sequence[Fact]) -> Iterator[Failure]:
    counted = Counter(fact.fields["kind"] for fact in decisions)
    for each in scenario.expect.counts:
        if counted[each.kind] != each.count:
            example = next((fact for fact in decisions if fact.fields["kind"] == each.kind), None)
            message = f"{each.kind} should be counted {each.count} times and was {counted[each.kind]}"
            whose = "" if example is None else example.customer
            yield Failure(each.place, message, whose, seen=example)


def _share(share: ExpectedShare, decisions: Sequence[Fact], experiments: dict[tuple[str, str], str]) -> Failure | None:
    """The customers exposed at least once, each counted once (ruling A28)."""
    exposed: set[str] = set()
    of_arm: set[str] = set()
    for fact in decisions:
        if fact.fields["kind"] == Kind.EXPOSED and _experiment(fact.fields, experiments) == share.experiment:
            exposed.add(fact.customer)
            if fact.fields["arm"] == share.arm:
                of_arm.add(fact.customer)
    if not exposed:
        return Failure(share.place, f"nobody was exposed to the experiment {share.experiment!r}")
    part = len(of_arm) / len(exposed)
    if share.low <= part <= share.high:
        return None
    told = f"{len(of_arm)} of {len(exposed)} exposed customers, {part:.4f}, have arm {share.arm!r} of {share.experiment!r}"
    return Failure(share.place, f"{told}; it should be between {share.low} and {share.high}")


def _experiment(fields: Any, experiments: dict[tuple[str, str], str]) -> str:
    named = (fields["detail"] or {}).get("experiment")
    return named or experiments.get((fields["journey"], fields["step"]), "")


def is_instant(value: Any) -> bool:
    """Tell whether an expected value is a time that has no width."""
    return isinstance(value, Span) and value.first == value.last
