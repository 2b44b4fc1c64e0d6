"""Lineage for data catalogs: a JobEvent of OpenLineage a journey, from the topics of events to those of actions.

A catalog takes the newest event of a job for the whole of it, so an event is never of some fields or channels only. Columns are
named alike in every event: `<type>.<field>` on a topic of events, `data.<name>` on one of actions.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from orchestrator import __version__, defaults
from orchestrator.language.catalog import Catalog
from orchestrator.language.model import Topology
from orchestrator.operate.lineage.uses import Use
from orchestrator.wire.routing import carried_types

PRODUCER: Final = f"urn:journey-orchestrator:{__version__}"
EVENT: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
FACETS: Final = "https://openlineage.io/spec/facets"

Facet = dict[str, Any]
Column = tuple[str, str]  # the topic and the name of a field on it


def job_events(found: Sequence[Use], topology: Topology, catalog: Catalog, brokers: str, at: datetime) -> list[dict[str, Any]]:
    """Give an event a journey, by its name; all its versions are one job.

    `found` are all uses of the topology. `brokers` are those to start from, comma between: the first names the cluster.
    `at` is when this is told, with a time zone.
    """
    datasets = _Datasets(found, topology, catalog, brokers)
    return [
        {
            "eventTime": at.isoformat(timespec="milliseconds"),
            "producer": PRODUCER,
            "schemaURL": EVENT,
            "job": _job(topology.streams.app, journey),
            "inputs": datasets.inputs(journey),
            "outputs": datasets.outputs(journey),
        }
        for journey in sorted({use.journey for use in found if use.journey})
    ]


class _Datasets:
    """The topics of one topology as datasets."""

    def __init__(self, found: Sequence[Use], topology: Topology, catalog: Catalog, brokers: str) -> None:
        self._namespace = f"kafka://{brokers.partition(',')[0].strip()}"
        self._catalog = catalog
        self._topics = {name: channel.topic for name, channel in topology.policy.channels.items()}
        self._carried = carried_types(topology.streams, frozenset(catalog.events))
        self._types: dict[str, set[str]] = defaultdict(set)
        self._acts: dict[str, set[str]] = defaultdict(set)
        self._columns: dict[str, dict[Column, set[Column]]] = defaultdict(lambda: defaultdict(set))
        for use in found:
            self._learn(use)

    def inputs(self, journey: str) -> list[dict[str, Any]]:
        """Give the topics whose events a journey hears, or keeps and reads, or is started because of."""
        wanted = self._types[journey]
        return [self._input(topic, types) for topic, types in sorted(self._carried.items()) if wanted & types]

    def outputs(self, journey: str) -> list[dict[str, Any]]:
        """Give the topics that the actions of a journey may go to."""
        return [self._output(topic, self._columns[journey]) for topic in sorted(self._acts[journey])]

    def _learn(self, use: Use) -> None:
        if use.journey:
            self._types[use.journey].add(use.type)
        for act in use.leads_to:
            # What a started journey sends is that journey's, and so is what led to it.
            if act.journey:
                self._types[act.journey].add(use.type)
                self._acts[act.journey].update(self._to(act.channels))
        if use.kind == "data" and use.field:
            read = {(topic, self._column(use)) for topic, types in self._carried.items() if use.type in types}
            for topic in self._to(use.channels):
                self._columns[use.journey][topic, f"data.{use.into}"].update(read)

    def _to(self, channels: Iterable[str]) -> set[str]:
        return {self._topics[each] for each in channels if each in self._topics}

    def _column(self, use: Use) -> str:
        """Name the field that is read; of what is inside a map, the map, since nothing declares what that holds."""
        schema = self._catalog.get(use.type)
        parts = use.field.split(".")
        declared = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        known = [each for each in declared if schema is not None and each in schema.fields]
        return f"{use.type}.{known[0] if known else use.field}"

    def _input(self, topic: str, types: Iterable[str]) -> dict[str, Any]:
        schemas = [schema for each in sorted(types) if (schema := self._catalog.get(each)) is not None]
        fields = [{"name": f"{each.type}.{name}", "type": kind} for each in schemas for name, kind in each.fields.items()]
        return self._dataset(topic, {"schema": _facet("SchemaDatasetFacet", fields=fields)})

    def _output(self, topic: str, columns: Mapping[Column, set[Column]]) -> dict[str, Any]:
        # Every journey's: what one of them sends does not change what the topic is.
        data = {name for each in self._columns.values() for to, name in each if to == topic}
        facets = {"schema": _facet("SchemaDatasetFacet", fields=[*_envelope(), *({"name": name} for name in sorted(data))])}
        made = {name: {"inputFields": self._read(read)} for (to, name), read in sorted(columns.items()) if to == topic}
        if made:
            facets["columnLineage"] = _facet("ColumnLineageDatasetFacet", fields=made)
        return self._dataset(topic, facets)

    def _read(self, columns: Iterable[Column]) -> list[dict[str, str]]:
        return [{"namespace": self._namespace, "name": topic, "field": field} for topic, field in sorted(columns)]

    def _dataset(self, topic: str, facets: dict[str, Facet]) -> dict[str, Any]:
        return {"namespace": self._namespace, "name": topic, "facets": facets}


def _job(app: str, journey: str) -> dict[str, Any]:
    kind = _facet("JobTypeJobFacet", "2-0-4", processingType="STREAMING", integration="JOURNEY_ORCHESTRATOR", jobType="JOURNEY")
    return {"namespace": app, "name": journey, "facets": {"jobType": kind}}


def _facet(name: str, version: str = "1-2-0", **content: Any) -> Facet:
    return {"_producer": PRODUCER, "_schemaURL": f"{FACETS}/{version}/{name}.json#/$defs/{name}", **content}


def _envelope() -> list[dict[str, str]]:
    """Give the fields that every action has."""
    schema = json.loads((defaults.SCHEMAS / "journeys" / "Action.avsc").read_text(encoding="utf-8"))
    return [{"name": each["name"], "type": _word(each["type"]), "description": each["doc"]} for each in schema["fields"]]


def _word(kind: Any) -> str:
    if isinstance(kind, list):
        return next(_word(each) for each in kind if each != "null")
    return kind if isinstance(kind, str) else str(kind.get("logicalType") or kind["type"])
