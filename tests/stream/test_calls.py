"""Calls that may never come back."""

from __future__ import annotations

import threading

import pytest

from orchestrator.stream.calls import Call


def test_a_call_that_comes_back_is_over() -> None:
    done: list[int] = []
    assert Call("quick", lambda: done.append(1)).is_over(30)
    assert done == [1]


def test_what_a_call_raises_reaches_who_waits() -> None:
    def fail() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        Call("failing", fail).is_over(30)


def test_a_call_that_stays_away_is_left_and_does_not_keep_the_process() -> None:
    back = threading.Event()
    call = Call("away", back.wait)
    assert not call.is_over(0.05)
    assert call.daemon
    back.set()
    assert call.is_over(30)
