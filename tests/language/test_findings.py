"""What validate says about an expression: the type check, unknown names, literals that cannot work."""

from __future__ import annotations

import pytest

from orchestrator.language import codes
from orchestrator.language.catalog import FieldType
from orchestrator.language.expressions import check
from orchestrator.language.problems import nearest

FIELDS: dict[str, FieldType] = {
    "plan": "string",
    "amount": "double",
    "attempt": "int",
    "free": "bool",
    "at": "timestamp",
    "device": "map",
    "device.os": "string",
    "labels": "map",
    "tags": "list",
    "anything": "dyn",
}
JOURNEY = frozenset({"plan", "paid_at"})


def found(source: str, *, want_bool: bool = True, typed: bool = True) -> list[tuple[int, str, str]]:
    findings = check(source, FIELDS if typed else None, JOURNEY, want_bool=want_bool)
    return [(each.column, each.code, nearest(each.word, each.known)) for each in findings]


@pytest.mark.parametrize(
    "source",
    [
        'event.plan == "x"',
        "event.amount > 0",  # a double against an int: CEL's run time compares them by value
        "0 < event.amount && event.attempt == 1.0",
        "event.amount in [1, 2]",
        "event.attempt == event.amount",
        "double(event.attempt) > 0",
        "score('churn') > 1",
        "event.free",
        "event.anything",
        "event.anything == 3 || event.anything == 'x'",
        "event.device.os == 'x'",
        "event.labels.whatever == 'x'",
        "has(event.plan) && has(profile.x) && has(journey.plan)",
        "event.tags.exists(t, t == 'x')",
        "profile.whatever.deep == 1",
        "profile['x'] == 1",
        "journey.plan == 'x'",
        "now - event.at > duration('72h')",
        "event.at.getHours('Australia/Sydney') < 9",
        "event.at.getHours('+02:00') < 9",
        "consented('email', 'onboarding') && in_segment('vip')",
        "'event.nothing has(event.nope) journey.no' == event.plan",
        "event.plan == 'a' // event.nothing is a comment",
        "true",
    ],
)
def test_a85_conditions_that_are_well_typed_pass(source: str) -> None:
    assert found(source) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.plann == 'x'", [(7, codes.EXPRESSION_NAME, "plan")]),
        ("event.device.oss == 'x'", [(14, codes.EXPRESSION_NAME, "os")]),
        ("has(event.plann)", [(11, codes.EXPRESSION_NAME, "plan")]),
        ("event.free && journey.pan == 'x'", [(23, codes.EXPRESSION_NAME, "plan")]),
        ("even.plan == 'x'", [(1, codes.EXPRESSION_NAME, "event")]),
        ("consentd('email', 'x')", [(1, codes.EXPRESSION_NAME, "consented")]),
        ("event == 1", [(1, codes.EXPRESSION_NAME, "")]),
        ("event['plan'] == 'x'", [(1, codes.EXPRESSION_NAME, "")]),
        ("size(journey) > 1", [(6, codes.EXPRESSION_NAME, "")]),
        ("event.plann == 'x' && event.amont > 0", [(7, codes.EXPRESSION_NAME, "plan"), (29, codes.EXPRESSION_NAME, "amount")]),
        ("event.plan > 3", [(12, codes.EXPRESSION_TYPE, "")]),
        ("event.amount + 1 > 3", [(14, codes.EXPRESSION_TYPE, "")]),
        ("event.amount > 0 && event.plan == 1", [(32, codes.EXPRESSION_TYPE, "")]),
        ("(event.amount > 0) == 'x'", [(20, codes.EXPRESSION_TYPE, "")]),
        ("event.plan && true", [(12, codes.EXPRESSION_TYPE, "")]),
        ("has(event.plan) && event.plan", [(17, codes.EXPRESSION_TYPE, "")]),
        ("event.plan.startsWith(3)", [(22, codes.EXPRESSION_TYPE, "")]),
        ("event.plan == null", [(15, codes.EXPRESSION_TYPE, "")]),
        ("null != event.anything", [(1, codes.EXPRESSION_TYPE, "")]),
        ("event.at.getHours('Australia/Sidney') < 9", [(19, codes.EXPRESSION_TYPE, "")]),
        ("sent_within('email', '3x')", [(22, codes.EXPRESSION_TYPE, "")]),
        ("count_within('auth.login', '1M') > 3", [(28, codes.EXPRESSION_TYPE, "")]),
        ("duration('3d') > duration('1h')", [(10, codes.EXPRESSION_TYPE, "")]),
        ("now > timestamp('2026-01-01')", [(17, codes.EXPRESSION_TYPE, "")]),
        ("event.plan.matches('[')", [(20, codes.EXPRESSION_TYPE, "")]),
        ("event.plan", [(1, codes.CONDITION_NOT_BOOL, "")]),
        ("event.attempt", [(1, codes.CONDITION_NOT_BOOL, "")]),
        ("1", [(1, codes.CONDITION_NOT_BOOL, "")]),
        ("event.tags", [(1, codes.CONDITION_NOT_BOOL, "")]),
        ("1 > 2.0 ? 'a' : 'b'", [(1, codes.CONDITION_NOT_BOOL, "")]),
        ("event.plan == 'x", [(15, codes.EXPRESSION_SYNTAX, "")]),
        ("event.plan = 3", [(12, codes.EXPRESSION_SYNTAX, "")]),
        ("event.plan ==", [(14, codes.EXPRESSION_SYNTAX, "")]),
        ("(" * 200 + "true" + ")" * 200, [(1, codes.EXPRESSION_SYNTAX, "")]),
        ("event.plan ==\n  3", [(12, codes.EXPRESSION_TYPE, "")]),
        ("true &&\n  event.nope", [(17, codes.EXPRESSION_NAME, "")]),
    ],
)
def test_a85_what_is_wrong_with_a_condition_is_said_at_its_column(source: str, expected: list[tuple[int, str, str]]) -> None:
    assert found(source) == expected


