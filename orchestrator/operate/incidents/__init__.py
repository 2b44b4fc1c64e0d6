"""Incidents worked off: found and counted, looked at, sent again to where they came from, or discarded with a reason."""
