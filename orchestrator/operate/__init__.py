"""What operators do: topics, producing, watching, the demo."""
