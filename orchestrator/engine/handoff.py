"""The hand-off block: what a person who takes over from a journey needs to know (rule A1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.engine.values import sendable
from orchestrator.language.unknown import UNKNOWN

if TYPE_CHECKING:
    from orchestrator.engine.walk import Walk


def handoff(walk: Walk, task_id: str) -> dict[str, Any]:
    """Give the block: `task_id`, `last_steps` (newest last, this one included), `identity` and `open_journeys` with their states.

    `identity` has the customer id, `verified` (the profile's `identity_verified`), and the address of each channel that is known.
    """
    turn = walk.turn
    addresses: dict[str, Any] = {}
    for channel, address in turn.program.addresses.items():
        value = address.evaluate(turn.scope({}, None))
        if value is not UNKNOWN and value is not None:
            addresses[channel] = sendable(value)
    return {
        "task_id": task_id,
        "last_steps": list(walk.instance.trail or ()),
        "identity": {
            "customer_id": turn.customer,
            "verified": turn.profile.get("identity_verified") is True,
            "addresses": addresses,
        },
        "open_journeys": [{"journey": one.journey, "key": one.key, "state": one.state} for one in turn.document.instances],
    }
