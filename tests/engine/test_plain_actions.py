"""An action as plain data, as a held one is stored: nothing of it is lost, and nothing else is in it."""

from __future__ import annotations

import msgspec

from orchestrator.engine.handling import Action
from orchestrator.engine.outputs import ConsentUsed, PlainAction

FULL = Action(
    "call", "a1", "c1", "winback", 2, "i1", "offer", "desk", 1, 2, "marketing", "come-back", "open_case", "k1", 3, "high", True,
    {"price": 11.77}, ConsentUsed("granted", 5, "web", "v1"), {"offer": "b"}, {"customer": "c1"},
)  # fmt: skip
BARE = Action("send", "a1", "c1", "winback", 2, "i1", "offer", "email", 1, 2)


def test_an_action_comes_back_from_what_is_stored() -> None:
    for action in (FULL, BARE):
        stored = msgspec.msgpack.encode(action.plain())
        assert Action.of(msgspec.msgpack.decode(stored, type=PlainAction)) == action


def test_what_an_action_does_not_say_takes_no_room() -> None:
    assert list(msgspec.to_builtins(BARE.plain())) == list(Action.FIELDS[:10])
