"""The steps of a state: an id, a condition, one verb and what stands beside it (language.md 2, ruling A71)."""

from __future__ import annotations

from orchestrator.language import codes
from orchestrator.language.model import Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node
from orchestrator.language.verb import VerbTable


def read_steps(state: Fields, verbs: VerbTable) -> tuple[tuple[Step, ...], bool]:
    """Give the steps that could be read, and whether that is all of them."""
    node = state.node("steps")
    if node is not None and not isinstance(node.value, list):
        state.problems.error(node.place, codes.WRONG_TYPE, "`steps` is a list: write each step as `- id: ...`")
        return (), False
    read = [_step(item, state.problems, verbs) for item in state.items("steps")]
    return tuple(step for step in read if step is not None), None not in read


def read_exit_send(exit_rule: Fields, n: int, verbs: VerbTable) -> Step | None:
    """Read the last action of an exit rule; its step id is `exit:<n>` (ruling A87)."""
    if not exit_rule.has("send") or "send" not in verbs:
        return None
    return Step(f"exit:{n}", "send", verbs["send"].parse(exit_rule), exit_rule.key_at("send"))


def _step(node: Node, problems: Problems, verbs: VerbTable) -> Step | None:
    fields = Fields(node, problems, "the step")
    if not isinstance(node.value, dict):
        return None
    step_id = fields.name("id", required=True)
    if step_id:
        fields.what = f"step {step_id!r}"
    when = fields.expression("when")
    verb_name = _verb_name(fields, verbs)
    if not verb_name:
        return None
    verb = verbs[verb_name]
    fields.allow(verb_name, *verb.beside)
    step = Step(step_id, verb_name, verb.parse(fields), fields.at("id"), when)
    fields.close()
    return step


def _verb_name(fields: Fields, verbs: VerbTable) -> str:
    written = [key for key in fields if key in verbs]
    if len(written) == 1:
        return written[0]
    if written:
        message = f"{fields.what} has {len(written)} verbs, {' and '.join(written)}: make it several steps"
        fields.problems.error(fields.key_at(written[1]), codes.BAD_VERB, message)
        return ""
    beside = frozenset[str]().union(*(verb.beside for verb in verbs.values()))
    others = [key for key in fields if key not in {"id", "when"} and key not in beside]
    message = f"{fields.what} needs one verb: {', '.join(sorted(verbs))}"
    if others:
        message = f"`{others[0]}` is no verb: {message}"
        fields.problems.error(fields.key_at(others[0]), codes.BAD_VERB, message, word=others[0], known=verbs)
    else:
        fields.problems.error(fields.place, codes.BAD_VERB, message)
    return ""
