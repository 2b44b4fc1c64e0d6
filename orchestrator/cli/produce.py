"""The `produce` command: events as JSON lines into Kafka."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

if TYPE_CHECKING:
    from orchestrator.language.model import Streams
    from orchestrator.operate.produce import BadLine, Encoder
    from orchestrator.settings import Settings
    from orchestrator.wire.schemas import EventType, SchemaSet

SHOWN_LINES = 50

File = Annotated[str, typer.Argument(metavar="FILE.jsonl", help="Events as JSON lines; - is standard input.")]
Topic = Annotated[str, typer.Option("--topic", help="Produce to this topic, whatever streams.yaml says of the types.")]
Check = Annotated[bool, typer.Option("--check", help="Send nothing: tell every line that workers would refuse, and why.")]
EXAMPLES = common.examples(
    "orchestrator produce events.jsonl",
    "orchestrator produce events.jsonl --check",
    "zcat events.jsonl.gz | orchestrator produce -",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("produce", epilog=EXAMPLES)(produce)


def produce(
    file: File,
    topic: Topic = "",
    check: Check = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Produce events from JSON lines, as Avro, keyed by customer, with `at` as the record's time.

    A line: {"at": "2026-01-05T00:00:00Z", "customer": "c1", "event": "auth.login", "id": "e1", "data": {"device": "web"}}

    Every line is checked first, and if one is wrong nothing is produced. With --check that is all, and needs no Kafka: lines are
    held against the schemas and against all that a worker's gate asks of a record.

    Exit status: 0 all produced or good, 1 some lines are wrong, 2 no such file, 3 Kafka or the registry does not answer,
    4 a topic is missing.
    """
    from orchestrator import kafka
    from orchestrator.operate import produce as producing
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import schemas_beside

    settings = common.load_settings(
        config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server
    )
    streams = load_wiring(settings.topologies).streams
    known = load_schemas(settings.schemas or schemas_beside(settings.topologies))
    with _framing(settings) as frame, _lines(file) as lines:
        encoder = producing.Encoder(known, streams, topic, frame)
        if check:
            _check(settings, (streams, known), (lines, encoder), file, json=json)
            return
        with common.progress("checking") as (progress, _):
            good, bad = producing.check_lines(lines, encoder, progress)
        if bad:
            _report(file, good, bad)
        conf = client_config(settings)
        cluster = kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
        producing.check_topics(kafka.partition_counts(cluster), encoder.topics, None if topic else streams.partitions)
        lines.seek(0)
        with common.progress("producing", good) as (progress, elapsed):
            producing.produce_lines(lines, producing.EventProducer(conf, encoder), progress)
    if json:
        common.print_json({"produced": good, "topics": sorted(encoder.topics)})
        return
    typer.echo(f"{good} events produced to {', '.join(sorted(encoder.topics)) or 'no topic'} in {elapsed():.1f} s")


def _check(
    settings: Settings, wiring: tuple[Streams, SchemaSet], source: tuple[IO[bytes], Encoder], file: str, *, json: bool
) -> None:
    """Tell every line that would be refused."""
    import time

    from orchestrator.operate import produce as producing

    with common.gate(settings, *wiring) as gate, common.progress("checking") as (progress, _):
        good, bad = producing.check_lines(*source, progress, producing.admits(gate, time.time_ns() // 1_000_000))
    if json:
        refused = [{"line": each.number, "reasons": list(each.faults)} for each in bad]
        common.print_json({"good": good, "refused": refused})
    else:
        for each in bad:
            for fault in each.faults:
                typer.echo(f"{file}:{each.number}: {fault}")
        common.say(f"{good} of {good + len(bad)} events would be taken. Nothing was sent.")
    if bad:
        raise typer.Exit(ExitCode.NO)


@contextlib.contextmanager
def _framing(settings: Settings) -> Iterator[Callable[[str, EventType], bytes] | None]:
    """With a registry, records begin with the id that it gave their schema."""
    if not settings.registry:
        yield None
        return
    from orchestrator.operate.contract.subjects import Contract, Subjects, schema_text, subject_of
    from orchestrator.stream.registry import connect
    from orchestrator.wire.framing import confluent

    with contextlib.closing(Subjects(connect(settings.registry), settings.registry.get("url", ""))) as subjects:
        yield lambda topic, event: confluent(subjects.id_of(Contract(subject_of(topic, event), schema_text(event), "")))


@contextlib.contextmanager
def _lines(file: str) -> Iterator[IO[bytes]]:
    """Open a file that can be gone through twice; standard input is kept in a temporary one."""
    if file == "-":
        with tempfile.TemporaryFile() as kept:
            for block in iter(lambda: sys.stdin.buffer.read(1 << 16), b""):
                kept.write(block)
            kept.seek(0)
            yield kept
        return
    from orchestrator.errors import UsageError

    try:
        opened = Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", where=file) from None
    with opened:
        yield opened


def _report(file: str, good: int, bad: list[BadLine]) -> None:
    for line in bad[:SHOWN_LINES]:
        for fault in line.faults:
            common.say(f"{file}:{line.number}: {fault}")
    if len(bad) > SHOWN_LINES:
        common.say(f"... and {len(bad) - SHOWN_LINES} more lines")
    common.say(f"{len(bad)} of {good + len(bad)} lines cannot be produced. Nothing was produced.")
    raise typer.Exit(ExitCode.NO)
