"""The checker sees what is wrong: each test spoils one thing in the evidence of a good run; the report names its place."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rocksdict import Options, Rdict

from orchestrator.names import Reason
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.wire.gate import DEADLY
from orchestrator.wire.incidents import incident_from_refusal
from orchestrator.wire.journal import JournalRecord, decode_journal, encode_journal
from tests.brokers import Row
from tests.checker.chain import Cycle, read_chain
from tests.checker.evidence import Evidence, Log
from tests.checker.judging import Demands, judge
from tests.checker.live import check_seen, digest
from tests.checker.recording import APP_TOPICS, PROGRAMS, Recorder, altered, copied
from tests.checker.report import Report
from tests.checker.second import same_rows
from tests.checker.stores import Store, check_left_behind, check_store, read_store, read_stores
from tests.stream.bench import NUMBER

EMAIL = next(topic for topic in APP_TOPICS.actions if topic.endswith("email"))
EVENTS = APP_TOPICS.sources[0]
OUTPUTS = (EMAIL, APP_TOPICS.transitions, APP_TOPICS.incidents, APP_TOPICS.changelog, APP_TOPICS.journal)
LOADED = Demands(is_loaded=True)


@dataclass
class Recorded:
    evidence: Evidence
    store: Store
    cycles: list[Cycle]

    @property
    def changelog(self) -> Log:
        return self.evidence.of(APP_TOPICS.changelog, NUMBER)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    recorder = Recorder(tmp_path_factory.mktemp("recording"))
    recorder.run()
    journal = records_of(recorder.evidence, APP_TOPICS.journal)
    return Recorded(recorder.evidence, recorder.close(), read_chain(APP_TOPICS.journal, NUMBER, journal, Report()))


@pytest.fixture
def evidence(recorded: Recorded) -> Evidence:
    """Evidence of a good run, to be spoilt."""
    return copied(recorded.evidence)


def judged(evidence: Evidence, demands: Demands = LOADED) -> Report:
    report = Report()
    judge(evidence, PROGRAMS, report, demands)
    return report


def records_of(evidence: Evidence, topic: str) -> list[Any]:
    found: list[Any] = evidence.logs[topic, NUMBER].records
    return found


def assert_names(report: Report, *words: str) -> None:
    """Some difference has all of these words."""
    assert any(all(word in line for word in words) for line in report.differences), f"{words} in none of:\n{report}"


def rewrite_journal(evidence: Evidence, cycle: int, change: Callable[[JournalRecord], None]) -> None:
    """Change a cycle's journal record, and chain all after it anew, so that only what it says is wrong."""
    records, chain = records_of(evidence, APP_TOPICS.journal), 0
    for index, message in enumerate(records):
        record = decode_journal(message.value())
        record.previous = chain
        if record.cycle == cycle:
            change(record)
        records[index] = altered(message, value=encode_journal(record))
        chain = zlib.crc32(records[index].value())


# A good run


def test_a_good_run_has_no_differences(recorded: Recorded) -> None:
    report = Report()
    judge(recorded.evidence, PROGRAMS, report, LOADED)
    check_store(recorded.store, recorded.cycles, recorded.changelog, report)
    assert report.differences == []
    for what in ("cycles", "source records", "refused records", "outputs", "documents", "customers' timers", "timers pending"):
        assert report.counts[what] > 5, f"the recording has too few {what} to prove anything"
    assert "no differences in" in report.summary


# Lists


