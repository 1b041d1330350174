"""Who calls, and what he may do (ADR 11)."""
