"""The guard of the fold's speed: holds now, and fails when the fold is slowed."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from benchmarks import fold, guard

TRIES = 3  # beside the other tests a measurement can be off; one that is near the baseline cannot be luck


@pytest.mark.slow
def test_the_fold_has_lost_no_more_than_a_quarter_of_its_recorded_speed() -> None:
    baseline = guard.recorded().get(guard.kind())
    if baseline is None:
        pytest.skip(f"there is no baseline of {guard.kind()}")

    for _ in range(TRIES):
        if not (told := guard.loss(guard.measure(), baseline)):
            return

    pytest.fail(told)


@pytest.mark.slow
def test_a_fold_slowed_by_half_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(TRIES):
        usual = guard.measure(records=10_000, rounds=3).ratio
        with monkeypatch.context() as patch:
            patch.setattr(fold.Ours, "cycle", slowed(fold.Ours.cycle))
            told = guard.loss(guard.measure(records=10_000, rounds=3), usual)
        if told:
            break

    assert "the fold takes" in told
    assert "benchmarks.guard --write" in told


def test_a_loss_is_told_from_a_quarter_more_on() -> None:
    assert guard.loss(guard.Measured(24.9, 10.0), 2.0) == ""
    assert guard.loss(guard.Measured(26.0, 10.0), 2.0).startswith(
        "the fold takes 2.60 times the raw loop's CPU (26.0 to 10.0 us an event), and the baseline is 2.00: 30% more"
    )


def slowed(cycle: Callable[..., Any]) -> Callable[..., Any]:
    """Work through a cycle, and then for half as long again."""

    def wrapper(*arguments: Any) -> Any:
        began = process_time()
        given = cycle(*arguments)
        spent = process_time() - began
        while process_time() - began < spent * 3 / 2:
            pass
        return given

    return wrapper