@pytest.mark.parametrize("topic", OUTPUTS)
def test_one_dropped_record_is_seen(evidence: Evidence, topic: str) -> None:
    records = records_of(evidence, topic)
    del records[len(records) // 2]
    assert_names(judged(evidence), f"{topic}/{NUMBER}")


@pytest.mark.parametrize("topic", OUTPUTS)
def test_the_last_record_dropped_is_seen(evidence: Evidence, topic: str) -> None:
    del records_of(evidence, topic)[-1]
    assert judged(evidence).differences


@pytest.mark.parametrize("topic", OUTPUTS)
def test_one_record_twice_is_seen(evidence: Evidence, topic: str) -> None:
    records = records_of(evidence, topic)
    middle = len(records) // 2
    records.insert(middle, records[middle])
    assert_names(judged(evidence), f"{topic}/{NUMBER}")


@pytest.mark.parametrize("topic", [topic for topic in OUTPUTS if topic != APP_TOPICS.changelog])
def test_two_records_swapped_are_seen(evidence: Evidence, topic: str) -> None:
    records = records_of(evidence, topic)
    middle = len(records) // 2
    records[middle - 1], records[middle] = records[middle], records[middle - 1]
    assert_names(judged(evidence), f"{topic}/{NUMBER}/{records[middle - 1].offset()}")


@pytest.mark.parametrize("topic", OUTPUTS[:-1])
def test_an_aborted_cycle_made_visible_is_seen(evidence: Evidence, topic: str) -> None:
    """The records of a cycle stand twice: once from the transaction that was aborted, once from the one that repeated it."""
    records = records_of(evidence, topic)
    third = len(records) // 3
    records[third:third] = records[third : 2 * third]
    assert_names(judged(evidence), f"{topic}/{NUMBER}")


@pytest.mark.parametrize("topic", OUTPUTS)
def test_one_byte_changed_is_seen(evidence: Evidence, topic: str) -> None:
    records = records_of(evidence, topic)
    index = next(i for i, each in enumerate(records) if each.value())
    value = records[index].value()
    records[index] = altered(records[index], value=value[:-1] + bytes([value[-1] ^ 1]))
    assert_names(judged(evidence), f"{topic}/{NUMBER}")


@pytest.mark.parametrize(
    ("part", "other"),
    [("key", b"somebody"), ("headers", [("ce_id", b"other")]), ("headers", None)],
    ids=["key", "header", "none"],
)
def test_another_key_and_other_headers_are_seen(evidence: Evidence, part: str, other: object) -> None:
    records = records_of(evidence, EMAIL)
    records[3] = altered(records[3], **{part: other})
    assert_names(judged(evidence), f"{EMAIL}/{NUMBER}/{records[3].offset()}", part)


def test_an_incident_of_another_time_is_seen(evidence: Evidence) -> None:
    records = records_of(evidence, APP_TOPICS.incidents)
    records[0] = altered(records[0], timestamp=(1, records[0].timestamp()[1] + 1))
    assert_names(judged(evidence), f"{APP_TOPICS.incidents}/{NUMBER}/0", "time")


def test_a_difference_names_the_field_and_no_customer(evidence: Evidence) -> None:
    records = records_of(evidence, APP_TOPICS.transitions)
    one = next(i for i in range(1, len(records)) if records[i].key() == records[i - 1].key())
    records[one] = altered(records[one], value=records[one - 1].value())
    report = judged(evidence)
    assert_names(report, f"{APP_TOPICS.transitions}/{NUMBER}/{records[one].offset()}", "expected")
    assert records[one].key().decode() not in str(report)


# Source and journal


def test_a_source_record_that_nobody_handled_is_seen(evidence: Evidence) -> None:
    records = records_of(evidence, EVENTS)
    records.append(altered(records[0], offset=records[-1].offset() + 1))
    assert_names(judged(evidence), f"{EVENTS}/{NUMBER}", "1 records were not handled")


def test_a_source_record_that_the_engine_never_saw_is_seen(evidence: Evidence) -> None:
    """It stands in the log between two that were handled, and nothing came of it."""
    records = records_of(evidence, EVENTS)
    refused = next(i for i, each in enumerate(records) if each.value() == b"")
    records[refused] = altered(records[refused], value=b"\x00", key=b"other")
    assert_names(judged(evidence), f"{APP_TOPICS.incidents}/{NUMBER}")


def test_a_run_that_passes_a_record_over_is_seen(evidence: Evidence) -> None:
    def skip(record: JournalRecord) -> None:
        record.runs[0].first += 1

    rewrite_journal(evidence, 2, skip)
    assert_names(judged(evidence), f"{EVENTS}/{NUMBER}/", "was passed over")


def test_a_run_that_repeats_a_record_is_seen(evidence: Evidence) -> None:
    def repeat(record: JournalRecord) -> None:
        record.runs[0].first -= 1

    rewrite_journal(evidence, 2, repeat)
    assert_names(judged(evidence), f"{EVENTS}/{NUMBER}/", "handles again")


def test_runs_in_another_order_are_seen(evidence: Evidence) -> None:
    rewrite_journal(evidence, 3, lambda record: record.runs.reverse())
    assert judged(evidence).differences


def test_a_broken_chain_is_seen(evidence: Evidence) -> None:
    records = records_of(evidence, APP_TOPICS.journal)
    record = decode_journal(records[2].value())
    records[2] = altered(records[2], value=encode_journal(replace(record, previous=record.previous ^ 1)))
    assert_names(judged(evidence), f"{APP_TOPICS.journal}/{NUMBER}/{records[2].offset()}", "checksum")
    assert_names(judged(evidence), f"{APP_TOPICS.journal}/{NUMBER}/{records[3].offset()}", "checksum")


@pytest.mark.parametrize("what", ["decisions", "actions", "incidents", "newest"])
def test_a_journal_that_miscounts_is_seen(evidence: Evidence, what: str) -> None:
    rewrite_journal(evidence, 2, lambda record: setattr(record, what, getattr(record, what) + 1))
    assert_names(judged(evidence), f"{APP_TOPICS.journal}/{NUMBER}, cycle 2")


def test_a_position_that_is_not_where_the_runs_end_is_seen(evidence: Evidence) -> None:
    rewrite_journal(evidence, 2, lambda record: record.sources.update({EVENTS: record.sources[EVENTS] - 1}))
    assert_names(judged(evidence), f"{EVENTS}/{NUMBER}", "cycle 2 goes on at")


def test_a_program_that_nobody_handed_over_is_seen(evidence: Evidence) -> None:
    rewrite_journal(evidence, 3, lambda record: setattr(record, "program", "another"))
    assert_names(judged(evidence), "cycle 3", "another", "digest")


def test_garbage_in_the_journal_is_seen(evidence: Evidence) -> None:
    records = records_of(evidence, APP_TOPICS.journal)
    records[1] = altered(records[1], value=b"garbage")
    assert_names(judged(evidence), f"{APP_TOPICS.journal}/{NUMBER}/{records[1].offset()}", "no journal record")


# Timers


def _sweep(evidence: Evidence) -> int:
    """A cycle with a sweep that fired somebody's timers."""
    for message in records_of(evidence, APP_TOPICS.journal):
        record = decode_journal(message.value())
        if any(not run.topic and run.first for run in record.runs):
            return record.cycle
    raise AssertionError("the recording has no sweep")


def _count_one_more(record: JournalRecord) -> None:
    next(run for run in record.runs if not run.topic and run.first).first += 1


def _count_one_less(record: JournalRecord) -> None:
    next(run for run in record.runs if not run.topic and run.first).first -= 1


def test_t3_a_timer_fired_that_was_not_due_is_seen(evidence: Evidence) -> None:
    rewrite_journal(evidence, len(records_of(evidence, APP_TOPICS.journal)), _count_one_more_at_the_end)
    assert_names(judged(evidence), f"{APP_TOPICS.journal}/{NUMBER}, cycle", "had any due by then")


def _count_one_more_at_the_end(record: JournalRecord) -> None:
    record.runs[-1].first += 1


@pytest.mark.parametrize("change", [_count_one_more, _count_one_less], ids=["one early", "one lost"])
def test_t3_another_number_of_timers_than_were_due_is_seen(evidence: Evidence, change: Callable[[JournalRecord], None]) -> None:
    rewrite_journal(evidence, _sweep(evidence), change)
    assert judged(evidence).differences


def test_t5_timers_fired_by_a_clock_that_is_ahead_are_seen(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, hurry_ms=40 * 86_400_000)
    recorder.run()
    recorder.bench.close()
    assert_names(judged(recorder.evidence), f"{APP_TOPICS.journal}/{NUMBER}, cycle", "before their time")


def test_t4_timers_fired_by_who_wrongly_thinks_it_has_caught_up_are_seen(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    blocks = recorder.blocks()
    for _ in range(10):
        recorder.bench.partition.handle(next(blocks), recorder.bench.outbox)
    recorder.catch_up()
    for rest in blocks:
        recorder.bench.partition.handle(rest, recorder.bench.outbox)
    recorder.catch_up()
    recorder.bench.close()
    assert_names(judged(recorder.evidence), f"{APP_TOPICS.journal}/{NUMBER}, cycle", "records were waiting")
    assert judged(recorder.evidence, Demands()).differences == [], "records that come late are nobody's fault"


def test_a_timer_that_never_fires_is_seen(evidence: Evidence) -> None:
    assert_names(judged(evidence, Demands(fired_before=1 << 60)), f"partition {NUMBER}", "never fired")


# The changelog and the stores


def test_a_stale_row_in_the_changelog_is_seen(evidence: Evidence) -> None:
    records = records_of(evidence, APP_TOPICS.changelog)
    before: dict[bytes, Any] = {}
    for index, message in enumerate(records):
        if message.key() in before and index > len(records) // 2:
            records[index] = altered(message, value=before[message.key()].value())
            break
        before[message.key()] = message
    assert_names(judged(evidence), f"{APP_TOPICS.changelog}/{NUMBER}/{message.offset()}", "not the engine's")


def _stale(store: Store) -> None:
    one, other, *_ = store.documents
    store.documents[one] = store.documents[other]


def _absent(store: Store) -> None:
    store.documents.popitem()


def _extra(store: Store) -> None:
    store.documents[b"nobody"] = next(iter(store.documents.values()))


def _no_entry(store: Store) -> None:
    store.timers.pop()


def _invented_entry(store: Store) -> None:
    store.timers.add((1, next(iter(store.documents))))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_stale, "1 are stale"),
        (_absent, "1 absent"),
        (_extra, "1 should not be there"),
        (_no_entry, "not in the calendar"),
        (_invented_entry, "no document ever had"),
        (lambda store: setattr(store.position, "timers_from", 1 << 60), "lie before"),
        (lambda store: setattr(store.position, "cycle", store.position.cycle + 1), "ahead of Kafka"),
        (lambda store: setattr(store.position, "changelog", store.position.changelog + 9), "ahead of Kafka"),
        (lambda store: setattr(store.position, "chain", 1), "something else than the journal"),
        (lambda store: setattr(store.position, "newest", 1), "something else than the journal"),
        (lambda store: store.position.sources.update({EVENTS: 1}), "something else than the journal"),
        (lambda store: setattr(store.position, "changelog", 3), "should not be there"),
    ],
)
def test_a_spoilt_store_is_seen(recorded: Recorded, spoil: Callable[[Store], None], words: str) -> None:
    store, report = deepcopy(recorded.store), Report()
    spoil(store)
    check_store(store, recorded.cycles, recorded.changelog, report)
    assert_names(report, str(store.path), words)


