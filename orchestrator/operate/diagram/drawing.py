"""Boxes with words in them and lines between them, as SVG: what every picture here is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from msgspec import Struct

from orchestrator.language.problems import printable
from orchestrator.operate.diagram.layout import Bend, Box, Layout, Route, Size

FONT: Final = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
# Widths of a character in em, of the widest of these fonts: text may be narrower than its room, never wider.
EM: Final = 0.64
EM_BOLD: Final = 0.7
WIDE: Final = frozenset("mwMW@%")
NAME: Final = 14
TEXT: Final = 12
LABEL: Final = 11
ROW: Final = 18
PAD: Final = 12
MARGIN: Final = 24
ARROW: Final = 8
PORTS: Final = 22  # the most between two lines at one edge of a box
LONGEST: Final = 60  # characters of a title or an event type; the rest is cut

STYLE: Final = f"""\
text {{ font-family: {FONT}; font-size: {TEXT}px; fill: #1f2933; }}
.title {{ font-size: 18px; font-weight: bold; }}
.muted {{ fill: #616e7c; }}
.name {{ font-size: {NAME}px; font-weight: bold; }}
.label {{ font-size: {LABEL}px; fill: #3e4c59; }}
.state {{ fill: #f5f8fc; stroke: #4a6fa5; stroke-width: 1.5; }}
.final {{ fill: #eef7ee; stroke: #4b8b5a; }}
.rule {{ stroke: #c5d3e6; }}
.way {{ fill: none; stroke: #7b8794; stroke-width: 1.4; }}
.head {{ fill: #7b8794; }}
.under {{ fill: #ffffff; }}"""


class Words(Struct, frozen=True):
    """What stands in a box: a name, and rows of (verb, id) below it."""

    name: str
    rows: tuple[tuple[str, str], ...]
    is_final: bool

    def size(self) -> Size:
        """Give the room that it needs."""
        widest = max([width_of(self.name, NAME, EM_BOLD), *(width_of(f"{verb} {text}", TEXT) for verb, text in self.rows)])
        return Size(widest + 2 * PAD, NAME + 2 * PAD + (ROW * len(self.rows) + PAD / 2 if self.rows else 0))


def bounds(placed: Layout) -> tuple[float, float, float, float]:
    """Give left, top, right and bottom of everything that is placed."""
    boxes = [*placed.boxes.values(), *(route.label for route in placed.routes)]
    bends = [bend.x for route in placed.routes for bend in route.bends]
    lefts, rights = [box.x - box.width / 2 for box in boxes], [box.x + box.width / 2 for box in boxes]
    return min([*lefts, *bends]), min(box.top for box in boxes), max([*rights, *bends]), max(box.bottom for box in boxes)


def ways(placed: Layout) -> Iterator[str]:
    """Give the lines with their heads."""
    leaving = _ports(placed.routes, placed.boxes, lambda route: route.upper, 0)
    arriving = _ports(placed.routes, placed.boxes, lambda route: route.lower, -1)
    for n, route in enumerate(placed.routes):
        upper, lower = placed.boxes[route.upper], placed.boxes[route.lower]
        above, below = (ARROW, 0) if route.is_upward else (0, ARROW)
        begin = Bend(leaving[n], upper.bottom + above, max(upper.layer_bottom, upper.bottom + above))
        end = Bend(arriving[n], min(lower.layer_top, lower.top - below), lower.top - below)
        yield f'<path class="way" d="{_path((begin, *route.bends, end))}"/>'
        yield _arrow(leaving[n], upper.bottom, 1) if route.is_upward else _arrow(arriving[n], lower.top, -1)


def _ports(routes: Sequence[Route], boxes: Mapping[str, Box], whose: Callable[[Route], str], bend: int) -> dict[int, float]:
    """Give where each line touches the edge of its box: side by side, in the order in which they come."""
    of: dict[str, list[int]] = defaultdict(list)
    for n, route in enumerate(routes):
        of[whose(route)].append(n)
    found: dict[int, float] = {}
    for name, touching in of.items():
        box = boxes[name]
        apart = min(PORTS, (box.width - 2 * PAD) / max(len(touching) - 1, 1)) if len(touching) > 1 else 0
        for place, n in enumerate(sorted(touching, key=lambda n: routes[n].bends[bend].x)):
            found[n] = box.x + (place - (len(touching) - 1) / 2) * apart
    return found


def _path(bends: Sequence[Bend]) -> str:
    """Go straight down through each layer, and bend only between two."""
    first = bends[0]
    parts = [f"M{first.x:.1f},{first.top:.1f} V{first.bottom:.1f}"]
    for above, bend in pairwise(bends):
        middle = (above.bottom + bend.top) / 2
        parts.append(f"C{above.x:.1f},{middle:.1f} {bend.x:.1f},{middle:.1f} {bend.x:.1f},{bend.top:.1f} V{bend.bottom:.1f}")
    return " ".join(parts)


def _arrow(x: float, tip: float, way: int) -> str:
    """Give a head whose tip is at `tip`; it lies below the tip for 1, above it for -1."""
    base = tip + way * ARROW
    return f'<path class="head" d="M{x:.1f},{tip:.1f} L{x - ARROW / 2:.1f},{base:.1f} H{x + ARROW / 2:.1f} Z"/>'


def label(route: Route, told: Sequence[str]) -> Iterator[str]:
    """Give the text on a line."""
    box = route.label
    yield f'<rect class="under" {_frame(box)}/>'
    for n, each in enumerate(told):
        yield row(box.x, box.top + (LABEL + 3) * (n + 1) - 2, each, "label", middle=True)


def box_of(box: Box, words: Words) -> Iterator[str]:
    """Give a box with what stands in it."""
    kind = "state final" if words.is_final else "state"
    yield f'<rect class="{kind}" {_frame(box)} rx="8"/>'
    y = box.top + PAD + NAME - 2
    yield row(box.x, y, words.name, "name", middle=True)
    left = box.x - box.width / 2
    if words.rows:
        line = y + PAD - 1
        yield f'<path class="rule" d="M{left:.1f},{line:.1f} H{left + box.width:.1f}"/>'
        y += PAD / 2 + 2
    for verb, text in words.rows:
        y += ROW
        yield f'<text x="{left + PAD:.1f}" y="{y:.1f}"><tspan class="muted">{text_of(verb)}</tspan> {text_of(text)}</text>'


def _frame(box: Box) -> str:
    return f'x="{box.x - box.width / 2:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'


def row(x: float, y: float, text: str, kind: str, *, middle: bool = False) -> str:
    """Give one line of text; `kind` is a class of STYLE."""
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{anchor}>{text_of(text)}</text>'


def width_of(text: str, size: int, em: float = EM) -> float:
    """Give the most room that a text needs, in pixels."""
    return size * sum(em * 1.4 if each in WIDE or not each.isascii() else em for each in text)


def cut(text: str, most: int = LONGEST) -> str:
    """Give a text that is short enough."""
    return text if len(text) <= most else text[: most - 1] + "…"


def text_of(text: str) -> str:
    """Give a text as it may stand in XML."""
    return escape(printable(text))
