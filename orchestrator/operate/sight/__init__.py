"""Seeing into a running system: who owns what, what became of a customer and why, how things stand, whether sums are right."""
