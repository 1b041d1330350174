"""The life of a run: acceptance, execution, pauses, events."""
