"""Lineage drawn: event types, the places that hear or read them, and the channels that actions leave by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.language.mermaid import escaped
from orchestrator.operate.diagram.drawing import (
    EM_BOLD,
    LABEL,
    MARGIN,
    STYLE,
    Words,
    bounds,
    box_of,
    cut,
    label,
    row,
    ways,
    width_of,
)
from orchestrator.operate.diagram.layout import Layout, Link, Size, lay_out
from orchestrator.operate.lineage.uses import Use

ROOT: Final = ""  # what all event types hang from, so that they stand in one layer; it is not drawn
TITLE_PX: Final = 18
HEAD_PX: Final = 36
MOST: Final = 4  # lines of text on one way; the rest is counted

Kind = Literal["type", "place", "channel"]


class Node(Struct, frozen=True):
    """A box: an event type, a step or another place of a journey, or a channel."""

    kind: Kind
    name: str
    below: str = ""


class Picture(Struct, frozen=True):
    """What is drawn: every way once, with the words on it."""

    ways: dict[tuple[Node, Node], tuple[str, ...]]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The boxes, in the order in which they come."""
        return tuple(dict.fromkeys(node for ends in self.ways for node in ends))


def picture(found: Sequence[Use], *, is_coarse: bool = False, only: str = "") -> Picture:
    """Give what to draw for some uses: fields on the ways to a place, actions on those from there to a channel.

    `is_coarse`: a place is a whole journey, since its steps, for all event types at once, make a picture that nobody reads.
    `only` leaves out all channels but that one, "" none.
    """
    words: dict[tuple[Node, Node], dict[str, None]] = defaultdict(dict)
    for use in found:
        place = Node("place", f"{use.journey} v{use.version}" if use.journey else "policy", "" if is_coarse else use.step)
        told = words[Node("type", use.type), place]
        if use.field:
            told[use.field] = None
        for act in use.leads_to:
            for channel in (each for each in act.channels if only in ("", each)):
                words[place, Node("channel", channel)][act.what] = None
    return Picture({ends: tuple(filter(None, told)) for ends, told in words.items()})


def mermaid(found: Sequence[Use], *, is_coarse: bool = False, only: str = "") -> str:
    """Give a flow chart as Mermaid text."""
    drawn = picture(found, is_coarse=is_coarse, only=only)
    ids = {node: f"n{n}" for n, node in enumerate(drawn.nodes)}
    shapes = {"type": ("([", "])"), "place": ("[", "]"), "channel": ("[[", "]]")}
    lines = ["flowchart LR"]
    for node, name in ids.items():
        opening, closing = shapes[node.kind]
        text = "<br/>".join(escaped(each) for each in (node.name, node.below) if each)
        lines.append(f'    {name}{opening}"{text}"{closing}')
    for (source, target), words in drawn.ways.items():
        told = f'|"{escaped(", ".join(_few(words)))}"|' if words else ""
        lines.append(f"    {ids[source]} -->{told} {ids[target]}")
    return "\n".join(lines) + "\n"


def svg(found: Sequence[Use], *, is_coarse: bool = False, only: str = "") -> str:
    """Give a picture that any browser shows."""
    drawn = picture(found, is_coarse=is_coarse, only=only)
    boxes = {node: _words(node) for node in drawn.nodes}
    keys = {node: f"{node.kind} {node.name} {node.below}" for node in boxes}
    links = [Link(ROOT, keys[node], Size(1, 1)) for node in boxes if node.kind == "type"]
    told = {(keys[source], keys[target]): _few(words) for (source, target), words in drawn.ways.items()}
    links += [Link(*ends, _label_size(words)) for ends, words in told.items()]
    sizes = {ROOT: Size(1, 1), **{keys[node]: words.size() for node, words in boxes.items()}}
    placed = _without_root(lay_out(sizes, links, ROOT))
    left, top, right, bottom = bounds(placed) if boxes else (0, 0, 0, 0)
    title = "From events to channels"
    width = max(right - left, width_of(title, TITLE_PX, EM_BOLD)) + 2 * MARGIN
    height = bottom - top + 2 * MARGIN + HEAD_PX
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{title}">',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="under" width="{width:.0f}" height="{height:.0f}"/>',
        row(MARGIN, MARGIN + 14, title, "title"),
        f'<g transform="translate({MARGIN - left:.1f} {MARGIN + HEAD_PX - top:.1f})">',
        *ways(placed),
        *(line for route in placed.routes for line in label(route, told[route.link.source, route.link.target])),
        *(line for node, words in boxes.items() for line in box_of(placed.boxes[keys[node]], words)),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _without_root(placed: Layout) -> Layout:
    boxes = {name: box for name, box in placed.boxes.items() if name != ROOT}
    return replace(placed, boxes=boxes, routes=tuple(route for route in placed.routes if route.link.source != ROOT))


def _words(node: Node) -> Words:
    return Words(cut(node.name), (("at", cut(node.below)),) if node.below else (), is_final=node.kind == "channel")


def _few(words: Sequence[str]) -> tuple[str, ...]:
    shown = tuple(cut(each) for each in words[:MOST])
    return (*shown, f"and {len(words) - MOST} more") if len(words) > MOST else shown


def _label_size(words: Sequence[str]) -> Size:
    return Size(max([width_of(each, LABEL) for each in words], default=0) + 8, (LABEL + 3) * len(words) + 2)
