"""`randomize`: choose a way by experiment (rules P1-P3; rulings A97, A98).

The recipe, for anyone who wants to compute arms elsewhere. An arm of weight w holds w tickets, numbered from 0. Ticket n of an
arm is the 32-bit big-endian number at byte 4 * (n mod 8) of

    SHA-256(salt \\x1f experiment \\x1f customer \\x1f arm \\x1f n div 8)

with `\\x1f` the one character U+001F. The arm with the highest ticket wins, the first written one where two are equal. So each
arm gets its share, and a changed weight adds or removes tickets of that arm only: no customer moves between two others.
Intervals on one hash, the usual way, were rejected: with three arms a change of the first moves customers of all.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from orchestrator.engine.moves import Move, go_or_next
from orchestrator.engine.verbs.verb import Verb
from orchestrator.language import codes
from orchestrator.language.model import Place, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node
from orchestrator.language.verb import Check, Target
from orchestrator.names import Kind
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

ALL: Final = 100
_TICKETS: Final = 8  # in one digest
_BYTES: Final = 4


class Arm(Frozen, frozen=True):
    """A way of an experiment; its weight in percent. No `go`: the next step."""

    name: str
    weight: int
    go: str
    go_place: Place
    holdout: bool = False


class RandomizeSettings(Frozen, frozen=True):
    """The experiment and its arms; `salt` is the experiment's name unless written (ruling A97)."""

    experiment: str
    salt: str
    arms: tuple[Arm, ...]
    place: Place


class RandomizePlan(Frozen, frozen=True):
    """The settings, and by arm where it leads and whether it is a holdout."""

    settings: RandomizeSettings
    ways: dict[str, tuple[Move, bool]]


class Randomize(Verb):
    """Assigns an arm by a hash of customer and experiment, once and for good (rule P1).

    From a holdout arm on, the instance walks silently: the same way at the same times, without actions (rule P2).
    """

    name = "randomize"

    def parse(self, step: Fields) -> RandomizeSettings:
        """Read `randomize: {experiment, branches}`."""
        place = step.at("randomize")
        settings = step.fields("randomize", "randomize", required=True)
        if settings is None:
            return RandomizeSettings("", "", (), place)
        experiment = settings.name("experiment", required=True)
        arms = tuple(_read_arm(node, step.problems) for node in settings.items("branches", required=True))
        parsed = RandomizeSettings(experiment, settings.text("salt") or experiment, arms, place)
        _check_arms(parsed, settings)
        settings.close()
        return parsed

    def check(self, step: Step, check: Check) -> None:
        """Check how many arms there are, and that the experiment is registered."""
        settings: RandomizeSettings = step.settings
        check.branches(len(settings.arms), step.place)
        check.experiment(settings.experiment, settings.place)

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the states of the arms."""
        return tuple(Target(arm.go, arm.go_place) for arm in step.settings.arms if arm.go)

    def goes_on(self, step: Step) -> bool:
        """When an arm names no state."""
        return any(not arm.go for arm in step.settings.arms)

    def experiment(self, step: Step) -> str:
        """Give its name."""
        settings: RandomizeSettings = step.settings
        return settings.experiment

    def plan(self, step: Step) -> RandomizePlan:
        """Prepare the moves."""
        settings: RandomizeSettings = step.settings
        return RandomizePlan(settings, {arm.name: (go_or_next(arm.go), arm.holdout) for arm in settings.arms})

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Take the customer's arm; the first time in this experiment it is chosen, and logged as exposed (rule P3)."""
        plan: RandomizePlan = step.plan
        experiment, document = plan.settings.experiment, walk.turn.document
        arms = document.arms
        known = arms.get(experiment, "")
        name = known if known in plan.ways else choose(plan.settings, walk.turn.customer)
        arms[experiment] = name
        move, is_holdout = plan.ways[name]
        if not known:
            document.exposed[experiment] = walk.turn.now
            walk.log(Kind.EXPOSED, step.id, detail={"experiment": experiment}).arm = name
        walk.log(Kind.BRANCH_TAKEN, step.id, detail={"experiment": experiment}).arm = name
        walk.instance.held_out = walk.instance.held_out or is_holdout
        return move


def choose(settings: RandomizeSettings, customer: str) -> str:
    """Give the arm of a customer who has none yet."""
    best, chosen = -1, settings.arms[0].name
    for arm in settings.arms:
        start = f"{settings.salt}\x1f{settings.experiment}\x1f{customer}\x1f{arm.name}\x1f"
        for first in range(0, arm.weight, _TICKETS):
            digest = sha256(f"{start}{first // _TICKETS}".encode()).digest()
            for at in range(min(_TICKETS, arm.weight - first)):
                ticket = int.from_bytes(digest[_BYTES * at : _BYTES * (at + 1)], "big")
                if ticket > best:
                    best, chosen = ticket, arm.name
    return chosen


def _read_arm(node: Node, problems: Problems) -> Arm:
    fields = Fields(node, problems, "a branch of randomize")
    arm = Arm(
        name=fields.name("arm", required=True),
        weight=fields.integer("weight", low=0, high=ALL, required=True),
        go=fields.name("go"),
        go_place=fields.at("go"),
        holdout=fields.flag("holdout"),
    )
    fields.close()
    return arm


def _check_arms(settings: RandomizeSettings, fields: Fields) -> None:
    place, problems = fields.at("branches"), fields.problems
    if len(settings.arms) < 2:
        problems.error(place, codes.OUT_OF_RANGE, "an experiment needs at least two branches")
    elif sum(arm.weight for arm in settings.arms) != ALL:
        total = sum(arm.weight for arm in settings.arms)
        problems.error(place, codes.OUT_OF_RANGE, f"the weights of an experiment sum to {ALL}, not {total}")
    names = [arm.name for arm in settings.arms]
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        problems.error(place, codes.DUPLICATE_ID, f"two branches have the arm {name!r}")
