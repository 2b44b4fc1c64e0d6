"""experiments.yaml: every experiment, registered before it runs (language.md 4)."""

from __future__ import annotations

from orchestrator.language import codes
from orchestrator.language.model import Experiment
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node, described


def read_experiments(node: Node, problems: Problems) -> dict[str, Experiment]:
    """Read the file, a list of experiments, by their names."""
    if not isinstance(node.value, list):
        message = f"experiments.yaml is a list of experiments, not {described(node)}: write `- experiment: ...`"
        problems.error(node.place, codes.WRONG_TYPE, message)
        return {}
    found: dict[str, Experiment] = {}
    for item in node.value:
        experiment = _experiment(item, problems)
        if experiment.id in found:
            first = found[experiment.id].place.line
            message = f"the experiment {experiment.id!r} is already registered on line {first}"
            problems.error(experiment.place, codes.DUPLICATE_ID, message)
        elif experiment.id:
            found[experiment.id] = experiment
    return found


def _experiment(node: Node, problems: Problems) -> Experiment:
    fields = Fields(node, problems, "the experiment")
    minimum = fields.fields("minimum", "`minimum`")
    exposures, duration_ms = 0, 0
    if minimum is not None:
        exposures = minimum.integer("exposures_per_arm", 0, low=0)
        duration_ms = minimum.duration("duration", 0) or 0
        minimum.close()
    experiment = Experiment(
        id=fields.name("experiment", required=True),
        place=fields.at("experiment"),
        hypothesis=fields.text("hypothesis"),
        owner=fields.text("owner"),
        metric=fields.name("metric"),
        exposures_per_arm=exposures,
        duration_ms=duration_ms,
        effect=fields.number("effect", low=0, high=1),
        alpha=fields.number("alpha", 0.05, low=0.0001, high=0.5) or 0.05,
    )
    fields.close()
    return experiment
