"""Boxes, labels and lines never lie on each other, whatever leads where."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from orchestrator.operate.diagram.layout import Box, Layout, Link, Size, lay_out

LABEL = Size(90, 30)


def drawn(links: list[tuple[str, str]]) -> Layout:
    names = dict.fromkeys(["root", *(name for link in links for name in link)])
    sizes = {name: Size(60 + 37 * n % 120, 30 + 53 * n % 140) for n, name in enumerate(names)}
    return lay_out(sizes, [Link(source, target, LABEL) for source, target in links], "root")


def overlap(one: Box, other: Box) -> bool:
    across = abs(one.x - other.x) < (one.width + other.width) / 2 - 0.5
    return across and abs(one.y - other.y) < (one.height + other.height) / 2 - 0.5


def check(placed: Layout) -> None:
    things = [*placed.boxes.values(), *(route.label for route in placed.routes)]
    assert [pair for pair in combinations(things, 2) if overlap(*pair)] == []
    for route in placed.routes:
        for bend in route.bends:
            line = Box(bend.x, (bend.top + bend.bottom) / 2, 1, bend.bottom - bend.top)
            assert [box for box in things if box != route.label and overlap(line, box)] == []
        heights = [placed.boxes[route.upper].bottom, *(bend.top for bend in route.bends), placed.boxes[route.lower].top]
        assert heights == sorted(heights), "a line that hangs from one box and reaches the other never turns round"


@pytest.mark.parametrize("seed", range(40))
def test_nothing_lies_on_anything_else(seed: int) -> None:
    random = Random(seed)
    states = [f"s{n}" for n in range(random.randint(1, 30))]
    links = {("root", states[0]): None}
    for n, state in enumerate(states[1:], 1):
        links[random.choice(states[:n]), state] = None
    for _ in range(random.randint(0, 2 * len(states))):
        source, target = random.choice(states), random.choice(states)
        if source != target:
            links[source, target] = None

    check(drawn(list(links)))


def test_a_way_back_is_drawn_upwards() -> None:
    placed = drawn([("root", "a"), ("a", "b"), ("b", "c"), ("c", "a")])
    up = [route.link for route in placed.routes if route.is_upward]

    assert [(link.source, link.target) for link in up] == [("c", "a")]
    assert placed.boxes["a"].y < placed.boxes["b"].y < placed.boxes["c"].y
    check(placed)


def test_one_box_alone() -> None:
    check(drawn([("root", "a")]))


def test_the_same_again_is_the_same() -> None:
    links = [("root", "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "a"), ("b", "e")]
    assert drawn(links) == drawn(links)
