"""From an event type and its fields to what is sent because of them: which journey, step and condition lies between."""
