"""From the bytes of a topology's files to one checked Topology, with every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from msgspec import Struct, structs

from orchestrator.language import codes
from orchestrator.language.catalog import Catalog
from orchestrator.language.checks import JourneyCheck, Surroundings, refuse_repeats
from orchestrator.language.composer import compose
from orchestrator.language.conditions import Conditions
from orchestrator.language.experiments import read_experiments
from orchestrator.language.journeys import JourneyRead, read_journey
from orchestrator.language.links import Links
from orchestrator.language.model import Expr, Journey, Place, Policy, Streams, Topology
from orchestrator.language.policy import read_policy
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Node
from orchestrator.language.references import references
from orchestrator.language.streams import read_streams
from orchestrator.language.verb import VerbTable
from orchestrator.language.versions import check_versions

T = TypeVar("T")
SourceKind = Literal["journey", "earlier", "policy", "streams", "experiments"]

_VERSIONS: Final[tuple[SourceKind, ...]] = ("journey", "earlier")


class Source(Struct, frozen=True):
    """One file: its name as messages show it, its bytes, and what it is. `node`: read already, as part of another file."""

    path: str
    content: bytes
    kind: SourceKind
    node: Node | None = None


class Loaded(Struct, frozen=True):
    """What came of loading. `topology` is None where any problem is an error.

    `journeys`, and `earlier` versions of some, are those that could be read at all.
    """

    topology: Topology | None
    problems: Problems
    journeys: tuple[Journey, ...]
    earlier: tuple[Journey, ...] = ()


def load(sources: Sequence[Source], catalog: Catalog | None, verbs: VerbTable, *, is_complete: bool = True) -> Loaded:
    """Read and check a topology.

    `catalog` None: event types and fields go unchecked (ruling A25). Not `is_complete`: without a policy among the sources,
    channels and purposes go unchecked, with a warning, as when one journey file is validated alone.
    """
    problems = Problems()
    live, earlier = (_all(sources, kind, problems, lambda node: read_journey(node, problems, verbs)) for kind in _VERSIONS)
    policy = _one(sources, "policy", problems, lambda node: read_policy(node, problems))
    streams = _one(sources, "streams", problems, lambda node: read_streams(node, problems))
    experiments = _one(sources, "experiments", problems, lambda node: read_experiments(node, problems))
    if policy is None and is_complete and not any(source.kind == "policy" for source in sources):
        policy = Policy()
    conditions = Conditions(catalog, policy, problems)
    journeys, kept = tuple(read.journey for read in live), tuple(read.journey for read in earlier)
    links = Links(journeys, kept, verbs)
    registered = (experiments or {}) if is_complete else experiments
    around = Surroundings(catalog, policy, streams, verbs, registered, links.names)
    for read in (*live, *earlier):
        _check_journey(read, around, conditions, problems)
    check_versions(journeys, kept, problems, is_complete=is_complete)
    links.check(problems, policy, is_complete=is_complete)
    if policy is not None:
        check_policy(policy, conditions, problems)
    if streams is not None and catalog is not None:
        check_streams(streams, catalog, problems)
    if problems.has_errors:
        return Loaded(None, problems, journeys, kept)
    topology = Topology(journeys, policy or Policy(), streams or Streams(), experiments or {}, kept)
    return Loaded(_with_timestamps(topology, conditions.timestamps), problems, journeys, kept)


def _all(sources: Sequence[Source], kind: SourceKind, problems: Problems, read: Callable[[Node], T]) -> list[T]:
    nodes = [source.node or compose(source.path, source.content, problems) for source in sources if source.kind == kind]
    return [read(node) for node in nodes if node is not None]


def _one(sources: Sequence[Source], kind: SourceKind, problems: Problems, read: Callable[[Node], T]) -> T | None:
    found = _all(sources, kind, problems, read)
    return found[0] if found else None


def _check_journey(read: JourneyRead, around: Surroundings, conditions: Conditions, problems: Problems) -> None:
    if around.policy is None:
        message = "no policy.yaml was found, so channels and purposes are not checked"
        problems.warning(read.journey.place, codes.NO_POLICY, message)
    JourneyCheck(read.journey, around, conditions, problems).run(is_whole=read.is_whole)


def check_policy(policy: Policy, conditions: Conditions, problems: Problems) -> None:
    """Check the names and expressions of a policy against itself and the schemas."""
    for what, listed in (("cap", policy.caps), ("suppression rule", policy.suppress), ("exclusive group", policy.exclusive)):
        refuse_repeats(f"{what} id", [(each.id, each.place) for each in listed], problems)
    for channel in policy.channels.values():
        if channel.address is not None:
            conditions.check(channel.address, (), frozenset(), want_bool=False)
            if any(path.root == "event" for path in references(channel.address.source).paths):
                message = "an address is the customer's, whatever event is at hand: read it from `profile`"
                problems.error(channel.address.place, codes.EXPRESSION_NAME, message)
    for rule in policy.suppress:
        if rule.when is not None:
            conditions.check(rule.when, rule.on, frozenset(), want_bool=True)
    for place, channels, purposes in (
        *((cap.place, cap.channels, cap.purposes) for cap in policy.caps),
        *((rule.place, (), rule.purposes) for rule in policy.suppress),
        *((rule.place, rule.channels, ()) for rule in (policy.dedupe_addresses,) if rule is not None),
    ):
        _check_names(channels, policy.channels, place, "channel", codes.UNKNOWN_CHANNEL, problems)
        _check_names(purposes, policy.purposes, place, "purpose", codes.UNKNOWN_PURPOSE, problems)
    _check_compared(policy, problems)


def _check_compared(policy: Policy, problems: Problems) -> None:
    """Warn of a channel that `dedupe.addresses` names and that gives it nothing to compare (ruling A68)."""
    rule = policy.dedupe_addresses
    for channel in (policy.channels[name] for name in (rule.channels if rule else ()) if name in policy.channels):
        if channel.address is None:
            message = f"channel {channel.name!r} has no `address`, so none are compared there: add one, such as profile.email"
            problems.warning(channel.place, codes.NO_ADDRESS, message)


def _check_names(
    names: Sequence[str], known: Mapping[str, object], place: Place, what: str, code: str, problems: Problems
) -> None:
    for name in names:
        if name not in known:
            problems.error(place, code, f"policy.yaml has no {what} {name!r}", word=name, known=known)


def check_streams(streams: Streams, catalog: Catalog, problems: Problems) -> None:
    """Check that every type a topic lists has a schema."""
    for topic in streams.events:
        for name, place in topic.schema_places.items():
            if catalog.get(name) is None and not catalog.is_open:
                message = f"no schema declares the event type {name!r}"
                problems.error(place, codes.UNKNOWN_EVENT_TYPE, message, word=name, known=catalog.events)


def _with_timestamps(value: T, timestamps: Mapping[Place, frozenset[str]]) -> T:
    """Give the same value, with what the type check learnt about each expression noted in it."""
    return _noted(value, timestamps) if timestamps else value


def _noted(value: Any, timestamps: Mapping[Place, frozenset[str]]) -> Any:
    if isinstance(value, Expr):
        times = timestamps.get(value.place)
        return structs.replace(value, timestamps=times) if times else value
    if isinstance(value, Struct):
        changes = {name: _noted(getattr(value, name), timestamps) for name in value.__struct_fields__}
        return structs.replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(_noted(item, timestamps) for item in value)
    if isinstance(value, Mapping):
        return {key: _noted(item, timestamps) for key, item in value.items()}
    return value
