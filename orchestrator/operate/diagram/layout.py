"""Where boxes and the lines between them stand: layers from top to bottom, by grandalf (Sugiyama's method).

Each label is a box of its own on the line, so that nothing is ever drawn across it. All sizes are pixels, y grows downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import DummyVertex, SugiyamaLayout
from msgspec import Struct

ACROSS: Final = 28  # between neighbours of a layer
DOWN: Final = 34  # between layers: room for a line to bend
LINE: Final = 10  # what a line that passes a layer takes of it
ROUNDS: Final = 12  # of ordering; more change nothing for 30 states


class Size(Struct, frozen=True):
    """What a box or a label needs."""

    width: float
    height: float


class Link(Struct, frozen=True):
    """A line from one box to another, with the size of its label."""

    source: str
    target: str
    label: Size


class Box(Struct, frozen=True):
    """Where something stands: its middle and its size, and how far its layer reaches up and down."""

    x: float
    y: float
    width: float
    height: float
    layer_top: float = 0
    layer_bottom: float = 0

    @property
    def top(self) -> float:
        """The upper edge."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.height / 2


class Bend(Struct, frozen=True):
    """Where a line passes a layer: straight down at `x` from `top` to `bottom`."""

    x: float
    top: float
    bottom: float


class Route(Struct, frozen=True):
    """A line, from its upper box to its lower one; `is_upward`: it leads from the lower to the upper."""

    link: Link
    label: Box
    bends: tuple[Bend, ...]
    is_upward: bool

    @property
    def upper(self) -> str:
        """The box that the line hangs from."""
        return self.link.target if self.is_upward else self.link.source

    @property
    def lower(self) -> str:
        """The box that it reaches down to."""
        return self.link.source if self.is_upward else self.link.target


class Layout(Struct, frozen=True):
    """Everything in its place."""

    boxes: Mapping[str, Box]
    routes: tuple[Route, ...]


class _View:
    """What grandalf asks of a vertex."""

    def __init__(self, size: Size) -> None:
        self.w, self.h = size.width, size.height
        self.xy = (0.0, 0.0)


def lay_out(boxes: Mapping[str, Size], links: Sequence[Link], root: str) -> Layout:
    """Place boxes that can all be reached from `root`, and route the links. A link of a box to itself is none."""
    upward = _upward(links, root)
    vertices = {name: _vertex(name, size) for name, size in boxes.items()}
    labels = [_vertex(n, link.label) for n, link in enumerate(links)]
    halves: list[tuple[Any, Any]] = []
    for link, label, is_upward in zip(links, labels, upward, strict=True):
        ends = (link.target, link.source) if is_upward else (link.source, link.target)
        halves.append((Edge(vertices[ends[0]], label), Edge(label, vertices[ends[1]])))
    graph = Graph([*vertices.values(), *labels], [edge for both in halves for edge in both])
    sugiyama = SugiyamaLayout(graph.C[0])
    sugiyama.xspace, sugiyama.yspace, sugiyama.dw, sugiyama.dh = ACROSS, DOWN, LINE, LINE
    sugiyama.init_all(roots=[vertices[root]], inverted_edges=[], optimize=True)
    sugiyama.draw(ROUNDS)
    bands = [_band(layer) for layer in sugiyama.layers]
    routes = tuple(
        Route(link, _box(label), tuple(_bends(sugiyama, both, label, bands)), is_upward)
        for link, label, both, is_upward in zip(links, labels, halves, upward, strict=True)
    )
    return Layout({name: _box(vertex, bands[sugiyama.grx[vertex].rank]) for name, vertex in vertices.items()}, routes)


def _upward(links: Sequence[Link], root: str) -> list[bool]:
    """Tell which links lead back to where one came from, going from the root in written order: without them no way is round."""
    back: set[int] = set()
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        for n, link in enumerate(links):
            if link.source != name:
                continue
            if link.target in way:
                back.add(n)
            elif link.target not in done:
                visit(link.target, (*way, link.target))
        done.add(name)

    visit(root, (root,))
    return [n in back for n in range(len(links))]


def _vertex(name: object, size: Size) -> Any:
    vertex = Vertex(name)
    vertex.view = _View(size)
    return vertex


def _box(vertex: Any, band: tuple[float, float] = (0, 0)) -> Box:
    x, y = vertex.view.xy
    return Box(x, y, vertex.view.w, vertex.view.h, *band)


def _band(layer: Any) -> tuple[float, float]:
    """Give the upper and lower edge of what stands in a layer."""
    boxes = [_box(vertex) for vertex in layer if not isinstance(vertex, DummyVertex)]
    return min(box.top for box in boxes), max(box.bottom for box in boxes)


def _bends(sugiyama: Any, halves: tuple[Any, Any], label: Any, bands: Sequence[tuple[float, float]]) -> list[Bend]:
    """Give where a line passes the layers between its boxes, the label's among them."""
    upper, lower = (sugiyama.ctrls.get(edge, {}) for edge in halves)
    passing = {rank: dummy for found in (upper, lower) for rank, dummy in found.items() if isinstance(dummy, DummyVertex)}
    passing[sugiyama.grx[label].rank] = label
    return [Bend(passing[rank].view.xy[0], *bands[rank]) for rank in sorted(passing)]