def test_a25_without_schemas_any_field_goes() -> None:
    assert found("event.whatever.deep == 1 && event.other > 'x'", typed=False) == []
    assert found("journey.nothing == 1", typed=False) == [(9, codes.EXPRESSION_NAME, "")]


def test_a_value_may_have_any_type() -> None:
    assert found("event.plan", want_bool=False) == []
    assert found("{'a': event.amount, 'b': 1}", want_bool=False) == []
    assert found("event.plan + 1", want_bool=False) == [(12, codes.EXPRESSION_TYPE, "")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("event.plan > 3", "`>` does not go with string and int"),
        ("event.amount + 1 > 2.0", "`+` does not go with double and int; write the number with a decimal point"),
        ("event.plan", "a condition must be true or false, and this gives string"),
        ("event.nope == 1", "no schema of the event declares event.nope"),
        ("journey.nope == 1", "nothing writes journey.nope: declare it in `context`, `as`, `set` or `result`"),
        ("event.plan == null", "null counts as absent, so this is never true: use has(...) or !has(...)"),
        ("event.plan ==", "not an expression: did not expect the end of the text"),
        ('event.plan = "pro"', "not an expression: cannot read '= '; write `==`"),
        ("has(event.at) and has(event.plan)", "not an expression: did not expect 'and'; write `&&`"),
        ("has(event.at) or has(event.plan)", "not an expression: did not expect 'or'; write `||`"),
        ('plan == "pro"', "no variable 'plan': write event.plan"),
        ("event.plan ? 1 : 2", "a ? b : c needs a bool before the question mark and one type after it, not (string, int, int)"),
        ("event.plan.startsWith(3)", "`startsWith` does not take (string, int)"),
        ("event.at > 3", "`>` does not go with timestamp and int"),
    ],
)
def test_messages_speak_the_authors_language(source: str, message: str) -> None:
    assert [each.message for each in check(source, FIELDS, JOURNEY, want_bool=True)] == [message]
