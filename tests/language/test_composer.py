"""YAML 1.2 and its bounds: what is refused, where, and that nothing ever raises (rulings A29, A30)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.language import codes
from orchestrator.language.composer import DEPTH, FILE_BYTES, NODES, compose
from orchestrator.language.problems import Problem, Problems
from orchestrator.language.reader import Node


def read(content: str | bytes) -> tuple[Node | None, list[Problem]]:
    problems = Problems()
    raw = content.encode() if isinstance(content, str) else content
    return compose("f.yaml", raw, problems), list(problems)


def plain(node: Node | None) -> Any:
    value = None if node is None else node.value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: x", {"on": "x"}),
        ("a: NO", {"a": "NO"}),
        ("a: yes", {"a": "yes"}),
        ("a: off", {"a": "off"}),
        ("a: 08:00", {"a": "08:00"}),
        ("a: 21:30:00", {"a": "21:30:00"}),
        ("a: 2026-01-05", {"a": "2026-01-05"}),
        ("a: 2026-01-05T00:00:00Z", {"a": "2026-01-05T00:00:00Z"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 017", {"a": 17}),
        ("a: 0o17", {"a": 15}),
        ("a: 0x1F", {"a": 31}),
        ("a: -3", {"a": -3}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: .5", {"a": 0.5}),
        ("a: -.inf", {"a": float("-inf")}),
        ("a: True", {"a": True}),
        ("a: tRue", {"a": "tRue"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ('a: "true"', {"a": "true"}),
        ("a: '3'", {"a": "3"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("1: x\ntrue: y", {"1": "x", "true": "y"}),
        ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a: &x 5\nb: *x", {"a": 5, "b": 5}),
        ('"<<": 1', {"<<": 1}),
    ],
)
def test_a29_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    node, problems = read(text)
    assert plain(node) == value
    assert problems == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1  ORC-106  `a` is already set on line 1"),
        ("x: {k: 1, k: 2}", "f.yaml:1:11  ORC-106  `k` is already set on line 1"),
        (
            "a: !!str 3",
            "f.yaml:1:4  ORC-107  the tag 'tag:yaml.org,2002:str' is not allowed: drop it, and quote what is meant as text",
        ),
        ("a: ! x", "f.yaml:1:4  ORC-107  the tag '!' is not allowed: drop it, and quote what is meant as text"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "f.yaml:1:4  ORC-107  the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed: "
            "drop it, and quote what is meant as text",
        ),
        (
            "d: &d {x: 1}\ne:\n  <<: *d",
            "f.yaml:3:3  ORC-108  merge keys are not allowed: write the settings out, or use an alias for a whole value",
        ),
        ("a: *nowhere", "f.yaml:1:4  ORC-109  the anchor &nowhere is not in the file above"),
        ("a: &a [*a]", "f.yaml:1:8  ORC-109  the anchor &a contains this alias"),
        ("", "f.yaml:1:1  ORC-104  the file is empty"),
        ("# only a comment\n", "f.yaml:1:1  ORC-104  the file is empty"),
        ("---\n", "f.yaml:1:1  ORC-104  the file is empty"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1  ORC-105  a second document begins here: one file, one document"),
        ("[1]: 2", "f.yaml:1:1  ORC-112  a key must be text"),
        ("? {a: 1}\n: 2", "f.yaml:1:3  ORC-112  a key must be text"),
        ("%YAML 1.1\n---\na: 1", "f.yaml:1:1  ORC-113  no directives: the files are YAML 1.2 without tags"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "f.yaml:1:1  ORC-113  no directives: the files are YAML 1.2 without tags"),
        ("a:\n\t- b", "f.yaml:2:1  ORC-103  not YAML: a tab cannot indent: use spaces"),
        (
            "a: b: c",
            "f.yaml:1:5  ORC-103  not YAML: a `:` is not expected here: "
            "put text with a colon in quotes, and check the indentation",
        ),
        ("a: 'x", "f.yaml:1:6  ORC-103  not YAML: found unexpected end of stream (while scanning a quoted scalar from line 1)"),
        (
            "a: 1\nb: [1, 2\nc: 3",
            "f.yaml:3:2  ORC-103  not YAML: expected ',' or ']', but got ':' (while parsing a flow sequence from line 2)",
        ),
        ("a: 1\nb: \x01", "f.yaml:2:4  ORC-103  the character U+0001 is not allowed in YAML"),
        ('a: "\\ud800"', "f.yaml:1:4  ORC-103  an escape here gives half a character (a lone surrogate)"),
        ("[" * 100 + "]" * 100, f"f.yaml:1:{DEPTH + 1}  ORC-111  nested deeper than {DEPTH} levels"),
    ],
)
def test_a29_what_is_not_plain_yaml_is_refused_with_its_place(text: str, line: str) -> None:
    _, problems = read(text)
    assert [str(problem) for problem in problems] == [line]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a: 1\nb: é\n".encode("latin-1"), "f.yaml:2:4  ORC-101  byte 0xe9 is not UTF-8: save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "f.yaml:1:1  ORC-101  the file is UTF-16 or UTF-32, not UTF-8: save it as UTF-8"),
        ("a: 1".encode("utf-16-be"), "f.yaml:1:1  ORC-101  the file is UTF-16 or UTF-32, not UTF-8: save it as UTF-8"),
        ("a: 1".encode("utf-32"), "f.yaml:1:1  ORC-101  the file is UTF-16 or UTF-32, not UTF-8: save it as UTF-8"),
        (b"a: " + b"x" * FILE_BYTES, f"f.yaml:1:1  ORC-102  the file is larger than {FILE_BYTES:,} bytes: split it up"),
    ],
)
def test_a30_wrong_encodings_and_large_files_are_refused(content: bytes, line: str) -> None:
    node, problems = read(content)
    assert node is None
    assert [str(problem) for problem in problems] == [line]


def test_a30_an_alias_bomb_is_refused_before_it_is_expanded() -> None:
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    began = time.process_time()
    node, problems = read("\n".join(bomb))
    assert time.process_time() - began < 2
    assert node is None
    assert [(problem.code, problem.place.line) for problem in problems] == [(codes.EXPANSION, 4)]


def test_a30_aliases_below_the_bound_are_expanded() -> None:
    text = "a: &a [" + ", ".join(["x"] * 98) + "]\nall: [" + ", ".join(["*a"] * 99) + "]\n"
    node, problems = read(text)
    assert problems == []
    assert len(plain(node)["all"]) == 99


def test_a30_exactly_the_bound_of_nodes_is_allowed_and_one_more_is_not() -> None:
    assert read("[" + ",".join("x" * (NODES - 1)) + "]")[1] == []
    assert [problem.code for problem in read("[" + ",".join("x" * NODES) + "]")[1]] == [codes.EXPANSION]


def test_places_count_from_one_and_point_at_the_value() -> None:
    node, _ = read("a:\n  - x\n  - {k: 'v'}\n")
    assert node is not None
    item = node.value["a"].value[1]
    assert (item.place.line, item.place.column) == (3, 5)
    assert (item.key_places["k"].line, item.key_places["k"].column) == (3, 6)
    assert (item.value["k"].place.column, item.value["k"].column) == (9, 10)  # the value with its quote, its first letter


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a: x + y", 4),
        ('a: "x + y"', 5),
        ("a: 'it''s'", 0),
        ('a: "a\\tb"', 0),
        ("a: |\n  x", 0),
        ("a: x\n  y", 0),
        ("a: &n xyz", 0),
    ],
)
def test_the_column_of_a_text_is_known_only_where_it_stands_letter_by_letter(text: str, column: int) -> None:
    node, _ = read(text)
    assert node is not None
    assert node.value["a"].column == column


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_a29_no_bytes_whatever_raise(content: bytes) -> None:
    node, problems = read(content)
    assert node is not None or problems
    assert all("\n" not in str(problem) for problem in problems)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#\n ,?<1.~\t", max_size=60))
@settings(max_examples=500, deadline=None)
def test_a29_no_text_made_of_yaml_signs_raises(text: str) -> None:
    node, problems = read(text)
    assert node is not None or problems
    assert all("\n" not in str(problem) for problem in problems)
