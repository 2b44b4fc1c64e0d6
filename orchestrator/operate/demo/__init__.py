"""`orchestrator demo`: real purchases, an invented cohort and broken payloads through a real worker, and what came of them."""
