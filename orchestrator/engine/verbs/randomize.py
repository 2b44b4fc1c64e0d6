"""`randomize`: choose a way by experiment. Read in full; it runs with a later version."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from orchestrator.engine.verbs.verb import Verb
from orchestrator.language import codes
from orchestrator.language.model import Place, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node
from orchestrator.language.verb import Check, Target

ALL: Final = 100


class Arm(Struct, frozen=True):
    """A way of an experiment; its weight in percent. No `go`: the next step."""

    name: str
    weight: int
    go: str
    go_place: Place
    holdout: bool = False


class RandomizeSettings(Struct, frozen=True):
    """The experiment and its arms; `salt` is the experiment's name unless written (ruling A97)."""

    experiment: str
    salt: str
    arms: tuple[Arm, ...]
    place: Place


class Randomize(Verb):
    """Assigns an arm by a hash of customer and experiment, once and for good (rule P1)."""

    name = "randomize"
    built = False

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
        """Check how many arms there are."""
        check.branches(len(step.settings.arms), step.place)

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the states of the arms."""
        return tuple(Target(arm.go, arm.go_place) for arm in step.settings.arms if arm.go)

    def goes_on(self, step: Step) -> bool:
        """When an arm names no state."""
        return any(not arm.go for arm in step.settings.arms)


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
