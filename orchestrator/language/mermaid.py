"""A journey as a Mermaid state diagram: its states, and what leads from one to another."""

from __future__ import annotations

from typing import Final

from orchestrator.language.model import Journey, State
from orchestrator.language.transitions import exits, transitions
from orchestrator.language.verb import VerbTable

_ESCAPED: Final = {"#": "#35;", ";": "#59;", ":": "#58;", '"': "#34;", "<": "#60;", ">": "#62;", "\n": " "}


def mermaid(journey: Journey, verbs: VerbTable) -> str:
    """Give the text of the diagram, ready for a Markdown block or `mmdc`."""
    lines = ["stateDiagram-v2"]
    lines += [f"    state {_quoted(_title(state))} as {_id(name)}" for name, state in journey.states.items()]
    lines.append(f"    [*] --> {_id(journey.start)}: {escaped(', '.join(journey.entry.on))}")
    for way in transitions(journey, verbs):
        target = _id(way.target) if way.target else "[*]"
        lines.append(f"    {_id(way.source)} --> {target}{f': {escaped(way.label)}' if way.label else ''}")
    if last := exits(journey):
        lines.append(f"    note right of {_id(journey.start)}: {escaped(last)}")
    return "\n".join(lines) + "\n"


def _title(state: State) -> str:
    """The state's name with its steps below it."""
    return "<br/>".join([escaped(state.name), *(escaped(f"{step.verb} {step.id}") for step in state.steps)])


def _id(name: str) -> str:
    """Names may have a dash, or be words that Mermaid reserves; two names never become one."""
    return "s_" + name.replace("_", "__").replace("-", "_d")


def escaped(text: str) -> str:
    """Give a text as it may stand in a diagram."""
    return "".join(_ESCAPED.get(each, each) for each in text)


def _quoted(text: str) -> str:
    return f'"{text}"'
