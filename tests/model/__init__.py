"""A second, slow and obvious reading of the core rules, to compare the engine with."""
