"""Bad input: every field that can be wrong is refused, and nothing is created or lost by it."""
