"""The changelog as decoded documents: the newest of each customer, no note, nobody who was erased."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator import kafka as clients
from orchestrator.engine.document import Document, Merged
from orchestrator.engine.storing import encode
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.wire.partitioning import partition_for
from tests.brokers import Broker, unique

STREAMS = Streams(partitions=2)


def stored(city: str) -> bytes:
    return encode(Document(profile={"city": (city, 1)})) or b""


def test_the_newest_document_of_each_customer_is_found_whatever_else_is_there(kafka: Broker) -> None:
    streams = replace(STREAMS, app=unique("app"))
    kafka.create_topic(streams.changelog, 2)
    producer = clients.producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": streams.app})
    producer.init_transactions(30)
    # bob goes on as carl, in the same partition, as a merge has it.
    carl = next(f"carl-{n}" for n in range(99) if partition_for(f"carl-{n}".encode(), 2) == partition_for(b"bob", 2))
    alias = encode(Document(merged=Merged(into=carl))) or b""
    rows = [
        ("ann", stored("Perth")), ("bob", stored("Rome")), ("ann", stored("Oslo")), ("\x00rate:sms", b"\x01"),
        ("eve", stored("Bern")), (carl, stored("Lima")), ("bob", alias), ("eve", None),
    ]  # fmt: skip
    for is_kept, batch in ((True, rows), (False, [("ann", None), ("zoe", stored("Kiel"))])):
        producer.begin_transaction()
        for key, value in batch:
            producer.produce(streams.changelog, value, key.encode(), partition_for(key.encode(), 2))
        (producer.commit_transaction if is_kept else producer.abort_transaction)(30)

    conf, seen = {"bootstrap.servers": kafka.bootstrap}, list[tuple[int, int]]()
    found = {each.customer: each for each in documents.documents(conf, streams, progress=lambda *at: seen.append(at))}
    assert set(found) == {"ann", "bob", carl}
    assert found["ann"].document().profile["city"][0] == "Oslo"
    assert seen[-1][0] == seen[-1][1] and seen == sorted(seen)
    assert {each.customer for each in documents.documents(conf, streams, [0])} == {
        name for name in found if partition_for(name.encode(), 2) == 0
    }

    kept = {key for number in range(2) for key in documents.partition(conf, streams, number)}
    assert kept == {b"ann", b"bob", carl.encode(), b"\x00rate:sms"}
