"""A journey as a Mermaid state diagram: its states, and what leads from one to another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.language.model import Exit, Journey, State, Step
from orchestrator.language.verb import VerbTable

_ESCAPED: Final = {"#": "#35;", ";": "#59;", ":": "#58;", '"': "#34;", "<": "#60;", ">": "#62;", "\n": " "}


def mermaid(journey: Journey, verbs: VerbTable) -> str:
    """Give the text of the diagram, ready for a Markdown block or `mmdc`."""
    lines = ["stateDiagram-v2"]
    lines += [f"    state {_quoted(_title(state))} as {_id(name)}" for name, state in journey.states.items()]
    lines.append(f"    [*] --> {_id(journey.start)}: {_text(', '.join(journey.entry.on))}")
    for state in journey.states.values():
        lines += [f"    {_id(state.name)} --> {line}" for line in dict.fromkeys(_ways(state, verbs))]
    lines += [f"    note right of {_id(journey.start)}: {_text(text)}" for text in _exits(journey.exits)]
    return "\n".join(lines) + "\n"


def _ways(state: State, verbs: VerbTable) -> Iterator[str]:
    for handler in state.handlers:
        yield f"{_id(handler.go)}: {_text(handler.event)}"
    for step in state.steps:
        for target in verbs[step.verb].targets(step):
            yield f"{_id(target.state)}: {_text(step.id)}"
        if step.verb == "end":
            yield f"[*]: {_text(_outcome(step))}"
    if state.final:
        yield "[*]" + (f": {_text(state.outcome)}" if state.outcome else "")


def _outcome(step: Step) -> str:
    outcome: str = step.settings.outcome
    return outcome or step.id


def _title(state: State) -> str:
    """The state's name with its steps below it."""
    return "<br/>".join([_text(state.name), *(_text(f"{step.verb} {step.id}") for step in state.steps)])


def _exits(exits: tuple[Exit, ...]) -> Iterator[str]:
    if exits:
        told = ", ".join(f"{' or '.join(rule.on)} ({rule.outcome})" if rule.outcome else " or ".join(rule.on) for rule in exits)
        yield f"ends at once on {told}"


def _id(name: str) -> str:
    """Names may have a dash, or be words that Mermaid reserves; two names never become one."""
    return "s_" + name.replace("_", "__").replace("-", "_d")


def _text(text: str) -> str:
    return "".join(_ESCAPED.get(each, each) for each in text)


def _quoted(text: str) -> str:
    return f'"{text}"'
