"""Scenarios: what authors say must happen, run in virtual time and judged (language.md 6, rulings A15-A28)."""
