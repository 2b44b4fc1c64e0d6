"""streams.yaml: how the topics are wired (language.md 5)."""

from __future__ import annotations

from orchestrator.language import codes
from orchestrator.language.model import EventTopic, Streams
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node
from orchestrator.language.topics import read_topic
from orchestrator.names import OPERATION_REQUESTED


def read_streams(node: Node, problems: Problems) -> Streams:
    """Read the file. What is wrong is a problem; the rest is there to be checked."""
    fields = Fields(node, problems, "the streams file")
    default = Streams()
    app = fields.name("app", default.app)
    streams = Streams(
        app=app,
        partitions=fields.integer("partitions", default.partitions, low=1, high=100_000),
        events=tuple(_event_topic(each, problems) for each in fields.items("events", required=True)),
        outcomes=read_topic(fields, "outcomes", default.outcomes),
        transitions=read_topic(fields, "transitions", default.transitions),
        incidents=read_topic(fields, "incidents", default.incidents),
        definitions=read_topic(fields, "definitions", default.definitions),
        operations=read_topic(fields, "operations", is_optional=True) or f"{app}-operations",
    )
    _check_distinct(streams, fields)
    fields.close()
    return streams


def _event_topic(node: Node, problems: Problems) -> EventTopic:
    fields = Fields(node, problems, "the event topic")
    schema_places = fields.event_places("schemas")
    if OPERATION_REQUESTED in schema_places:
        message = f"{OPERATION_REQUESTED} is for operators: only the topic `operations` carries it"
        problems.error(schema_places[OPERATION_REQUESTED], codes.CONFLICT, message)
    topic = EventTopic(read_topic(fields, "topic"), fields.at("topic"), tuple(schema_places), schema_places)
    fields.close()
    return topic


def _check_distinct(streams: Streams, fields: Fields) -> None:
    """Refuse one topic with two roles: the engine would read what it writes."""
    roles: dict[str, str] = {streams.changelog: "the changelog", streams.journal: "the journal"}
    for key in ("outcomes", "transitions", "incidents", "definitions", "operations"):
        topic = getattr(streams, key)
        if topic in roles:
            message = f"the topic {topic!r} is already used for {roles[topic]}: each needs its own"
            fields.problems.error(fields.at(key), codes.CONFLICT, message)
        roles.setdefault(topic, f"`{key}`")
    for event_topic in streams.events:
        if event_topic.topic in roles:
            message = f"the topic {event_topic.topic!r} is already used for {roles[event_topic.topic]}: each needs its own"
            fields.problems.error(event_topic.place, codes.CONFLICT, message)
        if event_topic.topic:
            roles.setdefault(event_topic.topic, "`events`")
