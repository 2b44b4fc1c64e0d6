"""Durations: one unit or ISO 8601, whole numbers only (ruling A108)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.language.durations import LONGEST_MS, UNIT_MS, format_duration, parse_duration

DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("36h", 36 * 3_600_000),
        ("3d", 3 * DAY),
        ("2w", 14 * DAY),
        ("0s", 0),
        ("007d", 7 * DAY),
        ("PT36H", 36 * 3_600_000),
        ("P2W", 14 * DAY),
        ("P1DT12H", DAY + 12 * 3_600_000),
        ("P1W2DT3H4M5S", 9 * DAY + 3 * 3_600_000 + 4 * 60_000 + 5_000),
        ("PT0S", 0),
        ("730d", 730 * DAY),
    ],
)
def test_a108_the_forms_of_a_duration(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("P1M", "months and years have no fixed length"),
        ("P1Y", "months and years have no fixed length"),
        ("P1Y2D", "months and years have no fixed length"),
        ("1.5h", "no fraction"),
        ("PT1.5H", "no fraction"),
        ("1,5h", "no fraction"),
        ("-3d", "no sign"),
        ("+3d", "no sign"),
        ("-PT3H", "no sign"),
        ("3", "has no unit"),
        ("1d12h", "is not a duration"),
        ("3 d", "is not a duration"),
        ("3D", "is not a duration"),
        ("3days", "is not a duration"),
        ("P", "is not a duration"),
        ("PT", "is not a duration"),
        ("P1DT", "is not a duration"),
        ("P1H", "is not a duration"),
        ("", "is not a duration"),
        ("d", "is not a duration"),
        ("٣d", "is not a duration"),
        ("3d\n", "is not a duration"),
        ("99999999999w", "longer than 100 years"),
    ],
)
def test_a108_what_is_no_duration_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10_000), st.sampled_from(sorted(UNIT_MS)))
def test_a108_a_count_of_a_unit_is_that_many_of_it(count: int, unit: str) -> None:
    ms = count * UNIT_MS[unit]
    if ms <= LONGEST_MS:
        assert parse_duration(f"{count}{unit}") == ms


@given(st.tuples(*(st.integers(min_value=0, max_value=300) for _ in "wdhms")))
def test_a108_the_parts_of_an_iso_duration_add_up(parts: tuple[int, ...]) -> None:
    weeks, days, hours, minutes, seconds = parts
    text = f"P{weeks}W{days}DT{hours}H{minutes}M{seconds}S"
    assert parse_duration(text) == sum(count * UNIT_MS[unit] for count, unit in zip(parts, "wdhms", strict=True))


@given(st.integers(min_value=0, max_value=LONGEST_MS // 1000))
def test_whole_seconds_survive_being_written_and_read(seconds: int) -> None:
    assert parse_duration(format_duration(seconds * 1000)) == seconds * 1000


@given(st.text(max_size=12))
def test_a108_no_text_gives_anything_but_a_duration_or_a_reason(text: str) -> None:
    try:
        assert 0 <= parse_duration(text) <= LONGEST_MS
    except ValueError as error:
        assert str(error)
