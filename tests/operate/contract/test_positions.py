"""Where the values of a JSON text stand."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.operate.contract.positions import Path, Positions

TEXT = '{\n\t"a": [1, {"b\\"c": null}],\r\n  "d" : "x, }"\n}'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_lines_and_columns_are_those_of_an_editor() -> None:
    positions = Positions(TEXT)
    assert positions.at(()) == (1, 1)
    assert positions.at(("a", 0)) == (2, 8)
    assert positions.at(("a", 1, 'b"c')) == (2, 20)
    assert positions.at(("d",)) == (3, 9)
    assert positions.at(("d", "nothing", 4)) == (3, 9), "of what is not there, the place of what is around it"


def paths(value: Any, at: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, each in inner for path in paths(each, (*at, key)))]


@given(VALUES, st.sampled_from([None, 2, "\t"]))
def test_every_value_is_found_where_it_is_written(value: Any, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    found = Positions(text).offsets
    assert list(found) == paths(value)
    for path, offset in found.items():
        inner = value
        for key in path:
            inner = inner[key]
        assert json.JSONDecoder().raw_decode(text, offset)[0] == inner
