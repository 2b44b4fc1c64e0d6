"""A journey as one SVG picture: states with their steps, what leads from one to another, how it begins and what ends it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.engine.verbs import TABLE
from orchestrator.language.model import Journey, State
from orchestrator.language.transitions import exits, transitions
from orchestrator.operate.diagram.drawing import (
    EM_BOLD,
    LABEL,
    LONGEST,
    MARGIN,
    ROW,
    STYLE,
    TEXT,
    Words,
    bounds,
    box_of,
    cut,
    label,
    row,
    text_of,
    ways,
    width_of,
)  # fmt: skip
from orchestrator.operate.diagram.layout import Box, Link, Size, lay_out

START: Final = "[*]"  # no state has such a name


def svg(journey: Journey) -> str:
    """Give the picture, ready for a file or a web page."""
    states = {name: _words(state) for name, state in journey.states.items()}
    labels = _labels(journey)
    links = [Link(source, target, _label_size(told)) for (source, target), told in labels.items()]
    sizes = {START: Size(16, 16), **{name: words.size() for name, words in states.items()}}
    placed = lay_out(sizes, links, START)
    head = cut(journey.title or journey.id), f"{journey.id} v{journey.version}"
    foot = cut(exits(journey), 2 * LONGEST)
    left, top, right, bottom = bounds(placed)
    width = max(right - left, width_of(head[0], 18, EM_BOLD), width_of(foot, TEXT)) + 2 * MARGIN
    height = bottom - top + 2 * MARGIN + 52 + (2 * ROW if foot else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{text_of(f"States of journey {journey.id}")}">',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="under" width="{width:.0f}" height="{height:.0f}"/>',
        row(MARGIN, MARGIN + 14, head[0], "title"),
        row(MARGIN, MARGIN + 34, head[1], "muted"),
        f'<g transform="translate({(width - (right - left)) / 2 - left:.1f} {MARGIN + 52 - top:.1f})">',
        *ways(placed),
        *(line for route in placed.routes for line in label(route, labels[route.link.source, route.link.target])),
        *_beginning(placed.boxes[START]),
        *(line for name, words in states.items() for line in box_of(placed.boxes[name], words)),
        "</g>",
    ]
    if foot:
        lines.append(row(MARGIN, height - MARGIN + 6, foot, "muted"))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _words(state: State) -> Words:
    rows = [(step.verb, step.id) for step in state.steps]
    again = [way.event for way in state.handlers if way.go == state.name]
    again += [step.id for step in state.steps for target in TABLE[step.verb].targets(step) if target.state == state.name]
    rows += [("again on", cut(each)) for each in dict.fromkeys(again)]
    if state.final:
        rows.append(("ends", state.outcome))
    elif state.rest:
        rows.append(("rests", ""))
    return Words(state.name, tuple(rows), state.final)


def _labels(journey: Journey) -> dict[tuple[str, str], tuple[str, ...]]:
    """Give the lines of text on the way from one state to another: one way for all that leads there."""
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for event_type in journey.entry.on:
        found[START, journey.start][cut(event_type)] = None
    for way in transitions(journey, TABLE):
        if way.target and way.target != way.source:
            found[way.source, way.target][cut(way.label)] = None
    return {ends: tuple(told) for ends, told in found.items()}


def _label_size(told: Sequence[str]) -> Size:
    return Size(max(width_of(each, LABEL) for each in told) + 8, (LABEL + 3) * len(told) + 2)


def _beginning(box: Box) -> Iterator[str]:
    yield f'<circle cx="{box.x:.1f}" cy="{box.y:.1f}" r="{box.width / 2:.1f}" fill="#1f2933"/>'
