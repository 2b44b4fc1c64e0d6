"""The frame of the command line: exit codes, what goes to which stream, start-up, help, tables."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator

import pytest
import typer

from orchestrator import cli
from orchestrator.cli import common
from orchestrator.errors import OrchestratorError, TopicMismatch, Unreachable, UsageError
from orchestrator.names import ExitCode

START_UP_LIMIT_S = 0.3
# What takes long to import; `--help`, `--version` and a mistyped option must not wait for it.
HEAVY = {
    "cel_expr_python",
    "confluent_kafka",
    "fastavro",
    "faust",
    "msgspec",
    "orjson",
    "pydantic",
    "rich",
    "rocksdict",
    "ruamel",
    "structlog",
}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Make `orchestrator act` run a given function."""

    def install(function: Callable[[], object]) -> None:
        group = types.ModuleType("orchestrator.cli.acting")

        def register(app: typer.Typer) -> None:
            app.command("act")(function)
            app.command("other")(lambda: None)

        group.register = register  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, group.__name__, group)
        monkeypatch.setattr(cli, "GROUPS", ("acting",))

    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    return install


def raising(error: BaseException) -> Callable[[], object]:
    def function() -> None:
        raise error

    return function


def orchestrator(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False, timeout=30)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("no such file", where="x.jsonl", next_step="check the path"), ExitCode.USAGE),
        (Unreachable("Kafka does not answer", where="localhost:1", next_step="start it"), ExitCode.UNREACHABLE),
        (TopicMismatch("4 partitions, not 12", where="customer.events", next_step="run topics create"), ExitCode.REFUSED),
        (OrchestratorError("no", where="here", next_step="there"), ExitCode.NO),
    ],
)
def test_an_error_says_code_place_and_next_step_on_stderr_and_sets_the_status(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], error: OrchestratorError, status: ExitCode
) -> None:
    command(raising(error))

    assert cli.run(["act"]) == status

    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {error.code} {error.what} ({error.where})\n  next: {error.next_step}\n"


def test_ctrl_c_gives_130_and_no_traceback(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(KeyboardInterrupt()))

    assert cli.run(["act"]) == ExitCode.INTERRUPTED == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_named_without_its_text_and_without_a_traceback(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(KeyError("ann@example.org")))

    assert cli.run(["act"]) == ExitCode.NO

    err = capsys.readouterr().err
    assert err.startswith("error: ORC-999 internal error, KeyError (test_cli.py:")
    assert "report" in err
    assert "Traceback" not in err
    assert "ann@example.org" not in err


@pytest.mark.parametrize("how", ["variable", "option"])
def test_a_bug_shows_its_traceback_to_who_asks(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    command(raising(KeyError("plan")))
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1" if how == "variable" else "0")

    assert cli.run(["act"] if how == "variable" else ["--debug", "act"]) == ExitCode.NO

    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "KeyError: 'plan'" in err
    assert "ORC-999" in err


@pytest.mark.parametrize(("given", "status"), [(None, 0), (3, 3), (ExitCode.REFUSED, 4)])
def test_a_command_may_return_its_status(command: Callable[..., None], given: int | None, status: int) -> None:
    command(lambda: given)
    assert cli.run(["act"]) == status


def test_a_command_may_exit_with_a_status(command: Callable[..., None]) -> None:
    command(raising(typer.Exit(3)))
    assert cli.run(["act"]) == 3


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"], []])
def test_a_wrong_call_exits_2_and_names_help(arguments: list[str]) -> None:
    done = orchestrator(*arguments)

    assert done.returncode == ExitCode.USAGE == 2
    assert done.stdout == ""
    assert "--help" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "orchestrator", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def leaves(command: object, path: tuple[str, ...] = ("orchestrator",)) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every command that does something, with the words that call it."""
    below = getattr(command, "commands", {})
    if not below:
        yield path, command
    for name, each in below.items():
        yield from leaves(each, (*path, name))


LEAVES = [
    pytest.param(path, command, id=" ".join(path[1:]))
    for path, command in leaves(typer.main.get_command(cli.build()))
    if path[1:]
]


@pytest.mark.parametrize(("path", "command"), LEAVES)
def test_every_command_helps_with_an_example_in_80_columns(path: tuple[str, ...], command: object) -> None:
    done = orchestrator(*path[1:], "--help", COLUMNS="80")

    assert done.returncode == 0
    assert done.stderr == ""
    usage, _, rest = done.stdout.partition("\n")
    assert " ".join(path) in usage
    assert "Example" in rest, "say epilog=common.examples(...)"
    assert " ".join(path) in rest.partition("Example")[2], "the example is of another command"
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert getattr(command, "help", None), "the command says nothing of what it does"


def test_help_and_errors_have_no_colours_in_a_pipe_or_with_no_color() -> None:
    for environment in ({}, {"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        done = orchestrator("--help", **environment)
        assert "\x1b[" not in done.stdout + done.stderr


def test_the_command_starts_in_under_300_ms_of_processor_time() -> None:
    def once() -> float:
        started = os.times()
        subprocess.run([sys.executable, "-m", "orchestrator", "--help"], stdout=subprocess.DEVNULL, check=True)
        ended = os.times()
        return ended.children_user + ended.children_system - started.children_user - started.children_system

    assert any(once() < START_UP_LIMIT_S for _ in range(10)), "each of ten times"


def test_starting_imports_nothing_heavy() -> None:
    code = "import sys; from orchestrator import cli; cli.build(); print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert HEAVY.isdisjoint(done.stdout.split()), "import it inside the command"


def test_a_table_aligns_numbers_to_the_right_and_leaves_a_pipe_whole() -> None:
    rows = [("customer.events", 12, None), ("journeys.actions.email", 4, "made")]

    assert common.table(("topic", "partitions", "state"), rows) == [
        "topic                   partitions  state",
        "customer.events                 12",
        "journeys.actions.email           4  made",
    ]


def test_a_table_fits_80_columns_by_cutting_its_widest_texts() -> None:
    lines = common.table(("customer", "story"), [("c1", "x" * 200), ("c2", "short")], width=80)

    assert [len(line) for line in lines] == [15, 80, 15]
    assert lines[1].endswith("x…")
    assert lines[2].endswith("short")


def test_an_empty_table_is_its_heading() -> None:
    assert common.table(("journey", "state"), []) == ["journey  state"]
