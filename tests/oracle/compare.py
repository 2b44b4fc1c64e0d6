"""Compares two lists of actions customer by customer, in order, and says in words what differs (ruling A17)."""

from __future__ import annotations

import datetime
import difflib
from collections import defaultdict
from collections.abc import Iterable

from tests.oracle.winback import ExpectedAction


def _told(action: ExpectedAction) -> str:
    at = datetime.datetime.fromtimestamp(action.at / 1000, datetime.UTC).isoformat()
    return f"customer {action.customer}: {action.template} at {at}, instance {action.instance_id}, action {action.action_id}"


def _by_customer(actions: Iterable[ExpectedAction]) -> dict[str, list[ExpectedAction]]:
    lives: dict[str, list[ExpectedAction]] = defaultdict(list)
    for action in actions:
        lives[action.customer].append(action)
    return lives


def differences(expected: Iterable[ExpectedAction], actual: Iterable[ExpectedAction]) -> list[str]:
    """Give one line a difference: `missing ...` or `unexpected ...`. Equal lists, customer by customer, give none.

    A doubled action is unexpected once; a shifted, swapped or renamed one is missing and unexpected.
    """
    wanted, found = _by_customer(expected), _by_customer(actual)
    lines = []
    for customer in sorted(wanted.keys() | found.keys()):
        left, right = wanted.get(customer, []), found.get(customer, [])
        if left == right:
            continue
        for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
            if kind != "equal":
                lines += [f"missing {_told(action)}" for action in left[i1:i2]]
                lines += [f"unexpected {_told(action)}" for action in right[j1:j2]]
    return lines
