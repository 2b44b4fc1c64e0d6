"""Replay: a stretch of the log through the engine again, as the journal says that it was handled, beside what the log has."""
