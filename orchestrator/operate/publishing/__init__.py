"""Publishing journeys: what a change would do, and making it live on running workers."""
