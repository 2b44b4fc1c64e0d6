"""Whatever stands where something else belongs, loading reports it and never raises."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.language.composer import compose
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Node
from tests.language.test_journeys import FULL
from tests.language.test_policy import STREAMS, WHOLE
from tests.language.texts import loaded


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    return [plain(item) for item in node.value] if isinstance(node.value, list) else node.value


def parsed(text: str) -> Any:
    node = compose("x.yaml", text.encode(), Problems())
    assert node is not None
    return plain(node)


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(path for key, item in items for path in paths(item, (*prefix, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["3d", "a", "event.plan", "has(event.x", "signup.created", "continue", "exit", "preferred", "P1M", "9:00"]),
    st.recursive(
        st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
        max_leaves=4,
    ),
)
FILES = {"journey": parsed(FULL), "policy": parsed(WHOLE), "streams": parsed(STREAMS)}
PLACES = [(name, path) for name, content in FILES.items() for path in paths(content)]


@given(st.sampled_from(PLACES), STRANGE, st.sampled_from(PLACES), STRANGE)
@settings(max_examples=120, deadline=None)
def test_no_value_in_any_place_makes_loading_raise(
    first: tuple[str, tuple[Any, ...]], new: Any, second: tuple[str, tuple[Any, ...]], newer: Any
) -> None:
    files = dict(FILES)
    for (name, path), value in ((first, new), (second, newer)):
        if path in paths(files[name]):
            files[name] = replaced(files[name], path, value)
    texts = {name: json.dumps(content) for name, content in files.items()}
    result = loaded(texts["journey"], policy=texts["policy"], streams=texts["streams"])
    assert (result.topology is None) == result.problems.has_errors
    for problem in result.problems:
        assert "\n" not in str(problem)
        assert problem.place.line >= 1
        assert problem.place.column >= 1
