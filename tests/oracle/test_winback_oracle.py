"""The oracle against lives short enough to work out by hand, and the comparison against what it must notice."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tests.oracle.compare import differences
from tests.oracle.winback import DAY_MS, ExpectedAction, Purchase, expected_actions, read_purchases

FAR = 1_000 * DAY_MS


def life(*days: int) -> list[Purchase]:
    return [Purchase(row, "7", day * DAY_MS) for row, day in enumerate(days)]


def told(actions: list[ExpectedAction]) -> list[tuple[int, str]]:
    return [(action.at // DAY_MS, action.template) for action in actions]


def test_one_purchase_gives_both_messages() -> None:
    # day 0                60                90
    #     P |------60------> miss-you --30--> last-offer
    assert told(expected_actions(life(0), FAR)) == [(60, "miss-you"), (90, "last-offer")]


def test_t3_purchase_on_the_deadline_wins_and_one_day_later_is_too_late() -> None:
    # day 0                60                120       150
    #     P |------60----->P |------60------> miss-you  last-offer
    assert told(expected_actions(life(0, 60), FAR)) == [(120, "miss-you"), (150, "last-offer")]
    # day 0                60 61              121       151
    #     P |------60------>m P |-----60-----> miss-you  last-offer
    assert told(expected_actions(life(0, 61), FAR)) == [(60, "miss-you"), (121, "miss-you"), (151, "last-offer")]


def test_t3_purchase_on_the_second_deadline_wins() -> None:
    # day 0                60                90                150       180
    #     P |------60------> miss-you ---30-->P |------60------> miss-you  last-offer
    assert told(expected_actions(life(0, 90), FAR)) == [(60, "miss-you"), (150, "miss-you"), (180, "last-offer")]
    assert told(expected_actions(life(0, 91), FAR))[:2] == [(60, "miss-you"), (90, "last-offer")]


def test_several_purchases_of_one_day_leave_only_the_last_one_waiting() -> None:
    actions = expected_actions(life(5, 5, 5), FAR)
    assert told(actions) == [(65, "miss-you"), (95, "last-offer")]
    ids = uuid.uuid5(uuid.NAMESPACE_URL, "urn:journey-orchestrator:ids")
    assert {action.instance_id for action in actions} == {str(uuid.uuid5(ids, "winback\x1f7\x1f\x1fp2"))}


def test_rows_out_of_time_order_are_put_in_order() -> None:
    assert told(expected_actions(reversed(life(0, 10)), FAR)) == [(70, "miss-you"), (100, "last-offer")]


def test_a22_until_is_included() -> None:
    assert told(expected_actions(life(0), 60 * DAY_MS)) == [(60, "miss-you")]
    assert expected_actions(life(0), 60 * DAY_MS - 1) == []


def test_customers_do_not_touch_each_other() -> None:
    rows = [Purchase(0, "1", 0), Purchase(1, "2", 30 * DAY_MS)]
    assert [(a.customer, a.at // DAY_MS) for a in expected_actions(rows, FAR)] == [("1", 60), ("1", 90), ("2", 90), ("2", 120)]


def test_ids_are_the_published_ones() -> None:
    # Worked out once with Python's uuid module, by hand, from the recipe; it must never change.
    ids = uuid.UUID("7d8ab4b4-06f3-5c63-bbb8-2dc39a3a251e")
    instance = uuid.uuid5(ids, "winback\x1f7\x1f\x1fp0")
    first, second = expected_actions(life(0), FAR)
    assert (first.instance_id, first.action_id) == (str(instance), str(uuid.uuid5(instance, "miss-you\x1f1")))
    assert second.action_id == str(uuid.uuid5(instance, "last-offer\x1f1"))


def test_the_whole_data_gives_the_known_totals() -> None:
    rows = read_purchases()
    assert (len(rows), len({row.customer for row in rows})) == (69_659, 23_570)
    actions = expected_actions(rows, FAR * 100)
    # Nobody buys after June 1998, so each customer's last purchase gives both messages.
    assert Counter(a.template for a in actions) == {"miss-you": 39_128, "last-offer": 34_955}
    last = {row.customer: row.at for row in sorted(rows, key=lambda row: row.at)}
    due = {(a.customer, a.at) for a in actions if a.template == "last-offer"}
    assert all((customer, at + 90 * DAY_MS) in due for customer, at in last.items())
    assert len({a.action_id for a in actions}) == len(actions)


def test_the_oracle_shares_no_code_with_the_package() -> None:
    for name in ("winback.py", "compare.py"):
        source = (Path(__file__).parent / name).read_text()
        assert "import orchestrator" not in source
        assert "from orchestrator" not in source


@pytest.fixture(scope="module")
def whole() -> list[ExpectedAction]:
    return expected_actions(read_purchases(), FAR * 100)


def test_equal_lists_have_no_difference(whole: list[ExpectedAction]) -> None:
    assert differences(whole, list(whole)) == []
    # Across customers only the order in time counts, which the times themselves hold.
    assert differences(whole, sorted(whole, key=lambda action: (action.customer, action.at))) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_comparison_notices_one_mutation_among_74083_actions(whole: list[ExpectedAction], seed: int) -> None:
    print(f"seed {seed}")
    place = random.Random(seed).randrange(len(whole))
    action, before, after = whole[place], whole[:place], whole[place + 1 :]

    dropped = differences(whole, before + after)
    assert len(dropped) == 1
    assert dropped[0].startswith(f"missing customer {action.customer}: {action.template}")

    doubled = differences(whole, [*before, action, action, *after])
    assert len(doubled) == 1
    assert doubled[0].startswith(f"unexpected customer {action.customer}: {action.template}")

    for changed in (
        action._replace(at=action.at + 1),
        action._replace(template="other"),
        action._replace(action_id=str(uuid.UUID(int=1))),
        action._replace(customer="23571"),
    ):
        found = differences(whole, [*before, changed, *after])
        assert sorted(line.split()[0] for line in found) == ["missing", "unexpected"]


def test_the_comparison_notices_two_actions_of_one_customer_swapped(whole: list[ExpectedAction]) -> None:
    customer = whole[0].customer
    mine = [action for action in whole if action.customer == customer]
    others = [action for action in whole if action.customer != customer]
    mine[0], mine[1] = mine[1], mine[0]
    assert differences(whole, others + mine) != []
