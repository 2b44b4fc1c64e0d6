"""What an author may write: YAML in, checked journeys out. Pure."""
