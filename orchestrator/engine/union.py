"""What becomes of two customers' documents where the two are one person (rules M1, M2; ruling A77).

The stricter of the two counts: a marker or a block of either, the slots that both took, the arm that came first. Timers keep
their due. No limit is enforced: whoever has more than it allows has no room until enough is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import consent, dedupe, goals, memory
from orchestrator.engine.document import Marker
from orchestrator.engine.entries import USES
from orchestrator.engine.identity import HASH_BYTES
from orchestrator.engine.upkeep import contact_of, drop_over

if TYPE_CHECKING:
    from orchestrator.engine.document import Document, Instance
    from orchestrator.engine.turn import Turn


def unite(turn: Turn, theirs: Document) -> list[Instance]:
    """Move everything of `theirs` into the turn's document; give the instances that end by it (rule M2).

    Sends that are held for those are still there; `theirs` is of no use afterwards.
    """
    ours = turn.document
    ours.seen = dedupe.unite(ours.seen, theirs.seen, turn.program.policy.dedupe_events)
    memory.unite(ours, theirs)
    ended = _instances(ours, theirs)
    goals.unite(turn, theirs.goals, {instance.id for instance in ended})
    for name, marker in theirs.markers.items():
        ours.markers[name] = _marker(ours.markers.get(name), marker)
    _profile(ours, theirs)
    turn.forget_profile()
    ours.consents = consent.unite(ours.consents, theirs.consents)
    _arms(ours, theirs)
    _contact(turn, theirs)
    return ended


def _instances(ours: Document, theirs: Document) -> list[Instance]:
    """Of two instances of one journey and key the older stays; the smaller id, where they are of one age."""
    kept: dict[tuple[str, str], Instance] = {}
    ended: list[Instance] = []
    for instance in sorted((*ours.instances, *theirs.instances), key=lambda one: (one.started, one.id)):
        if kept.setdefault((instance.journey, instance.key), instance) is not instance:
            ended.append(instance)
    ours.instances = list(kept.values())
    return ended


def _marker(ours: Marker | None, theirs: Marker) -> Marker:
    if ours is None:
        return theirs
    uses = ours.entered_by + theirs.entered_by
    return Marker(max(ours.entered, theirs.entered), max(ours.ended, theirs.ended), uses[-USES * HASH_BYTES :])


def _profile(ours: Document, theirs: Document) -> None:
    """For each name the newest record time wins; the id that goes on, where they are of one time."""
    profile = dict(ours.profile)
    for name, value in theirs.profile.items():
        if name not in profile or profile[name][1] < value[1]:
            profile[name] = value
    ours.profile = profile


def _arms(ours: Document, theirs: Document) -> None:
    for experiment, arm in theirs.arms.items():
        exposed = theirs.exposed.get(experiment, 0)
        if experiment not in ours.arms or exposed < ours.exposed.get(experiment, 0):
            ours.arms[experiment] = arm
            ours.exposed[experiment] = exposed


def _contact(turn: Turn, theirs: Document) -> None:
    """Blocks, sends that count and sends that are held; these go out to the id that goes on."""
    if theirs.contact is None:
        return
    contact = contact_of(turn.document)
    for rule, block in theirs.contact.blocks.items():
        contact.blocks[rule] = _block(contact.blocks.get(rule), block)
    contact.sent = sorted((*contact.sent, *theirs.contact.sent), key=lambda sent: sent.time)
    for held in theirs.contact.held:
        held.action.customer = turn.customer
        contact.keep(held)
    for channel, latest in theirs.contact.latest.items():
        contact.latest[channel] = max(latest, contact.latest.get(channel, 0))
    drop_over(contact, turn.now)


def _block(ours: tuple[int, int] | None, theirs: tuple[int, int]) -> tuple[int, int]:
    """Join blocks that touch; of two apart, the later is the one that may still hold."""
    if ours is None:
        return theirs
    if theirs[0] <= ours[1] and ours[0] <= theirs[1]:
        return min(ours[0], theirs[0]), max(ours[1], theirs[1])
    return max(ours, theirs)
