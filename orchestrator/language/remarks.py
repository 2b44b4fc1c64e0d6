"""What no author can change and whoever relies on a policy should know: rules that stop at the border of a partition."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.language.durations import format_duration
from orchestrator.language.model import Topology


def remarks(topology: Topology) -> Iterator[str]:
    """Give each as a sentence, none where there is only one partition."""
    policy, partitions = topology.policy, topology.streams.partitions
    if partitions == 1:
        return
    if policy.dedupe_addresses is not None:
        rule = "dedupe.addresses compares the customers of one partition"
        yield f"{rule}: two of different partitions ({partitions} here) are not yet noticed to have one address"
    for channel in policy.channels.values():
        if channel.rate is not None:
            limit, per = channel.rate.limit, format_duration(channel.rate.per_ms)
            each = f"{limit / partitions:.4g} for each of {partitions} partitions"
            yield f"rate of {channel.name}: {limit} per {per} over the whole cluster, {each}"