def test_one_stale_row_in_rocksdb_is_seen(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.run()
    store, report = recorder.close(), Report()
    one, other, *_ = store.documents
    database = Rdict(str(store.path), Options(raw_mode=True))
    database[b"d" + one] = store.documents[other]
    database.close()
    spoilt = read_store(store.path)
    assert spoilt is not None
    check_store(
        spoilt,
        read_chain("journal", NUMBER, records_of(recorder.evidence, APP_TOPICS.journal), report),
        recorder.evidence.of(APP_TOPICS.changelog, NUMBER),
        report,
    )
    assert_names(report, str(tmp_path), "1 are stale, 0 absent; 0 should not")


def test_a_store_that_cannot_be_read_is_seen(tmp_path: Path) -> None:
    broken = tmp_path / "partitions" / "0"
    broken.mkdir(parents=True)
    (broken / "CURRENT").write_text("garbage")
    report = Report()
    assert list(read_stores(tmp_path, report)) == []
    assert_names(report, str(broken), "cannot be read")
    (tmp_path / "partitions" / "0.damaged").touch()
    marked = Report()
    assert list(read_stores(tmp_path, marked)) == []
    assert marked.differences == [], "who opens it next rebuilds it"


def test_what_a_worker_leaves_behind_is_seen(tmp_path: Path) -> None:
    (tmp_path / "partitions").mkdir()
    for name in ("0", "1", "1.bad-17", "2.damaged"):
        (tmp_path / "partitions" / name).touch()
    good = Report()
    check_left_behind(tmp_path, good)
    assert good.differences == []
    for name in ("1.bad-18", "3.tmp"):
        (tmp_path / "partitions" / name).touch()
    held = WorkerIdentity(tmp_path)
    report = Report()
    check_left_behind(tmp_path, report)
    held.release()
    assert_names(report, str(tmp_path), "holds its lock")
    assert_names(report, str(tmp_path / "partitions"), "left behind: 3.tmp, 1.bad-*")


# The group, the ends, other readers


def test_a_group_that_stands_elsewhere_is_seen(evidence: Evidence) -> None:
    offset, metadata = evidence.committed[EVENTS, NUMBER]
    evidence.committed[EVENTS, NUMBER] = (offset - 1, metadata)
    assert_names(judged(evidence), f"{EVENTS}/{NUMBER}", f"the group is at {offset - 1}")
    evidence.committed[EVENTS, NUMBER] = (offset, "1 2 3")
    assert_names(judged(evidence), f"{EVENTS}/{NUMBER}", "'1 2 3'")
    del evidence.committed[EVENTS, NUMBER]
    assert_names(judged(evidence), f"{EVENTS}/{NUMBER}", "the group is at None")


def test_an_open_transaction_is_seen(evidence: Evidence) -> None:
    evidence.logs[EMAIL, NUMBER].stable -= 2
    assert_names(judged(evidence), f"{EMAIL}/{NUMBER}", "a transaction is open")


def test_a_member_left_in_the_group_is_seen(evidence: Evidence) -> None:
    evidence.group_state = "STABLE"
    assert_names(judged(evidence), "the group", "STABLE")
    assert judged(evidence, Demands(is_over=False)).differences == []


@pytest.mark.parametrize("spoil", ["phantom", "swap", "other", "more", "gap"])
def test_a_live_reader_that_saw_something_else_is_seen(evidence: Evidence, spoil: str) -> None:
    final = records_of(evidence, EMAIL)
    rows = [(message.offset(), digest(message)) for message in final[: len(final) // 2]]
    good = Report()
    check_seen({(EMAIL, NUMBER): list(rows)}, evidence, good)
    assert good.differences == []
    if spoil == "phantom":
        rows.insert(4, (rows[4][0] - 1, b"aborted"))
    elif spoil == "swap":
        rows[3], rows[4] = rows[4], rows[3]
    elif spoil == "other":
        rows[4] = (rows[4][0], b"other")
    elif spoil == "more":
        rows = [(message.offset(), digest(message)) for message in final] + [(final[-1].offset() + 1, b"more")]
    else:
        del rows[4]
    report = Report()
    check_seen({(EMAIL, NUMBER): rows}, evidence, report)
    assert_names(report, f"{EMAIL}/{NUMBER}/", "a live reader saw")


@pytest.mark.parametrize("spoil", ["drop", "swap", "value"])
def test_a_second_client_that_reads_something_else_is_seen(evidence: Evidence, spoil: str) -> None:
    rows = [
        Row(NUMBER, m.offset(), m.timestamp()[1], m.key(), m.value(), tuple(m.headers() or ()))
        for m in records_of(evidence, EMAIL)
    ]
    good = Report()
    same_rows(EMAIL, rows, evidence, good)
    assert good.differences == []
    if spoil == "drop":
        del rows[-1]
    elif spoil == "swap":
        rows[3], rows[4] = rows[4], rows[3]
    else:
        rows[4] = rows[4]._replace(value=b"")
    report = Report()
    same_rows(EMAIL, rows, evidence, report)
    assert_names(report, f"{EMAIL}/{NUMBER}", "second client")


# Records that ended processes


def test_b1_a_record_that_ended_processes_is_not_replayed_and_is_counted(evidence: Evidence) -> None:
    """The broken record at its offset is refused for another reason: then that is what must have come of it."""
    sources, incidents = records_of(evidence, EVENTS), records_of(evidence, APP_TOPICS.incidents)
    headers = dict(incidents[0].headers())
    offset = int(headers["__streams.errors.offset"])
    source = next(message for message in sources if message.offset() == offset)
    key, value, told = incident_from_refusal(source, DEADLY, "journeys", dict(headers)["orchestrator.app.version"].decode())
    incidents[0] = altered(incidents[0], key=key, value=value, headers=told)
    assert (b"orchestrator." + Reason.CRASHED_WORKER.encode()) in dict(told).values()
    report = judged(evidence)
    assert report.differences == []
    assert report.counts["deadly records"] == 1
