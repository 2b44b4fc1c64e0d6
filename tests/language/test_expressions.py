"""Evaluating expressions: values, unknown, functions, moments (language.md 3; rulings A84-A86, A102)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.language.expressions import UNKNOWN, Scope, compile_expression
from orchestrator.language.shortcuts import NO_SHORTCUT, shortcut

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def scope(**given: Any) -> Scope:
    return Scope(
        event=given.get("event", {}),
        profile=given.get("profile", {}),
        journey=given.get("journey", {}),
        now_ms=NOW_MS,
        functions=given.get("functions", {}),
    )


EVENT = {
    "plan": "pro",
    "amount": 2.5,
    "attempt": 3,
    "free": False,
    "nothing": None,
    "tags": ["a", "b"],
    "device": {"os": "linux", "version": None, "seen": NOW_MS},
    "raw": b"\x00\xff",
    "at": NOW_MS,
}


def value(source: str, *timestamps: str, **given: Any) -> Any:
    return compile_expression(source, frozenset(timestamps)).evaluate(scope(**{"event": EVENT, **given}))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.plan", "pro"),
        ('event.plan == "pro"', True),
        ("event.plan == 'pro' && event.attempt > 2", True),
        ("event.amount > 2", True),
        ("2 < event.amount", True),
        ("event.attempt == 3.0", True),
        ("event.amount in [1, 2, 2.5]", True),
        ("event.amount * 2.0", 5.0),
        ("event.attempt + 1", 4),
        ("event.free", False),
        ("!event.free", True),
        ("event.tags", ["a", "b"]),
        ("event.tags[1]", "b"),
        ("event.device.os", "linux"),
        ("event.raw", b"\x00\xff"),
        ("[event.plan, 'x']", ["pro", "x"]),
        ("{'p': event.plan}", {"p": "pro"}),
        ("event.plan == 'pro' ? 1 : 2", 1),
        ("42", 42),
        ("-1.5", -1.5),
        ("'text'", "text"),
        ("true", True),
        ("7u", 7),
        ("b'ab'", b"ab"),
        ("duration('90s')", timedelta(seconds=90)),
        ("now", NOW),
    ],
)
def test_an_expression_gives_plain_python_values(source: str, expected: Any) -> None:
    result = value(source)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "source",
    [
        "event.absent",
        "event.absent == 1",
        "event.nothing",
        "event.nothing == 'x'",
        "event.nothing > 1",
        "event.device.version == 1",
        "event.device.absent == 1",
        "profile.absent.deeper == 1",
        "journey.absent",
        "!event.absent",
        "[event.absent]",
        "{'a': event.absent}",
        "null",
        "1 / 0",
        "event.tags[9]",
        "9223372036854775807 + 1",
        "event.plan + 1",
        "int(event.plan)",
        "in_segment('x')",
        "type(event.plan)",
        "'a'.matches('[')",
    ],
)
def test_a84_what_is_absent_null_or_fails_is_unknown(source: str) -> None:
    assert value(source) is UNKNOWN


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("has(event.plan)", True),
        ("has(event.absent)", False),
        ("has(event.nothing)", False),
        ("has( event . nothing )", False),
        ("has(event.device.os)", True),
        ("has(event.device.version)", False),
        ("has(event.absent.deeper)", False),
        ("has(profile.x)", False),
        ("has(journey.x.y)", False),
        ("has(event.plan) && event.plan == 'pro'", True),
        ("!has(event.absent) || event.absent == 1", True),
        ("'has(event.absent)' == \"has(event.absent)\"", True),
        ("event.tags.exists(t, t == 'a') && has(event.tags)", True),
    ],
)
def test_a84_has_is_false_for_what_is_absent_or_null(source: str, expected: bool) -> None:
    assert value(source) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("true || event.absent == 1", True),
        ("event.absent == 1 || true", True),
        ("event.absent == 1 || false", UNKNOWN),
        ("false && event.absent == 1", False),
        ("event.absent == 1 && false", False),
        ("event.absent == 1 && true", UNKNOWN),
        ("event.tags.exists(t, t == 'a' || event.absent)", True),
        ("event.plan == 'pro' ? 1 : event.absent", 1),
    ],
)
def test_a85_unknown_inside_and_and_or_follows_cel(source: str, expected: Any) -> None:
    result = value(source)
    assert result is expected or result == expected


def test_unknown_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match="neither"):
        bool(UNKNOWN)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.tags.exists(t, t == 'b')", True),
        ("event.tags.all(t, size(t) == 1)", True),
        ("event.tags.exists_one(t, t == 'a')", True),
        ("event.tags.map(t, t + '!')", ["a!", "b!"]),
        ("event.tags.filter(t, t != 'a')", ["b"]),
        ("event.plan.startsWith('p') && event.plan.endsWith('o') && event.plan.contains('r')", True),
        ("event.plan.matches('^p.o$')", True),
        ("size(event.plan)", 3),
        ("string(event.attempt) + '!'", "3!"),
        ("now.getHours('Australia/Sydney')", 11),
        ("now.getFullYear()", 2026),
        ("timestamp('2026-01-01T00:00:00Z') == now", True),
        ("now - duration('1h') < now", True),
        ("dyn(event.amount) > 1", True),
    ],
)
def test_a86_the_standard_library_of_cel_works(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize("source", ["'a'.upperAscii()", "math.greatest(1, 2)", "cel.bind(x, 1, x)", "[1, 2].sort()"])
def test_a86_no_extension_of_cel_works(source: str) -> None:
    assert value(source) is UNKNOWN


def test_moments_in_the_payload_are_milliseconds_until_a_schema_says_otherwise() -> None:
    assert value("event.at") == NOW_MS
    assert value("event.at", "at") == NOW
    assert value("event.at == now", "at") is True
    assert value("event.at.getHours('Australia/Sydney')", "at") == 11
    assert value("event.device.seen.getFullYear()", "device.seen") == 2026
    assert value("event.device.os", "device.seen") == "linux"
    assert value("event.device", "device.seen") == {"os": "linux", "seen": NOW_MS}
    assert value("event.absent < now", "absent") is UNKNOWN
    assert value("event.at", "at", event={"at": 10**18}) is UNKNOWN  # beyond the year 9999


def test_moments_and_spans_in_the_context_are_compared_as_such() -> None:
    journey = {"paid": NOW, "login": {"at": NOW - timedelta(days=1), "n": 2}, "span": timedelta(hours=3)}
    assert value("now - journey.paid == duration('0s')", journey=journey) is True
    assert value("journey.login.at < now && journey.login.n == 2", journey=journey) is True
    assert value("now - journey.login.at", journey=journey) == timedelta(days=1)
    assert value("journey.span > duration('2h')", journey=journey) is True
    assert value("journey.paid == now", journey={"paid": "soon"}) is False
    assert value("journey.paid == now", journey=journey) is True  # the same object meets both kinds of value


def test_after_a_timer_there_is_no_event() -> None:
    assert compile_expression("event.plan == 'pro'").evaluate(scope(event=None)) is UNKNOWN
    assert compile_expression("has(event.plan)").evaluate(scope(event=None)) is False
    assert compile_expression("event.plan == 'pro' || true").evaluate(scope(event=None)) is True


def test_a102_functions_get_plain_values_and_durations_in_milliseconds() -> None:
    asked: list[tuple[Any, ...]] = []

    def answer(*arguments: Any) -> bool:
        asked.append(arguments)
        return True

    functions = dict.fromkeys(("consented", "sent_within", "count_within", "in_segment"), answer) | {"score": lambda name: 0.7}
    assert value("consented('email', event.plan)", functions=functions) is True
    assert value("sent_within('sms', '30d')", functions=functions) is True
    assert value("sent_within('sms', duration('3s'))", functions=functions) is True
    assert value("in_segment('vip') && score('churn') > 0.5", functions=functions) is True
    assert asked == [("email", "pro"), ("sms", 30 * 86_400_000), ("sms", 3_000), ("vip",)]


@pytest.mark.parametrize("answer", [lambda name: None, lambda name: UNKNOWN, lambda name: {}["x"]])
def test_a102_a_function_without_an_answer_is_unknown(answer: Any) -> None:
    functions = {"in_segment": answer}
    assert value("in_segment('x')", functions=functions) is UNKNOWN
    assert value("in_segment('x') || true", functions=functions) is True


def test_functions_belong_to_the_scope_of_each_evaluation() -> None:
    expression = compile_expression("in_segment('x')")
    assert expression.evaluate(scope(functions={"in_segment": lambda name: True})) is True
    assert expression.evaluate(scope(functions={"in_segment": lambda name: False})) is False
    assert expression.evaluate(scope()) is UNKNOWN


@pytest.mark.parametrize(
    "source", ["event.x", "event.x == 'a'", "(event.x == 'a')", "event.y.z == 'a'", "event.y", "'a' in event.l"]
)
def test_text_with_a_nul_character_is_unknown_and_never_cut_off(source: str) -> None:
    event = {"x": "a\0b", "y": {"z": "a\0b"}, "l": ["a\0b"]}
    assert value(source, event=event) is UNKNOWN


def test_the_whole_profile_may_be_indexed() -> None:
    assert value("profile['first-name'] == 'Ada'", profile={"first-name": "Ada", "gone": None}) is True
    assert value("'gone' in profile", profile={"gone": None}) is False


def test_the_fields_that_an_expression_reads_are_known() -> None:
    found = compile_expression(
        "event.plan == 'x' && has(event.device.os) && event.tags.exists(e, e == 'event.no') && profile.city == ''"
    )
    assert found.event_fields == {"plan", "device", "tags"}


def test_the_same_text_is_compiled_once() -> None:
    assert compile_expression("event.plan == 'once'") is compile_expression("event.plan == 'once'")


@pytest.mark.parametrize("source", ["event.plan ==", "(", "event.plan = 3", "'x"])
def test_text_that_is_not_cel_raises(source: str) -> None:
    with pytest.raises(ValueError, match=r"[Ss]yntax"):
        compile_expression(source)


@pytest.mark.parametrize("strange", [2**70, {1, 2}, object(), [object()], {"a": object()}, float("nan")])
def test_no_value_whatever_raises(strange: Any) -> None:
    for source in ("event.x", "event.x == 1", "event.x > 1.0 && event.y == 'a'", "event.x.y == 1", "has(event.x)"):
        compile_expression(source).evaluate(scope(event={"x": strange}))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**65), max_value=2**65),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["a", "pro", "a\0", 1, 1.0, 0, -0.0, True, 2**53, float(2**53), 2**53 + 1]),
)
LITERALS = st.one_of(
    st.sampled_from(
        ["true", "false", "'a'", "'pro'", '"pro"', "''", "1", "1.0", "0", "-1", "9007199254740993", "9007199254740992.0", "0.1"]
    ),
    st.integers(min_value=-(10**17), max_value=10**17).map(str),
)


@given(VALUES, LITERALS, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "+", "-"]))
def test_the_short_way_means_what_cel_means(held: Any, literal: str, sign: str) -> None:
    short, long = f"event.x {sign} {literal}", f"(event.x {sign} {literal})"  # CEL is asked only through the parentheses
    _assert_same(short, long, held)


@given(VALUES)
def test_the_short_way_to_a_field_means_what_cel_means(held: Any) -> None:
    _assert_same("event.x", "(event.x)", held)


def _assert_same(short: str, long: str, held: Any) -> None:
    assert shortcut(long) is None
    at_once, by_cel = (compile_expression(source).evaluate(scope(event={"x": held})) for source in (short, long))
    same_nan = isinstance(at_once, float) and isinstance(by_cel, float) and isnan(at_once) and isnan(by_cel)
    assert at_once is by_cel or same_nan or (type(at_once) is type(by_cel) and at_once == by_cel)


def test_the_short_way_is_taken_for_the_plainest_texts_only() -> None:
    taken = shortcut("event.plan == 'pro'")
    assert taken is not None
    assert taken(scope(event=EVENT)) is True
    assert taken(scope(event={"plan": ["pro"]})) is NO_SHORTCUT
    assert shortcut("event.plan == 'pro' || true") is None
    assert shortcut("event.plan < 'pro'") is None
