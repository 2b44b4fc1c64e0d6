"""The verbs of the language, one file each: what is read, what is checked, what it means."""
