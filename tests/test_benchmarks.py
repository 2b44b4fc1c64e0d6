"""The benchmarks that nothing else runs: that they are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks import fold, w1
from benchmarks.curves import curve, live, offline
from benchmarks.machine import machine, markdown
from benchmarks.w1 import faust_table, kafka_streams, quix
from benchmarks.w1.contestant import CannotRun
from benchmarks.w1.workload import events
from tests.brokers import Broker, KafkaUnavailable


def test_a_contestant_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(runner.sys, "argv", ["benchmarks", "w1", "--only", "kafka_streams,streams"])
    with pytest.raises(SystemExit) as ended:
        runner.main()
    assert ended.value.code == 2
    assert "no contestant named streams; there are faust, " in capsys.readouterr().err


@pytest.mark.slow
def test_the_java_of_kafka_streams_compiles() -> None:
    try:
        classes = Path(kafka_streams.class_path().partition(":")[0])
    except KafkaUnavailable as error:
        pytest.skip(str(error))

    assert (classes / "w1" / "Main.class").is_file()


def test_peers_that_cannot_be_had_are_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_registry() -> None:
        raise CannotRun("its environment cannot be built: no registry")

    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(quix, "prepare", no_registry)
    said: list[str] = []

    names = [each.NAME for each in w1.those_here(said.append)]

    assert names == ["ours", "raw_loop", "faust", "faust_eos"]
    assert said == [
        "  kafka_streams is left out: there is no java (17 or newer)",
        "  quix is left out: its environment cannot be built: no registry",
    ]


def test_the_fold_is_measured_in_each_of_its_steps() -> None:
    said: list[str] = []
    figures = fold.run(None, 1, said.append, records=2_000)
    assert set(figures) == {"loop_ns", "handle_us", "close_us", "write_us", "raw_loop_us"}
    assert all(value > 0 for value in figures.values())


def test_quix_is_left_out_if_its_environment_cannot_be_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))

    with pytest.raises(CannotRun, match="its environment cannot be built"):
        quix.interpreter()


def test_the_job_of_faust_is_one_that_faust_takes(tmp_path: Path) -> None:
    told = {"bootstrap": "localhost:9092", "topic": "t", "name": "n", "folder": str(tmp_path)}
    app = faust_table.application(told, "exactly_once")
    assert list(app.tables) == ["customers"]
    assert len(app.agents) == 1


def test_benchmarks_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "--list"])
    assert runner.main() == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(runner.BENCHMARKS)


def test_figures_are_a_table_with_the_machine_below() -> None:
    lines = markdown(machine(), 3, {"fold": {"handle_us": 12.345, "events": 123456.0}}).splitlines()
    assert lines[2:4] == ["| fold | handle_us | 12.35 |", "| fold | events | 123,456 |"]
    assert "cores of" in lines[-1]
    assert "load average" in lines[-1]


def test_every_offline_curve_has_points_that_fold(tmp_path: Path) -> None:
    bench = offline.Bench(tmp_path)
    given = list(events(4_000))
    points = {
        number: bench.point(given, others=[text], partitions=2, cycle=500)
        for number, text in enumerate([offline._IGNORES, offline._LISTENS, offline._WAITS])
    }
    offline.measure(points)
    assert [len(point.turns[0]) for point in points.values()] == [8, 8, 8]
    assert all(cost > 0 for point in points.values() for cost in point.costs)


def test_stores_are_filled_for_the_curve_of_customers(tmp_path: Path) -> None:
    offline._fill(tmp_path, 100, [b"one"])
    stores = [fold.store_of(tmp_path, number) for number in range(4)]
    assert sum(1 for store in stores for _ in store.documents()) == 100
    for store in stores:
        store.close()


def test_each_kept_curve_is_drawn_and_shown() -> None:
    page = (curve.ROOT / "docs/performance.md").read_text(encoding="utf-8")
    for each in curve.kept():
        assert all(len(values) == len(each.x) for values in each.series.values()), each.name
        assert each.machine is not None, each.name
        if each.is_drawn:
            assert (curve.DRAWN / f"{each.name}.svg").is_file(), f"next: python -m benchmarks.curves --draw ({each.name})"
            assert f"performance/{each.name}.svg" in page


def test_a_curve_is_drawn_as_svg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "DRAWN", tmp_path)
    drawn = curve.draw(curve.Curve("bend", "A bend", "x", "y", [1, 10], {"one": [1.0, 2.0], "two": [2.0, 1.0]}))
    assert drawn.read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.kafka
@pytest.mark.slow
def test_events_of_a_real_worker_are_timed(kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_QUIET_S", 1.0)
    monkeypatch.setattr(live, "_WARM_S", 0.0)
    fleet = live.Fleet(kafka, tmp_path)
    try:
        assert fleet.start(1) > 0
        assert live._rate(fleet, list(events(2_000))) > 0
        taken = live._paced(fleet, list(events(1_000, first=2_000)), 500)
        assert taken
        assert min(taken) > 0
    finally:
        fleet.close()
